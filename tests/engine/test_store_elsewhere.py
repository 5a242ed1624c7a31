"""A store from elsewhere is data: nothing of the disk that it names is read before the user confirms it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from ris.engine import SearchEngine, UnconfirmedError
from ris.errors import RisError
from ris.store.commits import Folder, latest
from ris.store.confirmed import named
from ris.store.tables import Changes

Draw = Callable[..., Image.Image]


@pytest.fixture
def foreign(built: SearchEngine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> SearchEngine:
    """The store of `photos`, as another user has it."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another state"))
    return SearchEngine.open(built.store)


def test_nothing_that_it_names_is_read(foreign: SearchEngine, photos: Path, texture: Draw) -> None:
    row = foreign.pictures()[0].row
    reads: list[Callable[[], object]] = [
        foreign.sync,
        lambda: next(foreign.watch()),
        lambda: foreign.add([photos / "00.png"]),
        lambda: foreign.file(row),
        lambda: foreign.image(row),
        lambda: foreign.find(row),
        lambda: foreign.search(row, box=(0, 0, 0.5, 0.5)),
        foreign.duplicates,
    ]
    for read in reads:
        with pytest.raises(UnconfirmedError, match=f"`ris relocate {foreign.store} {photos}`") as caught:
            read()
        assert "\n" not in str(caught.value)
    assert foreign.search(texture(0, 120, 90), 1)[0].path == "00.png"
    assert foreign.find(photos / "00.png").here
    assert foreign.search(row, 3)
    assert foreign.info().folder == str(photos)
    assert foreign.verify() == []


def test_once_confirmed_it_is_as_if_built_here(foreign: SearchEngine, photos: Path) -> None:
    before = foreign.versions()
    foreign.relocate(photos)
    assert foreign.versions() == before, "the store itself says so already"
    assert foreign.sync().unchanged == 12
    with SearchEngine.open(foreign.store) as other:
        assert other.image(other.pictures()[0].row).size == (120, 90)


def test_a_folder_that_was_renamed_is_named_anew(built: SearchEngine, photos: Path, texture: Draw) -> None:
    with SearchEngine.open(built.store) as reader:
        photos.rename(photos.parent / "albums")
        with pytest.raises(RisError):
            built.sync()
        with pytest.raises(RisError, match="is no folder"):
            built.relocate(photos)
        built.relocate(photos.parent / "albums")
        assert built.sync().unchanged == 12
        assert built.folder == photos.parent / "albums"
        assert reader.refresh()
        assert reader.image(reader.pictures()[0].row).size == (120, 90)
        assert reader.find(texture(0, 120, 90), 1).hits[0].path == "00.png"


def test_the_confirmation_is_of_the_store_and_of_the_folder(
    built: SearchEngine, photos: Path, tmp_path: Path, encoder: Path, texture: Draw
) -> None:
    """Neither another store for a confirmed folder, nor another folder for a confirmed store."""
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    texture(77, 60, 60).save(secrets / "passport.png")
    for folder in (
        named(built.store, secrets),
        Folder(relative="../nothing", absolute=str(secrets)),
        Folder(relative="../photos/../secrets", absolute=str(photos)),
    ):
        shutil.copytree(built.store, tmp_path / "forged.ris")
        Changes(tmp_path / "forged.ris", latest(built.store)).commit(folder=folder)
        with SearchEngine.open(tmp_path / "forged.ris") as engine, pytest.raises(UnconfirmedError):
            engine.sync()
        shutil.rmtree(tmp_path / "forged.ris")
    with SearchEngine.build(photos, tmp_path / "second.ris", encoder=encoder) as second:
        assert second.sync().unchanged == 12


def test_a_build_that_was_broken_off_is_confirmed(built: SearchEngine) -> None:
    with SearchEngine.open(built.store) as engine:
        assert engine.sync().unchanged == 12
