"""The built-in picture set holds what it says, and owes nothing to chance or to the machine."""

import io
import itertools
import tarfile
import zipfile
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from ris.lab.data import drawn


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("drawn") / "demo.zip"
    drawn.draw_archive(path, seed=0)
    return path


@pytest.fixture(scope="module")
def files(archive: Path) -> dict[str, bytes]:
    prefix = f"{drawn.ROOT}/"
    with _inner(archive) as inner:
        regular = [member for member in inner.getmembers() if member.isreg()]
        contents = [stream.read() for stream in map(inner.extractfile, regular) if stream]
    return {
        member.name.removeprefix(prefix): content for member, content in zip(regular, contents, strict=True)
    }


def test_it_is_packed_like_the_real_archive(archive: Path) -> None:
    with zipfile.ZipFile(archive) as outer:
        assert outer.testzip() is None
        assert outer.namelist() == [
            "demo/demo_categories.tar.gz",
            "__MACOSX/demo/._demo_categories.tar.gz",
            "demo/Annotations.tar",
        ]
        with tarfile.open(fileobj=io.BytesIO(outer.read("demo/Annotations.tar"))) as annotations:
            assert annotations.getnames() == ["Annotations", "Annotations/README.txt"]
    with _inner(archive) as inner:
        assert {name.split("/")[0] for name in inner.getnames()} == {drawn.ROOT}
    assert archive.stat().st_size < 8e6


def test_every_class_has_its_pictures_and_every_planted_file_its_place(files: dict[str, bytes]) -> None:
    good = [name for name in files if name not in drawn.PLANTED]
    assert Counter(name.split("/")[0] for name in good) == drawn.SIZES
    assert set(files) >= {*drawn.PLANTED, *drawn.ODD, *itertools.chain(*drawn.TWINS)}
    assert sum(name.startswith(f"{drawn.BACKGROUND}/") for name in files) == 8
    assert [name for name in files if name.startswith("kite/")] == ["kite/image_0001.jpg"]


def test_every_good_picture_decodes_and_is_of_its_own(files: dict[str, bytes]) -> None:
    good = {name: content for name, content in files.items() if name not in drawn.PLANTED}
    for content in good.values():
        assert min(_opened(content).size) >= 90
    assert len(set(good.values())) == len(good)


def test_what_is_planted_to_be_rejected_is_as_bad_as_said(files: dict[str, bytes]) -> None:
    by_kind = {kind: files[name] for name, kind in drawn.PLANTED.items()}
    assert by_kind["empty"] == b""
    with pytest.raises(UnidentifiedImageError):
        Image.open(io.BytesIO(by_kind["not_an_image"]))
    with pytest.raises(OSError, match="truncated"):
        _opened(by_kind["truncated"])
    kept, copy = drawn.DUPLICATED
    assert files[kept] == files[copy]
    assert drawn.PLANTED[copy] == "duplicate"
    assert kept not in drawn.PLANTED
    for name, kind in drawn.PLANTED.items():
        if kind in ("background", "small_class", "duplicate"):
            assert _opened(files[name]).mode == "RGB"


def test_what_is_odd_is_odd_in_the_way_said(files: dict[str, bytes]) -> None:
    name_of = {oddity: name for name, oddity in drawn.ODD.items()}
    picture = {oddity: _opened(files[name]) for oddity, name in name_of.items()}
    assert (picture["greyscale"].format, picture["greyscale"].mode) == ("JPEG", "L")
    assert (picture["cmyk"].format, picture["cmyk"].mode) == ("JPEG", "CMYK")
    assert (picture["palette"].format, picture["palette"].mode) == ("PNG", "P")
    assert picture["palette"].convert("RGBA").getchannel("A").getextrema() == (0, 255)
    assert (picture["png_named_jpg"].format, Path(name_of["png_named_jpg"]).suffix) == ("PNG", ".jpg")
    assert (picture["no_suffix"].format, Path(name_of["no_suffix"]).suffix) == ("JPEG", "")
    turned = picture["exif_rotated"]
    assert turned.getexif()[0x0112] == 6
    assert ImageOps.exif_transpose(turned).size == turned.size[::-1]


def test_all_else_is_plain_rgb_jpeg(files: dict[str, bytes]) -> None:
    for name in set(files) - set(drawn.PLANTED) - set(drawn.ODD):
        with Image.open(io.BytesIO(files[name])) as picture:
            assert (picture.format, picture.mode, Path(name).suffix) == ("JPEG", "RGB", ".jpg")


def test_a_twin_is_a_crop_of_its_original_and_of_no_other(files: dict[str, bytes]) -> None:
    originals = {original: _grey(files[original]) for original, _ in drawn.TWINS}
    for original, twin in drawn.TWINS:
        assert original.split("/")[0] != twin.split("/")[0]
        high, wide = (round(side * 0.6**0.5) for side in originals[original].shape)
        crop = cv2.resize(_grey(files[twin]), (wide, high), interpolation=cv2.INTER_AREA)
        score = {
            name: float(cv2.matchTemplate(picture, crop, cv2.TM_CCOEFF_NORMED).max())
            for name, picture in originals.items()
            if picture.shape[0] >= high and picture.shape[1] >= wide
        }
        assert score.pop(original) > 0.95
        assert max(score.values(), default=0) < 0.9


def test_local_features_prove_the_twins_and_not_their_neighbours(files: dict[str, bytes]) -> None:
    for i, (original, twin) in enumerate(drawn.TWINS):
        stranger = drawn.TWINS[i - 1][1]
        assert _inliers(_grey(files[original]), _grey(files[twin])) >= 15
        assert _inliers(_grey(files[original]), _grey(files[stranger])) < 15


def test_same_seed_same_bytes_and_other_seed_other_bytes(files: dict[str, bytes]) -> None:
    again = list(itertools.islice(drawn.draw_files(seed=0), 40))
    other = list(itertools.islice(drawn.draw_files(seed=1), 40))
    assert again == list(files.items())[:40]
    assert [name for name, _ in other] == [name for name, _ in again]
    assert all(mine != theirs for (_, mine), (_, theirs) in zip(again, other, strict=True))


def test_packing_leaves_no_trace_of_time_or_machine(
    archive: Path, files: dict[str, bytes], tmp_path: Path
) -> None:
    drawn.pack(tmp_path / "again.zip", files.items())
    assert (tmp_path / "again.zip").read_bytes() == archive.read_bytes()
    with zipfile.ZipFile(archive) as outer:
        assert {entry.date_time for entry in outer.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert outer.read("demo/demo_categories.tar.gz")[4:8] == bytes(4), "gzip's time stamp"
    with _inner(archive) as inner:
        members = inner.getmembers()
    assert {(m.mtime, m.uid, m.gid, m.uname, m.gname) for m in members} == {(0, 0, 0, "", "")}
    assert {m.mode for m in members if m.isreg()} == {0o644}
    assert {m.mode for m in members if m.isdir()} == {0o755}


def _inner(archive: Path) -> tarfile.TarFile:
    with zipfile.ZipFile(archive) as outer:
        return tarfile.open(fileobj=io.BytesIO(outer.read("demo/demo_categories.tar.gz")))


def _opened(content: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(content))
    picture.load()
    return picture


def _grey(content: bytes) -> NDArray[np.uint8]:
    return np.asarray(_opened(content).convert("L"))


def _inliers(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> int:
    """Count one-to-one SIFT matches that agree on a similarity of plausible scale."""
    sift = cv2.SIFT_create(nfeatures=400)  # type: ignore[attr-defined]
    matcher = cv2.BFMatcher(crossCheck=True)
    (points, words), (others, other_words) = (
        sift.detectAndCompute(picture, None) for picture in (first, second)
    )
    matches = matcher.match(words, other_words)
    here = np.array([points[match.queryIdx].pt for match in matches])
    there = np.array([others[match.trainIdx].pt for match in matches])
    transform, agree = cv2.estimateAffinePartial2D(here, there, ransacReprojThreshold=4)
    plausible = transform is not None and 0.3 < np.hypot(*transform[:, 0]) < 3
    return int(agree.sum()) if plausible else 0
