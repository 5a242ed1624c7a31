"""How the command ends as a process of its own: what signals, pipes and terminals do to it."""

import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import hostile
import pytest
from filelock import FileLock, Timeout

from ris.cli.progress import bars
from ris.engine import SearchEngine
from ris.store.commits import LOCK

Draw = Callable[..., Any]


def started(*arguments: object, **options: Any) -> subprocess.Popen[str]:
    """Start the command."""
    whole = [sys.executable, "-m", "ris.cli", *map(str, arguments)]
    return subprocess.Popen(
        whole,
        text=True,
        preexec_fn=heeding_interrupts,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
    )


def heeding_interrupts() -> None:
    """Undo that what a shell starts in the background ignores Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def is_held(lock: FileLock) -> bool:
    """Whether another process writes."""
    try:
        with lock.acquire(timeout=0):
            return False
    except Timeout:
        return True


@pytest.fixture
def many(own: Path, texture: Draw) -> Path:
    """The working folder, with so many more pictures in `photos` that it takes a while to embed them."""
    picture = texture(0, 900, 700)
    for number in range(30):
        picture.putpixel((0, 0), (number, 0, 0))
        picture.save(own / f"photos/more_{number}.png", compress_level=1)
    return own


def wait_for(there: Callable[[], bool]) -> None:
    """Wait until something is there; a minute is enough on any machine."""
    deadline = time.monotonic() + 60
    while not there():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_build_that_is_interrupted_leaves_nothing(many: Path) -> None:
    command = started("build", "photos", "new.ris", cwd=many)
    wait_for((many / "new.ris").exists)
    time.sleep(0.3)
    command.send_signal(signal.SIGINT)
    out, err = command.communicate()
    assert (command.returncode, out) == (130, "")
    assert err.splitlines()[-1].startswith("interrupted: ")
    assert "Traceback" not in err
    assert len(err.splitlines()) == 2
    assert not (many / "new.ris").exists()


def test_a_sync_that_is_terminated_leaves_the_store_whole(many: Path) -> None:
    lock = FileLock(many / "photos.ris" / LOCK)
    with SearchEngine.open(many / "photos.ris") as engine:
        before = [(one.row, one.path, one.sha256) for one in engine.pictures()]
    command = started("sync", "photos.ris", cwd=many)
    wait_for(lambda: is_held(lock))
    time.sleep(0.3)
    command.send_signal(signal.SIGTERM)
    out, err = command.communicate()
    assert (command.returncode, out) == (143, "")
    assert re.fullmatch(r"terminated: .*\n", err)
    with SearchEngine.open(many / "photos.ris") as engine:
        assert engine.verify() == []
        assert [(one.row, one.path, one.sha256) for one in engine.pictures()] == before
        assert engine.sync().added == 30


def test_watching_goes_on_until_it_is_interrupted(own: Path, texture: Draw) -> None:
    command = started("sync", "photos.ris", "--watch", "--json", cwd=own)
    assert command.stdout
    assert json.loads(command.stdout.readline())["unchanged"] == 22
    time.sleep(1)
    texture(4).save(own / "photos/new.png")
    assert json.loads(command.stdout.readline())["added"] == 1
    command.send_signal(signal.SIGINT)
    out, err = command.communicate()
    assert (command.returncode, out) == (130, "")
    assert [line.split(":")[0].split(" ")[0] for line in err.splitlines()] == ["Watching", "interrupted"]
    with SearchEngine.open(own / "photos.ris") as engine:
        assert len(engine) == 23


def test_a_reader_that_has_gone_is_no_error(store: Path, query: Path) -> None:
    command = started("search", store, query)
    assert command.stdout
    command.stdout.close()
    assert command.stderr
    assert command.stderr.read() == ""
    assert command.wait() == 141


def on_a_terminal(arguments: Sequence[object], **variables: str) -> tuple[int, str]:
    """Run the command on a terminal of 100 columns; return its exit code and all that it showed."""
    own, its = pty.openpty()
    command = started(
        *arguments,
        stdin=its,
        stdout=its,
        stderr=its,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", **variables},
    )
    os.close(its)
    shown = b""
    while True:
        try:
            part = os.read(own, 65536)
        except OSError:
            break
        if not part:
            break
        shown += part
    os.close(own)
    return command.wait(), shown.decode()


def test_a_terminal_sees_pictures(store: Path, query: Path) -> None:
    code, shown = on_a_terminal(["search", store, query, "-k", 3], COLORTERM="truecolor")
    assert code == 0
    assert shown.count("the query") == 1
    assert len(re.findall(r"\x1b\[38;2;\d+;\d+;\d+;48;2;\d+;\d+;\d+m▀", shown)) > 100


class Terminal(io.StringIO):
    """What is written to it, as to a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_sees_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Terminal()
    monkeypatch.setattr(sys, "stderr", seen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    with bars() as tell:
        assert tell
        for done in range(40):
            tell("pictures", done, 40)
            time.sleep(0.02)
        tell("pictures", 40, 40)
        tell("something else", 0, 0)
    shown = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", seen.getvalue())
    assert re.search(r"pictures +[━╸╺]+ +\d+/40 +[\d.,]+/s +\d:\d\d:\d\d left", shown)
    assert re.search(r"pictures +━+ +40/40 +[\d.,]+/s +in 0:00:0\d", shown)
    assert "something else" in shown


def test_nothing_is_told_where_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with bars() as tell:
        assert tell is None


def with_closed(streams: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command from a shell that closes streams before, such as `<&-`."""
    script = f'exec "$0" -m ris.cli "$@" {streams}'
    whole = ["sh", "-c", script, sys.executable, *map(str, arguments)]
    return subprocess.run(whole, capture_output=True, text=True, check=False)


def test_a_closed_stdin_is_told_in_a_sentence(store: Path, query: Path) -> None:
    ended = with_closed("<&-", "find", store, "-", query, "--json")
    assert ended.returncode == 1
    assert re.fullmatch(r"error: Nothing can be read from stdin, .*\n", ended.stderr)
    failed, found = json.loads(ended.stdout)
    assert failed == {"query": "-", "error": ended.stderr.removeprefix("error: ").rstrip()}
    assert found["here"] is True


def test_what_goes_to_a_closed_output_is_lost(store: Path, query: Path) -> None:
    assert with_closed(">&-", "find", store, query).returncode == 0
    ended = with_closed(">&- 2>&-", "find", store, "nothing.jpg")
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "", "")


@pytest.mark.parametrize("command", ["search", "find"])
def test_answers_come_before_the_next_pictures_are_read(
    store: Path, query: Path, tmp_path: Path, command: str
) -> None:
    late = tmp_path / "late.jpg"
    os.mkfifo(late)
    running = started(command, store, *[query] * 8, late, "--json")
    assert running.stdout
    # Until someone writes into the pipe, the last picture cannot be read.
    seen = os.read(running.stdout.fileno(), 100)
    assert seen.startswith(b'[{"query": ')
    late.write_bytes(query.read_bytes())
    rest, err = running.communicate()
    assert (running.returncode, err) == (0, "")
    assert len(json.loads(seen.decode() + rest)) == 9


def test_termination_does_not_wait_for_what_is_computed() -> None:
    """A library that does not return, in the main thread or in one that the process waits for."""
    compute = "hashlib.pbkdf2_hmac('sha256', b'', b'', 2**31 - 1)"
    for work in (compute, f"ThreadPoolExecutor(1).submit(lambda: {compute}).result()"):
        script = f"""
import hashlib
from concurrent.futures import ThreadPoolExecutor
from ris.cli import ending
ending.PATIENCE = 0.5
with ending.gracefully(), ending.ended_in_time():
    print("computing", flush=True)
    {work}
"""
        command = subprocess.Popen([sys.executable, "-c", script], stdout=-1, stderr=-1, text=True)
        assert command.stdout
        assert command.stdout.readline() == "computing\n"
        time.sleep(0.2)
        command.send_signal(signal.SIGTERM)
        _, err = command.communicate(timeout=60)
        assert command.returncode == 143
        assert re.fullmatch(r"terminated: .*\n", err)


def test_a_hostile_picture_is_one_rejected_file(own: Path) -> None:
    for name, data in {
        "exif.jpg": hostile.exif_segments(100_000),
        "scans.jpg": hostile.scans(2_000),
        "chunks.png": hostile.png(8, 8, before=hostile.chunk(b"teSt", b"") * 100_000),
    }.items():
        (own / "photos" / name).write_bytes(data)
    command = started("sync", "photos.ris", "--json", cwd=own)
    out, _ = command.communicate(timeout=120)
    assert command.returncode == 0
    change = json.loads(out)
    assert change["added"] == 0
    reasons = {one["path"]: one["reason"] for one in change["rejected"]}
    assert {name for name, reason in reasons.items() if "allowed" in reason} >= {
        "exif.jpg",
        "scans.jpg",
        "chunks.png",
    }
