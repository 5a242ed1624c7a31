"""Parts of the engine against the library's own: what is searched, projected, kept and fetched."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ris.copies.local_features import LocalFeatureStore, describe
from ris.engine import BadQueryError
from ris.errors import RisError
from ris.gallery.spaces import Forest, Space, fit_basis, projected_lengths, whitened
from ris.images import queries
from ris.images.queries import read_query
from ris.indexes.annoy import AnnoyIndex
from ris.indexes.exact import ExactIndex
from ris.indexes.projection import Projection
from ris.store.features import decode, encode
from ris.store.ingest import ahead

Draw = Callable[..., Image.Image]


@pytest.mark.parametrize("scale", [1.0, 1e-3, 300.0])
def test_a_space_answers_as_the_exact_index(scale: float) -> None:
    rng = np.random.default_rng(0)
    vectors = (rng.standard_normal((500, 24)) * scale).astype(np.float32)
    vectors[250:260] = vectors[17]  # ties
    queries = np.concatenate([vectors[:20], (rng.standard_normal((20, 24)) * scale).astype(np.float32)])
    index, space = ExactIndex.build(vectors, np.arange(500), {}, seed=0), Space(vectors)
    for k in (1, 12, 500, 700):
        distances, rows = index.search(queries, k)
        for query, nearest, places in zip(queries, distances, rows, strict=True):
            found, positions = space.search(query, k, np.ones(500, bool))
            assert positions.tolist() == places.tolist()
            np.testing.assert_array_equal(found, nearest)


def test_a_space_finds_only_what_is_allowed() -> None:
    rng = np.random.default_rng(1)
    vectors = rng.standard_normal((300, 8)).astype(np.float32)
    for share in (0.0, 0.01, 0.5, 1.0):
        allowed = rng.random(300) < share
        query = rng.standard_normal(8).astype(np.float32)
        distances = np.linalg.norm(vectors.astype(np.float64) - query, axis=1)
        order = [place for place in np.argsort(distances, kind="stable") if allowed[place]]
        found, positions = Space(vectors).search(query, 20, allowed)
        assert positions.tolist() == order[:20]
        np.testing.assert_allclose(found, distances[order[:20]], rtol=1e-5)


def test_a_basis_gives_the_projections_that_would_be_fitted() -> None:
    rng = np.random.default_rng(2)
    vectors = (rng.standard_normal((200, 30)) * np.linspace(3, 0.1, 30)).astype(np.float32)
    basis = fit_basis(vectors)
    assert basis is not None
    queries = rng.standard_normal((5, 30)).astype(np.float32)
    plain, white = whitened(basis, 7, 0.0), whitened(basis, 12, 0.5)
    np.testing.assert_allclose(
        plain.apply(queries), Projection.fit(vectors, 7, 0.0, True).apply(queries), atol=1e-5
    )
    np.testing.assert_allclose(
        white.apply(queries), Projection.fit(vectors, 12, 0.5, True).apply(queries), atol=1e-5
    )
    directions = (white.scale[:, None] * white.components).T
    lengths = np.linalg.norm((vectors - white.mean) @ directions, axis=1)
    np.testing.assert_allclose(projected_lengths(vectors, white), lengths, rtol=1e-5)
    assert fit_basis(np.ones((3, 4), np.float32)) is None
    assert fit_basis(np.ones((0, 4), np.float32)) is None


def test_of_directions_that_do_not_vary_nothing_is_made() -> None:
    vectors = np.zeros((9, 6), np.float32)
    vectors[:, :2] = np.random.default_rng(3).standard_normal((9, 2))
    basis = fit_basis(vectors)
    assert basis is not None
    white = whitened(basis, 6, 0.5)
    assert np.count_nonzero(white.scale) == 2
    assert np.isfinite(white.apply(np.ones((1, 6), np.float32))).all()


def test_local_features_are_kept_as_the_pipeline_keeps_them(tmp_path: Path, texture: Draw) -> None:
    pictures = [texture(1), texture(2, 60, 500), Image.new("RGB", (40, 40)), texture(3, 900, 700)]
    for number, picture in enumerate(pictures):
        picture.save(tmp_path / f"{number}.png")
    LocalFeatureStore.write(
        tmp_path / "store",
        sorted(tmp_path.glob("*.png")),
        "sha256:1",
        n_features=300,
        side=640,
        max_pixels=10**6,
        workers=1,
    )
    store = LocalFeatureStore.open(tmp_path / "store", "sha256:1")
    for row, picture in enumerate(pictures):
        kept, ours = store[row], decode(encode(describe(picture, 300, 640)))
        assert ours.size == kept.size
        for name in ("points", "descriptors", "grey"):
            np.testing.assert_array_equal(getattr(ours, name), getattr(kept, name))


def test_no_more_is_under_way_than_was_allowed() -> None:
    under_way, most, lock = 0, 0, threading.Lock()

    def work(number: int) -> int:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        return number * number

    with ThreadPoolExecutor(4) as pool:
        for place, square in enumerate(ahead(pool, work, range(100), 6)):
            assert square == place * place
            with lock:
                under_way -= 1
    assert 1 < most <= 6


def test_an_address_is_fetched_only_where_that_is_switched_on(
    texture: Draw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texture(5).save(tmp_path / "a.png")
    asked: list[str] = []

    def fetch(url: str, max_bytes: int, seconds: float) -> bytes:
        assert max_bytes > 0
        assert seconds > 0
        asked.append(url)
        if "bad" in url:
            raise RisError("It cannot be fetched.")
        return (tmp_path / "a.png").read_bytes()

    monkeypatch.setattr(queries, "fetch", fetch)
    image = read_query("https://example.org/a.png", 10**6, None, urls=True)
    assert image.tobytes() == texture(5).tobytes()
    with pytest.raises(RisError, match="cannot be fetched"):
        read_query("HTTP://example.org/bad.png", 10**6, None, urls=True)
    assert asked == ["https://example.org/a.png", "HTTP://example.org/bad.png"]
    with pytest.raises(BadQueryError, match="addresses are switched off"):
        read_query("https://example.org/a.png", 10**6, None, urls=False)
    for other in ("file:///etc/passwd", "ftp://example.org/a.png"):
        with pytest.raises(RisError):
            read_query(other, 10**6, None, urls=True)
    assert len(asked) == 2


def test_a_forest_answers_for_today_whatever_it_was_planted_with() -> None:
    rng = np.random.default_rng(4)
    vectors = rng.standard_normal((60, 6)).astype(np.float32)
    planted = np.arange(40)
    trees = AnnoyIndex.build(vectors[:40], planted, {"n_trees": 5, "search_k": 10_000}, seed=0)
    query = vectors[0]
    nearest = np.argsort(np.linalg.norm(vectors[:40] - query, axis=1), kind="stable")
    # The nearest are gone, as is every third, others came later, and some contents are shown by two pictures.
    left = [number for number in range(60) if number not in nearest[:8] and number % 3]
    contents = np.array([*left, *left[:5]])[rng.permutation(len(left) + 5)]
    space = Space(vectors[contents])
    forest = Forest(trees, None, contents, planted)
    assert forest.later.tolist() == np.flatnonzero(contents >= 40).tolist()
    for share in (1.0, 0.5, 0.1):
        allowed = rng.random(len(contents)) < share
        for k in (1, 3, 10, 100):
            found, expected = forest.search(space, query, k, allowed), space.search(query, k, allowed)
            assert found[1].tolist() == expected[1].tolist()
            np.testing.assert_allclose(found[0], expected[0], rtol=1e-6)
