import numpy as np
import numpy.typing as npt
import pytest

from ris.errors import RisError
from ris.indexes import exact as knn
from ris.indexes.exact import ExactIndex, lower_bound_of_kth_largest


def brute_force(
    vectors: npt.NDArray[np.float32],
    queries: npt.NDArray[np.float32],
    k: int,
    allowed: npt.NDArray[np.bool_] | None = None,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Return distances and positions by a loop in double precision."""
    distances = np.array(
        [
            [np.sqrt(((x - q) ** 2).sum()) for x in vectors.astype(np.float64)]
            for q in queries.astype(np.float64)
        ]
    )
    if allowed is not None:
        distances[:, ~allowed] = np.inf
        k = min(k, int(allowed.sum()))
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(distances, order, axis=1), order


@pytest.mark.parametrize(
    ("count", "dimension", "offset", "spread"),
    [
        (1, 3, 0, 1),
        (7, 1, 0, 1),
        (900, 16, 0, 1),
        (1100, 128, 0, 0.1),
        (700, 8, 1000, 1e-2),
        (600, 5, 0, 1e-18),
    ],
)
@pytest.mark.parametrize("k", [1, 10, 300])
def test_equals_brute_force(count: int, dimension: int, offset: float, spread: float, k: int) -> None:
    rng = np.random.default_rng(count)
    drawn = (offset + spread * rng.standard_normal((count + 6, dimension))).astype(np.float32)
    vectors, queries = drawn[:count], np.concatenate([drawn[count:], drawn[:2]])
    distances, found = ExactIndex.build(vectors, {}, seed=0).search(queries, k)
    expected, positions = brute_force(vectors, queries, k)
    np.testing.assert_array_equal(found, positions)
    np.testing.assert_allclose(distances, expected, rtol=1e-6)
    assert distances.dtype == np.float32
    assert found.dtype == np.int64


@pytest.mark.parametrize("share", [0.0, 0.002, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("k", [1, 10, 700])
def test_of_some_that_are_allowed_it_equals_brute_force(share: float, k: int) -> None:
    rng = np.random.default_rng(7)
    drawn = rng.standard_normal((606, 12)).astype(np.float32)
    drawn[100:110] = drawn[0]
    vectors, queries = drawn[:600], np.concatenate([drawn[600:], drawn[:1]])
    allowed = rng.random(600) < share
    distances, found = ExactIndex.build(vectors, {}, seed=0).search(queries, k, allowed)
    expected, positions = brute_force(vectors, queries, k, allowed)
    np.testing.assert_array_equal(found, positions)
    np.testing.assert_allclose(distances, expected, rtol=1e-6)


def test_among_some_positions() -> None:
    vectors = np.random.default_rng(3).standard_normal((50, 4)).astype(np.float32)
    positions = np.array([3, 8, 20, 49])
    distances, found = ExactIndex(vectors).among(vectors[8], 3, positions)
    expected = np.linalg.norm(vectors[positions].astype(np.float64) - vectors[8], axis=1)
    np.testing.assert_array_equal(found, positions[np.argsort(expected)[:3]])
    np.testing.assert_allclose(distances, np.sort(expected)[:3], rtol=1e-6)


def test_neighbours_that_float32_products_cannot_tell_apart() -> None:
    """Their scores differ by less than rounding does; the order must come out all the same."""
    rng = np.random.default_rng(0)
    direction = rng.standard_normal(64)
    steps = rng.permutation(2000)
    vectors = (100 + 1e-4 * steps[:, None] * direction).astype(np.float32)
    query = np.full((1, 64), 100, dtype=np.float32)
    distances, rows = ExactIndex.build(vectors, {}, seed=0).search(query, 20)
    np.testing.assert_array_equal(rows, brute_force(vectors, query, 20)[1])
    assert distances[0, 0] == 0


def test_distances_that_float32_cannot_tell_apart() -> None:
    steps = np.random.default_rng(0).permutation(500)
    vectors = np.stack([np.ones(500), 1e-4 * steps], axis=1).astype(np.float32)
    rows = ExactIndex.build(vectors, {}, seed=0).search(np.zeros((1, 2), dtype=np.float32), 30)[1]
    np.testing.assert_array_equal(steps[rows[0]], np.arange(30))


def test_equal_distances_are_ordered_by_position() -> None:
    vectors = np.tile(np.eye(4, dtype=np.float32), (300, 1))
    distances, rows = ExactIndex.build(vectors, {}, seed=0).search(vectors[2:3], 310)
    np.testing.assert_array_equal(rows[0, :300], np.arange(2, 1200, 4))
    np.testing.assert_array_equal(rows[0, 300:], [i for i in range(1200) if i % 4 != 2][:10])
    np.testing.assert_allclose(distances[0, [0, 299, 300]], [0, 0, np.sqrt(2)], rtol=1e-6)


def test_a_batch_in_parts_equals_one_query_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    index = ExactIndex.build(rng.standard_normal((400, 6), dtype=np.float32), {}, seed=0)
    queries = rng.standard_normal((11, 6), dtype=np.float32)
    monkeypatch.setattr(knn, "_SCORES_AT_ONCE", 3 * 400)
    distances, rows = index.search(queries, 5)
    for i, query in enumerate(queries):
        alone = index.search(query[None], 5)
        np.testing.assert_array_equal(distances[i], alone[0][0])
        np.testing.assert_array_equal(rows[i], alone[1][0])
    assert index.search(queries[:0], 5)[1].shape == (0, 5)


@pytest.mark.parametrize("k", [1, 3, 40, 999, 1000])
def test_the_bound_is_reached_by_k_values_and_by_few_more(k: int) -> None:
    values = np.random.default_rng(k).standard_normal(1000).astype(np.float32)
    reached = int((values >= lower_bound_of_kth_largest(values, k)).sum())
    assert k <= reached <= 1.2 * k + 1


def test_bad_vectors_and_queries_are_refused() -> None:
    vectors = np.eye(3, dtype=np.float32)
    with pytest.raises(RisError, match="vectors to index hold a NaN"):
        ExactIndex.build(np.full((2, 3), np.nan, dtype=np.float32), {}, seed=0)
    with pytest.raises(RisError, match="no vector to index"):
        ExactIndex.build(vectors[:0], {}, seed=0)
    index = ExactIndex.build(vectors, {}, seed=0)
    with pytest.raises(RisError, match="queries have 2 dimensions where 3 are expected"):
        index.search(vectors[:, :2], 1)
    with pytest.raises(RisError, match="queries hold a NaN"):
        index.search(np.full((1, 3), np.inf, dtype=np.float32), 1)
    with pytest.raises(RisError, match="k is 0"):
        index.search(vectors, 0)
