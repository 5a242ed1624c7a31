"""One search from picture to answer: edited pictures are found, and what cannot be found is not here."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageFilter

from ris.config import Network
from ris.copies.local_features import LocalFeatures, decode, describe, encode
from ris.copies.threshold import Threshold
from ris.copies.views import gallery_regions, pooled, query_views
from ris.copies.words import InvertedIndex, words_of
from ris.encoders.transforms import Pixels, for_embedding
from ris.gallery.arrays import ArrayGallery, Parts, catalogue_of
from ris.gallery.search import Prepared, same
from ris.gallery.settings import Settings
from ris.gallery.spaces import Candidates, Space, Whitened, drawn
from ris.indexes.exact import ExactIndex
from ris.indexes.projection import Projection, normalise
from ris.types import Finding

Draw = Callable[..., Image.Image]
ROWS = np.arange(3, 9)
"""Rows of the gallery; three other pictures come before them."""
SETTINGS = Settings(same_picture=True, candidates=4, gallery_features=300, query_features=600)


class Kept(list[LocalFeatures]):
    """Local features as they are kept."""

    side = 640


def embed(pixels: Pixels) -> npt.NDArray[np.float32]:
    """Colours of an 8 x 8 mosaic."""
    mosaic = pixels.astype(np.float32).reshape(len(pixels), 3, 8, 4, 8, 4).mean(axis=(3, 5))
    return normalise(mosaic.reshape(len(pixels), -1) - 127)


def as_it_is(dimension: int) -> Projection:
    """The projection that changes nothing."""
    zeros = np.zeros(dimension, np.float32)
    return Projection(
        zeros,
        np.eye(dimension, dtype=np.float32),
        zeros + 1,
        zeros + 1,
        True,
        np.zeros((0, dimension), np.float32),
        0.0,
    )


@dataclass
class Finder:
    """A gallery, and how queries are prepared."""

    gallery: ArrayGallery
    network: Network

    def vectors(self, images: list[Image.Image]) -> npt.NDArray[np.float32]:
        return np.concatenate([embed(for_embedding(image, self.network)[None]) for image in images])

    def prepared(self, image: Image.Image) -> tuple[npt.NDArray[np.float32], Prepared]:
        views = self.vectors(query_views(image))
        return views, Prepared(views[0], describe(image, SETTINGS.query_features, SETTINGS.side))

    def asked(self, image: Image.Image) -> tuple[npt.NDArray[np.float32], LocalFeatures]:
        return self.vectors([image]), describe(image, SETTINGS.query_features, SETTINGS.side)

    def find(self, image: Image.Image, k: int = 4) -> Finding:
        return same(self.gallery, *self.prepared(image), k, None)


def finder_over(pictures: list[Image.Image], network: Network, candidates: int = 4) -> Finder:
    """A search among those pictures that `ROWS` names."""
    gallery = [pictures[row] for row in ROWS]
    kept = Kept(decode(encode(describe(one, SETTINGS.gallery_features, SETTINGS.side))) for one in gallery)
    finder = Finder(None, network)  # type: ignore[arg-type]
    whole = finder.vectors(gallery)
    regions = finder.vectors([region for picture in gallery for region in gallery_regions(picture)])
    projection = as_it_is(whole.shape[1])
    hashes = np.array([one.fingerprint for one in kept], np.uint64)
    words = words_of([one.descriptors for one in kept])
    searched = Candidates(
        Whitened(whole, np.ones(len(whole), np.float32), projection),
        Whitened(regions, np.ones(len(regions), np.float32), projection),
        hashes,
        InvertedIndex(np.concatenate(words), np.array([len(one) for one in words])),
    )
    names = [f"{row}.png" for row in ROWS]
    finder.gallery = ArrayGallery(
        catalogue_of(names, [""] * len(names), ROWS),
        SETTINGS.model_copy(update={"candidates": candidates}),
        Parts(Space(ExactIndex(whole)), hashes=hashes, candidates=searched, features=kept),
    )
    finder.gallery.threshold = Threshold(6.0, 0.01)
    return finder


@pytest.fixture(scope="module")
def finder(texture: Draw, tiny: Network) -> Finder:
    return finder_over([texture(seed) for seed in range(9)], tiny)


def test_a_region_stands_for_its_picture(finder: Finder, texture: Draw) -> None:
    candidates = finder.gallery.candidates
    assert candidates is not None
    for position, row in enumerate(ROWS):
        for region in gallery_regions(texture(int(row))):
            distances, positions = candidates.rankings(*finder.asked(region), 3)["regions"]
            assert distances is not None
            assert (positions[0], distances[0] < 1e-2) == (position, True)


def test_a_picture_pools_the_mean_of_its_own_regions() -> None:
    vectors = np.array([[4, 0], [0, 2]], np.float32)
    regions = np.array([[1, 0], [0, 1], [1, 1], [1, 1], [2, 2], *5 * [[-3, 6]]], np.float32)
    # The means are (1, 1) and (-3, 6); a third of each average is theirs.
    np.testing.assert_allclose(pooled(vectors, regions, 0.5), [[3, 1 / 3], [-1, 10 / 3]], rtol=1e-6)
    np.testing.assert_array_equal(pooled(vectors, regions, 0), vectors)


@pytest.mark.parametrize("turned", [None, *Image.Transpose])
def test_a_turned_or_mirrored_crop_is_here(
    finder: Finder, texture: Draw, turned: Image.Transpose | None
) -> None:
    query = texture(5).crop((60, 45, 220, 165))
    answer = finder.find(query.transpose(turned) if turned is not None else query)
    assert answer.here
    assert answer.hits[0].row == 5
    corners = np.array(answer.hits[0].outline)
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
    texture: Draw, tiny: Network, edit: Callable[[Image.Image], Image.Image]
) -> None:
    pictures = [texture(seed) for seed in range(9)]
    pictures[8] = pictures[5].resize((240, 180))
    answer = finder_over(pictures, tiny, candidates=len(ROWS)).find(edit(pictures[5]))
    assert answer.here
    assert {hit.row for hit in answer.hits if hit.same_picture} == {5, 8}


def test_candidates_are_drawn_from_every_ranking_in_turn(finder: Finder, texture: Draw) -> None:
    views, query = finder.prepared(texture(7))
    candidates = finder.gallery.candidates
    assert candidates is not None
    assert query.features is not None
    rankings = candidates.rankings(views, query.features, 4)
    assert list(rankings) == ["words", "views", "fingerprint", "regions", "whitened"]
    expected: list[int] = []
    for place in range(4):
        for _, positions in rankings.values():
            expected += [int(one) for one in positions[place : place + 1] if one not in expected]
    assert drawn(rankings, 4).tolist() == expected[:4]
    assert ROWS[expected[0]] == 7
    distances, positions = candidates.search(views, query.features, 4)
    assert positions.tolist() == expected[:4]
    gallery = candidates.whole.vectors[positions]
    np.testing.assert_allclose(distances, np.linalg.norm(gallery - views[0], axis=1), atol=1e-3)


def test_a_narrow_strip_is_found_by_its_words(finder: Finder, texture: Draw) -> None:
    assert finder.gallery.candidates is not None
    picture = texture(6)
    strip = picture.crop((0, picture.height // 3, picture.width, picture.height // 3 + picture.height // 6))
    for seen in (strip, strip.transpose(Image.Transpose.FLIP_LEFT_RIGHT)):
        _, positions = finder.gallery.candidates.rankings(*finder.asked(seen), 1)["words"]
        assert ROWS[positions].tolist() == [6]


def test_what_is_blurred_beyond_recognition_is_found_by_its_hash(finder: Finder, texture: Draw) -> None:
    views, query = finder.prepared(texture(8).filter(ImageFilter.GaussianBlur(12)))
    assert finder.gallery.candidates is not None
    assert query.features is not None
    _, positions = finder.gallery.candidates.rankings(views, query.features, 4)["fingerprint"]
    assert ROWS[positions[0]] == 8


def test_only_what_is_allowed_is_a_candidate(finder: Finder, texture: Draw) -> None:
    views, query = finder.prepared(texture(7))
    assert finder.gallery.candidates is not None
    assert query.features is not None
    allowed = ROWS != 7
    rankings = finder.gallery.candidates.rankings(views, query.features, 9, allowed)
    assert set(ROWS[rankings.pop("words")[1]].tolist()) <= {3, 4, 5, 6, 8}
    for _, positions in rankings.values():
        assert sorted(ROWS[positions].tolist()) == [3, 4, 5, 6, 8]
    assert same(finder.gallery, views, query, 4, allowed).here is False


def test_a_stranger_is_not_here(finder: Finder, texture: Draw) -> None:
    for seed in (0, 1, 2, 100, 101):  # three of the catalog, but not of the gallery
        assert finder.find(texture(seed)).here is False


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
def test_what_has_nothing_to_prove_it_is_not_here(finder: Finder, query: Image.Image) -> None:
    assert finder.find(query).here is False
