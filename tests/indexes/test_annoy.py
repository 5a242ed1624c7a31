import numpy as np
import numpy.typing as npt
import pytest

from ris.errors import RisError
from ris.indexes.annoy import AnnoyIndex
from ris.indexes.exact import ExactIndex
from ris.indexes.index import tuned


@pytest.fixture(scope="module")
def vectors() -> npt.NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal((1500, 24), dtype=np.float32)


def built(
    vectors: npt.NDArray[np.float32], n_trees: int = 8, search_k: int = -1, seed: int = 0
) -> AnnoyIndex:
    return AnnoyIndex.build(vectors, {"n_trees": n_trees, "search_k": search_k}, seed)


def test_equals_the_exact_search_when_it_inspects_everything(vectors: npt.NDArray[np.float32]) -> None:
    queries = np.random.default_rng(1).standard_normal((30, 24), dtype=np.float32)
    distances, positions = built(vectors, search_k=10**6).search(queries, 7)
    expected, expected_positions = ExactIndex.build(vectors, {}, seed=0).search(queries, 7)
    np.testing.assert_array_equal(positions, expected_positions)
    np.testing.assert_allclose(distances, expected, rtol=1e-5)
    assert distances.dtype == np.float32
    assert positions.dtype == np.int64


def test_search_k_trades_recall_and_leaves_the_index_as_it_was(vectors: npt.NDArray[np.float32]) -> None:
    queries = np.random.default_rng(1).standard_normal((60, 24), dtype=np.float32)
    exact = ExactIndex.build(vectors, {}, seed=0).search(queries, 10)[1]
    narrow = built(vectors, search_k=50)

    def recall(index: AnnoyIndex) -> float:
        found = index.search(queries, 10)[1]
        return float(np.mean([np.isin(exact[i], found[i]).mean() for i in range(len(queries))]))

    wide = tuned(narrow, {"search_k": 4000})
    assert wide.parameters == {"n_trees": 8, "search_k": 4000, "seed": 0}
    assert recall(narrow) < 0.6
    assert recall(wide) > 0.95
    assert narrow.parameters["search_k"] == 50


@pytest.mark.parametrize("k", [200, 1500, 5000])
def test_k_neighbours_come_back_however_few_nodes_are_inspected(
    vectors: npt.NDArray[np.float32], k: int
) -> None:
    distances, positions = built(vectors, n_trees=1, search_k=1).search(vectors[:3], k)
    assert positions.shape == (3, min(k, 1500))
    assert all(len(set(found)) == len(found) for found in positions.tolist())
    assert (np.diff(distances, axis=1) >= 0).all()


def test_equal_distances_are_ordered_by_position() -> None:
    same = np.repeat(np.eye(3, dtype=np.float32), 500, axis=0)
    positions = AnnoyIndex.build(same, {"n_trees": 2, "search_k": 10**6}, 0).search(same[:1], 500)[1]
    np.testing.assert_array_equal(positions[0], np.arange(500))


def test_the_seed_decides_the_trees(vectors: npt.NDArray[np.float32]) -> None:
    queries = vectors[:40] + np.float32(0.5)
    first, again, other = (built(vectors, 2, 20, seed).search(queries, 10)[1] for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_bad_vectors_and_queries_are_refused(vectors: npt.NDArray[np.float32]) -> None:
    with pytest.raises(RisError, match="vectors to index hold a NaN"):
        built(np.full((1500, 3), np.nan, dtype=np.float32))
    index = built(vectors)
    with pytest.raises(RisError, match="queries have 5 dimensions where 24 are expected"):
        index.search(vectors[:, :5], 1)
    with pytest.raises(RisError, match="queries hold a NaN"):
        index.search(vectors * np.float32(np.nan), 1)
    with pytest.raises(RisError, match="k is -1"):
        index.search(vectors, -1)
