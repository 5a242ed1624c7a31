"""Re-ranking in a store, against the pipeline's own search fitted to what is left of the gallery."""

import numpy as np
import numpy.typing as npt
import pytest

from ris.config import Reranking
from ris.gallery.reranked import SPARE, Reranked
from ris.gallery.spaces import Space
from ris.indexes.projection import Projection, normalise
from ris.indexes.reranking import AlphaQueryExpansion, augmented

Vectors = npt.NDArray[np.float32]
COUNT = 90
SETTINGS = [
    Reranking(augmented=6, expanded=5, alpha=0.0),
    Reranking(augmented=6, expanded=70, alpha=3.0),
    Reranking(augmented=1, expanded=1, alpha=0.0),
]


@pytest.fixture
def vectors() -> Vectors:
    """Some of them equal, and some clustered, so that a few are the neighbours of many."""
    rng = np.random.default_rng(0)
    drawn = rng.normal(size=(COUNT, 6)) + 3 * np.eye(6)[rng.integers(3, size=COUNT)]
    drawn[40] = drawn[12]
    return normalise(drawn.astype(np.float32))


@pytest.fixture
def queries() -> Vectors:
    return normalise(np.random.default_rng(1).normal(size=(8, 6)).astype(np.float32))


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("left_out", [0, 1, SPARE + 20, COUNT - 4, COUNT - 1])
def test_what_is_left_out_is_as_if_it_was_never_there(
    vectors: Vectors, queries: Vectors, settings: Reranking, left_out: int
) -> None:
    search, everything = Reranked(Space(vectors), settings), np.ones(COUNT, np.bool_)
    for number, query in enumerate(queries):
        gone = np.random.default_rng(number).permutation(COUNT)[:left_out]
        left = np.setdiff1d(np.arange(COUNT), gone)
        k = min(settings.expanded, len(left))
        gallery = augmented(vectors[left], settings.augmented)
        reference = AlphaQueryExpansion.fit(gallery, left, k, settings.alpha)
        distances, rows = reference.search(query[None], min(12, len(left)))
        found, positions = search.search(query, 12, everything, gone)
        assert positions.tolist() == rows[0].tolist()
        np.testing.assert_allclose(found, distances[0], atol=1e-6)


def test_near_copies_that_are_left_out_do_not_speak_for_their_neighbours(vectors: Vectors) -> None:
    settings = SETTINGS[0]
    search, everything = Reranked(Space(vectors), settings), np.ones(COUNT, np.bool_)
    of_all, _ = search.search(vectors[12], 5, everything, np.array([12]))
    of_others, positions = search.search(vectors[12], 5, everything, np.array([12, 40]))
    assert 40 not in positions
    assert (of_others > of_all).all()


def test_a_filter_hides_hits_and_not_what_they_say(vectors: Vectors, queries: Vectors) -> None:
    search = Reranked(Space(vectors), SETTINGS[0])
    none, everything = np.zeros(0, np.int64), np.ones(COUNT, np.bool_)
    allowed = np.arange(COUNT) % 3 == 0
    for query in queries:
        distances, positions = search.search(query, COUNT, everything, none)
        chosen = allowed[positions]
        found = search.search(query, COUNT, allowed, none)
        np.testing.assert_array_equal(found[0], distances[chosen])
        np.testing.assert_array_equal(found[1], positions[chosen])


def test_queries_come_into_the_space_that_is_searched(vectors: Vectors, queries: Vectors) -> None:
    for unit in (True, False):
        projection = Projection.fit(vectors, 4, 0.5, normalise=unit)
        search = Reranked(Space(projection.apply(vectors), projection), SETTINGS[0])
        inside = Reranked(Space(normalise(projection.apply(vectors))), SETTINGS[0])
        everything, none = np.ones(COUNT, np.bool_), np.zeros(0, np.int64)
        for query, within in zip(queries, normalise(projection.apply(queries)), strict=True):
            one, other = (
                some.search(asked, 7, everything, none) for some, asked in ((search, query), (inside, within))
            )
            np.testing.assert_array_equal(one[1], other[1])
            np.testing.assert_allclose(one[0], other[0], atol=1e-6)
