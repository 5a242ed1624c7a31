"""Work that takes a while: in threads, so many at a time, or in the background while a client asks again."""

import asyncio
from collections import Counter, deque
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
    """Threads for one kind of work, which clients share.

    A thread that becomes free goes to the client whose turn it is, not to whoever came first. One client
    never has all of several threads, so that another one need not wait, nor all of the room to wait in.
    """

    def __init__(self, threads: int, waiting: int) -> None:
        self._limiter = anyio.CapacityLimiter(threads)
        self._free, self._most = threads, max(1, threads - max(1, threads // 4))
        self._room = threads + waiting
        self._room_of_one = max(1, self._room // 2)
        self._inside: Counter[str] = Counter()
        self._running: Counter[str] = Counter()
        self._queues: dict[str, deque[asyncio.Future[None]]] = {}
        """Of those that wait, by client; whose turn it is comes first."""

    async def run(self, work: Callable[[], T], client: str = "") -> T:
        """Do it in a thread, for a client; without a name, it is nobody's in particular.

        Raises:
            HTTPException: too much is waiting already, of that client or in all.
        """
        full = self._inside.total() >= self._room
        if full or (client and self._inside[client] >= self._room_of_one):
            raise HTTPException(503, "The server is busy; try again in a moment.", {"Retry-After": "1"})
        self._inside[client] += 1
        try:
            await self._turn(client)
            try:
                return await anyio.to_thread.run_sync(work, limiter=self._limiter)
            finally:
                self._release(client)
        finally:
            self._inside -= Counter({client: 1})

    async def _turn(self, client: str) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._queues.setdefault(client, deque()).append(turn)
        self._go_on()
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                self._release(client)
            raise

    def _release(self, client: str) -> None:
        self._free += 1
        self._running -= Counter({client: 1})
        self._go_on()

    def _go_on(self) -> None:
        """Give the free threads to the clients whose turn it is."""
        while self._free:
            client = next((one for one in self._queues if self._running[one] < self._most), None)
            if client is None:
                return
            queue = self._queues.pop(client)
            turn = queue.popleft()
            if queue:
                self._queues[client] = queue  # Behind all others.
            if not turn.cancelled():
                turn.set_result(None)
                self._free -= 1
                self._running[client] += 1


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
