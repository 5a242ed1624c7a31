"""Processes that were forked from one whose threads do not come along: they would wait for these for ever."""

import os

from ris.errors import RisError

_state = {"used": False, "lost": False}


def used() -> None:
    """Note that this process has threads that a fork of it will lack."""
    _state["used"] = True


def check() -> None:
    """See that this process has all threads of its own.

    Raises:
        RisError: it was forked from one that had used an engine.
    """
    if _state["lost"]:
        raise RisError(
            "This process was forked from one that had opened an engine, whose threads it lacks; start it by "
            '"spawn" (multiprocessing.get_context("spawn")) and open the store in it.'
        )


def _in_child() -> None:
    _state["lost"] = _state["used"]


os.register_at_fork(after_in_child=_in_child)
