"""A process that ends at any of its writes leaves a store that opens, or that the same command completes.

A library that is loaded before the C library's counts the calls which change files of the store, and ends the
process at the n-th. Some kinds of calls of each command are tried, drawn by a seed;
`RIS_EVERY_WRITE=1` ends each at every call, which takes some twenty minutes.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

FAULTS = Path(__file__).parent / "faults"
ENDED = 77
"""Exit code at the chosen write."""
EVERY = os.environ.get("RIS_EVERY_WRITE") == "1"
TRIED = {"build": 12, "sync": 8, "discard": 5}
"""Kinds of calls that end a command; of others, 3."""
VARIES = re.compile(r"tmp\w+|[0-9a-f-]*[0-9][0-9a-f-]*|\w+(?=\.lance)")
"""What differs between calls of one kind."""
BEFORE = {
    "build": (),
    "take": ("build", "columns", "reencode"),
    "discard": ("build", "reencode"),
    "restore": ("build", "remove"),
}
"""Commands that make what a command is tried on; of others, `build` and `columns`."""


class Server:
    """A process whose forks run commands."""

    def __init__(self, shim: Path, folder: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(FAULTS / "server.py"), str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"LD_PRELOAD": str(shim)},
        )

    def ask(self, command: str, home: Path, fault: int = 0) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        request = {"command": command, "home": str(home), "fault": fault}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        assert "foreign" not in answer, (request, answer["foreign"])
        return answer

    def run(self, command: str, home: Path) -> list[str]:
        """Run a command to its end; return the calls that change the store, each with its path."""
        answer = self.ask(command, home)
        assert "error" not in answer, (command, answer)
        calls: list[str] = answer["calls"]
        return calls

    def state(self, home: Path) -> dict[str, Any]:
        found: dict[str, Any] = self.ask("state", home)["state"]
        return found

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("it takes Linux and a C compiler to end a process at a chosen write")
    folder = tmp_path_factory.mktemp("faults")
    shim = folder / "shim.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", shim, FAULTS / "shim.c", "-ldl"], check=True)
    server = Server(shim, folder)
    yield server
    server.close()


def photos(home: Path) -> None:
    """Make a folder of twelve small pictures."""
    for number in range(12):
        picture(number, home / "photos" / ("", "a", "b")[number % 3] / f"{number:02d}.png")


def picture(seed: int, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (36, 48, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file)


def changed(command: str, home: Path) -> None:
    """Change the folder of pictures as a command expects it."""
    if command in ("sync", "add"):
        for number in range(6):
            picture(100 + number, home / "photos" / "later" / f"{number}.png")
    if command == "sync":
        (home / "photos" / "00.png").rename(home / "photos" / "later" / "moved.png")
        (home / "photos" / "03.png").write_bytes(b"bad")
        (home / "photos" / "06.png").unlink()
    if command == "relocate":
        shutil.copytree(home / "photos", home / "albums")


def chosen(command: str, calls: list[str]) -> list[int]:
    """Return which calls end the process, the first being 1."""
    if EVERY:
        return list(range(1, len(calls) + 1))
    kinds: dict[str, list[int]] = {}
    for number, call in enumerate(calls, 1):
        kinds.setdefault(VARIES.sub("*", call), []).append(number)
    rng = np.random.default_rng(len(command))
    order = rng.permutation(len(kinds))[: TRIED.get(command, 3)]
    return [int(rng.choice(list(kinds.values())[place])) for place in order]


def restored(kept: Path, home: Path) -> None:
    for place in home.glob("store*"):
        shutil.rmtree(place)
    for place in kept.glob("store*"):
        shutil.copytree(place, home / place.name)


COMMANDS = (
    "build",
    "sync",
    "add",
    "remove",
    "remove and compact",
    "refit",
    "columns",
    "map",
    "relocate",
    "restore",
    "reencode",
    "take",
    "discard",
)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_fault_at_a_write(command: str, server: Server, tmp_path: Path) -> None:
    home, kept = tmp_path / "home", tmp_path / "kept"
    photos(home)
    for one in BEFORE.get(command, ("build", "columns")):
        server.run(one, home)
    changed(command, home)
    kept.mkdir()
    restored(home, kept)
    old = server.state(home)
    calls = server.run(command, home)
    new = server.state(home)
    assert all(not one["problems"] for one in new.values()), new
    faults = 0
    for number in chosen(command, calls):
        restored(kept, home)
        faults += server.ask(command, home, number)["ended"] == ENDED
        found = server.state(home)
        whole = found in (old, new)
        # What is not there before or after a command may be left unfinished by it; what is there stays whole.
        for name in old.keys() & new.keys() if command != "take" else ():
            assert whole or found[name] == old[name], (number, found)
        if found != new:
            answer = server.ask(command, home)
            assert "error" not in answer, (number, found, answer)
        assert server.state(home) == new, number
    assert faults
    print(f"{command}: the process ended at {faults} of {len(calls)} calls")
