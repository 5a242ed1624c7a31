"""The fragments of contents stay few, and what a reader holds of those that were not joined stays its own."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from small_encoders import small_encoder

from ris.engine import SearchEngine
from ris.store.gallery import StoreGallery
from ris.store.tables import CONTENTS, REGIONS, open_table, projected

Draw = Callable[..., Image.Image]
COUNT = 24
PARTS, JOINED = 3, 6


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder folder with random weights."""
    return small_encoder(tmp_path_factory.mktemp("models") / "encoder")


@pytest.fixture
def store(tmp_path: Path, texture: Draw, encoder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with regions, of which every second file was a commit of its own."""
    monkeypatch.setattr("ris.store.refit.PARTS", PARTS)
    monkeypatch.setattr("ris.store.refit.JOINED", JOINED)
    monkeypatch.setattr("ris.store.writing.COMMITTED", 2)
    (tmp_path / "photos").mkdir()
    for number in range(COUNT):
        texture(number, 120, 90).save(tmp_path / f"photos/{number:02}.png")
        os.utime(tmp_path / f"photos/{number:02}.png", (1e9, 1e9))
    store = tmp_path / "photos.ris"
    SearchEngine.build(tmp_path / "photos", store, encoder=encoder, regions=True, threads=1).close()
    return store


def fragments(store: Path, name: str) -> list[int]:
    """Return how many lines each fragment of a table has."""
    commit = StoreGallery(store).commit
    return [one.count_rows() for one in open_table(store, commit, name).get_fragments()]


def added(store: Path, image: Image.Image, name: str) -> None:
    """Add a picture by an engine of its own."""
    image.save(store.parent / "photos" / name)
    with SearchEngine.open(store, threads=1) as engine:
        assert engine.sync().added == 1


def test_fragments_of_a_build_and_of_syncs_stay_few(store: Path, texture: Draw, encoder: Path) -> None:
    for turn in range(2 * PARTS + 2):
        added(store, texture(100 + turn, 120, 90), f"new {turn}.png")
        space = StoreGallery(store).commit.space
        assert space is not None
        for name in (CONTENTS, REGIONS, projected(space.version)):
            lengths = fragments(store, name)
            assert sum(lengths) == COUNT + turn + 1
            assert sum(length < JOINED for length in lengths) <= PARTS
    fresh = store.parent / "fresh.ris"
    with (
        SearchEngine.open(store, threads=1) as engine,
        SearchEngine.build(store.parent / "photos", fresh, encoder=encoder, threads=1) as anew,
    ):
        assert engine.verify() == []
        assert np.array_equal(engine.vectors()[1], anew.vectors()[1])
        assert engine.find(store.parent / "photos/07.png", 1).hits[0].path == "07.png"


def test_a_reader_reads_only_what_was_joined_or_added(
    store: Path, texture: Draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    read_vectors = StoreGallery._read_vectors

    def counted(gallery: StoreGallery, contents: Any) -> Any:
        found = read_vectors(gallery, contents)
        read.append(len(found))
        return found

    held, joined = StoreGallery(store), 0
    for turn in range(2 * PARTS + 2):
        assert held.candidates
        held.prepare("knn_pca")
        before = fragments(store, CONTENTS)
        added(store, texture(100 + turn, 120, 90), f"new {turn}.png")
        after = fragments(store, CONTENTS)
        later, anew = StoreGallery(store, before=held), StoreGallery(store)
        with monkeypatch.context() as patched:
            patched.setattr(StoreGallery, "_read_vectors", counted)
            later.vectors()
        kept = [one for one, other in zip(before, after, strict=False) if one == other]
        assert read.pop() == sum(after) - sum(kept)
        joined += len(kept) < len(before)
        assert later.candidates
        assert anew.candidates
        assert np.array_equal(later.candidates.whole.vectors, anew.candidates.whole.vectors)
        assert np.array_equal(later.candidates.whole.lengths, anew.candidates.whole.lengths)
        for found, expected in zip(
            *(one.nearest("knn_pca", one.vectors()[-1], 5) for one in (later, anew)), strict=True
        ):
            assert np.array_equal(found, expected)
        held = later
    assert joined
