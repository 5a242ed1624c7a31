import bz2
import gzip
import io
import lzma
import os
import stat
import struct
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ris.errors import RisError
from ris.lab.data.archive import unpack

Files = dict[str, bytes]
PICTURES: Files = {
    "ant/image_0001.jpg": b"first",
    "ant/image_0002.jpg": b"",
    "bee/deep/down.jpg": np.random.default_rng(0).bytes(300_000),
    "bee/no suffix": b"x",
    "bee/süß.jpg": b"y",
}
LITTER: Files = {"__MACOSX/101/._ant": b"?", "101/.DS_Store": b"?", "101/ant/._image_0001.jpg": b"?"}


def below(folder: str, files: Files) -> Files:
    return {f"{folder}/{name}": content for name, content in files.items()}


def tar_of(files: Files, *odd: tarfile.TarInfo) -> bytes:
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode="w") as opened:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            opened.addfile(info, io.BytesIO(content))
        for info in odd:
            opened.addfile(info)
    return memory.getvalue()


def zip_of(files: Files, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", method) as opened:
        for name, content in files.items():
            opened.writestr(zipfile.ZipInfo(name), content, method)
    return memory.getvalue()


def odd_member(kind: bytes, name: str = "101/ant/odd", link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def official(files: Files) -> bytes:
    """A zip as Caltech packs it: tars inside, beside annotations and the traces of macOS."""
    inner = gzip.compress(tar_of(below("101", files) | LITTER))
    annotations = tar_of({"Annotations/ant/annotation_0001.mat": b"?", "../escape": b"?"})
    return zip_of(
        {
            "caltech-101/": b"",
            "caltech-101/Annotations.tar": annotations,
            "caltech-101/101.tar.gz": inner,
            "__MACOSX/caltech-101/._101.tar.gz": b"\x1f\x8b?",
        }
    )


def read(folder: Path) -> Files:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def unpacked(tmp_path: Path, content: bytes, root: str | None = "101", **bounds: int) -> Files:
    archive = tmp_path / "archive"
    archive.write_bytes(content)
    limits = {"max_files": 100, "max_bytes": 1_000_000} | bounds
    unpack(archive, tmp_path / "out" / "images", root, **limits)
    return read(tmp_path / "out" / "images")


def refused(tmp_path: Path, content: bytes, root: str | None = "101", **bounds: int) -> str:
    """Return the sentence, having checked that nothing was left behind and nothing was written elsewhere."""
    with pytest.raises(RisError) as caught:
        unpacked(tmp_path, content, root, **bounds)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / "archive"]
    assert list((tmp_path / "out").iterdir()) == []
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert sentence.startswith(str(tmp_path / "archive"))
    return sentence


def same(content: bytes) -> bytes:
    return content


def compressed_tar(compress: Callable[[bytes], bytes]) -> Callable[[Files], bytes]:
    return lambda files: compress(tar_of(files))


PACKERS: list[Callable[[bytes], bytes]] = [same, gzip.compress, bz2.compress, lzma.compress]


@pytest.mark.parametrize("compress", PACKERS)
def test_tar_by_content(tmp_path: Path, compress: Callable[[bytes], bytes]) -> None:
    assert unpacked(tmp_path, compress(tar_of(below("./101", PICTURES) | LITTER))) == PICTURES


@pytest.mark.parametrize("compress", PACKERS)
def test_tar_inside_a_zip(tmp_path: Path, compress: Callable[[bytes], bytes]) -> None:
    inner = compress(tar_of(below("101", PICTURES)))
    assert unpacked(tmp_path, zip_of({"any name": inner, "README": b"?"})) == PICTURES


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_plain_zip(tmp_path: Path, method: int) -> None:
    files = (
        below("outer/101", PICTURES)
        | LITTER
        | {"outer/licence.txt": b"?", "outer/more.tar": tar_of({"a": b"?"})}
    )
    assert unpacked(tmp_path, zip_of(files, method)) == PICTURES


def test_official_layout(tmp_path: Path) -> None:
    assert unpacked(tmp_path, official(PICTURES)) == PICTURES


@pytest.mark.parametrize(
    "pack", [tar_of, zip_of, lambda files: zip_of({"a/b.tgz": gzip.compress(tar_of(files))})]
)
@pytest.mark.parametrize("top", ["", "flowers/"])
def test_without_root_classes_stand_at_the_top_or_below_one_folder(
    tmp_path: Path, pack: Callable[[Files], bytes], top: str
) -> None:
    files = {f"{top}{name}": content for name, content in PICTURES.items()} | {".DS_Store": b"?"}
    assert unpacked(tmp_path, pack(files), root=None) == PICTURES


def test_without_root_a_single_class_stays_a_class(tmp_path: Path) -> None:
    assert unpacked(tmp_path, tar_of({"ant/1": b"1", "ant/2": b"2"}), root=None) == {
        "ant/1": b"1",
        "ant/2": b"2",
    }


def test_without_root_no_picture_is_lost_to_a_tar_beside_it(tmp_path: Path) -> None:
    files = {"ant/1.jpg": b"1", "bee/odd.tar": tar_of(PICTURES)}
    assert unpacked(tmp_path, zip_of(files), root=None) == files


def test_root_may_be_a_path(tmp_path: Path) -> None:
    files = below("a/b", PICTURES) | {"b/ant/other": b"?"}
    assert unpacked(tmp_path, tar_of(files), root="a/b") == PICTURES


def test_replaces_what_stood_there_and_nothing_before(tmp_path: Path) -> None:
    target = tmp_path / "out" / "images"
    unpacked(tmp_path, tar_of({"101/old/1": b"1"}))
    with pytest.raises(RisError):
        unpacked(tmp_path, tar_of(below("101", PICTURES))[:-200_000])
    assert read(target) == {"old/1": b"1"}
    assert unpacked(tmp_path, tar_of(below("101", PICTURES))) == PICTURES
    assert os.listdir(tmp_path / "out") == ["images"]  # noqa: PTH208


@pytest.mark.parametrize("name", ["101/../../../evil", "../evil", "101/ant/..", "/101/evil", "//101/evil"])
@pytest.mark.parametrize(
    "pack", [tar_of, zip_of, lambda files: zip_of({"a.tar.gz": gzip.compress(tar_of(files))})]
)
def test_member_elsewhere_is_refused(tmp_path: Path, pack: Callable[[Files], bytes], name: str) -> None:
    sentence = refused(tmp_path, pack(below("101", PICTURES) | {name: b"evil"}))
    assert "outside of its own folder" in sentence
    assert name.lstrip("/") in sentence


@pytest.mark.parametrize(
    ("kind", "link"),
    [
        (tarfile.SYMTYPE, "/etc/passwd"),
        (tarfile.SYMTYPE, "image_0001.jpg"),
        (tarfile.LNKTYPE, "101/ant/image_0001.jpg"),
        (tarfile.CHRTYPE, ""),
        (tarfile.BLKTYPE, ""),
        (tarfile.FIFOTYPE, ""),
        (tarfile.GNUTYPE_SPARSE, ""),
        (b"Z", ""),
    ],
)
def test_links_and_devices_in_a_tar_are_refused(tmp_path: Path, kind: bytes, link: str) -> None:
    content = tar_of(below("101", PICTURES), odd_member(kind, link=link))
    assert "'101/ant/odd', neither a file nor a folder" in refused(tmp_path, content)


def test_file_below_a_link_never_leaves(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    link = odd_member(tarfile.SYMTYPE, "101/ant", str(tmp_path / "elsewhere"))
    content = tar_of({}, link)[:512] + tar_of({"101/ant/evil": b"evil"})
    refused(tmp_path, content)
    assert read(tmp_path / "elsewhere") == {}


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO, stat.S_IFSOCK])
def test_links_and_devices_in_a_zip_are_refused(tmp_path: Path, kind: int) -> None:
    memory = io.BytesIO(zip_of(below("101", PICTURES)))
    with zipfile.ZipFile(memory, "a") as opened:
        info = zipfile.ZipInfo("101/ant/odd")
        info.external_attr = (kind | 0o644) << 16
        opened.writestr(info, "/etc/passwd")
    assert "'101/ant/odd', neither a file nor a folder" in refused(tmp_path, memory.getvalue())


@pytest.mark.parametrize("name", ["101/ant/back\\slash", "101/ant/new\nline", "101/ant/\udcff"])
def test_unspeakable_names_are_refused(tmp_path: Path, name: str) -> None:
    assert "no name for a file here" in refused(tmp_path, tar_of({name: b"1"}))


@pytest.mark.parametrize("pair", [("101/a/b", "101/a/b"), ("101/a/b", "101/a/b/c"), ("101/a/b/c", "101/a/b")])
def test_one_path_twice_is_refused(tmp_path: Path, pair: tuple[str, str]) -> None:
    content = tar_of({pair[0]: b"1"})[:1024] + tar_of({pair[1]: b"2"})
    assert f"{pair[1].removeprefix('101/')} twice" in refused(tmp_path, content)


@pytest.mark.parametrize("pack", [tar_of, zip_of])
def test_number_of_files_is_bounded(tmp_path: Path, pack: Callable[[Files], bytes]) -> None:
    files = {f"101/ant/{number}": b"" for number in range(11)}
    assert len(unpacked(tmp_path, pack(files), max_files=11)) == 11
    (tmp_path / "second").mkdir()
    assert "more than 10 files; raise data.max_files" in refused(
        tmp_path / "second", pack(files), max_files=10
    )


@pytest.mark.parametrize("pack", [tar_of, zip_of])
def test_number_of_bytes_is_bounded(tmp_path: Path, pack: Callable[[Files], bytes]) -> None:
    files = {"101/ant/1": bytes(1000), "101/ant/2": bytes(1001)}
    assert len(unpacked(tmp_path, pack(files), max_bytes=2001)) == 2
    (tmp_path / "second").mkdir()
    assert "more than 2000 bytes" in refused(tmp_path / "second", pack(files), max_bytes=2000)


@pytest.mark.parametrize("name", ["101/ant/zeros", "beside/zeros", "__MACOSX/zeros"])
def test_bomb_is_stopped_early(tmp_path: Path, name: str) -> None:
    bomb = zip_of({"bomb.tar.gz": gzip.compress(tar_of({name: bytes(60_000_000), "101/ant/1": b"1"}), 1)})
    assert len(bomb) < 100_000
    tracemalloc.start()
    sentence = refused(tmp_path, bomb, max_bytes=1_000_000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "more than 1000000 bytes" in sentence
    assert peak < 20_000_000


def test_plain_zip_bomb_with_a_lying_header(tmp_path: Path) -> None:
    bomb = zip_of({"101/ant/zeros": bytes(50_000_000)})
    assert "more than 1000000 bytes" in refused(tmp_path, bomb, max_bytes=1_000_000)
    size = (50_000_000).to_bytes(4, "little")
    assert bomb.count(size) == 2
    lying = bomb.replace(size, (10).to_bytes(4, "little"))
    assert "damaged" in refused(tmp_path, lying, max_bytes=1_000_000)


@pytest.mark.parametrize("pack", [official, lambda files: zip_of(below("101", files))])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_cut_off_zip(tmp_path: Path, pack: Callable[[Files], bytes], share: float) -> None:
    content = pack(PICTURES)
    assert "cut off" in refused(tmp_path, content[: int(len(content) * share)])


@pytest.mark.parametrize("compress", PACKERS)
@pytest.mark.parametrize("left", [700, 1024, 1536, 5000, 200_000, 303_616])
def test_cut_off_tar(tmp_path: Path, compress: Callable[[bytes], bytes], left: int) -> None:
    content = tar_of(below("101", PICTURES))
    assert content[303_616:].strip(b"\0")
    assert "cut off" in refused(tmp_path, compress(content[:left]))


@pytest.mark.parametrize("compress", PACKERS[1:])
@pytest.mark.parametrize("missing", [1, 10, 1000])
def test_cut_off_compression(tmp_path: Path, compress: Callable[[bytes], bytes], missing: int) -> None:
    content = compress(tar_of(below("101", PICTURES)))
    assert "cut off" in refused(tmp_path, content[:-missing])


def test_flipped_byte_of_a_picture_is_noticed(tmp_path: Path) -> None:
    content = bytearray(gzip.compress(tar_of(below("101", PICTURES)), 0))
    content[100_000] ^= 1
    assert "damaged" in refused(tmp_path, bytes(content))


@pytest.mark.parametrize("offset", [1024, 2048])
def test_broken_tar_header_is_not_taken_for_the_end(tmp_path: Path, offset: int) -> None:
    content = bytearray(tar_of({f"101/ant/{number}": b"1" for number in range(5)}))
    for damage in (b"\xff" * 512, bytes(512)):
        content[offset : offset + 512] = damage
        assert "damaged" in refused(tmp_path, bytes(content))


@pytest.mark.parametrize(
    "content", [b"", b"not an archive", b"\x1f\x8b", b"PK\x03\x04", gzip.compress(b"text", mtime=0)]
)
def test_no_archive_at_all(tmp_path: Path, content: bytes) -> None:
    assert "neither zip nor tar" in refused(tmp_path, content)


@pytest.mark.parametrize("pack", [tar_of, zip_of, official, *map(compressed_tar, PACKERS[1:])])
def test_any_damage_ends_in_one_sentence(tmp_path: Path, pack: Callable[[Files], bytes]) -> None:
    whole = pack({name: content[:600] for name, content in below("101", PICTURES).items()})
    generator = np.random.default_rng(3)
    sentences = 0
    for _ in range(60):
        content = bytearray(whole)
        for _ in range(3):
            content[generator.integers(len(content))] = generator.integers(256)
        try:
            unpacked(tmp_path, bytes(content))
        except RisError:
            sentences += 1
    assert sentences > 5


@pytest.mark.parametrize("offset", [2**40, 2**63 + 5])
def test_zip_entry_far_beyond_the_end(tmp_path: Path, offset: int) -> None:
    content = zip_of({"101/ant/1": b"1"})
    entry, end = content.index(b"PK\x01\x02"), content.index(b"PK\x05\x06")
    extra = struct.pack("<HHQ", 1, 8, offset)
    directory = bytearray(content[entry:end] + extra)
    directory[30:32] = struct.pack("<H", len(extra))
    directory[42:46] = b"\xff" * 4
    tail = bytearray(content[end:])
    tail[12:16] = struct.pack("<I", len(directory))
    assert "damaged" in refused(tmp_path, content[:entry] + bytes(directory + tail))


def test_encrypted_zip_is_refused(tmp_path: Path) -> None:
    content = bytearray(zip_of({"101/ant/1": b"1"}))
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    assert "101/ant/1 encrypted" in refused(tmp_path, bytes(content))


def test_odd_compression_is_refused(tmp_path: Path) -> None:
    assert "oddly compressed" in refused(tmp_path, zip_of(below("101", PICTURES), zipfile.ZIP_BZIP2))


@pytest.mark.parametrize("pack", [tar_of, zip_of])
def test_missing_root_is_named_with_what_is_there(tmp_path: Path, pack: Callable[[Files], bytes]) -> None:
    sentence = refused(tmp_path, pack({"flowers/ant/1": b"1", "101": b"a file"}))
    assert "no files in a folder 101, but 101, flowers; set data.root" in sentence


def test_several_tars_and_none_named_as_root(tmp_path: Path) -> None:
    tar = tar_of({"101/ant/1": b"1"})
    for root in ("101", None):
        assert "one.tar, two.tar" in refused(tmp_path, zip_of({"two.tar": tar, "one.tar": tar}), root)


@pytest.mark.parametrize("pack", [tar_of, zip_of])
def test_archive_without_files(tmp_path: Path, pack: Callable[[Files], bytes]) -> None:
    assert "holds no files" in refused(tmp_path, pack({}), root=None)
    assert "no files in a folder 101, but nothing" in refused(tmp_path, pack({}))


def test_file_outside_of_any_class(tmp_path: Path) -> None:
    files = {"ant/1": b"1", "bee/1": b"1", "README": b"?"}
    assert "README outside of any class" in refused(tmp_path, tar_of(files), root=None)
    assert "README outside of any class" in refused(tmp_path, tar_of(below("101", files)))
