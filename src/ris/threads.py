"""Threads that work beside each other."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import cv2
from threadpoolctl import threadpool_limits


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
