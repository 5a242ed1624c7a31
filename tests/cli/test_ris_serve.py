import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

Ris = Callable[..., Any]


def started(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "ris.cli", "serve", *map(str, arguments)],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # What a shell starts in the background ignores Ctrl-C, and so would its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def test_a_store_is_served_until_it_is_interrupted(own: Path, query: Path) -> None:
    command = started(own / "photos.ris", "--port", 0, "--json", "--name", "pictures.example.org")
    assert command.stdout
    told = json.loads(command.stdout.readline())
    assert told["url"].startswith("http://127.0.0.1:")
    with httpx.Client(base_url=told["url"], timeout=60) as client:
        while client.get("/ready").status_code != 200:
            time.sleep(0.1)
        assert "<html" in client.get("/").text
        found = client.post("/api/find", files={"picture": query.read_bytes()}).json()
        assert found["here"] is True
        assert client.get("/ready", headers={"Host": "pictures.example.org"}).status_code == 200
        assert client.get("/ready", headers={"Host": "elsewhere.example.org"}).status_code == 421
        assert client.post("/api/sync").status_code == 401
        allowed = client.post("/api/sync", headers={"Authorization": f"Bearer {told['token']}"})
        assert allowed.json()["unchanged"] == 22
    command.send_signal(signal.SIGINT)
    out, err = command.communicate(timeout=60)
    assert (command.returncode, out) == (130, "")
    assert err.startswith("interrupted: ")
    assert err.count("\n") == 1


def test_a_token_of_ones_own_is_taken_from_the_environment(ris: Ris, store: Path, monkeypatch: Any) -> None:
    seen: list[Any] = []

    def idle(_: object, settings: object) -> Idle:
        seen.append(settings)
        return Idle()

    monkeypatch.setattr("ris.serve.server.configured", idle)
    monkeypatch.setenv("RIS_TOKEN", "of my own")
    ended = ris("serve", store, "--port", 0)
    assert ended.code == 0
    assert seen[0].token == "of my own"
    assert (seen[0].host, seen[0].urls) == ("127.0.0.1", False)
    assert ended.out.startswith("The page: http://127.0.0.1:")
    assert "Writing needs this token: of my own\n" in ended.out


class Idle:
    """A server that ends at once."""

    def run(self, sockets: list[Any]) -> None:
        """Serve nobody."""


def test_a_port_that_is_taken_is_told(ris: Ris, store: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ended = ris("serve", store, "--port", taken.getsockname()[1])
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith("error: ")
    assert ended.err.count("\n") == 1
