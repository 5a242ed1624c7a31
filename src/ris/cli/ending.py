"""How the command ends: its exit codes, and one line for whoever has to know why."""

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from ris.cli.text import plain
from ris.errors import RisError

FAILED = 1
"""It could not be done; a sentence on stderr says why."""
NOT_HERE = 3
"""`ris find` did its work, and a picture is not in the store."""
_INTERRUPTED, _TERMINATED, _PIPE_BROKEN = (
    128 + number for number in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE)
)
_WHOLE = "every store is whole, and the same command goes on."


PATIENCE = 7.0
"""Seconds that a termination waits for what is being computed; every store is whole at any moment."""


AFTERWARDS = 2.0
"""Seconds more, once it is told, for what other threads still compute."""
_told = threading.Event()
"""Whether it was told that the command was terminated."""


class _Terminated(BaseException):
    """SIGTERM came."""


@contextmanager
def gracefully() -> Iterator[None]:
    """Turn whatever ends the block into an exit code, with at most one line on stderr.

    2 is for wrong usage and comes from Typer. A reader of stdout that has gone ends the command silently.
    """
    before = signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, _stop)
    # A stream that was closed before the start, as services do it, is None, and what goes there is lost.
    sys.stdout = sys.stdout or Path(os.devnull).open("w")  # noqa: SIM115
    sys.stderr = sys.stderr or Path(os.devnull).open("w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        yield
        sys.stdout.flush()
    except RisError as error:
        _exit(FAILED, f"error: {error}")
    except KeyboardInterrupt:
        _exit(_INTERRUPTED, f"interrupted: {_WHOLE}")
    except _Terminated:
        _told.set()
        _exit(_TERMINATED, f"terminated: {_WHOLE}")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        _exit(_PIPE_BROKEN)
    except OSError as error:
        name = f"{error.filename}: " if error.filename else ""
        _exit(FAILED, f"error: {name}{error.strerror or error}.")
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def ended_in_time() -> Iterator[None]:
    """Have a thread see to it that SIGTERM ends the process, whatever is being computed meanwhile.

    Python's own handler does not run before a call into a library returns, nor does it end other threads.
    """
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)

    def wait() -> None:
        with ours:
            while number := ours.recv(1):
                if number[0] == signal.SIGTERM:
                    if not _told.wait(PATIENCE):
                        _say(f"terminated: {_WHOLE}")
                    else:
                        time.sleep(AFTERWARDS)
                    os._exit(_TERMINATED)

    threading.Thread(target=wait, name="termination", daemon=True).start()
    before = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        theirs.close()


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise _Terminated


def _exit(code: int, line: str | None = None) -> None:
    if line:
        _say(line)
    raise SystemExit(code)


def _say(line: str) -> None:
    with suppress(OSError):
        print(plain(line), file=sys.stderr, flush=True)
