"""What the routes share: the engine, and what stands around it while it is served."""

import asyncio
import hmac
import logging
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

import numpy as np
from PIL import Image
from starlette.exceptions import HTTPException
from threadpoolctl import threadpool_limits

from ris.engine import SearchEngine
from ris.errors import RisError
from ris.images.decoding import stored_mode
from ris.serve.metrics import Metrics
from ris.serve.schemas import Duplicates, Group
from ris.serve.settings import Settings
from ris.serve.views import Views
from ris.serve.work import Standing, Workers

log = logging.getLogger("ris.serve")

T = TypeVar("T")

REFRESH_SECONDS = 2.0
"""How often the store is asked for what others committed."""
VIEW_THREADS = 2
"""That make small pictures, apart from searches so that neither waits for the other."""


class Service:
    """An engine that is served."""

    def __init__(self, engine: SearchEngine, settings: Settings) -> None:
        self.engine, self.settings = engine, settings
        self.metrics = Metrics(engine)
        self.views = Views(engine)
        self.searches = Workers(settings.threads, settings.waiting)
        self.pictures = Workers(VIEW_THREADS, 4 * settings.waiting)
        self.writes = Workers(1, 4)
        self.ready = False
        self._background = ThreadPoolExecutor(1, "background")
        self.duplicates = Standing(
            "looking for duplicates",
            lambda progress: Duplicates(groups=[*map(Group.of, engine.duplicates(progress=progress))]),
            self._generation,
            self._background,
        )
        self.map = Standing(
            "drawing the map",
            lambda progress: engine.map(progress=progress),
            self._generation,
            self._background,
        )

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Warm the network up, and follow the store, while the application runs."""
        tasks = [asyncio.create_task(self._warm_up()), asyncio.create_task(self._follow())]
        try:
            # OpenBLAS's threads go on spinning after each search, on processors that others wait for.
            with threadpool_limits(1, user_api="blas"):
                yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._background.shutdown(wait=False, cancel_futures=True)

    async def timed(self, work: Callable[[], T]) -> tuple[T, float]:
        """Search in a thread; return what was found, and the milliseconds without the wait for a thread."""

        def with_time() -> tuple[T, float]:
            started = time.perf_counter()
            found = work()
            return found, 1000 * (time.perf_counter() - started)

        return await self.searches.run(with_time)

    def checked(self, picture: bytes) -> bytes:
        """Return an upload that is a picture by its header, and not too large.

        Raises:
            UnreadableImage: it is not.
        """
        stored_mode(picture, self.settings.max_pixels)
        return picture

    def admit(self, authorization: str | None) -> None:
        """Let a writer in.

        Raises:
            HTTPException: the token is missing or wrong.
        """
        scheme, _, token = (authorization or "").partition(" ")
        good = hmac.compare_digest(token.strip().encode(), self.settings.token.encode())
        if scheme.lower() != "bearer" or not good:
            detail = "Writing needs the token that the server showed at its start, as a bearer token."
            raise HTTPException(401, detail, {"WWW-Authenticate": "Bearer"})

    def _generation(self) -> int:
        return self.engine.generation

    async def _warm_up(self) -> None:
        blank = Image.fromarray(np.zeros((64, 64, 3), np.uint8))
        try:
            await self.searches.run(self.engine.warm_up)
            if len(self.engine):
                await self.searches.run(lambda: self.engine.search(blank, 1, verify=False))
        except Exception:
            log.exception("The server does not get ready to search")
            raise
        self.ready = True

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            try:
                with suppress(HTTPException):  # So many are writing that one of them refreshes it.
                    await self.writes.run(self.engine.refresh)
            except RisError as error:
                log.warning("%s", error)
