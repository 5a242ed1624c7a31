import hashlib
import io
import json
import os
import socket
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests

from ris.errors import RisError
from ris.lab.config import Data
from ris.lab.data import sources
from ris.lab.data.sources import copy_folder, fetch_images

PICTURES = {"ant/2.jpg": b"two", "ant/1.jpg": b"one", "bee/deep/3": b"", "bee/süß.jpg": b"four"}
LINES = "".join(
    sorted(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in PICTURES.items())
)
DESCRIPTION = {
    "name": "pictures",
    "files": 4,
    "bytes": 10,
    "tree_sha256": hashlib.sha256(LINES.encode()).hexdigest(),
}


def make_folder(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def make_tar(path: Path, top: str = "") -> Path:
    with tarfile.open(path, "w:gz") as opened:
        for name, content in reversed(PICTURES.items()):
            info = tarfile.TarInfo(top + name)
            info.size, info.mtime = len(content), 1_000_000_000
            opened.addfile(info, io.BytesIO(content))
    return path


def make_zip(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as opened:
        for name, content in PICTURES.items():
            opened.writestr(name, content)
    return path


def sha256(path: Path) -> str:
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


def read(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def fetched(tmp_path: Path, source: Path | str, seed: int = 0, **keys: Any) -> dict[str, Any]:
    settings = {"name": "pictures", "attribution": "us", "max_files": 1000, "max_bytes": 100_000_000} | keys
    data = Data(source=str(source), **settings)
    return fetch_images(data, seed, tmp_path / "raw" / "images", tmp_path / "cache")


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, Path, list[str]]]:
    """A server's address, the folder that it serves, and the paths that it was asked for."""
    folder, asked = tmp_path / "served", []
    folder.mkdir()

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            super().do_GET()

        def log_message(self, format: str, *args: object) -> None:
            pass

    handler = partial(Handler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{listening.server_port}", folder, asked
        listening.shutdown()
        thread.join()


def test_every_packaging_gives_the_same_tree_and_description(tmp_path: Path) -> None:
    packagings = [
        make_folder(tmp_path / "folder", PICTURES),
        make_tar(tmp_path / "a.tar"),
        make_tar(tmp_path / "b", "101/"),
        make_zip(tmp_path / "c.zip"),
    ]
    for source in packagings:
        assert fetched(tmp_path, source) == DESCRIPTION
        assert read(tmp_path / "raw" / "images") == PICTURES
    json.dumps(DESCRIPTION)


def test_description_follows_every_byte_and_name(tmp_path: Path) -> None:
    trees = [PICTURES, PICTURES | {"ant/1.jpg": b"eno"}, {name.upper(): x for name, x in PICTURES.items()}]
    found = [fetched(tmp_path, make_folder(tmp_path / str(i), tree)) for i, tree in enumerate(trees)]
    assert len({description["tree_sha256"] for description in found}) == 3


def test_address_is_downloaded_once(tmp_path: Path, served: tuple[str, Path, list[str]]) -> None:
    url, folder, asked = served
    checksum = sha256(make_tar(folder / "pictures.tgz"))
    for _ in range(2):
        assert fetched(tmp_path, f"{url}/pictures.tgz?download=1", checksum=checksum) == DESCRIPTION
    assert asked == ["/pictures.tgz?download=1"]
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["pictures.tgz"]


def test_cached_file_of_another_content_is_not_taken(
    tmp_path: Path, served: tuple[str, Path, list[str]]
) -> None:
    url, folder, asked = served
    make_folder(tmp_path / "cache", {"pictures.tgz": b"old"})
    checksum = sha256(make_tar(folder / "pictures.tgz"))
    assert fetched(tmp_path, f"{url}/pictures.tgz", checksum=checksum) == DESCRIPTION
    assert len(asked) == 1


def test_address_with_wrong_checksum_is_never_unpacked(
    tmp_path: Path, served: tuple[str, Path, list[str]]
) -> None:
    url, folder, _ = served
    make_tar(folder / "pictures.tgz")
    with pytest.raises(RisError, match="has the checksum"):
        fetched(tmp_path, f"{url}/pictures.tgz", checksum="sha256:00000000")
    assert not (tmp_path / "raw").exists()
    assert list((tmp_path / "cache").iterdir()) == []


def test_address_without_checksum_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RisError, match=r"data\.checksum is missing for https://pictures"):
        fetched(tmp_path, "https://pictures.invalid/a.zip")


@pytest.mark.parametrize("path", ["", "/", "/.."])
def test_address_without_a_file_name_stays_in_the_cache(
    tmp_path: Path, path: str, served: tuple[str, Path, list[str]]
) -> None:
    url, _, _ = served
    page = requests.get(url + path, timeout=10).content
    with pytest.raises(RisError, match="cache/archive is damaged, cut off, or neither zip nor tar"):
        fetched(tmp_path, url + path, checksum=f"sha256:{hashlib.sha256(page).hexdigest()}")


def test_local_archive_is_verified_before_it_is_unpacked(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "pictures.zip")
    assert fetched(tmp_path, archive, checksum=sha256(archive)[:20]) == DESCRIPTION
    with pytest.raises(RisError, match="has the checksum"):
        fetched(tmp_path, archive, checksum="md5:" + "0" * 32)
    assert read(tmp_path / "raw" / "images") == PICTURES


@pytest.mark.parametrize("source", ["absent.zip", "ftp://pictures.invalid/a.zip"])
def test_missing_archive(tmp_path: Path, source: str) -> None:
    with pytest.raises(RisError, match=rf"data\.source names {source}, which is no URL"):
        fetched(tmp_path, source)


def test_root_may_be_below_the_folder_or_the_folder_itself(tmp_path: Path) -> None:
    make_folder(tmp_path / "outer" / "101", PICTURES)
    make_folder(tmp_path / "outer", {"Annotations/1.mat": b"?"})
    for source in (tmp_path / "outer", tmp_path / "outer" / "101"):
        assert fetched(tmp_path, source, root="101") == DESCRIPTION


def test_litter_of_a_folder_is_left_out(tmp_path: Path) -> None:
    litter = {".DS_Store": b"?", "ant/._1.jpg": b"?", "__MACOSX/ant/1.jpg": b"?"}
    assert fetched(tmp_path, make_folder(tmp_path / "folder", PICTURES | litter)) == DESCRIPTION


def test_link_within_the_folder_is_copied_as_a_file(tmp_path: Path) -> None:
    files = {name: content for name, content in PICTURES.items() if name != "ant/1.jpg"} | {"bee/one": b"one"}
    folder = make_folder(tmp_path / "folder", files)
    (folder / "ant" / "1.jpg").symlink_to("../bee/one")
    fetched(tmp_path, folder)
    copied = tmp_path / "raw" / "images" / "ant" / "1.jpg"
    assert copied.read_bytes() == b"one"
    assert not copied.is_symlink()


def folder_error(tmp_path: Path, folder: Path, **bounds: int) -> str:
    with pytest.raises(RisError) as caught:
        fetched(tmp_path, folder, **bounds)
    raw = tmp_path / "raw"
    assert not raw.exists() or list(raw.iterdir()) == []
    return str(caught.value)


@pytest.mark.parametrize("goal", ["../../secret", "/dev/null", "..", "absent", "2.jpg/..", "loop"])
def test_link_out_of_the_folder_or_to_no_file_is_refused(tmp_path: Path, goal: str) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    folder = make_folder(tmp_path / "folder", PICTURES)
    (folder / "ant" / "loop").symlink_to(goal)
    sentence = folder_error(tmp_path, folder)
    assert str(folder / "ant" / "loop") in sentence
    assert "is a link" in sentence


def test_linked_class_is_refused(tmp_path: Path) -> None:
    make_folder(tmp_path / "elsewhere", {"1.jpg": b"1"})
    folder = make_folder(tmp_path / "folder", PICTURES)
    (folder / "cat").symlink_to(tmp_path / "elsewhere")
    assert f"{folder}/cat is a link" in folder_error(tmp_path, folder)


def test_pipe_and_socket_are_refused(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "folder", PICTURES)
    os.mkfifo(folder / "ant" / "pipe")
    assert "ant/pipe is neither a file nor a folder" in folder_error(tmp_path, folder)
    (folder / "ant" / "pipe").unlink()
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(folder / "socket"))
        assert "socket is neither a file nor a folder" in folder_error(tmp_path, folder)


def test_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "folder" / "ant").mkdir(parents=True)
    assert "folder holds no files" in folder_error(tmp_path, tmp_path / "folder")


def test_pictures_outside_of_any_class(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "folder", PICTURES | {"b.jpg": b"1", "a.jpg": b"1"})
    assert "holds a.jpg outside of any class; put it in one folder a class" in folder_error(tmp_path, folder)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
@pytest.mark.parametrize("name", [".", "ant", "ant/1.jpg"])
def test_unreadable_folder_or_file(tmp_path: Path, name: str) -> None:
    folder = make_folder(tmp_path / "folder", PICTURES)
    (folder / name).chmod(0)
    try:
        sentence = folder_error(tmp_path, folder)
    finally:
        (folder / name).chmod(0o700)
    assert f"{folder / name} cannot be read" in sentence


def test_bounds_of_a_folder(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "folder", PICTURES)
    assert "more than 3 files" in folder_error(tmp_path, folder, max_files=3)
    assert "more than 9 bytes" in folder_error(tmp_path, folder, max_bytes=9)
    assert fetched(tmp_path, folder, max_files=4, max_bytes=10) == DESCRIPTION


def test_folder_around_the_project_is_refused(tmp_path: Path) -> None:
    make_folder(tmp_path, PICTURES)
    with pytest.raises(RisError, match="holds this project's own data"):
        copy_folder(tmp_path, tmp_path / "data" / "raw" / "images", 100, 100)


def test_drawn_pictures_follow_the_seed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def draw_quickly(path: Path, seed: int) -> None:
        inner = make_tar(tmp_path / "inner", f"{seed}/101/")
        with zipfile.ZipFile(path, "w") as opened:
            opened.write(inner, "drawn/101.tar.gz")

    monkeypatch.setattr(sources, "draw_archive", draw_quickly)
    assert fetched(tmp_path, "drawn:", seed=7, root="7/101") == DESCRIPTION
    with pytest.raises(RisError, match="no files in a folder 7/101, but 8"):
        fetched(tmp_path, "drawn:", seed=8, root="7/101")
    assert not (tmp_path / "cache").exists()
