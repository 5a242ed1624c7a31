"""What one client sends costs the others next to nothing: not pictures, forms, connections or addresses."""

import socket
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import hostile
import httpx
import pytest

from ris.engine import SearchEngine
from ris.serve import Settings
from ris.serve import service as services
from serve.conftest import TOKEN, Live, running
from serve.test_limits import FORM, connected, head, refused, rest

RATIO = 200
"""By how much the slowest answer may be slower than an idle server's; that takes some 3 ms."""

PICTURES = {
    "Exif segments": hostile.exif_segments(100_000),
    "scans": hostile.scans(2_000),
    "fill": hostile.filled(b"\xff", 2_000_000),
    "grey of 16 bits": hostile.png(7071, 7071, bits=16),
    "JPEG 2000": hostile.black_jp2(4000),
    "chunks": hostile.png(8, 8, before=hostile.chunk(b"teSt", b"") * 100_000),
}


@pytest.fixture(scope="module")
def opened(made: Path) -> Iterator[SearchEngine]:
    with SearchEngine.open(made / "store", threads=2, urls=True) as engine:
        yield engine


@pytest.fixture(scope="module")
def idle(live: Live) -> float:
    """Seconds that an idle server takes to say that it is alive, at the median."""
    return statistics.median(health(live) for _ in range(30))


def health(live: Live) -> float:
    started = time.perf_counter()
    assert live.client.get("/health").status_code == 200
    return time.perf_counter() - started


def slowest(live: Live, work: threading.Thread) -> float:
    """Seconds of the slowest answer while something else is worked on."""
    work.start()
    seconds = [health(live)]
    while work.is_alive():
        seconds.append(health(live))
        time.sleep(0.01)
    work.join()
    return max(seconds)


@pytest.mark.parametrize("name", PICTURES)
def test_health_is_told_while_a_picture_is_worked_on(live: Live, idle: float, name: str) -> None:
    answers: list[httpx.Response] = []

    def upload() -> None:
        with httpx.Client(base_url=live.url, timeout=120) as other:
            answers.append(other.post("/api/search", files={"picture": PICTURES[name]}))

    assert slowest(live, threading.Thread(target=upload)) < RATIO * idle
    assert answers[0].status_code in (200, 413, 422)
    assert len(answers[0].content) < 20_000


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/x-www-form-urlencoded", b"&" * 19_000_000),
        ("multipart/form-data; boundary=b", b"\r\n--bX" * 3_000_000),
        ("multipart/form-data; boundary=b", b"--b\r\nA: b\r\n\r\n\r\n" * 1_000_000),
    ],
    ids=["ampersands", "almost parts", "parts"],
)
def test_a_form_that_is_slow_to_read_is_not_read(live: Live, idle: float, kind: str, body: bytes) -> None:
    answers: list[httpx.Response] = []

    def send() -> None:
        with httpx.Client(base_url=live.url, timeout=120) as other:
            answers.append(other.post("/api/search", content=body, headers={"Content-Type": kind}))

    started = time.process_time()
    assert slowest(live, threading.Thread(target=send)) < RATIO * idle
    assert answers[0].status_code in (400, 413)
    assert time.process_time() - started < RATIO * 5 * idle


def test_a_body_in_very_many_pieces_is_refused(live: Live) -> None:
    with connected(live) as connection:
        connection.sendall(head(Transfer_Encoding="chunked") + b"1\r\nx\r\n" * 20_000)
        answer = rest(connection)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"application/problem+json" in answer
    assert live.client.get("/health").status_code == 200


def test_idle_connections_shut_nobody_out(opened: SearchEngine) -> None:
    with running(opened, Settings(port=0, token=TOKEN, connections=40)) as live, ExitStack() as stack:
        place = live.url.removeprefix("http://").split(":")
        for _ in range(100):
            stack.enter_context(closing(socket.create_connection((place[0], int(place[1])))))
        with httpx.Client(base_url=live.url, timeout=20) as other:
            for path in ("/health", "/ready", "/api/about"):
                assert other.get(path).status_code == 200


def test_who_finds_no_connection_hears_a_problem_and_that_all_is_well(opened: SearchEngine) -> None:
    settings = Settings(port=0, token=TOKEN, connections=8)
    with running(opened, settings) as live, ExitStack() as stack:
        live.client.close()
        for _ in range(4):
            busy = stack.enter_context(connected(live))
            busy.sendall(head(Content_Length=1000) + b"x")
        time.sleep(0.5)
        with httpx.Client(base_url=live.url, timeout=20) as other:
            response = other.get("/api/about")
            refused(response, 503)
            assert response.headers["x-content-type-options"] == "nosniff"
            assert other.get("/health").status_code == 200


def test_addresses_that_are_slow_hold_up_no_search(
    opened: SearchEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = opened.pictures()[0].row
    go_on = threading.Event()

    def silent(*_: object) -> bytes:
        go_on.wait(60)
        return hostile.jpeg()

    monkeypatch.setattr(services, "fetch", silent)
    settings = Settings(port=0, token=TOKEN, urls=True, threads=2, waiting=4)
    with running(opened, settings) as live:
        answers: list[int] = []

        def ask() -> None:
            with httpx.Client(base_url=live.url, timeout=60) as other:
                answers.append(other.post("/api/search", data={"url": "http://silent.example/"}).status_code)

        threads = [threading.Thread(target=ask) for _ in range(10)]
        for thread in threads:
            thread.start()
        while len(answers) < 7:
            time.sleep(0.01)
        assert answers == [503] * 7
        assert live.client.post("/api/search", files={"picture": hostile.jpeg()}).status_code == 200
        assert live.client.get(f"/api/search?row={row}").status_code == 200
        go_on.set()
        for thread in threads:
            thread.join()
    assert sorted(answers) == [200] * 3 + [503] * 7


def test_head_is_answered_like_get_without_a_body(live: Live) -> None:
    thumbnail = f"/api/pictures/{live.engine.pictures()[0].row}/thumbnail"
    for path in ("/", "/health", "/api/about", thumbnail, "/page/page.css"):
        response, whole = live.client.head(path), live.client.get(path)
        assert (response.status_code, response.content) == (200, b"")
        assert response.headers["content-length"] == whole.headers["content-length"]
        assert response.headers["content-type"] == whole.headers["content-type"]


def test_a_length_that_is_said_twice_is_refused(live: Live) -> None:
    with connected(live) as connection:
        connection.sendall(head(Content_Length=5, Transfer_Encoding="chunked") + b"0\r\n\r\n")
        answer = rest(connection)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"not both" in answer


def test_an_answer_to_mistakes_is_not_much_longer_than_they_are(live: Live) -> None:
    for query in ("&".join(f"x{i}" for i in range(3_000)), "k=" + "9" * 10_000, "row=a&" * 2_000):
        assert len(live.client.get(f"/api/search?{query}").content) < 4_000
    assert live.client.post("/api/search", content=b"", headers=FORM).status_code in (400, 422)
