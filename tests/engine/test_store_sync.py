"""A store follows its folder: by content, embedding only what is new, and like a store built afresh."""

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ris.encoders.embedder import Embedder
from ris.engine import Change, NoSuchPictureError, SearchEngine
from ris.errors import RisError
from ris.store import writing
from ris.store.gallery import StoreGallery

Draw = Callable[..., Image.Image]
EXACT = ("knn", "knn_pca", "reranked")


@pytest.fixture
def embedded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pictures each call of the network was given that are not padding."""
    counts: list[int] = []
    original = Embedder.embed

    def counted(self: Embedder, pixels: "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]") -> object:
        counts.append(int(np.count_nonzero(np.asarray(pixels).reshape(len(pixels), -1).any(axis=1))))
        return original(self, pixels)

    monkeypatch.setattr(Embedder, "embed", counted)
    return counts


def counts(change: Change) -> tuple[int, int, int, int, int]:
    return change.added, change.changed, change.moved, change.removed, change.unchanged


def rows(engine: SearchEngine) -> dict[str, int]:
    return {picture.path: picture.row for picture in engine.pictures()}


def test_nothing_new_is_nothing_done(built: SearchEngine, embedded: list[int]) -> None:
    before = built.generation, built.pictures()
    for _ in range(2):
        change = built.sync()
        assert counts(change) == (0, 0, 0, 0, 12)
        assert change.rejected == []
    assert (built.generation, built.pictures()) == before
    assert embedded == []


def test_each_kind_of_change_is_told_and_only_new_content_is_embedded(
    built: SearchEngine, photos: Path, embedded: list[int], texture: Draw
) -> None:
    before = rows(built)
    texture(50, 120, 90).save(photos / "a/new.png")
    texture(51, 120, 90).save(photos / "00.png")
    (photos / "03.png").rename(photos / "b/moved.png")
    (photos / "06.png").unlink()
    shutil.copy(photos / "09.png", photos / "copy.png")
    (photos / "bad.png").write_text("bad")
    change = built.sync()
    assert counts(change) == (2, 1, 1, 1, 9)
    assert [(one.path, one.reason) for one in change.rejected] == [
        ("bad.png", "its content is no picture in a known format")
    ]
    assert sum(embedded) == 2
    after = rows(built)
    assert after["b/moved.png"] == before["03.png"]
    assert after["00.png"] == before["00.png"]
    assert before["06.png"] not in after.values()
    assert min(after["a/new.png"], after["copy.png"]) > max(before.values())
    assert built.picture(after["b/moved.png"]).label == "b"
    assert built.verify() == []
    assert built.sync().rejected == []
    assert [one.path for one in built.rejected()] == ["bad.png"]
    (photos / "bad.png").unlink()
    built.sync()
    assert built.rejected() == []


def test_a_row_is_never_given_twice(built: SearchEngine, photos: Path, texture: Draw) -> None:
    seen = set(rows(built).values())
    for number in range(3):
        last = max(rows(built), key=lambda path: rows(built)[path])
        (photos / last).unlink()
        built.sync()
        texture(60 + number).save(photos / "again.png")
        built.sync()
        (fresh,) = set(rows(built).values()) - seen
        seen.add(fresh)
        assert fresh == max(seen)


def test_names_that_were_swapped_or_shifted_keep_their_rows(
    built: SearchEngine, photos: Path, embedded: list[int]
) -> None:
    before = rows(built)
    (photos / "00.png").rename(photos / "aside")
    (photos / "03.png").rename(photos / "00.png")
    (photos / "aside").rename(photos / "03.png")
    (photos / "09.png").rename(photos / "10.png")
    (photos / "06.png").rename(photos / "09.png")
    change = built.sync()
    assert counts(change) == (0, 0, 4, 0, 8)
    after = rows(built)
    for old, new in (("00", "03"), ("03", "00"), ("09", "10"), ("06", "09")):
        assert after[f"{new}.png"] == before[f"{old}.png"]
    assert embedded == []


def test_a_moved_file_in_place_of_another_takes_its_path(built: SearchEngine, photos: Path) -> None:
    before = rows(built)
    (photos / "00.png").replace(photos / "03.png")
    assert counts(built.sync()) == (0, 0, 1, 1, 10)
    assert rows(built)["03.png"] == before["00.png"]


def test_a_change_that_leaves_size_and_time_is_seen_if_it_came_right_after(
    built: SearchEngine, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "UNSURE", 10**12)  # however long it took from the pictures to their reading
    file = photos / "00.png"
    status, data = file.stat(), file.read_bytes()
    changed = data.replace(b"IDAT", b"IDAX", 1)
    file.write_bytes(changed)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    change = built.sync()
    assert (change.removed, [one.path for one in change.rejected]) == (1, ["00.png"])


def test_a_file_that_is_touched_is_unchanged_and_has_its_new_time(
    built: SearchEngine, photos: Path, embedded: list[int]
) -> None:
    generation = built.generation
    os.utime(photos / "00.png", (1_000_000_000, 1_000_000_000))
    assert counts(built.sync()) == (0, 0, 0, 0, 12)
    assert built.pictures()[0].modified == 1_000_000_000
    assert built.generation == generation + 1
    assert embedded == []


def test_a_picture_that_becomes_unreadable_leaves_and_comes_back(built: SearchEngine, photos: Path) -> None:
    data = (photos / "00.png").read_bytes()
    (photos / "00.png").write_bytes(b"")
    change = built.sync()
    assert counts(change) == (0, 0, 0, 1, 11)
    assert [(one.path, one.reason) for one in built.rejected()] == [("00.png", "the file is empty")]
    (photos / "00.png").write_bytes(data)
    assert counts(built.sync()) == (1, 0, 0, 0, 11)
    assert built.rejected() == []


def test_a_file_that_vanishes_between_listing_and_reading_is_told(
    built: SearchEngine, photos: Path, texture: Draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("new1.png", "new2.png"):
        texture(len(name)).save(photos / name)
    original = Path.read_bytes

    def vanishing(self: Path) -> bytes:
        if self.name == "new1.png":
            self.unlink()
        return original(self)

    monkeypatch.setattr(Path, "read_bytes", vanishing)
    change = built.sync()
    assert change.added == 1
    assert [(one.path, one.reason) for one in change.rejected] == [
        ("new1.png", "it vanished before it could be read")
    ]
    assert built.sync().rejected == []
    assert built.rejected() == []


def test_a_folder_that_is_gone_empties_nothing(built: SearchEngine, photos: Path) -> None:
    photos.rename(photos.with_name("away"))
    with pytest.raises(RisError, match=r"the folder of pictures, is gone"):
        built.sync()
    assert len(built) == 12
    photos.with_name("away").rename(photos)
    assert built.sync().unchanged == 12


def test_add_takes_what_it_is_given_and_removes_nothing(
    built: SearchEngine, photos: Path, texture: Draw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (photos / "00.png").unlink()
    for name in ("c/1.png", "c/d/2.png", "e.png", "f.png"):
        (photos / name).parent.mkdir(parents=True, exist_ok=True)
        texture(len(name)).save(photos / name)
    (photos / "c/note.txt").write_text("note")
    change = built.add([photos / "c", photos / "e.png"])
    assert counts(change) == (3, 0, 0, 0, 12)
    assert [one.path for one in change.rejected] == ["c/note.txt"]
    monkeypatch.chdir(photos)
    assert counts(built.add(["f.png"])) == (1, 0, 0, 0, 15)
    assert "00.png" in rows(built)
    texture(99).save(tmp_path / "elsewhere.png")
    with pytest.raises(RisError, match="does not lie in"):
        built.add([tmp_path / "elsewhere.png"])
    with pytest.raises(RisError, match="does not lie in"):
        built.add([photos / "../elsewhere.png"])
    with pytest.raises(RisError, match="does not exist"):
        built.add([photos / "nothing.png"])
    (photos / "link.png").symlink_to(tmp_path / "elsewhere.png")
    assert [one.reason for one in built.add([photos / "link.png"]).rejected] == [
        "it is a link that leaves the folder"
    ]
    assert len(built) == 16


def test_remove_takes_out_of_the_store_and_leaves_the_files(built: SearchEngine, photos: Path) -> None:
    change = built.remove(["a", photos / "00.png", "03.png"])
    assert counts(change) == (0, 0, 0, 6, 6)
    assert set(rows(built)) == {"06.png", "09.png", "b/02.png", "b/05.png", "b/08.png", "b/11.png"}
    assert len(list((photos / "a").iterdir())) == 4
    assert built.verify() == []
    for wrong in ("nothing.png", "b/0", "../photos.ris", "/etc/passwd"):
        with pytest.raises(NoSuchPictureError):
            built.remove(["06.png", wrong])
    assert len(built) == 6
    assert counts(built.sync()) == (6, 0, 0, 0, 6)


def test_what_no_picture_shows_any_more_is_not_kept(built: SearchEngine, photos: Path, texture: Draw) -> None:
    shutil.copy(photos / "00.png", photos / "copy.png")
    texture(90, 120, 90).save(photos / "03.png")
    built.sync()
    (photos / "copy.png").unlink()
    built.remove(["a"])
    kept = {picture.sha256 for picture in built.pictures()}
    built.refit()
    contents = StoreGallery(built.store)._contents.to_table(columns=["sha256"])
    assert sorted(one.hex() for one in contents["sha256"].to_pylist()) == sorted(kept)
    assert built.verify() == []


def test_after_many_changes_all_is_as_if_built_afresh(
    built: SearchEngine, photos: Path, tmp_path: Path, encoder: Path, texture: Draw
) -> None:
    for step in range(4):
        texture(100 + step, 120, 90).save(photos / f"a/{step}.png")
        texture(200 + step, 120, 90).save(photos / "b/02.png")
        (photos / f"{3 * step:02d}.png").rename(photos / f"b/moved{step}.png")
        built.sync()
    built.remove(["b/moved0.png"])
    built.add([photos / "b/moved0.png"])
    built.refit()
    with SearchEngine.build(photos, tmp_path / "fresh", encoder=encoder) as fresh:
        queries = [texture(seed, 120, 90) for seed in range(300, 306)] + [texture(0, 120, 90)]
        for index in EXACT:
            for query in queries:
                one, other = (engine.search(query, 30, index=index) for engine in (built, fresh))
                assert [hit.path for hit in one] == [hit.path for hit in other]
                assert [hit.same_picture for hit in one] == [hit.same_picture for hit in other]
                np.testing.assert_allclose(
                    [hit.distance for hit in one], [hit.distance for hit in other], atol=1e-4
                )
        for query in queries:
            one_found, other_found = built.find(query), fresh.find(query)
            assert one_found.here == other_found.here
            one_proven, other_proven = (
                [(hit.path, hit.inliers) for hit in found.hits if hit.inliers]
                for found in (one_found, other_found)
            )
            assert one_proven == other_proven
        assert np.array_equal(built.vectors()[1], fresh.vectors()[1])


@pytest.mark.parametrize("how", ["add", "sync"])
def test_other_content_of_the_same_size_and_time_is_seen_where_it_is_read(
    built: SearchEngine, photos: Path, how: str, texture: Draw
) -> None:
    file = photos / "00.png"
    texture(950, 120, 90).save(photos / "03.png")
    data = (photos / "03.png").read_bytes().ljust(200_000, b"\0")
    for path, content in ((file, file.read_bytes().ljust(200_000, b"\0")), (file, data)):
        path.write_bytes(content)
        os.utime(path, (978307200, 978307200))
        if content is not data:
            built.sync()
    assert built.sync().changed == 0
    change = built.add([file]) if how == "add" else built.sync(checksum=True)
    assert change.changed == 1
    sha256 = {one.path: one.sha256 for one in built.pictures()}["00.png"]
    assert sha256 == hashlib.sha256(data).hexdigest()
    assert built.sync(checksum=True).unchanged == 12


def test_what_is_named_by_dots_is_what_it_names(
    built: SearchEngine, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (photos.parent / "other").mkdir()
    (photos.parent / "other/x.txt").write_text("x")
    for path in (photos / "..", photos / "a/../..", photos.parent):
        with pytest.raises(RisError, match="does not lie in"):
            built.add([path])
    monkeypatch.chdir(photos)
    for name in (".", "a/..", str(photos / "a" / "..")):
        assert built.add([name]).unchanged == 12
    assert built.rejected() == []
