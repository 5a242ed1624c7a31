"""A folder that lacks most of its pictures is taken for a disk that is not mounted."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from ris.engine import RemovalError, SearchEngine
from ris.errors import RisError

Draw = Callable[..., Image.Image]
State = list[tuple[int, str, str]]


def state(engine: SearchEngine) -> State:
    assert engine.verify() == []
    return [(one.row, one.path, one.sha256) for one in engine.pictures()]


def emptied(photos: Path) -> None:
    photos.rename(photos.parent / "kept")
    photos.mkdir()


def unreadable(photos: Path) -> None:
    shutil.copytree(photos, photos.parent / "kept")
    for file in photos.rglob("*.png"):
        file.write_bytes(b"")


def mostly_gone(photos: Path) -> None:
    shutil.copytree(photos, photos.parent / "kept")
    for folder in ("a", "b"):
        shutil.rmtree(photos / folder)


@pytest.mark.parametrize("lose", [emptied, unreadable, mostly_gone])
def test_a_sync_that_would_take_most_away_stops(
    built: SearchEngine, photos: Path, lose: Callable[[Path], None]
) -> None:
    before, commit = state(built), built.generation
    lose(photos)
    gone = 8 if lose is mostly_gone else 12
    syncs: list[Callable[[], object]] = [built.sync, lambda: next(built.watch())]
    for sync in syncs:
        with pytest.raises(RemovalError, match=re.escape(f"{photos} lacks {gone} of 12 pictures")) as caught:
            sync()
        assert "\n" not in str(caught.value)
        assert "--allow-removals" in str(caught.value)
    assert (state(built), built.generation) == (before, commit)

    shutil.rmtree(photos)
    (photos.parent / "kept").rename(photos)
    assert built.sync().unchanged == 12
    assert state(built) == before


def test_new_pictures_do_not_make_up_for_those_that_are_gone(
    built: SearchEngine, photos: Path, texture: Draw
) -> None:
    emptied(photos)
    for number in range(30):
        texture(900 + number, 60, 60).save(photos / f"other {number}.png")
    before = state(built)
    with pytest.raises(RemovalError):
        built.sync()
    assert state(built) == before


def test_half_may_go_and_all_may_where_it_is_allowed(built: SearchEngine, photos: Path) -> None:
    for place, file in enumerate(sorted(photos.rglob("*.png"))):
        if place % 2:
            file.unlink()
    assert built.sync().removed == 6
    emptied(photos)
    assert built.sync(allow_removals=True).removed == 6
    assert len(built) == 0
    assert built.sync().unchanged == 0


def test_pictures_that_move_are_not_gone(built: SearchEngine, photos: Path) -> None:
    before = {row: sha256 for row, _, sha256 in state(built)}
    (photos / "elsewhere").mkdir()
    for file in sorted(photos.rglob("*.png")):
        file.rename(photos / "elsewhere" / file.name)
    assert built.sync().moved == 12
    assert {row: sha256 for row, _, sha256 in state(built)} == before


def test_a_store_that_has_vanished_is_not_begun_anew(
    built: SearchEngine, photos: Path, texture: Draw
) -> None:
    texture(900, 60, 60).save(photos / "new.png")
    kept = built.store.parent / "kept.ris"
    built.store.rename(kept)
    table = photos.parent / "table.csv"
    table.write_text("path,mood\n00.png,good\n")
    writes: list[Callable[[], object]] = [
        built.sync,
        built.refit,
        lambda: built.add([photos / "new.png"]),
        lambda: built.remove(["a"]),
        lambda: built.set_columns(table),
        lambda: built.restore(1),
    ]
    for mounted in (False, True):
        if mounted:
            built.store.mkdir()
        for write in writes:
            with pytest.raises(RisError, match="holds no store"):
                write()
        assert built.store.exists() is mounted
        assert not mounted or list(built.store.iterdir()) == []
    built.store.rmdir()
    kept.rename(built.store)
    assert built.sync().added == 1
