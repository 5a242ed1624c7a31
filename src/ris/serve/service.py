"""What the routes share: the engine, and what stands around it while it is served."""

import asyncio
import hmac
import logging
import os
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TypeVar

import numpy as np
from fastapi import Response, UploadFile
from PIL import Image
from starlette.exceptions import HTTPException
from threadpoolctl import threadpool_limits

from ris.engine import Box, Opened, Progress, SearchEngine
from ris.images.fetching import fetch
from ris.images.queries import MAX_BYTES, SECONDS
from ris.serve.metrics import Metrics
from ris.serve.schemas import Duplicates, Group, State, Versions
from ris.serve.settings import Settings
from ris.serve.views import Views
from ris.serve.work import Standing, Workers

log = logging.getLogger("ris.serve")

T = TypeVar("T")

REFRESH_SECONDS = 2.0
"""How often the store is asked for what others committed."""
VERSION = "Ris-Version"
"""Header of an answer: of which version of the store it is."""
VIEW_THREADS = 2
"""That make small pictures, apart from searches so that neither waits for the other."""


class Service:
    """An engine that is served."""

    def __init__(self, engine: SearchEngine, settings: Settings) -> None:
        self.engine, self.settings = engine, settings
        self.metrics = Metrics(engine)
        self.views = Views(engine)
        self.fetches = Workers(settings.threads, settings.waiting)
        self.decodings = Workers((os.cpu_count() or 1) + 1, settings.waiting)
        self.searches = Workers(settings.threads, settings.waiting)
        self.pictures = Workers(VIEW_THREADS, 4 * settings.waiting)
        self.writes = Workers(1, 4)
        self.ready = False
        self.version = settings.version
        """On which it stays; None where it follows the store."""
        self.following = True
        """Whether the store could be asked, the last time, for what others committed."""
        self.metrics.following.set_function(lambda: self.following)
        self._background = ThreadPoolExecutor(1, "background")
        self.duplicates = Standing(
            "looking for duplicates",
            partial(_duplicates, engine),
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

    async def timed(self, client: str, work: Callable[[], T]) -> tuple[T, float]:
        """Search in a thread; return what was found, and the milliseconds without the wait for a thread."""

        def with_time() -> tuple[T, float]:
            started = time.perf_counter()
            found = work()
            return found, 1000 * (time.perf_counter() - started)

        return await self.searches.run(with_time, client)

    async def uploaded(self, client: str, picture: UploadFile, box: Box | None) -> Opened:
        """Decode an upload, or a part of it, in one of the processes for it; see `SearchEngine.open_query`.

        Raises:
            UnreadableImage: it is no picture, or too large.
        """
        return await self._decoded(client, picture.file.read, box)

    async def fetched(self, client: str, url: str, box: Box | None) -> Opened:
        """Fetch the picture at an address, and decode it as an upload.

        Raises:
            BadQueryError: it cannot be fetched, or may not be.
            UnreadableImage: it is no picture, or too large.
        """
        content = await self.fetches.run(lambda: fetch(url, MAX_BYTES, SECONDS), client)
        return await self._decoded(client, lambda: content, box)

    async def _decoded(self, client: str, content: Callable[[], bytes], box: Box | None) -> Opened:
        limit = self.settings.max_pixels
        return await self.decodings.run(
            lambda: self.engine.open_query(content(), box, max_pixels=limit), client
        )

    async def current(self, response: Response) -> SearchEngine:
        """Return the engine on the version that is served now, and name this in the answer."""
        engine = self.engine.snapshot()
        response.headers[VERSION] = str(engine.version)
        return engine

    async def stay_on(self, version: int | None) -> None:
        """Serve another version from now on, or the newest.

        Raises:
            HTTPException: this server does not stay on a version.
            RisError: the store does not keep that version, or cannot be read.
        """
        if self.version is None:
            raise HTTPException(409, "This server takes up each new version by itself.")
        await self.writes.run(lambda: self.engine.refresh(version))
        self.version = self.engine.version

    def state(self) -> State:
        """Tell whether the server is well."""
        return State(following=self.following, version=self.engine.version)

    def check_writable(self) -> None:
        """See that this server writes at all.

        Raises:
            HTTPException: it does not.
        """
        if self.settings.read_only:
            raise HTTPException(403, "This server only reads; write to the store by another one.")

    def admit(self, authorization: str | None) -> None:
        """Let a writer in.

        Raises:
            HTTPException: the token is missing or wrong.
        """
        scheme, _, token = (authorization or "").partition(" ")
        good = hmac.compare_digest(token.strip().encode(), self.settings.token.encode())
        if scheme.lower() != "bearer" or not good or not self.settings.token:
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
                    await self.writes.run(self._refresh)
            except Exception as error:
                self._unfollowed(error)
            else:
                if not self.following:
                    log.warning("The store is followed again.")
                self.following = True

    def _refresh(self) -> None:
        self.engine.refresh(self.version)

    def _unfollowed(self, error: Exception) -> None:
        """Tell once that the store cannot be followed; what is searched is what was read last."""
        self.metrics.follow_failures.inc()
        if self.following:
            log.warning("The store cannot be followed now, and is tried again.", exc_info=error)
        self.following = False


def _duplicates(engine: SearchEngine, progress: Progress) -> Duplicates:
    """Return the duplicates of one version."""
    engine = engine.snapshot()
    return Duplicates(
        groups=[*map(Group.of, engine.duplicates(progress=progress))],
        changed=[*map(Versions.of, engine.changed_versions())],
    )
