"""Threads that work beside each other."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import cv2
from threadpoolctl import threadpool_limits

Item = TypeVar("Item")
Result = TypeVar("Result")


@contextmanager
def worker_threads(workers: int) -> Iterator[ThreadPoolExecutor]:
    """Yield a pool of threads beside which neither OpenCV nor BLAS starts threads of its own."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with threadpool_limits(1, "blas"), ThreadPoolExecutor(workers) as pool:
            yield pool
    finally:
        cv2.setNumThreads(before)


def in_order(
    pool: Executor, work: Callable[[Item], Result], items: Iterable[Item], lead: int
) -> Iterator[Result]:
    """Yield what `work` makes of each item, in order, with at most `lead` items under way or waiting."""
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) >= lead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
