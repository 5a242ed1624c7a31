"""What every part of the search demands of the vectors that it is given."""

from typing import Any

import numpy as np
import numpy.typing as npt

from ris.errors import RisError

Vectors = npt.NDArray[np.float32]
"""(n, d), C-contiguous; a row is a vector."""
Rows = npt.NDArray[np.int64]
"""Rows of the catalog."""


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
    with np.errstate(over="ignore", invalid="ignore"):
        vectors = np.ascontiguousarray(vectors, dtype=np.float32)
        usable = np.isfinite(np.vecdot(vectors, vectors))
    if not usable.all():
        raise RisError(
            f"The {name} hold a NaN, an infinite or a far too large value in row {int(np.argmin(usable))}; "
            "remake them with the stage that wrote them."
        )
    return vectors


def checked_rows(rows: npt.NDArray[Any], count: int) -> Rows:
    """Return the catalog rows (count,) as int64.

    Raises:
        RisError: there are none, or not one for each vector.
    """
    if count == 0:
        raise RisError("There is no vector to index; check that the catalog has pictures in its gallery.")
    if rows.shape != (count,):
        raise RisError(
            f"There are {count} vectors to index but catalog rows of shape {rows.shape}; give one a vector."
        )
    return np.ascontiguousarray(rows, dtype=np.int64)


def checked_k(k: int, count: int) -> int:
    """Return k, capped at the number of vectors.

    Raises:
        RisError: k is below 1.
    """
    if k < 1:
        raise RisError(f"k is {k}, but at least one neighbour must be asked for.")
    return min(k, count)
