"""Parts of the engine against the library's own: what is searched, projected, kept and fetched."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ris.engine import BadQueryError
from ris.errors import RisError
from ris.gallery.spaces import fit_basis, projected_lengths
from ris.images import queries
from ris.images.queries import read_query
from ris.indexes.projection import Projection
from ris.threads import in_order

Draw = Callable[..., Image.Image]


def test_a_basis_gives_the_projections_that_would_be_fitted() -> None:
    rng = np.random.default_rng(2)
    vectors = (rng.standard_normal((200, 30)) * np.linspace(3, 0.1, 30)).astype(np.float32)
    basis = fit_basis(vectors)
    assert basis is not None
    queries = rng.standard_normal((5, 30)).astype(np.float32)
    plain, white = basis.first(7, 0.0), basis.first(12, 0.5)
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
    white = basis.first(6, 0.5)
    assert np.count_nonzero(white.scale) == 2
    assert np.isfinite(white.apply(np.ones((1, 6), np.float32))).all()


def test_no_more_is_under_way_than_was_allowed() -> None:
    under_way, most, lock = 0, 0, threading.Lock()

    def work(number: int) -> int:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        return number * number

    with ThreadPoolExecutor(4) as pool:
        for place, square in enumerate(in_order(pool, work, range(100), 6)):
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
    image = read_query("https://example.org/a.png", 10**6, None, urls=True).image
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
