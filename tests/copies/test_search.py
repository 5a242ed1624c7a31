"""One search from picture to answer: edited pictures are found, and what cannot be found is not here."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageFilter
from torch import Tensor

from ris.config import Network
from ris.copies.edits import STRENGTHS
from ris.copies.local_features import LocalFeatureStore
from ris.copies.search import SamePictureSearch, pooled, regions_index
from ris.copies.views import gallery_regions
from ris.encoders.transforms import for_embedding
from ris.indexes.exact import ExactIndex
from ris.indexes.projection import normalise
from ris.lab.config import Edits, LocalFeatures, SamePicture

Draw = Callable[..., Image.Image]
ROWS = np.arange(3, 9)
"""Catalog rows of the gallery; the catalog has three other pictures before them."""
SETTINGS = SamePicture(
    enabled=True,
    encoder="pretrained",
    n_components=64,
    whiten=0.5,
    regions=True,
    region_weight=1.0,
    views=True,
    candidates=4,
    enough_evidence=9.0,
    local_features=LocalFeatures(gallery=300, query=600, side=640),
    queries=1,
    absent=1,
    false_positive_rate=0.01,
    edits=Edits(**STRENGTHS),
    workers=1,
)


def embed(pixels: Tensor) -> npt.NDArray[np.float32]:
    """Colours of an 8 x 8 mosaic."""
    mosaic = pixels.float().unfold(2, 4, 4).unfold(3, 4, 4).mean(dim=(4, 5))
    return normalise(mosaic.flatten(start_dim=1).numpy() - 127)


def search_over(pictures: list[Image.Image], folder: Path, tiny: Network) -> SamePictureSearch:
    """A search over a catalog of nine pictures, those of `ROWS` being the gallery."""
    files = [folder / f"{number}.png" for number in range(9)]
    for picture, file in zip(pictures, files, strict=True):
        picture.save(file)
    LocalFeatureStore.write(
        folder / "store", files, "sha256:1", n_features=300, side=640, max_pixels=10**6, workers=1
    )
    gallery = [pictures[row] for row in ROWS]

    def vectors(images: list[Image.Image]) -> npt.NDArray[np.float32]:
        return np.concatenate([embed(for_embedding(image, tiny)[None]) for image in images])

    regions = [region for picture in gallery for region in gallery_regions(picture)]
    store = LocalFeatureStore.open(folder / "store", "sha256:1")
    return SamePictureSearch(
        ExactIndex.build(vectors(gallery), ROWS, {}, seed=0),
        regions_index(vectors(regions), ROWS),
        store.fingerprints[ROWS],
        ROWS,
        store,
        tiny,
        SETTINGS,
        embed,
        threshold=6.0,
    )


@pytest.fixture(scope="module")
def search(tmp_path_factory: pytest.TempPathFactory, texture: Draw, tiny: Network) -> SamePictureSearch:
    folder = tmp_path_factory.mktemp("gallery")
    return search_over([texture(seed) for seed in range(9)], folder, tiny)


def test_a_region_stands_for_its_picture(search: SamePictureSearch, texture: Draw, tiny: Network) -> None:
    assert search.regions is not None
    assert search.regions.count == 5 * len(ROWS)
    for row in ROWS:
        for region in gallery_regions(texture(int(row))):
            distances, rows = search.regions.search(embed(for_embedding(region, tiny)[None]), 1)
            assert (rows[0, 0], distances[0, 0] < 1e-3) == (row, True)


def test_a_picture_pools_the_mean_of_its_own_regions() -> None:
    vectors = np.array([[4, 0], [0, 2]], np.float32)
    regions = np.array([[1, 0], [0, 1], [1, 1], [1, 1], [2, 2], *5 * [[-3, 6]]], np.float32)
    # The means are (1, 1) and (-3, 6); a third of each average is theirs.
    np.testing.assert_allclose(pooled(vectors, regions, 0.5), [[3, 1 / 3], [-1, 10 / 3]], rtol=1e-6)
    np.testing.assert_array_equal(pooled(vectors, regions, 0), vectors)


@pytest.mark.parametrize("turned", [None, *Image.Transpose])
def test_a_turned_or_mirrored_crop_is_here(
    search: SamePictureSearch, texture: Draw, turned: Image.Transpose | None
) -> None:
    query = texture(5).crop((60, 45, 220, 165))
    answer = search.search(query.transpose(turned) if turned is not None else query)
    assert answer.here
    assert answer.verified[0].row == 5
    corners = answer.verified[0].outline
    np.testing.assert_allclose(corners.min(axis=0), [60, 45], atol=1.5)
    np.testing.assert_allclose(corners.max(axis=0), [219, 164], atol=1.5)


@pytest.mark.parametrize(
    "edit",
    [
        lambda picture: picture.crop((60, 45, 220, 165)),
        lambda picture: picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        lambda picture: picture.convert("L").convert("RGB").filter(ImageFilter.GaussianBlur(2)),
    ],
    ids=["cropped", "mirrored", "grey and blurred"],
)
def test_of_a_picture_that_is_twice_in_the_gallery_both_are_named(
    tmp_path: Path, texture: Draw, tiny: Network, edit: Callable[[Image.Image], Image.Image]
) -> None:
    pictures = [texture(seed) for seed in range(9)]
    pictures[8] = pictures[5].resize((240, 180))
    settings = SETTINGS.model_copy(update={"candidates": len(ROWS)})
    answer = replace(search_over(pictures, tmp_path, tiny), settings=settings).search(edit(pictures[5]))
    assert answer.here
    assert {one.row for one in answer.verified if one.evidence > 6.0} == {5, 8}
    assert answer.verified[0].row in {5, 8}


def test_candidates_are_drawn_from_every_ranking_in_turn(search: SamePictureSearch, texture: Draw) -> None:
    query = search.look(texture(7))
    vectors = embed(query.pixels)
    rankings = search.rankings(vectors, query.features)
    assert list(rankings) == ["views", "fingerprint", "regions", "whitened"]
    expected: list[int] = []
    for place in range(SETTINGS.candidates):
        for _, rows in rankings.values():
            expected += [int(row) for row in rows[place : place + 1] if row not in expected]
    assert search.drawn(rankings).tolist() == expected[: SETTINGS.candidates]
    assert expected[0] == 7


def test_what_is_blurred_beyond_recognition_is_found_by_its_fingerprint(
    search: SamePictureSearch, texture: Draw
) -> None:
    blurred = search.look(texture(8).filter(ImageFilter.GaussianBlur(12)))
    _, rows = search.rankings(embed(blurred.pixels), blurred.features)["fingerprint"]
    assert rows[0] == 8


def test_a_stranger_is_not_here(search: SamePictureSearch, texture: Draw) -> None:
    for seed in (0, 1, 2, 100, 101):  # three of the catalog, but not of the gallery
        assert search.search(texture(seed)).here is False


@pytest.mark.parametrize(
    "query",
    [
        Image.new("RGB", (200, 150), "red"),
        Image.linear_gradient("L").convert("RGB"),
        Image.new("RGB", (8, 8), "white"),
        Image.effect_noise((8, 8), 90).convert("RGB"),
        Image.effect_noise((20_000, 50), 90).convert("RGB"),
        Image.new("RGB", (1, 1)),
    ],
    ids=["one colour", "gradient", "8 px", "8 px of noise", "20,000 x 50", "one pixel"],
)
def test_what_has_nothing_to_prove_it_is_not_here(search: SamePictureSearch, query: Image.Image) -> None:
    assert search.search(query).here is False


def test_without_candidates_it_is_not_here(search: SamePictureSearch, texture: Draw) -> None:
    class Empty:
        def search(self, queries: Any, k: int) -> tuple[Any, Any]:
            return np.full((len(queries), k), np.inf, np.float32), np.full((len(queries), k), -1)

    empty: Any = Empty()
    nothing = replace(search, whole=empty, regions=empty, fingerprints=np.zeros(0, np.uint64), rows=ROWS[:0])
    answer = nothing.search(texture(5))
    assert (answer.here, answer.verified, len(answer.candidates)) == (False, [], 0)


def test_without_a_calibration_it_does_not_say(search: SamePictureSearch, texture: Draw) -> None:
    unsure = replace(search, threshold=None)
    assert unsure.search(texture(5)).here is None


def test_the_store_is_that_of_the_catalog(search: SamePictureSearch) -> None:
    folder = Path(str(search.store.points.filename)).parent  # type: ignore[attr-defined]
    with pytest.raises(Exception, match="of another catalog"):
        LocalFeatureStore.open(folder, "sha256:2")
