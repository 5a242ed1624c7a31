"""What a build takes in, leaves out and tells, against the folder itself."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ris.encoders.encoder import Encoder
from ris.encoders.transforms import for_embedding
from ris.engine import SearchEngine, is_store
from ris.errors import RisError
from ris.images.decoding import read_image
from ris.store import writing

Draw = Callable[..., Image.Image]


def test_every_picture_is_described_as_its_file_is(built: SearchEngine, photos: Path) -> None:
    files = {file.relative_to(photos).as_posix(): file for file in photos.rglob("*") if file.is_file()}
    pictures = built.pictures()
    assert [picture.path for picture in pictures] == sorted(files)
    for picture in pictures:
        file = files[picture.path]
        assert picture.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
        assert (picture.width, picture.height, picture.bytes) == (120, 90, file.stat().st_size)
        assert picture.modified == pytest.approx(file.stat().st_mtime, abs=1e-6)
        assert picture.label == ("" if file.parent == photos else file.parent.name)
        assert built.picture(picture.row) == picture
        assert built.file(picture.row) == file.resolve()
    assert len({picture.row for picture in pictures}) == len(pictures) == len(built) == built.count() == 12
    assert built.labels() == {"": 4, "a": 4, "b": 4}
    assert built.folders() == ["a", "b"]
    assert built.verify() == []


def test_vectors_are_those_of_the_encoder(built: SearchEngine, encoder: Path) -> None:
    opened = Encoder.open(encoder)
    embedder = opened.embedder()
    rows, vectors = built.vectors()
    for row, vector in zip(rows, vectors, strict=True):
        pixels = for_embedding(read_image(built.file(int(row)), 10**6), opened.network)[None]
        expected = embedder.embed(pixels)[0]
        np.testing.assert_allclose(vector, expected / np.linalg.norm(expected), atol=1e-5)


def test_what_is_no_picture_is_listed_with_its_reason(
    photos: Path, tmp_path: Path, encoder: Path, texture: Draw
) -> None:
    whole = (photos / "00.png").read_bytes()
    (photos / "cut.png").write_bytes(whole[: len(whole) // 2])
    (photos / "text.jpg").write_text("no picture")
    (photos / "empty.png").touch()
    os.mkfifo(photos / "pipe.png")
    outside = tmp_path / "outside.png"
    texture(77).save(outside)
    (photos / "leaving.png").symlink_to(outside)
    (photos / "dangling.png").symlink_to(photos / "nothing.png")
    (photos / "folder").symlink_to(photos / "a")
    (photos / "within.png").symlink_to(photos / "00.png")
    (photos / ".hidden.png").write_bytes(whole)
    (photos / ".cache").mkdir()
    (photos / ".cache/thumb.png").write_bytes(whole)
    os.close(os.open(os.fsencode(photos) + b"/\xff.png", os.O_CREAT))
    with SearchEngine.build(photos, tmp_path / "store", encoder=encoder) as engine:
        reasons = {one.path: one.reason for one in engine.rejected()}
        paths = {picture.path for picture in engine.pictures()}
        assert engine.verify() == []
    assert reasons == {
        "cut.png": "the file is cut short",
        "text.jpg": "its content is no picture in a known format",
        "empty.png": "the file is empty",
        "pipe.png": "it is no regular file",
        "leaving.png": "it is a link that leaves the folder",
        "dangling.png": "it cannot be looked at (No such file or directory)",
        "folder": "it is a link to a folder",
        "\uefff.png": "the file is empty",
    }
    assert paths == {"within.png", *(f"{n:02d}.png" for n in (0, 3, 6, 9))} | {
        f"{'ab'[n % 3 - 1]}/{n:02d}.png" for n in range(12) if n % 3
    }


def test_odd_names_are_kept_as_they_are(tmp_path: Path, encoder: Path, texture: Draw) -> None:
    names = [
        "two  spaces and a trailing one .png",
        "a cat 🐈‍⬛ and a flag 🏳️‍🌈.png",
        "صورة/תמונה.png",
        "quote'\"; DROP TABLE picture;--.png",
        "percent %2e%2e and back\\slash.png",
        "new\nline.png",
        "n" * 196 + ".png",
        "cafe\u0301.png",
        "café.png",
        "-rf.png",
    ]
    for number, name in enumerate(names):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        texture(number).save(tmp_path / "photos" / name)
    with SearchEngine.build(tmp_path / "photos", tmp_path / "a ?#%41 'store'", encoder=encoder) as engine:
        assert {picture.path for picture in engine.pictures()} == set(names)
        for picture in engine.pictures():
            assert engine.file(picture.row).name == Path(picture.path).name
            assert engine.image(picture.row).size == (240, 180)
        assert engine.verify() == []


def test_a_drafted_photograph_keeps_its_own_size(tmp_path: Path, encoder: Path, texture: Draw) -> None:
    (tmp_path / "photos").mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    texture(1, 3000, 2800).save(tmp_path / "photos/large.jpg", exif=exif)
    with SearchEngine.build(tmp_path / "photos", tmp_path / "store", encoder=encoder) as engine:
        (picture,) = engine.pictures()
        assert (picture.width, picture.height) == (2800, 3000)
        part = engine.image(picture.row).crop((700, 600, 2100, 2400))
        (hit,) = engine.find(part).hits
        assert hit.same_picture
        assert hit.outline is not None
        corners = np.array(hit.outline)
    np.testing.assert_allclose(corners.min(axis=0), [700, 600], atol=12)
    np.testing.assert_allclose(corners.max(axis=0), [2100, 2400], atol=12)


def test_a_store_within_its_folder_is_not_taken_in(photos: Path, encoder: Path) -> None:
    with SearchEngine.build(photos, photos / "a" / "photos.ris", encoder=encoder) as engine:
        assert len(engine) == 12
        assert engine.rejected() == []
        assert engine.sync().unchanged == 12
        assert engine.rejected() == []


def test_both_can_be_moved_together_and_the_store_alone(photos: Path, tmp_path: Path, encoder: Path) -> None:
    (tmp_path / "one").mkdir()
    photos = photos.rename(tmp_path / "one" / "photos")
    SearchEngine.build(photos, tmp_path / "one" / "store", encoder=encoder).close()
    (tmp_path / "one").rename(tmp_path / "two")
    with SearchEngine.open(tmp_path / "two" / "store") as engine:
        assert engine.folder == tmp_path / "two" / "photos"
        assert engine.sync().unchanged == 12
    (tmp_path / "two").rename(tmp_path / "one")
    (tmp_path / "one" / "store").rename(tmp_path / "elsewhere")
    with SearchEngine.open(tmp_path / "elsewhere") as engine:
        assert engine.folder == photos


def test_an_empty_folder_is_a_store_that_grows(tmp_path: Path, encoder: Path, texture: Draw) -> None:
    (tmp_path / "photos").mkdir()
    with SearchEngine.build(tmp_path / "photos", tmp_path / "store", encoder=encoder) as engine:
        assert (len(engine), engine.indexes, engine.duplicates(), engine.verify()) == (0, (), [], [])
        assert engine.search(texture(0)) == []
        assert engine.find(texture(0)).here is False
        for count in (1, 2):
            texture(count).save(tmp_path / f"photos/{count}.png")
            engine.sync()
            assert [hit.path for hit in engine.search(texture(1), 1)] == ["1.png"]
            assert engine.find(texture(1)).here is True
            assert engine.verify() == []
        assert engine.indexes == ("knn", "knn_pca", "reranked")


def test_without_local_features_nothing_is_proven(photos: Path, tmp_path: Path, encoder: Path) -> None:
    with SearchEngine.build(photos, tmp_path / "store", encoder=encoder, same_picture=False) as engine:
        assert engine.info().local_features is False
        query = Image.open(photos / "00.png")  # not the file, whose bytes would prove it
        hits = engine.search(query, 3)
        assert hits[0].path == "00.png"
        assert {hit.same_picture for hit in hits} == {None}
        finding = engine.find(query)
        assert (finding.here, finding.hits[0].path) == (None, "00.png")
        with pytest.raises(RisError, match="keeps no local features"):
            engine.duplicates()
        assert engine.verify() == []


def test_refused_folders_stay_as_they_are(photos: Path, tmp_path: Path, encoder: Path) -> None:
    full = tmp_path / "full"
    full.mkdir()
    (full / "letter.txt").write_text("mine")
    with pytest.raises(RisError, match="is there already and not empty"):
        SearchEngine.build(photos, full, encoder=encoder)
    assert [file.name for file in full.iterdir()] == ["letter.txt"]
    store = tmp_path / "store"
    SearchEngine.build(photos, store, encoder=encoder).close()
    before = {file: file.read_bytes() for file in store.rglob("*") if file.is_file()}
    with pytest.raises(RisError, match="is a store already"):
        SearchEngine.build(photos, store, encoder=encoder)
    assert {file: file.read_bytes() for file in store.rglob("*") if file.is_file()} == before
    with pytest.raises(RisError, match="is no folder"):
        SearchEngine.build(tmp_path / "nothing", tmp_path / "other", encoder=encoder)
    with pytest.raises(RisError, match="neither an encoder's folder nor a name of"):
        SearchEngine.build(photos, tmp_path / "other", encoder="resnet9000")
    assert not (tmp_path / "other").exists()


def test_a_build_that_is_interrupted_goes_on(
    photos: Path, tmp_path: Path, encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "COMMITTED", 4)
    read: list[int] = []

    def interrupt(_what: str, done: int, _total: int) -> None:
        read.append(done)
        if done == 7:
            raise KeyboardInterrupt

    store = tmp_path / "store"
    with pytest.raises(KeyboardInterrupt):
        SearchEngine.build(photos, store, encoder=encoder, progress=interrupt)
    with SearchEngine.open(store) as engine:
        assert (len(engine), engine.info().unread) == (4, 8)
        assert engine.search(photos / "00.png", 1)[0].path == "00.png"
    with pytest.raises(RisError, match="was begun with another encoder or other options"):
        SearchEngine.build(photos, store, encoder=encoder, same_picture=False)
    read.clear()
    with SearchEngine.build(photos, store, encoder=encoder, progress=lambda *_: read.append(0)) as engine:
        assert (len(engine), engine.info().unread, engine.verify()) == (12, None, [])
        with SearchEngine.build(photos, tmp_path / "whole", encoder=encoder) as whole:
            for one, other in zip(engine.pictures(), whole.pictures(), strict=True):
                assert (one.path, one.sha256) == (other.path, other.sha256)
            assert np.array_equal(engine.vectors()[1], whole.vectors()[1])


def test_a_build_that_is_interrupted_at_its_start_leaves_nothing(
    photos: Path, tmp_path: Path, encoder: Path
) -> None:
    def interrupt(_what: str, _done: int, _total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        SearchEngine.build(photos, tmp_path / "store", encoder=encoder, progress=interrupt)
    assert not (tmp_path / "store").exists()
    (tmp_path / "store").mkdir()
    with pytest.raises(KeyboardInterrupt):
        SearchEngine.build(photos, tmp_path / "store", encoder=encoder, progress=interrupt)
    with SearchEngine.build(photos, tmp_path / "store", encoder=encoder) as engine:
        assert len(engine) == 12


def test_progress_is_told_to_the_end(photos: Path, tmp_path: Path, encoder: Path) -> None:
    told: list[tuple[str, int, int]] = []
    SearchEngine.build(
        photos, tmp_path / "store", encoder=encoder, progress=lambda *one: told.append(one)
    ).close()
    assert [one for one in told if one[0] == "reading pictures"] == [
        ("reading pictures", done, 12) for done in range(1, 13)
    ]
    assert all(done <= total for _, done, total in told)


def test_a_store_is_told_from_a_folder_of_pictures(built: SearchEngine, photos: Path, tmp_path: Path) -> None:
    assert is_store(built.store)
    assert not is_store(photos)
    assert not is_store(tmp_path / "nothing")
    with pytest.raises(RisError, match="holds no store; `ris build` makes one"):
        SearchEngine.open(photos)
