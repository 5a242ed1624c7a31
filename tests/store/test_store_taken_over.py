"""A later version of a store takes over what an earlier one has read."""

import gc
import os
import weakref
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from small_encoders import small_encoder

from ris.engine import SearchEngine
from ris.gallery.settings import Settings
from ris.store.gallery import StoreGallery

Draw = Callable[..., Image.Image]
COUNT = 12


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder folder with random weights."""
    return small_encoder(tmp_path_factory.mktemp("models") / "encoder")


@pytest.fixture
def store(tmp_path: Path, texture: Draw, encoder: Path) -> Path:
    """A store of twelve pictures."""
    (tmp_path / "photos").mkdir()
    for number in range(COUNT):
        texture(number, 120, 90).save(tmp_path / f"photos/{number:02}.png")
        os.utime(tmp_path / f"photos/{number:02}.png", (1e9, 1e9))
    SearchEngine.build(tmp_path / "photos", tmp_path / "photos.ris", encoder=encoder, threads=1).close()
    return tmp_path / "photos.ris"


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[int]]]:
    """What is read of contents from now on: which part, and the positions."""
    seen: list[tuple[str, list[int]]] = []
    read_vectors, read_projections = StoreGallery._read_vectors, StoreGallery._read_projections

    def vectors(gallery: StoreGallery, contents: Any) -> Any:
        found = read_vectors(gallery, contents)
        seen.append(("vectors", list(range(len(found))) if contents is None else contents.tolist()))
        return found

    def projections(gallery: StoreGallery, start: int) -> Any:
        seen.append(("projections", list(range(start, gallery.count))))
        return read_projections(gallery, start)

    monkeypatch.setattr(StoreGallery, "_read_vectors", vectors)
    monkeypatch.setattr(StoreGallery, "_read_projections", projections)
    return seen


def changed(store: Path, write: Callable[[SearchEngine], object]) -> None:
    """Change a store, by an engine of its own."""
    with SearchEngine.open(store, threads=1) as engine:
        write(engine)


def search(gallery: StoreGallery) -> None:
    """Read all that searches need."""
    gallery.prepare("knn")
    gallery.prepare("knn_pca")
    assert gallery.candidates


def test_vectors_are_taken_over_where_no_content_is_new(
    store: Path, read: list[tuple[str, list[int]]]
) -> None:
    first = StoreGallery(store)
    search(first)
    changed(store, lambda engine: engine.remove(["00.png"]))
    read.clear()
    second = StoreGallery(store, before=first)
    search(second)
    assert (len(second.catalogue), len(first.catalogue)) == (COUNT - 1, COUNT)
    assert second.vectors() is first.vectors()
    assert second.spaces is first.spaces
    assert read == []


def test_lines_of_pictures_are_taken_over(store: Path, texture: Draw) -> None:
    first = StoreGallery(store)
    texture(100, 120, 90).save(store.parent / "photos/new.png")
    changed(store, lambda engine: engine.sync())
    second = StoreGallery(store, before=first)
    assert [len(table) for table in second.fragments.values()] == [COUNT, 1]
    for name, lines in first.fragments.items():
        rows = [one["row"].chunk(0).buffers()[1].address for one in (lines, second.fragments[name])]
        assert rows[0] == rows[1], "they are not read again"
    changed(store, lambda engine: engine.remove(["00.png"]))
    third = StoreGallery(store, before=second)
    assert third.catalogue.table.equals(StoreGallery(store).catalogue.table)
    assert len(third.catalogue) == COUNT


def test_a_later_version_holds_none_of_those_before(store: Path) -> None:
    first = StoreGallery(store)
    search(first)
    changed(store, lambda engine: engine.remove(["00.png"]))
    second = StoreGallery(store, before=first)
    freed = weakref.ref(first)
    del first
    gc.collect()
    assert freed() is None
    search(second)


@pytest.mark.parametrize("searched_between", [True, False])
def test_only_new_contents_are_read(
    store: Path, texture: Draw, read: list[tuple[str, list[int]]], searched_between: bool
) -> None:
    held = StoreGallery(store)
    search(held)
    read.clear()
    for number in range(2):
        texture(100 + number, 120, 90).save(store.parent / f"photos/new {number}.png")
        changed(store, lambda engine: engine.sync())
        held = StoreGallery(store, before=held)
        if searched_between:
            search(held)
    search(held)
    fresh = [[COUNT], [COUNT + 1]] if searched_between else [[COUNT, COUNT + 1]]
    assert [contents for part, contents in read if part == "vectors"] == fresh
    assert [contents for part, contents in read if part == "projections"] == fresh
    anew = StoreGallery(store)
    assert np.array_equal(held.vectors(), anew.vectors())
    for index in ("knn", "knn_pca"):
        found, expected = (one.nearest(index, anew.vectors()[COUNT], 5) for one in (held, anew))
        assert np.array_equal(found[0], expected[0])
        assert np.array_equal(found[1], expected[1])


def test_partitions_are_taken_over(
    tmp_path: Path,
    store: Path,
    encoder: Path,
    texture: Draw,
    read: list[tuple[str, list[int]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ris.engine.Settings", partial(Settings, exact_up_to=10, n_components=8))
    large = tmp_path / "large.ris"
    SearchEngine.build(store.parent / "photos", large, encoder=encoder, threads=1).close()
    first = StoreGallery(large)
    first.prepare("ivf_pca")
    texture(100, 120, 90).save(store.parent / "photos/new.png")
    changed(large, lambda engine: engine.sync())
    read.clear()
    second = StoreGallery(large, before=first)
    second.prepare("ivf_pca")
    assert second.partitioned.first is first.partitioned.first
    assert read == [("projections", [COUNT])]
    (query,) = second.vectors(np.array([COUNT]))
    assert second.nearest("ivf_pca", query, 1)[1].tolist() == [COUNT]


def test_what_was_fitted_anew_is_read_anew(store: Path, read: list[tuple[str, list[int]]]) -> None:
    first = StoreGallery(store)
    search(first)
    changed(store, lambda engine: engine.remove(["00.png"]))
    changed(store, lambda engine: engine.refit())
    read.clear()
    second = StoreGallery(store, before=first)
    search(second)
    everything = list(range(COUNT - 1))
    assert read == [("vectors", everything), ("projections", everything)]
    assert second.commit.space != first.commit.space


def test_another_store_at_the_same_place_is_read_anew(
    store: Path, encoder: Path, read: list[tuple[str, list[int]]]
) -> None:
    first = StoreGallery(store)
    search(first)
    store.rename(store.parent / "former.ris")
    SearchEngine.build(store.parent / "photos", store, encoder=encoder, threads=1).close()
    read.clear()
    search(StoreGallery(store, before=first))
    assert {part for part, contents in read if contents == list(range(COUNT))} == {"vectors", "projections"}


def test_an_earlier_version_goes_on_answering(store: Path, texture: Draw) -> None:
    first = StoreGallery(store)
    search(first)
    query = first.vectors()[3]
    before = first.nearest("knn_pca", query, 20)
    texture(100, 120, 90).save(store.parent / "photos/new.png")
    changed(store, lambda engine: engine.sync())
    changed(store, lambda engine: engine.refit())
    search(StoreGallery(store, before=first))
    after = first.nearest("knn_pca", query, 20)
    assert np.array_equal(before[0], after[0])
    assert np.array_equal(before[1], after[1])
    assert first.features is not None
    assert len(first.features[3].points), "what was not read before is read of that version"
