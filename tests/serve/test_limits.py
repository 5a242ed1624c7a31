"""What is too much, too slow or too often is refused as said, and the server goes on."""

import socket
import struct
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from ris.engine import SearchEngine
from ris.serve import Settings
from serve.conftest import TOKEN, Live, running

TIGHT = Settings(
    port=0,
    token=TOKEN,
    max_bytes=100_000,
    max_pixels=1_000_000,
    upload_seconds=1,
    header_seconds=1,
    idle_seconds=1,
)
BOUNDARY = b"--b\r\nContent-Disposition: form-data; name=picture; filename=x\r\n\r\n"
FORM = {"Content-Type": "multipart/form-data; boundary=b"}


@pytest.fixture(scope="module")
def opened(made: Path) -> Iterator[SearchEngine]:
    """The store for the servers of this file, one at a time."""
    with SearchEngine.open(made / "store", threads=2) as engine:
        yield engine


@pytest.fixture(scope="module")
def tight(opened: SearchEngine) -> Iterator[Live]:
    with running(opened, TIGHT) as live:
        yield live


@contextmanager
def connected(live: Live) -> Iterator[socket.socket]:
    host, port = live.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        yield connection


def head(method: str = "POST", path: str = "/api/search", **headers: object) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in (FORM | headers).items()]
    return "\r\n".join([*lines, "", ""]).encode()


def rest(connection: socket.socket) -> bytes:
    """Everything until the server closes the connection."""
    received = b""
    while True:
        try:
            data = connection.recv(65536)
        except ConnectionResetError:
            return received
        if not data:
            return received
        received += data


def refused(response: httpx.Response, status: int) -> str:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == status
    return str(problem["detail"])


def bomb(width: int, height: int) -> bytes:
    """A PNG of few bytes and many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    lines = zlib.compress(bytes(width // 8 + 1) * height, 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", lines) + chunk(b"IEND", b"")


def test_a_body_that_says_it_is_too_large_is_refused_before_it_is_read(tight: Live) -> None:
    with connected(tight) as connection:
        connection.sendall(head(Content_Length=10**9, Expect="100-continue"))
        answer = rest(connection)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"larger than the 0.1 MB" in answer
    assert b"100 Continue" not in answer


def test_a_body_that_is_too_large_is_refused_while_it_comes(tight: Live) -> None:
    """Chunked, so that nobody knows how much is to come; the sender still hears the answer."""

    def parts() -> Iterator[bytes]:
        yield BOUNDARY
        for _ in range(15):
            yield bytes(10_000)

    detail = refused(tight.client.post("/api/search", content=parts(), headers=FORM), 413)
    assert detail == "The request is larger than the 0.1 MB that are allowed."


def test_a_body_without_an_end_is_cut_off(tight: Live) -> None:
    sent = 0
    with connected(tight) as connection:
        connection.sendall(head(Transfer_Encoding="chunked") + b"4e20\r\n" + bytes(20_000) + b"\r\n")
        try:
            while sent < 10**8:
                connection.sendall(b"4e20\r\n" + bytes(20_000) + b"\r\n")
                sent += 20_000
        except OSError:
            pass
    assert sent < 2 * 10**7


@pytest.mark.parametrize("status", [401, 421])
def test_who_is_refused_cannot_go_on_sending(tight: Live, status: int) -> None:
    request = head(path="/api/pictures", Transfer_Encoding="chunked")
    if status == 421:
        request = request.replace(b"Host: localhost", b"Host: evil.example")
    with connected(tight) as connection:
        connection.sendall(request)
        assert rest(connection).startswith(f"HTTP/1.1 {status} ".encode())


@pytest.mark.parametrize("length", ["-1", "many", "1e3"])
def test_a_length_that_is_no_number_is_refused(tight: Live, length: str) -> None:
    with connected(tight) as connection:
        connection.sendall(head(Content_Length=length))
        assert rest(connection).startswith(b"HTTP/1.1 400 ")


def test_a_body_that_comes_too_slowly_is_refused(tight: Live) -> None:
    with connected(tight) as connection:
        connection.sendall(head(Content_Length=50_000) + BOUNDARY)
        stop = threading.Event()

        def trickle() -> None:
            while not stop.wait(0.1):
                try:
                    connection.sendall(b"x")
                except OSError:
                    return

        thread = threading.Thread(target=trickle)
        thread.start()
        answer = rest(connection)
        stop.set()
        thread.join()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"did not come within 1 seconds" in answer


@pytest.mark.parametrize(
    "request_line", [b"nonsense\r\n\r\n", b"GET / HTTP/9\r\n\r\n", b"GET /" + bytes(100_000 * [120])]
)
def test_what_is_no_http_is_a_problem(tight: Live, request_line: bytes) -> None:
    with connected(tight) as connection:
        connection.sendall(request_line)
        answer = rest(connection)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"application/problem+json" in answer
    assert b"nosniff" in answer


@pytest.mark.parametrize("before", [b"", b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"])
def test_a_head_that_comes_too_slowly_ends_the_connection(tight: Live, before: bytes) -> None:
    """On a fresh connection, and on one that was used before."""
    with connected(tight) as connection:
        connection.sendall(before)
        answer = b""
        while before and b'"ok"' not in answer:
            answer += connection.recv(65536)
        ended = threading.Event()

        def trickle() -> None:
            for letter in b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + bytes(100 * [120]):
                if ended.wait(0.1):
                    return
                try:
                    connection.sendall(bytes([letter]))
                except OSError:
                    return

        thread = threading.Thread(target=trickle)
        thread.start()
        assert rest(connection) == b""
        ended.set()
        thread.join()


def test_a_client_that_does_not_read_is_dropped(tight: Live) -> None:
    with connected(tight) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        request = head("GET", "/page/page.css")

        def ask_on() -> None:
            while True:
                connection.sendall(request)
                time.sleep(0.001)

        with pytest.raises(ConnectionError):
            ask_on()
    assert tight.client.get("/health").status_code == 200


@pytest.mark.parametrize(
    ("size", "told"),
    [((30_000, 8_000), "more pixels than Pillow's safety limit"), ((1_001, 1_000), "1001 x 1000 pixels")],
)
@pytest.mark.parametrize("path", ["/api/search", "/api/find", "/api/compare", "/api/preview"])
def test_a_bomb_is_refused_by_its_header(tight: Live, path: str, size: tuple[int, int], told: str) -> None:
    upload = bomb(*size)
    assert len(upload) < 100_000
    assert told in refused(tight.client.post(path, files={"picture": upload}), 413)


def test_a_picture_within_the_limits_is_taken(tight: Live) -> None:
    assert tight.client.post("/api/preview", files={"picture": bomb(1000, 1000)}).status_code == 200


def test_too_many_requests_of_one_client_are_refused_for_a_while(opened: SearchEngine) -> None:
    with running(opened, replace(TIGHT, requests_per_second=1, burst=200)) as live:
        statuses = [live.client.get("/ready").status_code for _ in range(300)]
        assert statuses[:100] == [200] * 100  # the others may be spent on waiting for the server
        assert statuses.count(429) > 50
        response = live.client.get("/ready")
        while response.status_code == 200:
            response = live.client.get("/ready")
        refused(response, 429)
        assert live.client.get("/health").status_code == 200
        time.sleep(float(response.headers["Retry-After"]) + 0.1)
        assert live.client.get("/ready").status_code == 200


def test_a_search_that_finds_no_room_is_sent_away(
    opened: SearchEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()

    def waits(*_: Any, **__: Any) -> list[Any]:
        go_on.wait(20)
        return []

    with running(opened, replace(TIGHT, threads=1, waiting=3)) as live:
        monkeypatch.setattr(opened, "search", waits)
        answers: list[int] = []
        threads = [
            threading.Thread(target=lambda: answers.append(live.client.get("/api/search?row=0").status_code))
            for _ in range(5)
        ]
        for thread in threads:
            thread.start()
        while len(answers) < 3:
            time.sleep(0.01)
        assert answers == [503] * 3
        assert live.client.get("/health").status_code == 200
        go_on.set()
        for thread in threads:
            thread.join()
    assert sorted(answers) == [200, 200, 503, 503, 503]


def test_what_the_server_did_not_expect_tells_nothing_of_its_inside(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails() -> dict[str, int]:
        raise RuntimeError("secret")

    monkeypatch.setattr(live.engine, "labels", fails)
    response = live.client.get("/api/labels")
    assert "secret" not in response.text
    refused(response, 500)
    assert response.headers["x-content-type-options"] == "nosniff"
