"""Where the command writes: results to stdout, everything else to stderr."""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ris.cli.text import plain

_ENDLESS = 1_000_000
"""Columns where no terminal limits them, so that a line stays a line."""


class _Output(Console):
    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def results() -> Console:
    """Return the console for what was asked for."""
    width = None if sys.stdout.isatty() else _ENDLESS
    return _Output(width=width, highlight=False, markup=False, emoji=False, soft_wrap=True)


def say(sentence: str) -> None:
    """Write a message that is not the result."""
    print(plain(sentence), file=sys.stderr)


def write(line: str = "") -> None:
    """Write a line of a result."""
    print(plain(line))


def write_json(content: Any) -> None:
    """Write a result for other programs, as one line of ASCII, in which any file name survives."""
    print(json.dumps(content, allow_nan=False), flush=True)


class JsonList:
    """A list that is written as its entries come, as one line of ASCII like that of `write_json`."""

    def __init__(self) -> None:
        self._length = 0

    def add(self, entry: Any) -> None:
        """Write the next entry."""
        print(f"{', ' if self._length else '['}{json.dumps(entry, allow_nan=False)}", end="", flush=True)
        self._length += 1

    def end(self) -> None:
        """Write the end of the list."""
        print("]" if self._length else "[]", flush=True)


def write_table(heads: Sequence[str], rows: Iterable[Sequence[str]], numeric: Iterable[int] = ()) -> None:
    """Write a table.

    Args:
        heads: of the columns.
        rows: one text a column.
        numeric: positions of the columns that are set flush right.
    """
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for position, head in enumerate(heads):
        justify = "right" if position in set(numeric) else "left"
        table.add_column(head, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for row in rows:
        table.add_row(*(Text(plain(cell)) for cell in row))
    console = results()
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        print(line.rstrip())
