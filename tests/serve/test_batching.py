"""What several threads embed goes through the network together, and each gets its own back."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import numpy as np
import pytest
import torch
from torch import Tensor

from ris.search.vectors import Vectors
from ris.serve.batching import Batcher

SIZE = 8


def sums(pixels: Tensor) -> Vectors:
    """A network that adds up its pixels."""
    return pixels.flatten(start_dim=1).float().sum(dim=1, keepdim=True).numpy()


def picture(value: int, count: int = 1) -> Tensor:
    return torch.full((count, 3, 2, 2), value, dtype=torch.uint8)


class Slow:
    """`sums`, which waits at its first call until it may go on."""

    def __init__(self) -> None:
        self.called, self.go_on = Event(), Event()
        self.batches: list[int] = []

    def __call__(self, pixels: Tensor) -> Vectors:
        self.batches.append(len(pixels))
        self.called.set()
        self.go_on.wait(10)
        return sums(pixels)


def test_each_thread_gets_what_it_asked_for() -> None:
    batcher = Batcher(sums, SIZE)
    counts = [1 + number % 3 for number in range(200)]
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda n: batcher(picture(n % 100, counts[n])), range(200)))
    batcher.close()
    for number, vectors in enumerate(found):
        assert vectors.shape == (counts[number], 1)
        assert (vectors == 12 * (number % 100)).all()


def test_what_waits_goes_together_and_no_more_than_the_size() -> None:
    network = Slow()
    seen: list[int] = []
    batcher = Batcher(network, SIZE, seen.append)
    with ThreadPoolExecutor(20) as pool:
        first = pool.submit(batcher, picture(1))
        assert network.called.wait(10)
        others = [pool.submit(batcher, picture(number)) for number in range(2, 20)]
        while batcher._jobs.qsize() < len(others):
            pass
        network.go_on.set()
        values = [int(one.result(10)[0, 0]) for one in [first, *others]]
    batcher.close()
    assert values == [12 * number for number in range(1, 20)]
    assert network.batches == seen == [1, SIZE, SIZE, 2]


def test_a_call_larger_than_the_size_is_not_split() -> None:
    seen: list[int] = []
    batcher = Batcher(sums, SIZE, seen.append)
    assert batcher(picture(5, 3 * SIZE)).shape == (3 * SIZE, 1)
    batcher.close()
    assert seen == [3 * SIZE]


def test_an_error_reaches_the_caller_and_the_next_call_goes_on() -> None:
    def fails_once(pixels: Tensor) -> Vectors:
        if int(pixels[0, 0, 0, 0]) == 13:
            raise RuntimeError("no luck")
        return sums(pixels)

    batcher = Batcher(fails_once, SIZE)
    with pytest.raises(RuntimeError, match="no luck"):
        batcher(picture(13))
    assert np.array_equal(batcher(picture(2)), [[24]])
    batcher.close()


def test_closing_ends_the_thread_after_the_work() -> None:
    network = Slow()
    batcher = Batcher(network, SIZE)
    with ThreadPoolExecutor(2) as pool:
        job = pool.submit(batcher, picture(1))
        assert network.called.wait(10)
        closing = pool.submit(batcher.close)
        network.go_on.set()
        closing.result(10)
        assert int(job.result(10)[0, 0]) == 12
    assert not batcher._thread.is_alive()
