"""What every part of the search demands of the vectors that it is given."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from ris.errors import RisError

Vectors = npt.NDArray[np.float32]
"""(n, d), C-contiguous; a row is a vector."""
Rows = npt.NDArray[np.int64]
"""Rows of the catalog."""
Positions = npt.NDArray[np.int64]
"""Places among the vectors that are searched, from 0."""


def checked(vectors: npt.NDArray[Any], name: str, dimension: int | None = None) -> Vectors:
    """Return `vectors` as float32 and C-contiguous, without a copy where they already are.

    Args:
        vectors: (n, d), any real dtype.
        name: what an error calls them, in the plural.
        dimension: the d that they must have; None accepts any.

    Raises:
        RisError: they are not (n, d), have another dimension, or hold a NaN, an infinity or a vector whose
            squared length float32 cannot hold.
    """
    if vectors.ndim != 2:
        raise RisError(f"The {name} have shape {vectors.shape}; give one row a vector, (n, d).")
    if dimension is not None and vectors.shape[1] != dimension:
        raise RisError(
            f"The {name} have {vectors.shape[1]} dimensions where {dimension} are expected; "
            "make both with the same encoder and projection."
        )
    if vectors.dtype == np.float32:
        vectors = np.ascontiguousarray(vectors)
        # Where the sum of all squares is finite, every one is; unlike a ufunc, `vdot` warns of nothing.
        if math.isfinite(np.vdot(vectors, vectors)):
            return vectors
    with np.errstate(over="ignore", invalid="ignore"):
        vectors = np.ascontiguousarray(vectors, dtype=np.float32)
        usable = np.isfinite(np.vecdot(vectors, vectors))
    if not usable.all():
        raise RisError(
            f"The {name} hold a NaN, an infinite or a far too large value in row {int(np.argmin(usable))}; "
            "remake them with the stage that wrote them."
        )
    return vectors


def not_empty(vectors: Vectors) -> Vectors:
    """Return vectors (n, d) of which there is one.

    Raises:
        RisError: there is none.
    """
    if not len(vectors):
        raise RisError("There is no vector to index; check that the catalog has pictures in its gallery.")
    return vectors


def checked_k(k: int, count: int) -> int:
    """Return k, capped at the number of vectors.

    Raises:
        RisError: k is below 1.
    """
    if k < 1:
        raise RisError(f"k is {k}, but at least one neighbour must be asked for.")
    return min(k, count)
