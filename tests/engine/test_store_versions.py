"""Former versions of a store are kept, listed and restored, and their number is bounded."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ris.engine import SearchEngine
from ris.errors import RisError
from ris.store import commits, writing

Draw = Callable[..., Image.Image]


def held(engine: SearchEngine) -> tuple[list[tuple[int, str, str]], bytes]:
    assert engine.verify() == []
    rows, vectors = engine.vectors()
    assert rows.tolist() == [one.row for one in engine.pictures()]
    return [(one.row, one.path, one.sha256) for one in engine.pictures()], vectors.tobytes()


def test_what_was_taken_away_is_restored_without_being_read(
    built: SearchEngine, photos: Path, texture: Draw
) -> None:
    before, (version, *_) = held(built), built.versions()
    assert version.pictures == 12
    photos.rename(photos.parent / "kept")
    photos.mkdir()
    assert built.sync(allow_removals=True).removed == 12
    built.refit()
    assert [one.pictures for one in built.versions()[:2]] == [0, 0]

    built.restore(version.number)
    assert held(built) == before
    assert built.search(texture(0, 120, 90), 1)[0].path == "00.png"
    assert built.find(texture(0, 120, 90), 1).hits[0].path == "00.png"
    photos.rmdir()
    (photos.parent / "kept").rename(photos)
    assert built.sync().unchanged == 12
    with SearchEngine.open(built.store) as other:
        assert held(other) == before


def test_an_undo_can_be_undone_and_rows_are_never_given_twice(
    built: SearchEngine, photos: Path, texture: Draw
) -> None:
    first = built.versions()[0].number
    texture(700, 60, 60).save(photos / "new.png")
    built.sync()
    second, after = built.versions()[0].number, held(built)
    built.restore(first)
    assert len(built) == 12
    (photos / "new.png").unlink()
    texture(701, 60, 60).save(photos / "another.png")
    built.sync()
    rows = {one.path: one.row for one in built.pictures()}
    assert rows["another.png"] > max(row for row, _, _ in after[0])
    built.restore(second)
    assert held(built) == after
    with SearchEngine.open(built.store) as other:
        assert held(other) == after


def test_spaces_that_were_fitted_again_are_restored(built: SearchEngine, photos: Path, texture: Draw) -> None:
    def nearest() -> list[tuple[str, float]]:
        return [(hit.path, hit.distance) for hit in built.search(texture(3, 120, 90), 5, index="knn_pca")]

    first, before = built.versions()[0].number, nearest()
    for number in range(20):
        texture(800 + number, 120, 90).save(photos / f"more {number}.png")
    built.sync()
    second, after = built.versions()[0].number, nearest()
    assert built.info().space_version == 2
    built.restore(first)
    assert nearest() == before
    built.refit()
    assert built.verify() == []
    built.restore(second)
    assert nearest() == after
    assert built.verify() == []


def test_only_a_version_that_is_kept_and_whole_is_restored(built: SearchEngine) -> None:
    (version,) = built.versions()
    with pytest.raises(RisError, match="keeps no version 99"):
        built.restore(99)
    with pytest.raises(RisError, match="version is 0"):
        built.restore(0)
    built.remove(["a"])
    (manifest,) = (built.store / "pictures.lance/_versions").glob(f"{2**64 - 1 - _pictures(built, 1)}*")
    manifest.write_bytes(b"x" * manifest.stat().st_size)
    before = held(built)
    with pytest.raises(RisError, match=f"Version {version.number} cannot be restored"):
        built.restore(version.number)
    assert held(built) == before


def _pictures(engine: SearchEngine, back: int) -> int:
    return commits.kept(engine.store)[-1 - back].tables["pictures"].version


def test_a_reader_that_never_refreshes_does_not_make_a_store_grow(
    built: SearchEngine, photos: Path, texture: Draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commits, "KEPT", 4)
    monkeypatch.setattr(writing, "CLEANED", 4)
    query, file = texture(3, 120, 90), photos / "turning.png"
    sizes = []
    with SearchEngine.open(built.store) as reader:
        answers = reader.search(query, 5)
        for number in range(40):
            texture(900 + number % 3, 120, 90).save(file)
            built.sync()
            sizes.append(sum(one.stat().st_size for one in built.store.rglob("*") if one.is_file()))
        assert reader.search(query, 5) == answers
    assert np.mean(sizes[-8:]) < 1.3 * np.mean(sizes[12:20])
    assert len(commits.kept(built.store)) == 4
    assert built.verify() == []


def test_a_copy_made_while_another_writes_is_whole(
    built: SearchEngine, photos: Path, texture: Draw, tmp_path: Path
) -> None:
    """As docs/how-to/follow-a-folder.md has it: the commits first, then what they name."""
    copy, before = tmp_path / "copy.ris", held(built)
    shutil.copytree(built.store / commits.FOLDER, copy / commits.FOLDER)
    texture(901, 120, 90).save(photos / "meanwhile.png")
    built.sync()
    built.remove(["a"])
    shutil.copytree(built.store, copy, ignore=shutil.ignore_patterns(commits.FOLDER), dirs_exist_ok=True)
    with SearchEngine.open(copy) as engine:
        assert held(engine) == before
