"""Reverse Image Search Constructor: builds a reverse image search over a folder and proves how good it is."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ris.engine import (
        Change,
        DuplicateGroup,
        Filter,
        Finding,
        Hit,
        Info,
        Picture,
        Rejected,
        SearchEngine,
    )

__version__ = "0.1.0"

__all__ = [
    "Change",
    "DuplicateGroup",
    "Filter",
    "Finding",
    "Hit",
    "Info",
    "Picture",
    "Rejected",
    "SearchEngine",
]


def __getattr__(name: str) -> Any:
    """Import the engine, and PyTorch with it, only where it is used."""
    if name in __all__:
        return getattr(import_module("ris.engine"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
