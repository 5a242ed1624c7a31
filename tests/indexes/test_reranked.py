"""Re-ranking, against plain loops over what is left of the vectors."""

import numpy as np
import numpy.typing as npt
import pytest

from ris.config import Reranking
from ris.errors import RisError
from ris.indexes.projection import normalise
from ris.indexes.reranked import SPARE, Reranked, averaged

Doubles = npt.NDArray[np.float64]
Vectors = npt.NDArray[np.float32]
COUNT = 90
SETTINGS = [
    Reranking(augmented=6, expanded=5, alpha=0.0),
    Reranking(augmented=6, expanded=70, alpha=3.0),
    Reranking(augmented=1, expanded=1, alpha=0.0),
    Reranking(augmented=200, expanded=200, alpha=0.5),
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


def unit(vector: Doubles) -> Doubles:
    length = np.linalg.norm(vector)
    return vector / length if length else vector


def by_distance(vector: Doubles, among: Doubles) -> list[int]:
    return sorted(range(len(among)), key=lambda i: float(((among[i] - vector) ** 2).sum()))


def by_loops(vectors: Vectors, query: Vectors, settings: Reranking) -> Doubles:
    """Return the distance (n,) of every vector, all of them averaged, from a query that is drawn to them."""
    gallery, k = vectors.astype(np.float64), min(settings.augmented, len(vectors))
    averages = []
    for x in gallery:
        total = np.zeros_like(x)
        for r, i in enumerate(by_distance(x, gallery)[:k]):
            total += (k - r) / k * gallery[i]
        averages.append(unit(total))
    asked = query.astype(np.float64)
    drawn = asked.copy()
    for i in by_distance(asked, np.array(averages))[: settings.expanded]:
        drawn += max(float(asked @ averages[i]), 0.0) ** settings.alpha * averages[i]
    return np.array([np.sqrt(((x - unit(drawn)) ** 2).sum()) for x in averages])


def assert_nearest(found: tuple[Vectors, npt.NDArray[np.int64]], expected: Doubles, k: int) -> None:
    """Check distances and positions (k,) against the distance of every vector, infinite where hidden."""
    distances, positions = found
    assert distances.dtype == np.float32
    assert positions.dtype == np.int64
    assert len(set(positions.tolist())) == len(positions) == min(k, int(np.isfinite(expected).sum()))
    np.testing.assert_allclose(distances, np.sort(expected)[: len(distances)], atol=1e-5)
    np.testing.assert_allclose(expected[positions], distances, atol=1e-5)


@pytest.mark.parametrize("settings", SETTINGS)
def test_it_equals_loops(vectors: Vectors, queries: Vectors, settings: Reranking) -> None:
    search = Reranked(vectors, settings)
    distances, positions = search.search_many(queries, 30)
    for i, query in enumerate(queries):
        expected = by_loops(vectors, query, settings)
        assert_nearest((distances[i], positions[i]), expected, 30)
        alone = search.search(query, 30)
        np.testing.assert_array_equal(alone[0], distances[i])
        np.testing.assert_array_equal(alone[1], positions[i])


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("left_out", [1, SPARE + 20, COUNT - 4, COUNT - 1])
def test_what_is_left_out_is_as_if_it_was_never_there(
    vectors: Vectors, queries: Vectors, settings: Reranking, left_out: int
) -> None:
    search = Reranked(vectors, settings)
    for number, query in enumerate(queries):
        gone = np.random.default_rng(number).permutation(COUNT)[:left_out]
        left = np.setdiff1d(np.arange(COUNT), gone)
        expected = np.full(COUNT, np.inf)
        expected[left] = by_loops(vectors[left], query, settings)
        assert_nearest(search.search(query, 12, without=gone), expected, 12)
        allowed = np.arange(COUNT) % 3 == 0
        expected[~allowed] = np.inf
        assert_nearest(search.search(query, 12, allowed, gone), expected, 12)


def test_where_all_is_left_out_nothing_is_found(vectors: Vectors, queries: Vectors) -> None:
    distances, positions = Reranked(vectors, SETTINGS[0]).search(queries[0], 5, without=np.arange(COUNT))
    assert len(distances) == len(positions) == 0


def test_near_duplicates_that_are_left_out_do_not_speak_for_their_neighbours(vectors: Vectors) -> None:
    search = Reranked(vectors, SETTINGS[0])
    of_all, _ = search.search(vectors[12], 5, without=np.array([12]))
    of_others, positions = search.search(vectors[12], 5, without=np.array([12, 40]))
    assert 40 not in positions
    assert (of_others > of_all).all()


def test_a_filter_hides_hits_and_not_what_they_say(vectors: Vectors, queries: Vectors) -> None:
    search = Reranked(vectors, SETTINGS[0])
    allowed = np.arange(COUNT) % 3 == 0
    many = search.search_many(queries, COUNT, allowed)
    for i, query in enumerate(queries):
        distances, positions = search.search(query, COUNT)
        chosen = allowed[positions]
        for found in (search.search(query, COUNT, allowed), (many[0][i], many[1][i])):
            np.testing.assert_array_equal(found[0], distances[chosen])
            np.testing.assert_array_equal(found[1], positions[chosen])


def test_lengths_do_not_matter(vectors: Vectors, queries: Vectors) -> None:
    lengths = np.random.default_rng(2).uniform(0.5, 2, size=(COUNT, 1)).astype(np.float32)
    expected = Reranked(vectors, SETTINGS[0]).search_many(queries, 7)
    distances, positions = Reranked(lengths * vectors, SETTINGS[0]).search_many(3 * queries, 7)
    np.testing.assert_array_equal(positions, expected[1])
    np.testing.assert_allclose(distances, expected[0], atol=1e-6)


def test_averaged_with_itself_alone_changes_nothing(vectors: Vectors) -> None:
    np.testing.assert_allclose(averaged(vectors, np.arange(COUNT)[:, None]), vectors, atol=1e-6)


def test_equal_vectors_come_in_the_order_given(vectors: Vectors) -> None:
    same = np.concatenate([vectors[1:20], np.repeat(vectors[:1], 40, axis=0)])
    _, positions = Reranked(same, SETTINGS[0]).search(vectors[0], 59)
    np.testing.assert_array_equal(positions[:40], np.arange(19, 59))


def test_zero_vectors_are_let_through(vectors: Vectors) -> None:
    some = np.concatenate([vectors, np.zeros((1, 6), np.float32)])
    distances, positions = Reranked(some, SETTINGS[0]).search(np.zeros(6, np.float32), COUNT + 1)
    assert np.isfinite(distances).all()
    np.testing.assert_array_equal(np.sort(positions), np.arange(COUNT + 1))


def test_refuses_what_it_cannot_search(vectors: Vectors, queries: Vectors) -> None:
    with pytest.raises(RisError, match="no vector"):
        Reranked(vectors[:0], SETTINGS[0])
    with pytest.raises(RisError, match="vectors to index hold a NaN"):
        Reranked(vectors * np.float32(np.nan), SETTINGS[0])
    search = Reranked(vectors, SETTINGS[0])
    with pytest.raises(RisError, match="k is 0"):
        search.search(queries[0], 0)
    with pytest.raises(RisError, match="queries have 3 dimensions where 6 are expected"):
        search.search_many(queries[:, :3], 5)
    with pytest.raises(RisError, match="queries hold a NaN"):
        search.search(queries[0] * np.float32(np.nan), 5, without=np.array([1]))
