"""The map shows neighbours together, is the same each time, and has a place for every picture."""

import numpy as np
import pytest

from ris.errors import RisError
from ris.gallery import embedding_map
from ris.gallery.embedding_map import among, place, project


def clustered(sizes: list[int], dimension: int = 24, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Draw vectors around as many directions as there are sizes; return them and whose each is."""
    rng = np.random.default_rng(seed)
    member = np.repeat(np.arange(len(sizes)), sizes)
    centres = rng.normal(size=(len(sizes), dimension))
    vectors = centres[member] + 0.15 * rng.normal(size=(len(member), dimension))
    return (vectors * rng.uniform(0.5, 20, (len(member), 1))).astype(np.float32), member


def nearest_on(places: np.ndarray) -> np.ndarray:
    gaps = np.linalg.norm(places[:, None] - places[None], axis=2)
    np.fill_diagonal(gaps, np.inf)
    return np.asarray(gaps.argmin(axis=1))


def test_neighbours_lie_together_whatever_their_length() -> None:
    vectors, member = clustered([30, 40, 50])
    places = project(vectors, seed=0)
    assert places.shape == (120, 2)
    assert places.dtype == np.float32
    np.testing.assert_array_equal(member[nearest_on(places)], member)
    np.testing.assert_array_equal(project(vectors, seed=0), places)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 5, 7])
@pytest.mark.parametrize("dimension", [2, 1280])
def test_few_pictures(n: int, dimension: int) -> None:
    vectors = np.random.default_rng(n).normal(size=(n, dimension)).astype(np.float32)
    places = project(vectors, seed=0)
    assert places.shape == (n, 2)
    assert np.isfinite(places).all()
    assert len(np.unique(places, axis=0)) == n
    if n < 4:
        np.testing.assert_allclose(np.linalg.norm(places, axis=1), 1, rtol=1e-6)


def test_pictures_that_are_all_alike_do_not_hide_each_other() -> None:
    places = project(np.ones((40, 8), np.float32), seed=0)
    assert len(np.unique(places, axis=0)) == 40
    np.testing.assert_allclose(np.linalg.norm(places, axis=1), 1, rtol=1e-6)


def test_two_kinds_of_alike_pictures() -> None:
    places = project(np.repeat(np.eye(2, 8, dtype=np.float32), 10, axis=0), seed=0)
    assert np.isfinite(places).all()


def test_many_are_placed_among_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, member = clustered([60, 60, 60])
    monkeypatch.setattr(embedding_map, "LARGEST", 90)
    places = project(vectors, seed=3)
    assert len(places) == 180
    middles = np.stack([np.median(places[member == number], axis=0) for number in range(3)])
    gaps = np.linalg.norm(places[:, None] - middles, axis=2)
    np.testing.assert_array_equal(gaps.argmin(axis=1), member)
    np.testing.assert_array_equal(project(vectors, seed=3), places)
    assert not np.array_equal(project(vectors, seed=4), places)


def test_what_is_on_the_map_is_placed_where_it_is() -> None:
    vectors, _ = clustered([20, 30])
    places = np.random.default_rng(1).normal(size=(50, 2)).astype(np.float32)
    np.testing.assert_array_equal(place(7 * vectors, vectors, places), places)


def test_placed_between_its_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, member = clustered([40, 40])
    places = np.array([[0, 0], [100, 100]])[member] + np.random.default_rng(1).normal(size=(80, 2))
    queries, of_query = clustered([25, 5], seed=0)
    monkeypatch.setattr(embedding_map, "_AT_ONCE", 7)
    found = place(queries, vectors, places.astype(np.float32))
    np.testing.assert_array_equal(found.round(-2), np.array([[0, 0], [100, 100]])[of_query])


def test_fewer_on_the_map_than_neighbours_asked_for() -> None:
    vectors = np.eye(3, dtype=np.float32)
    places = np.array([[0, 0], [5, 1], [9, 2]], np.float32)
    np.testing.assert_array_equal(place(np.ones((1, 3), np.float32), vectors, places), [[5, 1]])


def test_the_median_is_weighted() -> None:
    places = np.array([[[0, 9], [1, 8], [50, 0]]], np.float32)
    np.testing.assert_array_equal(among(np.array([[1, 1, 1]], np.float32), places), [[1, 8]])
    np.testing.assert_array_equal(among(np.array([[1, 1, 0.4]], np.float32), places), [[50, 0]])
    np.testing.assert_array_equal(among(np.array([[0, 1e-6, 1e-6]], np.float32), places), [[0, 9]])


def test_the_median_against_a_plain_one() -> None:
    rng = np.random.default_rng(5)
    distances = 2.0 ** rng.integers(0, 3, (40, 6)).astype(np.float32)
    places = rng.normal(size=(40, 6, 2)).astype(np.float32)
    for one, of_neighbours, found in zip(distances, places, among(distances, places), strict=True):
        # 4 / d is a whole number: as many copies of each neighbour, and the lower middle of all.
        copies = np.repeat(of_neighbours, (4 / one).astype(int), axis=0)
        np.testing.assert_array_equal(found, np.sort(copies, axis=0)[(len(copies) - 1) // 2])


def test_vectors_that_hold_a_nan_are_refused() -> None:
    vectors = np.ones((5, 4), np.float32)
    vectors[3, 2] = np.nan
    with pytest.raises(RisError, match="row 3"):
        project(vectors, seed=0)
