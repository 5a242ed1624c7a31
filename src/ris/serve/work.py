"""Work that takes a while: in threads, so many at a time, or in the background while a client asks again."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import Generic, TypeVar

import anyio
from starlette.exceptions import HTTPException

from ris.engine import Progress
from ris.serve.schemas import Working

T = TypeVar("T")


class Workers:
    """Threads for one kind of work."""

    def __init__(self, threads: int, waiting: int) -> None:
        self._limiter = anyio.CapacityLimiter(threads)
        self._room = threads + waiting
        self._inside = 0

    async def run(self, work: Callable[[], T]) -> T:
        """Do it in a thread.

        Raises:
            HTTPException: too much is waiting already.
        """
        if self._inside >= self._room:
            raise HTTPException(503, "The server is busy; try again in a moment.", {"Retry-After": "1"})
        self._inside += 1
        try:
            return await anyio.to_thread.run_sync(work, limiter=self._limiter)
        finally:
            self._inside -= 1


class Standing(Generic[T]):
    """An answer that takes long and holds until the store changes: made once, in the background."""

    def __init__(
        self,
        what: str,
        make: Callable[[Progress], T],
        generation: Callable[[], int],
        pool: ThreadPoolExecutor,
    ) -> None:
        self._make, self._generation, self._pool = make, generation, pool
        self._lock = Lock()
        self._nothing_yet = Working(what=what, done=0, total=0)
        self._progress = self._nothing_yet
        self._made: tuple[int, Future[T]] | None = None

    def get(self) -> T | Working:
        """Return the answer, or how far it is; start on it where that was not done.

        Raises:
            Exception: what making it ended with; the next call starts anew.
        """
        with self._lock:
            generation = self._generation()
            if self._made is None or (self._made[0] != generation and self._made[1].done()):
                self._progress = self._nothing_yet
                self._made = generation, self._pool.submit(self._make, self._tell)
            future = self._made[1]
            if not future.done():
                return self._progress
            if future.exception():
                self._made = None
        return future.result()

    def _tell(self, what: str, done: int, total: int) -> None:
        self._progress = Working(what=what, done=done, total=total)
