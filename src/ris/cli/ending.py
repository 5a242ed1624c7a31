"""How the command ends: its exit codes, and one line for whoever has to know why."""

import os
import signal
import sys
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
        _exit(_TERMINATED, f"terminated: {_WHOLE}")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        _exit(_PIPE_BROKEN)
    except OSError as error:
        name = f"{error.filename}: " if error.filename else ""
        _exit(FAILED, f"error: {name}{error.strerror or error}.")
    finally:
        signal.signal(signal.SIGTERM, before)


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise _Terminated


def _exit(code: int, line: str | None = None) -> None:
    if line:
        with suppress(OSError):
            print(plain(line), file=sys.stderr, flush=True)
    raise SystemExit(code)
