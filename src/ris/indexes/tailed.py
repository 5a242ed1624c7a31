"""Partitions, and what came after they were filled."""

from collections.abc import Callable

import numpy as np

from ris.indexes.exact import ExactIndex
from ris.indexes.index import Mask
from ris.indexes.ivf import IvfIndex
from ris.indexes.vectors import Positions, Vectors


class TailedIndex:
    """An index over the first vectors, and exact search among those that were added since.

    What it shares with others is never changed: each new version of a gallery has a longer tail.
    """

    def __init__(self, first: IvfIndex, tail: Vectors) -> None:
        """Search the first vectors by their index, and a tail (t, d) exactly."""
        self.first, self._tail = first, ExactIndex(tail)
        self.count, self.dimension = first.count + len(tail), first.dimension

    def with_first(self, first: IvfIndex) -> "TailedIndex":
        """Return the same tail behind another index of the first vectors."""
        return TailedIndex(first, self._tail.vectors)

    def search(self, queries: Vectors, k: int, allowed: Mask | None = None) -> tuple[Vectors, Positions]:
        """See `ris.indexes.index.Index.search`."""
        split = self.first.count
        masks = (None, None) if allowed is None else (allowed[:split], allowed[split:])
        distances, positions = self.first.search(queries, k, masks[0])
        if split == self.count:
            return distances, positions
        more = self._tail.search(queries, k, masks[1])
        distances = np.concatenate([distances, more[0]], axis=1)
        positions = np.concatenate([positions, more[1] + split], axis=1)
        order = np.lexsort((positions, distances))[:, :k]
        return np.take_along_axis(distances, order, axis=1), np.take_along_axis(positions, order, axis=1)

    def among(self, query: Vectors, k: int, positions: Positions) -> tuple[Vectors, Positions]:
        """See `ris.indexes.exact.ExactIndex.among`."""
        distances, nearest = ExactIndex(self.at(positions)).among(query, k, np.arange(len(positions)))
        return distances, positions[nearest]

    def at(self, positions: Positions) -> Vectors:
        """Return the vectors (j, d) at positions, ascending."""
        split = int(np.searchsorted(positions, self.first.count))
        early, late = positions[:split], positions[split:] - self.first.count
        return np.concatenate([self.first.at(early), self._tail.vectors[late]])


class ScannedIndex:
    """Exact search among vectors that are read from disk for each search, part by part."""

    def __init__(self, count: int, dimension: int, read: Callable[[int], Vectors], part: int) -> None:
        """Search n vectors.

        Args:
            count: n.
            dimension: of a vector.
            read: returns the `part` vectors, or as many as there are, from a position on.
            part: vectors that are read together.
        """
        self.count, self.dimension = count, dimension
        self._read, self._part = read, part

    def search(self, queries: Vectors, k: int, allowed: Mask | None = None) -> tuple[Vectors, Positions]:
        """See `ris.indexes.index.Index.search`."""
        distances = np.zeros((len(queries), 0), np.float32)
        positions = np.zeros((len(queries), 0), np.int64)
        for start in range(0, self.count, self._part):
            mask = None if allowed is None else allowed[start : start + self._part]
            if mask is not None and not mask.any():
                continue
            near, found = ExactIndex(self._read(start)).search(queries, k, mask)
            distances = np.concatenate([distances, near], axis=1)
            positions = np.concatenate([positions, found + start], axis=1)
            order = np.argsort(distances, axis=1, kind="stable")[:, :k]
            distances = np.take_along_axis(distances, order, axis=1)
            positions = np.take_along_axis(positions, order, axis=1)
        return distances, positions

    def among(self, query: Vectors, k: int, positions: Positions) -> tuple[Vectors, Positions]:
        """See `ris.indexes.exact.ExactIndex.among`."""
        allowed = np.zeros(self.count, np.bool_)
        allowed[positions] = True
        distances, found = self.search(query[None], min(k, len(positions)), allowed)
        return distances[0], found[0]

    def at(self, positions: Positions) -> Vectors:
        """Return the vectors (j, d) at positions, ascending."""
        found = [np.zeros((0, self.dimension), np.float32)]
        for start in range(0, self.count, self._part):
            inside = positions[(positions >= start) & (positions < start + self._part)]
            if len(inside):
                found.append(self._read(start)[inside - start])
        return np.concatenate(found)
