"""The engine: a folder of pictures becomes a store, and a picture becomes hits."""

from ris.engine.answers import (
    BadQueryError,
    Box,
    BusyError,
    Change,
    DamagedError,
    DuplicateGroup,
    Filter,
    Finding,
    Hit,
    Info,
    NoSuchPictureError,
    Picture,
    Progress,
    Query,
    ReadOnlyError,
    Rejected,
)
from ris.engine.engine import SearchEngine, is_store
from ris.engine.snapshot import INDEXES, RERANKED

__all__ = [
    "INDEXES",
    "RERANKED",
    "BadQueryError",
    "Box",
    "BusyError",
    "Change",
    "DamagedError",
    "DuplicateGroup",
    "Filter",
    "Finding",
    "Hit",
    "Info",
    "NoSuchPictureError",
    "Picture",
    "Progress",
    "Query",
    "ReadOnlyError",
    "Rejected",
    "SearchEngine",
    "is_store",
]
