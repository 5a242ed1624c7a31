"""Checks of arguments at the door: each returns what it was given, or refuses it in one sentence."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Any

import numpy as np

from ris.errors import BadQueryError
from ris.names import kept

_SHOWN = 60
"""Characters of a wrong value that are told, at most."""


def whole(name: str, value: object, least: int) -> int:
    """Take a whole number that is not below the least one allowed.

    Raises:
        BadQueryError: it is another.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise _wrong(name, value, f"a whole number from {least}")
    return int(value)


def number(name: str, value: object, least: float = -math.inf) -> float:
    """Take a finite number that is not below the least one allowed.

    Raises:
        BadQueryError: it is another.
    """
    wanted = "a finite number" if least == -math.inf else f"a finite number from {least:g}"
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise _wrong(name, value, wanted)
    try:
        taken = float(value)
    except OverflowError:
        taken = math.inf
    if not (math.isfinite(taken) and taken >= least):
        raise _wrong(name, value, wanted)
    return taken


def flag(name: str, value: object) -> bool:
    """Take True or False.

    Raises:
        BadQueryError: it is something else.
    """
    if not isinstance(value, bool | np.bool_):
        raise _wrong(name, value, "True or False")
    return bool(value)


def text(name: str, value: object) -> str:
    """Take a text.

    Raises:
        BadQueryError: it is something else.
    """
    if not isinstance(value, str):
        raise _wrong(name, value, "a text")
    return value


def texts(name: str, value: object) -> tuple[str, ...]:
    """Take several texts or paths, and return them as texts, see `ris.names.kept`.

    Raises:
        BadQueryError: it is one text, which would count as its letters, or holds something else.
    """
    if isinstance(value, str | PurePath):
        raise _wrong(name, value, f"a sequence of texts, such as ({str(value)[:_SHOWN]!r},)")
    if isinstance(value, bytes | Mapping) or not isinstance(value, Iterable):
        raise _wrong(name, value, "a sequence of texts")
    several = tuple(value)
    for one in several:
        if not isinstance(one, str | PurePath):
            raise _wrong(f"one of {name}", one, "a text")
    return tuple(kept(one.as_posix() if isinstance(one, PurePath) else one) for one in several)


def columns(name: str, value: object) -> dict[str, str]:
    """Take a mapping of texts to texts.

    Raises:
        BadQueryError: it is something else, or holds something else.
    """
    if not isinstance(value, Mapping):
        raise _wrong(name, value, "a mapping of columns to their values")
    return {
        text(f"a column of {name}", column): text(f"a value of {name}", one) for column, one in value.items()
    }


def several(name: str, value: Sequence[Any]) -> Sequence[Any]:
    """Take a list or tuple.

    Raises:
        BadQueryError: it is something else, such as one text or a generator.
    """
    if not isinstance(value, list | tuple):
        raise _wrong(name, value, "a list")
    return value


def function(name: str, value: Callable[..., Any] | None) -> Callable[..., Any] | None:
    """Take a function or None.

    Raises:
        BadQueryError: it is something else.
    """
    if value is not None and not callable(value):
        raise _wrong(name, value, "a function")
    return value


def _wrong(name: str, value: object, wanted: str) -> BadQueryError:
    shown = f"of type {type(value).__name__}"
    if isinstance(value, str | float | bool | None) or (isinstance(value, int) and abs(value) < 10**18):
        shown = repr(value)
        shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"
    return BadQueryError(f"{name} is {shown}; give {wanted}.")
