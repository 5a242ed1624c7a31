from collections.abc import Callable, Set
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from ris.errors import RisError
from ris.indexes.exact import ExactIndex
from ris.indexes.projection import normalise
from ris.indexes.reranking import AlphaQueryExpansion, DatabaseAugmentation, KReciprocal, augmented

Doubles = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]

METHODS = (AlphaQueryExpansion, DatabaseAugmentation, KReciprocal)


def clustered(count: int, n_clusters: int, seed: int) -> Singles:
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(1).standard_normal((n_clusters, 6))
    return normalise(centres[rng.integers(n_clusters, size=count)] + 0.6 * rng.standard_normal((count, 6)))


def unit(vector: Doubles) -> Doubles:
    return vector / np.linalg.norm(vector)


def by_distance(vector: Doubles, among: Doubles) -> list[int]:
    return sorted(range(len(among)), key=lambda i: float(((among[i] - vector) ** 2).sum()))


def dense_alpha(gallery: Doubles, query: Doubles, k: int, alpha: float) -> Doubles:
    """Return the distance of every gallery vector from the expanded query."""
    total = query.copy()
    for i in by_distance(query, gallery)[:k]:
        total += max(query @ gallery[i], 0) ** alpha * gallery[i]
    return np.array([np.sqrt(((x - unit(total)) ** 2).sum()) for x in gallery])


def dense_augmented(gallery: Doubles, k: int) -> Doubles:
    totals = []
    for x in gallery:
        total = np.zeros_like(x)
        for r, i in enumerate(by_distance(x, gallery)[:k]):
            total += (k - r) / k * gallery[i]
        totals.append(unit(total))
    return np.array(totals)


def dense_k_reciprocal(gallery: Doubles, query: Doubles, k1: int, k2: int, lambda_: float) -> Doubles:
    """Return the final distance of every gallery vector, by loops over all pairs and sets of numbers."""
    n = len(gallery)
    ranking = [by_distance(x, gallery) for x in gallery]
    ranking_of_query = by_distance(query, gallery)

    def distance(a: Doubles, b: Doubles) -> float:
        return float(1 - a @ b)

    def reciprocal(i: int, k: int) -> set[int]:
        return {j for j in ranking[i][: k + 1] if i in ranking[j][: k + 1]}

    def grown(members: Set[int]) -> set[int]:
        result = set(members)
        for j in members:
            other = reciprocal(j, (k1 + 1) // 2)
            if len(members & other) >= 2 / 3 * len(other):
                result |= other
        return result

    def encoded(vector: Doubles, members: Set[int]) -> Doubles:
        encoding = np.zeros(n)
        for j in members:
            encoding[j] = np.exp(-distance(vector, gallery[j]))
        return encoding / encoding.sum() if members else encoding

    encodings = [encoded(gallery[i], grown(reciprocal(i, k1))) for i in range(n)]
    expanded = [np.mean([encodings[j] for j in ranking[i][:k2]], axis=0) for i in range(n)]

    def would_be_near(j: int) -> bool:
        """Whether the query, put into the gallery, would be one of the k1 nearest others of j."""
        nearer = [i for i in ranking[j] if distance(gallery[j], gallery[i]) < distance(gallery[j], query)]
        return len(set(nearer) - {j}) < k1

    members = grown({j for j in ranking_of_query[:k1] if would_be_near(j)})
    own = [encoded(query, members)] + [encodings[j] for j in ranking_of_query[: k2 - 1]]
    encoding = np.mean(own, axis=0)
    final = []
    for i in range(n):
        least = sum(min(a, b) for a, b in zip(encoding, expanded[i], strict=True))
        most = sum(max(a, b) for a, b in zip(encoding, expanded[i], strict=True))
        final.append((1 - lambda_) * (1 - least / most) + lambda_ * distance(query, gallery[i]))
    return np.array(final)


def assert_ordered_by(
    search: Callable[[Singles, int], tuple[Singles, npt.NDArray[np.int64]]],
    queries: Singles,
    k: int,
    rows: npt.NDArray[np.int64],
    expected: Callable[[Doubles], Doubles],
) -> None:
    """Check a search against the distance of every gallery vector from a query, as `expected` gives them."""
    distances, found = search(queries, k)
    assert distances.dtype == np.float32
    assert found.dtype == np.int64
    position = {int(row): i for i, row in enumerate(rows)}
    for query, of_query, found_rows in zip(queries.astype(np.float64), distances, found, strict=True):
        wanted = expected(query)
        positions = [position[int(row)] for row in found_rows]
        assert len(set(positions)) == k
        np.testing.assert_allclose(of_query, np.sort(wanted)[:k], atol=1e-5)
        np.testing.assert_allclose(wanted[positions], of_query, atol=1e-5)
        assert (np.diff(of_query) >= 0).all()


GALLERY, QUERIES = clustered(60, 5, seed=2), clustered(8, 5, seed=3)
ROWS = np.random.default_rng(0).permutation(1000)[:60]


@pytest.mark.parametrize(("k", "alpha"), [(1, 3.0), (5, 0.0), (10, 3.0), (200, 0.5)])
def test_alpha_query_expansion_equals_loops(k: int, alpha: float) -> None:
    search = AlphaQueryExpansion.fit(GALLERY, ROWS, k, alpha).search
    dense = GALLERY.astype(np.float64)
    assert_ordered_by(search, QUERIES, 30, ROWS, lambda query: dense_alpha(dense, query, k, alpha))


@pytest.mark.parametrize("k", [1, 5, 60])
def test_database_augmentation_equals_loops(k: int) -> None:
    search = DatabaseAugmentation.fit(GALLERY, ROWS, k).search
    dense = dense_augmented(GALLERY.astype(np.float64), k)
    assert_ordered_by(search, QUERIES, 30, ROWS, lambda query: np.sqrt(((dense - query) ** 2).sum(axis=1)))


def test_augmented_with_itself_alone_changes_nothing() -> None:
    np.testing.assert_allclose(augmented(GALLERY, 1), GALLERY, atol=1e-6)


@pytest.mark.parametrize(
    ("k1", "k2", "lambda_"),
    [(10, 3, 0.3), (7, 1, 0.0), (1, 6, 0.5), (20, 6, 0.3), (59, 4, 0.3), (200, 80, 0.1)],
)
def test_k_reciprocal_equals_loops(k1: int, k2: int, lambda_: float) -> None:
    search = KReciprocal.fit(GALLERY, ROWS, k1, k2, lambda_, candidates=60).search
    dense = GALLERY.astype(np.float64)
    assert_ordered_by(
        search, QUERIES, 60, ROWS, lambda query: dense_k_reciprocal(dense, query, k1, k2, lambda_)
    )


@pytest.mark.parametrize("k1", [4, 5, 6])
def test_k_reciprocal_equals_loops_where_the_query_is_far_from_all(k1: int) -> None:
    few, queries = GALLERY[:6], np.concatenate([-GALLERY[:6], QUERIES])
    search = KReciprocal.fit(few, ROWS[:6], k1, k2=1, lambda_=0.3).search
    dense = few.astype(np.float64)
    assert_ordered_by(
        search, queries, 6, ROWS[:6], lambda query: dense_k_reciprocal(dense, query, k1, 1, 0.3)
    )


def test_k_reciprocal_equals_loops_where_copies_outnumber_k1() -> None:
    """Some copies are missing from their own neighbours then."""
    gallery = np.concatenate([GALLERY[:20], np.repeat(GALLERY[:1], 15, axis=0)])
    dense = gallery.astype(np.float64)
    search = KReciprocal.fit(gallery, ROWS[:35], k1=8, k2=3, lambda_=0.3).search
    queries = np.concatenate([QUERIES, GALLERY[:3]])
    assert_ordered_by(
        search, queries, 35, ROWS[:35], lambda query: dense_k_reciprocal(dense, query, 8, 3, 0.3)
    )


def test_beyond_the_candidates_the_order_stays_and_distances_rise() -> None:
    _, exact = ExactIndex.build(GALLERY, ROWS, {}, seed=0).search(QUERIES, 60)
    distances, found = KReciprocal.fit(GALLERY, ROWS, 10, 3, candidates=15).search(QUERIES, 60)
    np.testing.assert_array_equal(np.sort(found[:, :15]), np.sort(exact[:, :15]))
    np.testing.assert_array_equal(found[:, 15:], exact[:, 15:])
    assert (found[:, :15] != exact[:, :15]).any()
    assert (np.diff(distances) >= 0).all()


def test_fewer_candidates_than_neighbours_change_no_distance() -> None:
    distances, found = KReciprocal.fit(GALLERY, ROWS, 10, 12, candidates=5).search(QUERIES, 5)
    all_distances, all_found = KReciprocal.fit(GALLERY, ROWS, 10, 12, candidates=60).search(QUERIES, 60)
    for i in range(len(QUERIES)):
        whole = dict(zip(all_found[i].tolist(), all_distances[i].tolist(), strict=True))
        np.testing.assert_allclose(distances[i], [whole[row] for row in found[i].tolist()], atol=1e-7)


def test_lambda_one_keeps_the_order() -> None:
    _, exact = ExactIndex.build(GALLERY, ROWS, {}, seed=0).search(QUERIES, 60)
    _, found = KReciprocal.fit(GALLERY, ROWS, 10, 3, lambda_=1).search(QUERIES, 60)
    np.testing.assert_array_equal(found, exact)


def test_a_shared_neighbourhood_comes_before_a_nearer_outsider() -> None:
    """By hand, in degrees from the query: the nearest vector (0) has nearer neighbours of its own (1 to 3).

    So it and the query are not reciprocal. The query's encoding is of 4, 5 and, through them, 6, which
    are one another's; 0 to 3 share none of it.
    """
    angles = np.radians([6.5, 9, 9.1, 9.2, -7, -7.5, -8])
    gallery = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    query = np.array([[1, 0]], dtype=np.float32)
    distances, found = KReciprocal.fit(gallery, np.arange(7), k1=3, k2=1, lambda_=0).search(query, 7)
    assert set(found[0, :3].tolist()) == {4, 5, 6}
    assert found[0, 3:].tolist() == [0, 1, 2, 3]
    assert (distances[0, :3] < 0.01).all()
    assert (distances[0, 3:] == 1).all()


@pytest.mark.parametrize("method", METHODS)
def test_more_neighbours_than_pictures(method: Any) -> None:
    distances, found = method.fit(GALLERY[:3], ROWS[:3]).search(QUERIES, 50)
    assert distances.shape == found.shape == (8, 3)
    np.testing.assert_array_equal(np.sort(found), np.tile(np.sort(ROWS[:3]), (8, 1)))


@pytest.mark.parametrize("method", METHODS)
def test_one_picture(method: Any) -> None:
    distances, found = method.fit(GALLERY[:1], ROWS[:1]).search(GALLERY[:1], 1)
    assert found.tolist() == [[ROWS[0]]]
    np.testing.assert_allclose(distances, 0, atol=1e-6)


@pytest.mark.parametrize("method", METHODS[:2])
def test_equal_vectors_come_in_the_order_given(method: Any) -> None:
    gallery = np.concatenate([GALLERY[1:20], np.repeat(GALLERY[:1], 40, axis=0)])
    _, found = method.fit(gallery, np.arange(59)).search(GALLERY[:1], 59)
    np.testing.assert_array_equal(found[0, :40], np.arange(19, 59))


@pytest.mark.parametrize("method", METHODS)
def test_a_query_answers_alone_as_in_a_batch(method: Any) -> None:
    search = method.fit(GALLERY, ROWS).search
    _, together = search(QUERIES, 10)
    alone = np.concatenate([search(query[None], 10)[1] for query in QUERIES])
    np.testing.assert_array_equal(alone, together)


@pytest.mark.parametrize("method", METHODS)
def test_zero_vectors_are_let_through(method: Any) -> None:
    gallery = np.concatenate([GALLERY, np.zeros((1, 6), dtype=np.float32)])
    distances, found = method.fit(gallery, np.arange(61)).search(np.zeros((1, 6), dtype=np.float32), 61)
    assert np.isfinite(distances).all()
    np.testing.assert_array_equal(np.sort(found[0]), np.arange(61))


@pytest.mark.parametrize("method", METHODS)
def test_refuses_what_it_cannot_search(method: Any) -> None:
    with pytest.raises(RisError, match="no vector"):
        method.fit(GALLERY[:0], ROWS[:0])
    with pytest.raises(RisError, match="not of length 1"):
        method.fit(2 * GALLERY, ROWS)
    with pytest.raises(RisError, match="one a vector"):
        method.fit(GALLERY, ROWS[:5])
    search = method.fit(GALLERY, ROWS).search
    with pytest.raises(RisError, match="k is 0"):
        search(QUERIES, 0)
    with pytest.raises(RisError, match="dimensions"):
        search(QUERIES[:, :3], 5)


def test_refuses_parameters_out_of_range() -> None:
    with pytest.raises(RisError, match="alpha"):
        AlphaQueryExpansion.fit(GALLERY, ROWS, alpha=-1)
    for method in (AlphaQueryExpansion, DatabaseAugmentation):
        with pytest.raises(RisError, match="k is 0"):
            method.fit(GALLERY, ROWS, k=0)
    for wrong in ({"k1": 0}, {"k2": 0}, {"candidates": 0}, {"lambda_": 1.1}):
        with pytest.raises(RisError, match="lambda lies between"):
            KReciprocal.fit(GALLERY, ROWS, **wrong)
    with pytest.raises(RisError, match="queries are not of length 1"):
        KReciprocal.fit(GALLERY, ROWS).search(2 * QUERIES, 5)
