"""An HTTP proxy that is slow, fails, or is gone, as an object store may be."""

import http.client
import random
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

HOP_BY_HOP = ("connection", "keep-alive", "transfer-encoding")
AFTER = 0.3
"""Share of the requests that fail whose work the server has done: only its answer is lost."""


@dataclass
class Faults:
    """What goes wrong from now on; may be changed at any time."""

    delay: float = 0.0
    """Seconds that a request takes longer."""
    share: float = 0.0
    """Of the requests that fail."""
    gone_until: float = 0.0
    """Moment of `time.monotonic` up to which no request is answered."""
    limit: int = 10**9
    """Requests from which on none is answered."""
    requests: int = 0
    """Made so far."""
    failed: int = 0
    drawn: random.Random = field(default_factory=lambda: random.Random(0))

    def go(self, seconds: float) -> None:
        """Be gone for a while."""
        self.gone_until = time.monotonic() + seconds

    @property
    def gone(self) -> bool:
        """Whether no request is answered now."""
        return time.monotonic() < self.gone_until or self.requests > self.limit


@contextmanager
def proxy(upstream: str) -> Iterator[tuple[str, Faults]]:
    """Yield the address of a proxy before a server, and what goes wrong there."""
    faults, lock = Faults(), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one_request(self) -> None:
            with suppress(ConnectionError):
                super().handle_one_request()

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            with lock:
                faults.requests += 1
                failed = faults.drawn.random() < faults.share
                after = faults.drawn.random() < AFTER
                faults.failed += failed
            time.sleep(faults.delay)
            if faults.gone or (failed and not after):
                self.drop()
                return
            status, headers, data = self.forwarded(body)
            if failed or faults.gone:
                self.drop()
                return
            self.send_response_only(status)
            for name, value in headers:
                if name.lower() not in (*HOP_BY_HOP, "content-length"):
                    self.send_header(name, value)
            length = dict(headers).get("Content-Length") if self.command == "HEAD" else len(data)
            self.send_header("Content-Length", str(length or 0))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = answer  # noqa: N815

        def forwarded(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
            parts = urlsplit(upstream)
            connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
            headers = {key: one for key, one in self.headers.items() if key.lower() not in HOP_BY_HOP}
            try:
                connection.request(self.command, self.path, body, headers)
                response = connection.getresponse()
                return response.status, response.getheaders(), response.read()
            finally:
                connection.close()

        def drop(self) -> None:
            """End the connection without an answer."""
            self.close_connection = True
            with suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", faults
        finally:
            server.shutdown()
            thread.join()
