"""The protocol of an index."""

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar, Protocol, Self, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from ris.config import Section
from ris.indexes.manifest import Described, Manifest
from ris.indexes.vectors import Positions, Vectors

Mask: TypeAlias = npt.NDArray[np.bool_]
"""(n,), by position."""


class Index(Described, Protocol):
    """Finds, for a query vector, the nearest of the vectors it was built from, by Euclidean distance."""

    parameters: Mapping[str, int]
    """What it was built with, see `section`; `tuned` assigns it anew."""
    section: ClassVar[type[Section]]
    """Its parameters, whole numbers; `Section` itself where it has none."""
    tunable: ClassVar[tuple[str, ...]]
    """Those of them that trade recall for time when a built index is searched, see `tuned`."""
    files: ClassVar[tuple[str, ...]]
    """Names of the data files beside index.json."""

    @classmethod
    def build(cls, vectors: Vectors, parameters: Mapping[str, int], seed: int) -> Self:
        """Build over vectors (n, d).

        Args:
            vectors: (n, d) float32.
            parameters: those of `section`.
            seed: of whatever is drawn; the same input and seed give the same bytes on disk.

        Raises:
            RisError: there is no vector, or one holds a NaN.
        """
        ...

    def save(self, folder: Path, made_for: str) -> None:
        """Write the folder whole, index.json included, in place of what stood there.

        Args:
            folder: to be written.
            made_for: names what the vectors are of, such as the checksum of a catalog.
        """
        ...

    @classmethod
    def load(cls, folder: Path, manifest: Manifest) -> Self:
        """Read a folder that `open_index` has verified."""
        ...

    def search(self, queries: Vectors, k: int, allowed: Mask | None = None) -> tuple[Vectors, Positions]:
        """Find the k nearest of each query.

        Args:
            queries: (q, d) float32.
            k: neighbours wanted; capped at how many are allowed.
            allowed: (n,) which vectors may be found; None for all.

        Returns:
            distances (q, k) float32, rising along a row, and the positions (q, k) int64, from 0, of the
            vectors at these distances; of vectors at the same distance, the lower position comes first.

        Raises:
            RisError: k is below 1, or the queries have another dimension or hold a NaN.
        """
        ...


AnyIndex = TypeVar("AnyIndex", bound=Index)


def tuned(index: AnyIndex, parameters: Mapping[str, int]) -> AnyIndex:
    """Return an index over the same data, searched with other values of its `tunable` parameters."""
    other = copy.copy(index)
    other.parameters = {**index.parameters, **parameters}
    return other


def among_allowed(
    ask: Callable[[int], tuple[Vectors, Positions]], k: int, allowed: Mask | None, count: int
) -> tuple[Vectors, Positions]:
    """Find the nearest allowed vectors of one query by an index that knows no filter: ask it for more.

    Args:
        ask: returns the distances (j,), ascending, and positions (j,) of about the j nearest of all.
        k: wanted, at most as many as are allowed.
        allowed: (n,) which vectors may be found; None for all.
        count: n.

    Returns:
        distances (j,) and positions (j,); j is k, or fewer where the index never finds so many.
    """
    asked = k
    while True:
        distances, positions = ask(min(asked, count))
        if allowed is None:
            return distances[:k], positions[:k]
        kept = allowed[positions]
        if np.count_nonzero(kept) >= k or asked >= count:
            return distances[kept][:k], positions[kept][:k]
        asked *= 4
