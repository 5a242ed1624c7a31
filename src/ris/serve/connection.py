"""Connections: so many at one time, and none that waits for ever, for a request or for a client to read."""

import asyncio
from typing import Any

import h11
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from ris.serve.guard import HEALTH, SECURITY_HEADERS, client_of
from ris.serve.problems import ProblemResponse
from ris.serve.settings import Settings

HEAD_BYTES = 65_536
"""Of a request's head, at most."""
PIECES = 1_000
"""Of a request's body that may be small."""
PIECE = 512
"""Bytes that further ones have on average, at least."""

CLOSE = {"Connection": "close", "Retry-After": "1"}


class Measured(h11.Connection):
    """Refuses a body in very many small pieces, each of which costs as much as a large one."""

    _pieces = _bytes = 0

    def next_event(self) -> Any:
        """Return what came next.

        Raises:
            h11.RemoteProtocolError: the pieces are too small.
        """
        event = super().next_event()
        if isinstance(event, h11.Data):
            self._pieces, self._bytes = self._pieces + 1, self._bytes + len(event.data)
            if self._pieces > PIECES + self._bytes // PIECE:
                raise h11.RemoteProtocolError("too many small pieces")
        return event

    def start_next_cycle(self) -> None:
        """Make ready for the next request."""
        self._pieces = self._bytes = 0
        super().start_next_cycle()


def protocol(settings: Settings) -> type[H11Protocol]:
    """Return uvicorn's HTTP protocol with the limits of `settings`."""

    class Patient(H11Protocol):
        _head: asyncio.TimerHandle | None = None
        _stalled: asyncio.TimerHandle | None = None
        since = 0.0
        """When it began to wait for a request."""
        of = ""
        """Whom it counts for."""

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self.conn = Measured(h11.SERVER, HEAD_BYTES)
            self.of, self.since = client_of({"client": self.client}), self.loop.time()
            self._head = self.loop.call_later(settings.header_seconds, self.transport.abort)
            others = [one for one in self.connections if one is not self and isinstance(one, Patient)]
            own = [one for one in others if one.of == self.of]
            if len(others) >= 2 * settings.connections:
                self.transport.abort()
            elif len(own) >= settings.connections // 2:
                self._take_place(own)
            elif len(others) >= settings.connections:
                self._take_place(others)

        def _take_place(self, others: list["Patient"]) -> None:
            """Drop the connection that has waited longest for a request; without one, answer little."""
            waiting = [one for one in others if one.cycle is None or one.cycle.response_complete]
            if not waiting:
                self.app = _without_room(self.app)
                return
            longest = min(waiting, key=lambda one: one.since)
            self.connections.discard(longest)
            longest.transport.abort()

        def on_response_complete(self) -> None:
            self.since = self.loop.time()
            super().on_response_complete()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.conn.their_state is not h11.IDLE:
                self._cancel()
            elif self._head is None:
                self._head = self.loop.call_later(settings.header_seconds, self.transport.abort)

        def pause_writing(self) -> None:
            super().pause_writing()
            self._stalled = self.loop.call_later(settings.idle_seconds, self.transport.abort)

        def resume_writing(self) -> None:
            super().resume_writing()
            if self._stalled:
                self._stalled.cancel()

        def connection_lost(self, exc: Exception | None) -> None:
            self._cancel()
            if self._stalled:
                self._stalled.cancel()
            super().connection_lost(exc)

        def send_400_response(self, msg: str) -> None:  # noqa: ARG002
            problem = ProblemResponse(400, "This is no valid HTTP request.", SECURITY_HEADERS | CLOSE)
            if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
                for event in (
                    h11.Response(status_code=400, headers=problem.raw_headers),
                    h11.Data(data=bytes(problem.body)),
                    h11.EndOfMessage(),
                ):
                    self.transport.write(self.conn.send(event) or b"")
            if self.cycle is not None:
                self.cycle.disconnected = True  # What it would still answer goes nowhere.
            self.transport.close()

        def _cancel(self) -> None:
            if self._head:
                self._head.cancel()
                self._head = None

    return Patient


def _without_room(app: ASGIApp) -> ASGIApp:
    """Return an application that answers whether the server is alive, and refuses all else."""
    problem = ProblemResponse(503, "So many connections are open; try again.", SECURITY_HEADERS | CLOSE)

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        alive = scope["type"] == "http" and scope["path"] == HEALTH
        await (app if alive else problem)(scope, receive, send)

    return answer
