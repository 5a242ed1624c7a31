"""What an inverted file finds by each of the ways in which it searches."""

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from ris.errors import RisError
from ris.indexes import ivf
from ris.indexes.index import Mask
from ris.indexes.ivf import IvfIndex, in_order
from ris.indexes.vectors import Positions, Vectors

COUNT = 4000
RNG = np.random.default_rng(0)
CENTRES = RNG.standard_normal((60, 16), dtype=np.float32)
VECTORS = CENTRES[RNG.integers(60, size=COUNT)] + 0.3 * RNG.standard_normal((COUNT, 16), dtype=np.float32)
QUERIES = VECTORS[:25] + np.float32(0.01)


def nearest(vectors: Vectors, queries: Vectors, k: int, allowed: Mask | None = None) -> Positions:
    """Find positions by all differences, in double precision."""
    squares = ((queries[:, None].astype(np.float64) - vectors[None]) ** 2).sum(axis=2)
    if allowed is not None:
        squares[:, ~allowed] = np.inf
    return np.argsort(squares, axis=1, kind="stable")[:, :k]


def built(n_probes: int, vectors: Vectors = VECTORS) -> IvfIndex:
    return IvfIndex.build(vectors, {"n_probes": n_probes}, seed=0)


def mask(share: float) -> Mask:
    return np.random.default_rng(1).random(COUNT) < share


def counted(monkeypatch: pytest.MonkeyPatch, name: str) -> list[object]:
    """Note each call of a method of the index."""
    calls: list[object] = []
    method = getattr(IvfIndex, name)

    def noted(*arguments: Any) -> Any:
        calls.append(name)
        return method(*arguments)

    monkeypatch.setattr(IvfIndex, name, noted)
    return calls


@pytest.mark.parametrize("share", [0.9, 0.5, 0.2, 0.01, 0.002])
@pytest.mark.parametrize("way", ["some partitions", "all partitions", "gathered"])
def test_each_way_finds_what_is_allowed(share: float, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    allowed = mask(share)
    monkeypatch.setattr(ivf, "SPARSE", 0.0)
    monkeypatch.setattr(ivf, "FEW", COUNT if way == "gathered" else 0)
    monkeypatch.setattr(ivf, "WORTH", 0.0 if way == "all partitions" else np.inf)
    k = min(10, int(allowed.sum()))
    distances, positions = built(16).search(QUERIES, k, allowed)
    assert allowed[positions].all()
    truth = nearest(VECTORS, QUERIES, k, allowed)
    if way == "some partitions":
        assert np.mean([len(np.intersect1d(*pair)) / k for pair in zip(positions, truth, strict=True)]) > 0.97
    else:
        np.testing.assert_array_equal(positions, truth)
    differences = VECTORS[positions].astype(np.float64) - QUERIES[:, None]
    np.testing.assert_allclose(distances, np.linalg.norm(differences, axis=2), rtol=1e-5)
    assert (np.diff(distances, axis=1) >= 0).all()


def test_the_way_follows_the_share_that_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ivf, "FEW", 30)
    gathered, every = counted(monkeypatch, "_among"), counted(monkeypatch, "_search_all")
    index = built(4)
    for share, expected in ((1.0, (0, 0)), (0.5, (0, 0)), (0.05, (0, 1)), (0.005, (1, 0))):
        gathered.clear()
        every.clear()
        index.search(QUERIES, 5, mask(share))
        assert (len(gathered), len(every)) == expected


def test_a_filter_looks_at_as_many_of_the_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ivf, "FEW", 0)
    index = built(6)
    for allowed in (None, mask(0.8), mask(0.3)):
        truth = nearest(VECTORS, VECTORS[:300], 10, allowed)
        positions = index.search(VECTORS[:300], 10, allowed)[1]
        assert np.mean([len(np.intersect1d(*pair)) for pair in zip(positions, truth, strict=True)]) > 9.7


@pytest.mark.parametrize("allowed", [None, mask(0.9), mask(0.2), mask(0.01)])
def test_partitions_that_hold_too_few_are_completed_for_that_query_alone(allowed: Mask | None) -> None:
    apart = np.full((1, 16), 40, np.float32) + VECTORS[:1]
    vectors = np.concatenate([VECTORS[:-1], apart])
    index = built(1, vectors)
    k = 30
    together = index.search(np.concatenate([apart, QUERIES]), k, allowed)
    np.testing.assert_array_equal(together[1][:1], nearest(vectors, apart, k, allowed))
    for query, distances, positions in zip(QUERIES, together[0][1:], together[1][1:], strict=True):
        alone = index.search(query[None], k, allowed)
        np.testing.assert_array_equal(alone[0][0], distances)
        np.testing.assert_array_equal(alone[1][0], positions)


def test_of_equal_distances_the_lower_position_comes_first() -> None:
    vectors = np.tile(VECTORS[:40], (30, 1))
    for allowed in (None, np.arange(1200) % 3 > 0, np.arange(1200) < 300):
        distances, positions = built(3, vectors).search(VECTORS[:4], 9, allowed)
        among = np.arange(1200) if allowed is None else np.flatnonzero(allowed)
        for i in range(4):
            np.testing.assert_array_equal(positions[i, :8], among[among % 40 == i][:8])
        assert (distances[:, :8] == 0).all()


def test_distances_that_are_equal_only_after_their_root() -> None:
    squares = np.array([[1, np.nextafter(np.float32(1), np.float32(2)), 2]], np.float32)
    distances, positions = in_order(squares, np.array([[7, 3, 1]]))
    np.testing.assert_array_equal(positions, [[3, 7, 1]])
    np.testing.assert_array_equal(distances, np.sqrt(np.array([[1, 1, 2]], np.float32)))


def test_vectors_that_are_added_are_found_by_every_way() -> None:
    whole = built(8)
    grown = IvfIndex(whole.centres, {"n_probes": 8, "seed": 0})
    for start, end in ((0, 1000), (1000, 1001), (1001, COUNT)):
        grown.add(VECTORS[start:end], grown.partitions(VECTORS[start:end]))
    for allowed in (None, mask(0.6), mask(0.002)):
        for one, other in zip(
            whole.search(QUERIES, 6, allowed), grown.search(QUERIES, 6, allowed), strict=True
        ):
            np.testing.assert_array_equal(one, other)
    assert grown.count == COUNT


def test_other_probes_leave_the_first_as_it_was() -> None:
    index = built(1)
    before = index.search(QUERIES, 10)
    more = index.with_probes(10_000)
    np.testing.assert_array_equal(more.search(QUERIES, 10)[1], nearest(VECTORS, QUERIES, 10))
    np.testing.assert_array_equal(index.search(QUERIES, 10)[1], before[1])
    assert (index.parameters["n_probes"], more.parameters["n_probes"]) == (1, 10_000)


def test_nothing_asked_and_nothing_allowed() -> None:
    index = built(4)
    for allowed in (None, mask(0.5), mask(0.01)):
        distances, positions = index.search(QUERIES[:0], 3, allowed)
        assert distances.shape == positions.shape == (0, 3)
    distances, positions = index.search(QUERIES, 3, np.zeros(COUNT, np.bool_))
    assert distances.shape == positions.shape == (len(QUERIES), 0)


@pytest.mark.parametrize("value", [np.nan, np.inf, 3e38])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_queries_that_cannot_be_compared_are_refused_without_a_warning(value: float, dtype: type) -> None:
    queries: npt.NDArray[Any] = QUERIES.astype(dtype)
    queries[3, 2] = value
    index = built(4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(RisError, match="in row 3"):
            index.search(queries, 3)


def test_many_large_queries_are_refused_only_where_one_is_too_large() -> None:
    """The sum of all their squares is more than float32 holds."""
    queries = np.full((40, 16), 4e18, np.float32)
    assert built(4).search(queries, 3)[1].shape == (40, 3)


def test_the_same_seed_gives_the_same_index() -> None:
    first, second = built(4), built(4)
    np.testing.assert_array_equal(first.centres, second.centres)
    np.testing.assert_array_equal(first.search(QUERIES, 5)[1], second.search(QUERIES, 5)[1])
