import hashlib
import logging
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from ris.download import ATTEMPTS, download, verify
from ris.errors import RisError

CONTENT = np.random.default_rng(0).bytes(700_001)
OTHER = np.random.default_rng(1).bytes(700_001)
QUICK = 0.001


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@dataclass
class Server:
    """What the server sends, and what it was asked."""

    url: str = ""
    content: bytes = CONTENT
    validators: dict[str, str] = field(default_factory=lambda: {"ETag": '"one"'})
    ranges: bool = True
    honours_if_range: bool = True
    failures: list[int] = field(default_factory=list)
    """Statuses of the first answers."""
    cuts: list[int] = field(default_factory=list)
    """Bytes after which the first bodies are cut."""
    asked: list[dict[str, str]] = field(default_factory=list)
    sent: int = 0


def handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.asked.append({key.lower(): value for key, value in self.headers.items()})
            if server.failures:
                self.send_error(server.failures.pop(0))
                return
            start = self.start()
            if start >= len(server.content) > 0:
                self.send_error(416)
                return
            body = server.content[start:]
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(body)))
            if start:
                total = len(server.content)
                self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
            for name, value in server.validators.items():
                self.send_header(name, value)
            self.end_headers()
            body = body[: server.cuts.pop(0)] if server.cuts else body
            server.sent += len(body)
            self.wfile.write(body)

        def start(self) -> int:
            wanted = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").removesuffix("-")
            condition = self.headers.get("If-Range")
            changed = condition is not None and condition not in server.validators.values()
            return 0 if not server.ranges or (changed and server.honours_if_range) else int(wanted)

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()
    with ThreadingHTTPServer(("127.0.0.1", 0), handler(state)) as listening:
        state.url = f"http://127.0.0.1:{listening.server_port}/pictures.zip"
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield state
        listening.shutdown()
        thread.join()


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def stop_early(server: Server, target: Path) -> None:
    """Leave 300,000 bytes behind, as a killed process does."""
    server.cuts = [300_000] + [0] * (ATTEMPTS - 1)
    with pytest.raises(RisError, match="cut again and again"):
        download(server.url, target, sha256(server.content), backoff=QUICK)
    assert names(target.parent) == ["pictures.zip.part", "pictures.zip.part.json"]
    server.asked.clear()
    server.sent = 0


def test_whole_file_in_one_request(server: Server, tmp_path: Path) -> None:
    target = tmp_path / "new" / "pictures.zip"
    download(server.url, target, sha256(CONTENT), backoff=QUICK)
    assert target.read_bytes() == CONTENT
    assert names(target.parent) == ["pictures.zip"]
    assert len(server.asked) == 1
    assert server.asked[0]["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    "checksum",
    [sha256(CONTENT)[:15], f"md5:{hashlib.md5(CONTENT).hexdigest()}", None],
    ids=["prefix", "md5", "none"],
)
def test_every_form_of_checksum_accepts_the_right_file(
    server: Server, tmp_path: Path, checksum: str | None
) -> None:
    download(server.url, tmp_path / "a", checksum, backoff=QUICK)
    verify(tmp_path / "a", checksum)
    assert (tmp_path / "a").read_bytes() == CONTENT


def test_cut_connection_is_resumed_where_it_stopped(server: Server, tmp_path: Path) -> None:
    server.cuts = [200_000, 300_000]
    download(server.url, tmp_path / "pictures.zip", sha256(CONTENT), backoff=QUICK)
    assert (tmp_path / "pictures.zip").read_bytes() == CONTENT
    assert [asked.get("range") for asked in server.asked] == [None, "bytes=200000-", "bytes=500000-"]
    assert server.asked[1]["if-range"] == '"one"'
    assert server.sent == len(CONTENT)


def test_a_later_call_resumes(server: Server, tmp_path: Path) -> None:
    target = tmp_path / "pictures.zip"
    stop_early(server, target)
    download(server.url, target, sha256(CONTENT), backoff=QUICK)
    assert target.read_bytes() == CONTENT
    assert server.sent == len(CONTENT) - 300_000
    assert names(tmp_path) == ["pictures.zip"]


def test_a_complete_partial_file_is_not_asked_for_again(server: Server, tmp_path: Path) -> None:
    target = tmp_path / "pictures.zip"
    stop_early(server, target)
    target.with_name("pictures.zip.part").write_bytes(CONTENT)
    download(server.url, target, sha256(CONTENT), backoff=QUICK)
    assert target.read_bytes() == CONTENT
    assert server.asked == []


@pytest.mark.parametrize(
    "validators", [{"Last-Modified": "Mon, 03 Jan 2022 00:00:00 GMT"}, {}, {"ETag": 'W/"weak"'}]
)
def test_resumes_without_a_strong_etag(server: Server, tmp_path: Path, validators: dict[str, str]) -> None:
    server.validators, server.cuts = validators, [300_000]
    download(server.url, tmp_path / "pictures.zip", sha256(CONTENT), backoff=QUICK)
    assert (tmp_path / "pictures.zip").read_bytes() == CONTENT
    assert server.sent == len(CONTENT)
    assert server.asked[1].get("if-range") == validators.get("Last-Modified")


def test_server_that_ignores_range_sends_all_again(server: Server, tmp_path: Path) -> None:
    server.cuts, server.ranges = [300_000], False
    download(server.url, tmp_path / "pictures.zip", sha256(CONTENT), backoff=QUICK)
    assert (tmp_path / "pictures.zip").read_bytes() == CONTENT


@pytest.mark.parametrize("honours_if_range", [True, False])
def test_changed_resource_starts_anew(server: Server, tmp_path: Path, honours_if_range: bool) -> None:
    target = tmp_path / "pictures.zip"
    stop_early(server, target)
    server.content, server.validators = OTHER, {"ETag": '"two"'}
    server.honours_if_range = honours_if_range
    download(server.url, target, sha256(OTHER), backoff=QUICK)
    assert target.read_bytes() == OTHER


@pytest.mark.parametrize(
    "content", [OTHER[:500_000], OTHER[:100_000]], ids=["shorter", "shorter than the part"]
)
def test_changed_size_starts_anew_without_validators(server: Server, tmp_path: Path, content: bytes) -> None:
    target = tmp_path / "pictures.zip"
    server.validators = {}
    stop_early(server, target)
    server.content = content
    download(server.url, target, None, backoff=QUICK)
    assert target.read_bytes() == content


def test_part_of_another_address_is_not_continued(server: Server, tmp_path: Path) -> None:
    target = tmp_path / "pictures.zip"
    stop_early(server, target)
    download(f"{server.url}?version=2", target, sha256(CONTENT), backoff=QUICK)
    assert "range" not in server.asked[0]


@pytest.mark.parametrize("status", [503, 500, 429])
def test_busy_server_is_asked_again(
    server: Server, tmp_path: Path, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    server.failures = [status, status]
    with caplog.at_level(logging.WARNING):
        download(server.url, tmp_path / "pictures.zip", sha256(CONTENT), backoff=QUICK)
    assert (tmp_path / "pictures.zip").read_bytes() == CONTENT
    assert [str(status) in message for message in caplog.messages] == [True, True]


def test_busy_server_does_not_lose_what_has_arrived(server: Server, tmp_path: Path) -> None:
    target = tmp_path / "pictures.zip"
    stop_early(server, target)
    server.failures = [503]
    download(server.url, target, sha256(CONTENT), backoff=QUICK)
    assert target.read_bytes() == CONTENT
    assert server.sent == len(CONTENT) - 300_000


def test_waits_double(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr("tenacity.nap.time.sleep", waits.append)
    server.failures = [503] * ATTEMPTS
    with pytest.raises(RisError, match="503"):
        download(server.url, tmp_path / "pictures.zip", None)
    assert waits == [1, 2, 4, 8]


def test_missing_page_is_asked_for_once(server: Server, tmp_path: Path) -> None:
    server.failures = [404] * ATTEMPTS
    with pytest.raises(RisError, match="404"):
        download(server.url, tmp_path / "pictures.zip", None, backoff=QUICK)
    assert len(server.asked) == 1


def test_wrong_checksum_leaves_nothing(server: Server, tmp_path: Path) -> None:
    with pytest.raises(RisError) as caught:
        download(server.url, tmp_path / "pictures.zip", sha256(OTHER), backoff=QUICK)
    assert sha256(CONTENT) in str(caught.value)
    assert sha256(OTHER) in str(caught.value)
    assert server.url in str(caught.value)
    assert names(tmp_path) == []


def test_wrong_checksum_keeps_the_file_that_stood_there(server: Server, tmp_path: Path) -> None:
    (tmp_path / "pictures.zip").write_bytes(b"before")
    with pytest.raises(RisError):
        download(server.url, tmp_path / "pictures.zip", sha256(OTHER), backoff=QUICK)
    assert (tmp_path / "pictures.zip").read_bytes() == b"before"


def test_refused_connection_says_what_to_do_by_hand(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{closed_port()}/pictures.zip"
    with pytest.raises(RisError) as caught:
        download(url, tmp_path / "pictures.zip", None, backoff=QUICK)
    assert url in str(caught.value)
    assert "could not be reached" in str(caught.value)
    assert "data.source=/path/to/file" in str(caught.value)
    assert "RIS_DATA_SOURCE" in str(caught.value)
    assert names(tmp_path) == []


def test_hint_is_the_caller_s(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{closed_port()}/weights.pth"
    with pytest.raises(RisError, match="download it elsewhere and set RIS_WEIGHTS_SOURCE"):
        download(url, tmp_path / "w", None, by_hand="set RIS_WEIGHTS_SOURCE", backoff=QUICK)


def test_proxy_of_the_environment_is_used(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    download("http://no-such-host.invalid/a", tmp_path / "a", sha256(CONTENT), backoff=QUICK)
    assert server.asked[0]["host"] == "no-such-host.invalid"


def test_refusing_proxy_is_named_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    monkeypatch.setenv("https_proxy", server.url)
    waits: list[float] = []
    monkeypatch.setattr("tenacity.nap.time.sleep", waits.append)
    with pytest.raises(RisError, match="the proxy refused"):
        download("https://no-such-host.invalid/a", tmp_path / "a", None)
    assert waits == []


def test_bad_address_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(RisError, match="Cannot download http://:"):
        download("http://", tmp_path / "a", None)


def test_quiet_where_stderr_is_no_terminal(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    download(server.url, tmp_path / "pictures.zip", None, backoff=QUICK)
    assert capsys.readouterr() == ("", "")


def test_damaged_memory_of_a_part_starts_anew(server: Server, tmp_path: Path) -> None:
    target = tmp_path / "pictures.zip"
    stop_early(server, target)
    target.with_name("pictures.zip.part.json").write_text("{")
    download(server.url, target, sha256(CONTENT), backoff=QUICK)
    assert target.read_bytes() == CONTENT


def test_verify_names_both_checksums(tmp_path: Path) -> None:
    path = tmp_path / "local.zip"
    path.write_bytes(CONTENT)
    verify(path, sha256(CONTENT))
    with pytest.raises(
        RisError, match=rf"{path} has the checksum {sha256(CONTENT)} where sha256:00000000 is"
    ):
        verify(path, "sha256:00000000")


def test_verify_refuses_what_is_no_file(tmp_path: Path) -> None:
    for path in (tmp_path / "absent", tmp_path):
        with pytest.raises(RisError, match="missing or no file"):
            verify(path, None)
