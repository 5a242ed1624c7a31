"""An encoder of its own for copies: candidates by its vectors, kept through every change, and checked."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from small_encoders import DIMENSIONS, small_encoder

from ris.copies.views import gallery_regions
from ris.encoders.named import restore
from ris.encoders.transforms import for_embedding
from ris.engine import SearchEngine
from ris.errors import RisError
from ris.store.gallery import StoreGallery
from ris.store.writing import COPIES_WEIGHTS
from ris.types import DamagedError

Draw = Callable[..., Image.Image]
COUNT = 12


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the store searches by."""
    return small_encoder(tmp_path_factory.mktemp("models") / "encoder", "test_resnet", 32)


@pytest.fixture(scope="module")
def for_copies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What it looks for copies by, of another dimension and size."""
    return small_encoder(tmp_path_factory.mktemp("models") / "copies", "test_efficientnet", 48)


@pytest.fixture
def photos(tmp_path: Path, texture: Draw) -> Path:
    """A folder of twelve pictures."""
    (tmp_path / "photos").mkdir()
    for number in range(COUNT):
        texture(number, 120, 90).save(tmp_path / f"photos/{number:02}.png")
        os.utime(tmp_path / f"photos/{number:02}.png", (1e9, 1e9))
    return tmp_path / "photos"


@pytest.fixture(params=[True, False], ids=["regions", "whole"])
def store(request: pytest.FixtureRequest, photos: Path, encoder: Path, for_copies: Path) -> Path:
    """A store of them, with and without regions."""
    store = photos.parent / "photos.ris"
    build(photos, store, encoder, for_copies, regions=request.param).close()
    return store


def build(
    photos: Path, store: Path, encoder: Path, copies: Path | None, regions: bool = False
) -> SearchEngine:
    """Build a store."""
    return SearchEngine.build(
        photos, store, encoder=encoder, copies_encoder=copies, regions=regions, threads=1
    )


def embedded(gallery: StoreGallery, images: list[Image.Image]) -> Any:
    """Return the vectors (n, E) of pictures by the encoder for copies, of length 1."""
    assert gallery.copies is not None
    embedder = restore(gallery.copies, (gallery.store / COPIES_WEIGHTS).read_bytes())
    vectors = embedder.embed(np.stack([for_embedding(one, embedder.network) for one in images]))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def whitened(gallery: StoreGallery, vectors: np.ndarray) -> Any:
    """Bring vectors (n, E) to the space of the candidates, each of length 1."""
    assert gallery.spaces is not None
    space = gallery.spaces.whitened
    brought = (vectors.astype(np.float64) - space.mean) @ (space.scale[:, None] * space.components).T
    return brought / np.linalg.norm(brought, axis=1, keepdims=True)


def by_hand(gallery: StoreGallery, photos: Path) -> Any:
    """Return what candidates are searched among, (m, E), from the files."""
    shown = [gallery.catalogue.paths(gallery.pictures_showing(one))[0] for one in range(gallery.count)]
    images = [Image.open(photos / path).convert("RGB") for path in shown]
    whole = embedded(gallery, images)
    if not gallery.regions:
        return whole
    regions = embedded(gallery, [region for image in images for region in gallery_regions(image)])
    return (whole + regions.reshape(len(images), 5, -1).mean(axis=1)) / 2


def assert_as_by_hand(store: Path, photos: Path) -> None:
    """What candidates are searched among is what is computed here from the files."""
    gallery = StoreGallery(store)
    expected = by_hand(gallery, photos)
    assert gallery.candidates is not None
    np.testing.assert_allclose(gallery.candidates.whole.vectors, expected, atol=1e-6)
    np.testing.assert_allclose(gallery.candidates.whole.projected(), whitened(gallery, expected), atol=1e-3)
    assert (gallery.candidates.regions is not None) == gallery.regions


def test_candidates_are_those_of_the_encoder_for_copies(store: Path, photos: Path, texture: Draw) -> None:
    assert_as_by_hand(store, photos)
    texture(50, 90, 120).save(photos / "new.png")
    for number in range(4):
        (photos / f"{number:02}.png").unlink()
    with SearchEngine.open(store, threads=1) as engine:
        engine.sync()
        assert len(engine) == COUNT - 3
    assert_as_by_hand(store, photos)
    texture(51, 90, 120).save(photos / "another.png")
    with SearchEngine.open(store, threads=1) as engine:
        engine.add([photos / "another.png"])
        engine.refit()
        assert engine.verify() == []
        info = engine.info()
        assert (info.encoder, info.copies_encoder) == ("test_resnet", "test_efficientnet")
    assert_as_by_hand(store, photos)


def test_find_asks_by_it_and_search_does_not(store: Path, photos: Path, encoder: Path) -> None:
    plain = build(photos, photos.parent / "plain.ris", encoder, None)
    query = Image.open(photos / "05.png").convert("RGB").crop((10, 5, 110, 85))
    with plain, SearchEngine.open(store, threads=1) as engine:
        gallery = engine._gallery
        assert engine.search(query, 5) == plain.search(query, 5)
        finding = engine.find(query, COUNT)
        own = whitened(gallery, embedded(gallery, [query]))[0]
        far = np.linalg.norm(whitened(gallery, by_hand(gallery, photos)) - own, axis=1)
        found = [gallery.catalogue.position(hit.row) for hit in finding.hits]
        distances = far[gallery.shown[found]]
        np.testing.assert_allclose([hit.distance for hit in finding.hits], distances, atol=1e-3)
        assert finding.here
        assert finding.hits[0].path == "05.png"


def test_duplicates_are_looked_for_by_it(store: Path, photos: Path, texture: Draw) -> None:
    texture(3, 120, 90).crop((2, 2, 118, 88)).save(photos / "03 again.png")
    with SearchEngine.open(store, threads=1) as engine:
        engine.sync()
        gallery = engine._gallery
        space = whitened(gallery, by_hand(gallery, photos))
        np.testing.assert_allclose(gallery.near_duplicate_vectors(), space, atol=1e-3)
        assert [{one.path for one in group.pictures} for group in engine.duplicates()] == [
            {"03.png", "03 again.png"}
        ]


def test_more_than_are_held_in_memory_are_asked_by_the_index(
    store: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ris.store.gallery.IN_MEMORY", COUNT - 1)
    with SearchEngine.open(store, threads=1) as engine:
        finding = engine.find(photos / "05.png")
        assert finding.here
        assert finding.hits[0].path == "05.png"
        assert engine._gallery.candidates is None


def test_a_later_version_reads_only_new_vectors(store: Path, photos: Path, texture: Draw) -> None:
    first = StoreGallery(store)
    assert first.candidates
    known = first._copies
    texture(50, 90, 120).save(photos / "new.png")
    with SearchEngine.open(store, threads=1) as engine:
        engine.sync()
    second, anew = StoreGallery(store, before=first), StoreGallery(store)
    assert second._taken.copies is known
    assert np.array_equal(second._copies, anew._copies)
    assert len(anew._copies) == COUNT + 1


def test_a_build_that_was_broken_off_goes_on(
    photos: Path, encoder: Path, for_copies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ris.store.writing.COMMITTED", 5)
    store = photos.parent / "broken off.ris"

    def stop(what: str, done: int, _: int) -> None:
        if what == "reading pictures" and done == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        SearchEngine.build(
            photos, store, encoder=encoder, copies_encoder=for_copies, threads=1, progress=stop
        )
    with pytest.raises(RisError, match="was begun with another encoder or other options"):
        build(photos, store, encoder, None)
    build(photos, store, encoder, for_copies).close()
    assert_as_by_hand(store, photos)
    with SearchEngine.open(store, threads=1) as engine:
        assert engine.verify() == []


@pytest.mark.parametrize("where", [0.3, 0.6])
def test_damaged_vectors_are_told(store: Path, photos: Path, where: float) -> None:
    (file,) = (store / "copies.lance/data").iterdir()
    data = bytearray(file.read_bytes())
    data[int(where * COUNT * 4 * DIMENSIONS["test_efficientnet"])] ^= 1
    file.write_bytes(data)
    with SearchEngine.open(store, threads=1) as engine:
        assert any("copies" in problem for problem in engine.verify())
        with pytest.raises(DamagedError, match=r"The copies in .* are damaged"):
            engine.find(photos / "05.png")
        assert engine.search(photos / "05.png", 1)[0].path == "05.png"


def test_another_encoder_for_copies_is_refused(
    store: Path, photos: Path, encoder: Path, tmp_path: Path
) -> None:
    engine = SearchEngine.open(store, threads=1)
    regions = engine.info().regions
    other = small_encoder(tmp_path / "other", "test_efficientnet", 48, seed=1)
    store.rename(tmp_path / "former.ris")
    build(photos, store, encoder, other, regions=regions).close()
    with engine, pytest.raises(DamagedError, match="was built anew with another encoder"):
        engine.sync()
    (store / COPIES_WEIGHTS).write_bytes((tmp_path / "former.ris" / COPIES_WEIGHTS).read_bytes())
    with pytest.raises(DamagedError, match="The store's encoder is damaged"):
        SearchEngine.open(store, threads=1)
    (store / COPIES_WEIGHTS).unlink()
    with pytest.raises(DamagedError, match="The store's encoder is damaged"):
        SearchEngine.open(store, threads=1)


def test_what_makes_no_sense_is_refused(photos: Path, encoder: Path, for_copies: Path) -> None:
    store = photos.parent / "none.ris"
    with pytest.raises(RisError, match="needs local features"):
        SearchEngine.build(
            photos, store, encoder=encoder, copies_encoder=for_copies, same_picture=False, threads=1
        )
    with pytest.raises(RisError, match="is the store's own; leave it out"):
        build(photos, store, encoder, encoder)
    with pytest.raises(RisError, match="neither an encoder's folder nor a name of"):
        build(photos, store, encoder, photos.parent / "nothing")
    assert not store.exists()
