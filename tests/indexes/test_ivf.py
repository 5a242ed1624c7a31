import numpy as np
import numpy.typing as npt
import pytest

from ris.errors import RisError
from ris.indexes.exact import ExactIndex
from ris.indexes.index import tuned
from ris.indexes.ivf import LISTS, IvfIndex, fit_centres

ALL = {"n_probes": 10**6}


@pytest.fixture(scope="module")
def vectors() -> npt.NDArray[np.float32]:
    rng = np.random.default_rng(0)
    centres = 2 * rng.standard_normal((20, 16), np.float32)
    return centres[rng.integers(20, size=2000)] + rng.standard_normal((2000, 16), np.float32)


@pytest.fixture(scope="module")
def queries(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return vectors[::40] + np.random.default_rng(1).standard_normal((50, 16), np.float32) / np.float32(4)


def test_with_every_partition_it_equals_the_exact_search(
    vectors: npt.NDArray[np.float32], queries: npt.NDArray[np.float32]
) -> None:
    distances, positions = IvfIndex.build(vectors, ALL, seed=0).search(queries, 10)
    expected, exact = ExactIndex(vectors).search(queries, 10)
    np.testing.assert_array_equal(positions, exact)
    np.testing.assert_allclose(distances, expected, rtol=1e-4)


def test_more_probes_find_more(vectors: npt.NDArray[np.float32], queries: npt.NDArray[np.float32]) -> None:
    exact = ExactIndex(vectors).search(queries, 10)[1]
    index = IvfIndex.build(vectors, {"n_probes": 1}, seed=0)
    recalls = []
    for n_probes in (1, 4, 40):
        found = tuned(index, {"n_probes": n_probes}).search(queries, 10)[1]
        recalls.append(np.mean([np.isin(exact[i], found[i]).mean() for i in range(len(queries))]))
    assert recalls == sorted(recalls)
    assert recalls[0] < 0.9 < 0.99 < recalls[2]


@pytest.mark.parametrize("n_probes", [1, 3])
def test_it_looks_into_the_partitions_of_the_nearest_centres(
    vectors: npt.NDArray[np.float32], queries: npt.NDArray[np.float32], n_probes: int
) -> None:
    index = IvfIndex.build(vectors, {"n_probes": n_probes}, seed=0)

    def far(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        gaps: npt.NDArray[np.float64] = np.linalg.norm(a.astype(np.float64)[:, None] - b[None], axis=2)
        return gaps

    own = far(vectors, index.centres).argmin(axis=1)
    probed = far(queries, index.centres).argsort(axis=1)[:, :n_probes]
    distances, positions = index.search(queries, 5)
    for query, partitions, found, at in zip(queries, probed, positions, distances, strict=True):
        inside = np.flatnonzero(np.isin(own, partitions))
        if len(inside) >= 5:
            of_inside = far(query[None], vectors[inside])[0]
            np.testing.assert_array_equal(found, inside[np.argsort(of_inside)[:5]])
            np.testing.assert_allclose(at, np.sort(of_inside)[:5], rtol=1e-4)


def test_what_is_added_is_found(vectors: npt.NDArray[np.float32], queries: npt.NDArray[np.float32]) -> None:
    index = IvfIndex.build(vectors[:1500], ALL, seed=0)
    index.add(vectors[1500:], index.partitions(vectors[1500:]))
    assert index.count == 2000
    np.testing.assert_array_equal(index.search(queries, 10)[1], ExactIndex(vectors).search(queries, 10)[1])
    narrow = tuned(index, {"n_probes": 1})
    np.testing.assert_array_equal(narrow.search(vectors[1500:], 1)[1][:, 0], np.arange(1500, 2000))


def test_vectors_come_back_by_position(vectors: npt.NDArray[np.float32]) -> None:
    index = IvfIndex.build(vectors[:1500], ALL, seed=0)
    some = np.array([3, 700, 4, 1499])
    np.testing.assert_array_equal(index.at(some), vectors[some])
    index.add(vectors[1500:], index.partitions(vectors[1500:]))
    np.testing.assert_array_equal(index.at(np.array([1999, 0])), vectors[[1999, 0]])


def test_a_query_answers_alone_as_in_a_batch(
    vectors: npt.NDArray[np.float32], queries: npt.NDArray[np.float32]
) -> None:
    """Some partitions hold fewer than are asked for, so that all are looked at for these queries alone."""
    index = IvfIndex.build(vectors, {"n_probes": 1}, seed=0)
    together = index.search(queries, 20)[1]
    alone = np.concatenate([index.search(query[None], 20)[1] for query in queries])
    np.testing.assert_array_equal(together, alone)
    exact = ExactIndex(vectors).search(queries, 20)[1]
    assert 0 < (together == exact).all(axis=1).sum() < len(queries)


def test_partitions_are_a_multiple_of_the_square_root(vectors: npt.NDArray[np.float32]) -> None:
    assert len(fit_centres(vectors, 2000, 0)) == round(LISTS * 2000**0.5)
    assert len(fit_centres(vectors[:500], 2000, 0)) == round(LISTS * 2000**0.5)
    assert len(fit_centres(vectors[:2], 2000, 0)) == 2
    assert len(fit_centres(vectors[:1], 1, 0)) == 1


def test_the_seed_decides_the_partitions(vectors: npt.NDArray[np.float32]) -> None:
    first, again, other = (fit_centres(vectors, 2000, seed) for seed in (3, 3, 4))
    assert first.tobytes() == again.tobytes() != other.tobytes()


def test_bad_vectors_and_queries_are_refused(vectors: npt.NDArray[np.float32]) -> None:
    with pytest.raises(RisError, match="no vector to index"):
        IvfIndex.build(vectors[:0], ALL, seed=0)
    with pytest.raises(RisError, match="vectors to index hold a NaN"):
        IvfIndex.build(vectors * np.float32(np.nan), ALL, seed=0)
    index = IvfIndex.build(vectors[:100], ALL, seed=0)
    with pytest.raises(RisError, match="vectors to add have 5 dimensions where 16 are expected"):
        index.add(vectors[:, :5], np.zeros(2000, np.int64))
    with pytest.raises(RisError, match="queries have 5 dimensions where 16 are expected"):
        index.search(vectors[:, :5], 1)
    with pytest.raises(RisError, match="k is 0"):
        index.search(vectors, 0)
