"""Regions of pictures in a store: the lab's rankings, kept through every change, and checked."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_encoders import small_encoder

from ris.copies.views import gallery_regions
from ris.encoders.named import restore
from ris.encoders.transforms import for_embedding
from ris.engine import SearchEngine
from ris.store.gallery import StoreGallery
from ris.store.writing import WEIGHTS

Draw = Callable[..., Image.Image]
COUNT = 12


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder folder with random weights."""
    return small_encoder(tmp_path_factory.mktemp("models") / "encoder")


@pytest.fixture
def photos(tmp_path: Path, texture: Draw) -> Path:
    """A folder of twelve pictures."""
    (tmp_path / "photos").mkdir()
    for number in range(COUNT):
        texture(number, 120, 90).save(tmp_path / f"photos/{number:02}.png")
        os.utime(tmp_path / f"photos/{number:02}.png", (1e9, 1e9))
    return tmp_path / "photos"


@pytest.fixture
def store(photos: Path, encoder: Path) -> Path:
    """A store of them, with regions."""
    store = photos.parent / "photos.ris"
    SearchEngine.build(photos, store, encoder=encoder, regions=True, threads=1).close()
    return store


def by_hand(gallery: StoreGallery, photos: Path, paths: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return the vectors of pictures (n, D), and of their regions (n, 5, D), of length 1."""
    embedder = restore(gallery.identity, (gallery.store / WEIGHTS).read_bytes())
    images = [Image.open(photos / path).convert("RGB") for path in paths]
    looks = [[image, *gallery_regions(image)] for image in images]
    pixels = np.stack([for_embedding(one, embedder.network) for look in looks for one in look])
    vectors = embedder.embed(pixels).reshape(len(paths), 6, -1)
    vectors = vectors / np.linalg.norm(vectors, axis=2, keepdims=True)
    return vectors[:, 0], vectors[:, 1:]


def assert_as_by_hand(store: Path, photos: Path) -> None:
    """What candidates are searched among is what is computed here from the files."""
    gallery = StoreGallery(store)
    paths = [gallery.catalogue.paths(gallery.pictures_showing(one))[0] for one in range(gallery.count)]
    whole, regions = by_hand(gallery, photos, paths)
    assert gallery.spaces is not None
    assert gallery.candidates is not None
    assert gallery.candidates.regions is not None
    assert gallery.features is not None
    space = gallery.spaces.whitened
    averages = (whole + regions.mean(axis=1)) / 2
    for found, expected in (
        (gallery.candidates.whole, averages),
        (gallery.candidates.regions, regions.reshape(5 * len(paths), -1)),
    ):
        np.testing.assert_allclose(found.vectors, expected, atol=1e-6)
        brought = (expected.astype(np.float64) - space.mean) @ (space.scale[:, None] * space.components).T
        np.testing.assert_allclose(found.lengths, np.linalg.norm(brought, axis=1), rtol=5e-3)
    np.testing.assert_allclose(space.mean, averages.mean(axis=0), atol=1e-2)
    rankings = gallery.candidates.rankings(regions[5, 2][None], gallery.features[5], 1)
    assert rankings["regions"][1].tolist() == [5]


def test_candidates_are_those_of_whole_pictures_and_of_regions(
    store: Path, photos: Path, texture: Draw
) -> None:
    assert_as_by_hand(store, photos)
    texture(50, 90, 120).save(photos / "new.png")
    for number in range(4):
        (photos / f"{number:02}.png").unlink()
    with SearchEngine.open(store, threads=1) as engine:
        engine.sync()
        assert len(engine) == COUNT - 3
    assert_as_by_hand(store, photos)
    with SearchEngine.open(store, threads=1) as engine:
        engine.refit()
        assert engine.verify() == []
        assert engine.info().regions
    assert_as_by_hand(store, photos)


def test_a_later_version_reads_only_new_regions(store: Path, photos: Path, texture: Draw) -> None:
    first = StoreGallery(store)
    assert first.candidates
    known = first._regions
    texture(50, 90, 120).save(photos / "new.png")
    with SearchEngine.open(store, threads=1) as engine:
        engine.sync()
    second, anew = StoreGallery(store, before=first), StoreGallery(store)
    assert second._taken.regions is known
    assert np.array_equal(second._regions, anew._regions)
    assert len(anew._regions) == 5 * (COUNT + 1)


def test_damaged_regions_are_told(store: Path) -> None:
    (file,) = (store / "regions.lance/data").iterdir()
    data = bytearray(file.read_bytes())
    data[1000] ^= 1
    file.write_bytes(data)
    with SearchEngine.open(store, threads=1) as engine:
        assert any("regions" in problem for problem in engine.verify())


def test_without_local_features_there_are_no_regions(photos: Path, encoder: Path) -> None:
    store = photos.parent / "plain.ris"
    with SearchEngine.build(
        photos, store, encoder=encoder, regions=True, same_picture=False, threads=1
    ) as engine:
        assert not engine.info().regions
    assert not (store / "regions.lance").exists()
