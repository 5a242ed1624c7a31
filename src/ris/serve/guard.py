"""What stands between a client and the application: who is let in, how much of it, and how fast."""

import asyncio
import ipaddress
import logging
import math
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from python_multipart.multipart import parse_options_header
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ris.serve.metrics import Metrics
from ris.serve.problems import ProblemResponse
from ris.serve.settings import LOCAL_HOSTS, Settings

log = logging.getLogger("ris.serve")

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
HEALTH = "/health"
DISCARD_SECONDS = 2.0
"""How long the rest of a body that is too large is thrown away, so that its sender hears the answer."""
MAX_FORM = 64_000
"""Bytes of a form that is no multipart: it can only hold an address, and is parsed byte by byte."""
MAX_PARTS = 100
"""Of a multipart form, and of lines in it that could begin one."""
FORGET_SECONDS = 60.0
"""After which the count of a client that went away is dropped."""


@dataclass
class Allowance:
    """Requests that clients may make: a bucket of tokens each, which fills as time goes by."""

    per_second: float
    burst: int
    clock: Callable[[], float] = time.monotonic
    _buckets: dict[str, tuple[float, float]] = field(default_factory=dict)
    _swept: float = 0.0

    def wait(self, client: str) -> float:
        """Take one token of a client; return 0, or the seconds until there is one."""
        now = self.clock()
        self._sweep(now)
        tokens, since = self._buckets.get(client, (float(self.burst), now))
        tokens = min(self.burst, tokens + (now - since) * self.per_second)
        allowed = tokens >= 1
        self._buckets[client] = (tokens - allowed, now)
        return 0.0 if allowed else (1 - tokens) / self.per_second

    def _sweep(self, now: float) -> None:
        if now - self._swept < FORGET_SECONDS:
            return
        full = self.burst / self.per_second
        self._buckets = {
            client: bucket
            for client, bucket in self._buckets.items()
            if now - bucket[1] < max(full, FORGET_SECONDS)
        }
        self._swept = now


def client_of(scope: Scope) -> str:
    """Return whom a request counts for: its address, of IPv6 the network of which one client has all."""
    host = scope["client"][0] if scope.get("client") else ""
    if ":" not in host:
        return str(host)
    return str(ipaddress.IPv6Network((host.partition("%")[0], 64), strict=False))


def host_name(host: str) -> str:
    """Return a Host header's name without its port, in lower case."""
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdigit() else host).lower()


def known_hosts(settings: Settings) -> frozenset[str]:
    """Return the names under which requests are answered."""
    own = f"[{settings.host}]" if ":" in settings.host else settings.host
    return frozenset(name.lower() for name in (*LOCAL_HOSTS, own, *settings.hosts))


class Guard:
    """Refuses what is addressed to another host, comes too often, is too large or too slow.

    It also puts the security headers on every response, counts requests, and answers what the application
    did not expect with a problem that tells nothing of its inside.
    """

    def __init__(self, app: ASGIApp, settings: Settings, metrics: Metrics) -> None:
        self.app, self.settings, self.metrics = app, settings, metrics
        self.hosts = known_hosts(settings)
        self.allowance = Allowance(settings.requests_per_second, settings.burst)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        method = scope["method"]
        if method == "HEAD":
            scope = {**scope, "method": "GET"}  # The connection leaves the answer's body out.
        started = time.perf_counter()
        body = Body(scope, receive, self.settings.max_bytes, self.settings.upload_seconds)
        status = 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
                await body.discard()
                if body.pending:
                    headers["Connection"] = "close"
            await send(message)

        try:
            with self.metrics.in_progress.track_inprogress():
                refused = self._refusal(scope) or body.refusal()
                if refused:
                    await refused(scope, receive, answer)
                else:
                    await self.app(scope, body.receive, answer)
        except Exception:
            if status:
                raise
            log.exception("%s %s failed", method, scope["path"])
            await ProblemResponse(500, "The server failed; its log says why.")(scope, receive, answer)
        finally:
            self.metrics.observe({**scope, "method": method}, status, time.perf_counter() - started)

    def _refusal(self, scope: Scope) -> ProblemResponse | None:
        host = Headers(scope=scope).get("host", "")
        if host_name(host) not in self.hosts:
            return ProblemResponse(
                421, "This server does not answer under that name; start it with it to allow it."
            )
        if scope["path"] == HEALTH:  # It costs no more than to refuse it.
            return None
        wait = self.allowance.wait(client_of(scope))
        if wait:
            return ProblemResponse(
                429, "Too many requests; wait a moment.", {"Retry-After": f"{math.ceil(wait)}"}
            )
        return None


class Body:
    """A request's body as it comes in, limited in bytes and time."""

    def __init__(self, scope: Scope, receive: Receive, max_bytes: int, seconds: float) -> None:
        headers = Headers(scope=scope)
        kind, options = parse_options_header(headers.get("content-type"))
        multipart = kind == b"multipart/form-data"
        self._part = b"--" + options.get(b"boundary", b"") if multipart else None
        """What begins a part of it."""
        self._parts = 0
        self._receive, self._seconds = receive, seconds
        self._max_bytes = max_bytes if multipart else min(max_bytes, MAX_FORM)
        self._two_lengths = "content-length" in headers and "transfer-encoding" in headers
        self._length = headers.get("content-length", "0")
        self._waits_to_be_asked = headers.get("expect", "").lower() == "100-continue"
        self._deadline = asyncio.get_running_loop().time() + seconds
        self._bytes = 0
        self.pending = self._length != "0" or "transfer-encoding" in headers
        """Whether there is more of it to come."""

    def refusal(self) -> ProblemResponse | None:
        """Return the answer to a body that says that it is too large, or says its length twice."""
        if self._two_lengths:
            return ProblemResponse(
                400, "Give Content-Length or Transfer-Encoding, not both.", {"Connection": "close"}
            )
        if not self._length.isdecimal():
            return ProblemResponse(400, "The Content-Length is no number.")
        return ProblemResponse(413, self._too_large()) if int(self._length) > self._max_bytes else None

    async def receive(self) -> Message:
        """Receive the next part of it.

        Raises:
            HTTPException: it has become too large, or takes too long.
        """
        if not self.pending:
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError:
            detail = f"The request's body did not come within {self._seconds:g} seconds."
            raise HTTPException(408, detail) from None
        self._count(message)
        if self._bytes > self._max_bytes:
            raise HTTPException(413, self._too_large())
        if self._parts > MAX_PARTS:
            raise HTTPException(413, f"The request has more than the {MAX_PARTS} parts that are allowed.")
        return message

    async def discard(self) -> None:
        """Read as much again and throw it away, for a client hears no answer while it sends."""
        if self._waits_to_be_asked and not self._bytes:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(DISCARD_SECONDS):
                while self.pending and self._bytes <= 2 * self._max_bytes:
                    self._count(await self._receive())

    def _count(self, message: Message) -> None:
        self._bytes += len(message.get("body", b""))
        if self._part is not None:
            self._parts += message.get("body", b"").count(self._part)
        self.pending = message.get("more_body", False)

    def _too_large(self) -> str:
        return f"The request is larger than the {self._max_bytes / 1e6:g} MB that are allowed."
