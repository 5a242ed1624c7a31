"""Connections that do not wait for ever, neither for a request's head nor for a client that does not read."""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from ris.serve.guard import SECURITY_HEADERS
from ris.serve.problems import ProblemResponse
from ris.serve.settings import Settings


def protocol(settings: Settings) -> type[H11Protocol]:
    """Return uvicorn's HTTP protocol with the time limits of `settings`."""

    class Patient(H11Protocol):
        _head: asyncio.TimerHandle | None = None
        _stalled: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._head = self.loop.call_later(settings.header_seconds, self.transport.abort)

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
            problem = ProblemResponse(400, "This is no valid HTTP request.", SECURITY_HEADERS)
            headers = [*problem.raw_headers, (b"connection", b"close")]
            for event in (
                h11.Response(status_code=400, headers=headers),
                h11.Data(data=bytes(problem.body)),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event) or b"")
            self.transport.close()

        def _cancel(self) -> None:
            if self._head:
                self._head.cancel()
                self._head = None

    return Patient
