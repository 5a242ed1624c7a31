"""Pictures that wait are embedded together, and no vector shows it."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Barrier, Event
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from ris.encoders import networks
from ris.encoders.networks import MOST_TOGETHER, EmbeddingThreads, QueryNetwork

CROP = 4


@dataclass
class Means:
    """Embeds a picture as the means of its channels, and rounds otherwise in batches of some sizes."""

    rounds: frozenset[int] = frozenset()
    sizes: list[int] = field(default_factory=list)
    go_on: Event | None = None
    network: Any = field(default_factory=lambda: SimpleNamespace(crop=CROP))

    def embed(self, pixels: Tensor) -> npt.NDArray[np.float32]:
        self.sizes.append(len(pixels))
        assert self.go_on is None or self.go_on.wait(10)
        means = pixels.double().mean(dim=(2, 3)).numpy().astype(np.float32)
        return np.nextafter(means, np.float32(np.inf)) if len(pixels) in self.rounds else means


def of(embedder: Any, together: int = 1) -> QueryNetwork:
    return QueryNetwork((embedder,), lambda parts: parts[0], together)


def wait_until(happened: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while not happened():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.001)


def pictures(count: int, seed: int = 0) -> Tensor:
    return torch.randint(
        256, (count, 3, CROP, CROP), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed)
    )


@pytest.mark.parametrize(
    ("rounds", "together"),
    [((), MOST_TOGETHER), ((2,), 1), ((5, 7), 4), ((MOST_TOGETHER,), MOST_TOGETHER - 1)],
)
def test_so_many_are_embedded_together_as_change_no_bit(
    rounds: tuple[int, ...], together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(networks, "traced", lambda embedder: embedder)
    assert of(Means(frozenset(rounds))).traced().together == together


def test_each_is_answered_with_its_own_vectors() -> None:
    embedders = [Means(), Means()]
    asked = [of(embedder, 3) for embedder in embedders]
    threads, barrier = EmbeddingThreads(2), Barrier(12)

    def ask(number: int) -> bool:
        barrier.wait()
        pixels = pictures(1 + number % 4, number)
        found = threads.embed(asked[number % 2], pixels)
        return np.array_equal(found, pixels.double().mean(dim=(2, 3)).numpy().astype(np.float32))

    with ThreadPoolExecutor(12) as pool:
        assert all(pool.map(ask, range(12)))
    threads.shutdown()
    for first, embedder in enumerate(embedders):
        assert sum(embedder.sizes) == sum(1 + number % 4 for number in range(first, 12, 2))
        assert max(embedder.sizes) <= 3


def test_what_waits_for_a_thread_is_embedded_together() -> None:
    go_on = Event()
    embedder = Means(go_on=go_on)
    threads, network = EmbeddingThreads(1), of(embedder, 4)
    with ThreadPoolExecutor(2) as pool:
        pool.submit(threads.embed, network, pictures(1))
        wait_until(lambda: embedder.sizes == [1])
        many = pool.submit(threads.embed, network, pictures(9))
        wait_until(lambda: len(threads._waiting) == 9)
        go_on.set()
        assert len(many.result()) == 9
    threads.shutdown()
    assert embedder.sizes == [1, 4, 4, 1]


def test_free_threads_share_what_waits() -> None:
    go_on = Event()
    embedder = Means(go_on=go_on)
    threads = EmbeddingThreads(2)
    with ThreadPoolExecutor(1) as pool:
        many = pool.submit(threads.embed, of(embedder, MOST_TOGETHER), pictures(9))
        wait_until(lambda: len(embedder.sizes) == 2)
        go_on.set()
        assert len(many.result()) == 9
    threads.shutdown()
    assert sorted(embedder.sizes) == [4, 5]


def test_an_error_reaches_all_that_wait_and_the_threads_go_on() -> None:
    class Broken(Means):
        def embed(self, pixels: Tensor) -> npt.NDArray[np.float32]:
            raise RuntimeError(f"out of memory for {len(pixels)}")

    threads = EmbeddingThreads(1)
    with pytest.raises(RuntimeError, match="out of memory"):
        threads.embed(of(Broken(), 4), pictures(6))
    assert len(threads.embed(of(Means()), pictures(2))) == 2
    threads.shutdown()
