"""Exact nearest neighbours at about the price of one matrix-vector product."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt

from ris.artifacts import read_array, write_array
from ris.config import Section
from ris.indexes.index import Mask
from ris.indexes.manifest import Manifest, writing_index
from ris.indexes.vectors import Positions, Vectors, checked, checked_k, not_empty

_EPS = float(np.finfo(np.float32).eps)
_SCORES_AT_ONCE = 2**23
"""Scores of a batch held in memory together: 32 MiB."""
FEW = 0.25
"""Share of the vectors below which those that are allowed are gathered first."""
_VECTORS_AT_ONCE = 4096
"""Whose lengths are computed together, for NumPy copies what it computes in double precision."""


class ExactIndex:
    """Compares a query with every vector, of which it keeps no second copy.

    |x - q|² = |q|² - 2 (x·q - |x|²/2), so the nearest vectors are those of the highest score
    x·q - |x|²/2, and one matrix product gives all scores. Their rounding decides only which vectors are
    candidates; the distances that order them are then taken from the differences x - q.
    """

    kind: ClassVar[str] = "exact"
    section: ClassVar[type[Section]] = Section
    tunable: ClassVar[tuple[str, ...]] = ()
    files: ClassVar[tuple[str, ...]] = ("vectors.npy",)

    def __init__(self, vectors: Vectors, parameters: Mapping[str, int] | None = None) -> None:
        """Search among vectors (n, d), which are not checked; n may be 0."""
        pieces = (
            vectors[start : start + _VECTORS_AT_ONCE] for start in range(0, len(vectors), _VECTORS_AT_ONCE)
        )
        squares = [np.vecdot(piece, piece, dtype=np.float64) for piece in pieces]
        self.vectors = vectors
        self.parameters = parameters or {}
        self.count, self.dimension = len(vectors), int(vectors.shape[1])
        self._halves = np.concatenate([np.zeros(0), *squares]).astype(np.float32) / 2
        self._radius = math.sqrt(2 * float(self._halves.max(initial=0)))

    @classmethod
    def build(cls, vectors: Vectors, parameters: Mapping[str, int], seed: int) -> Self:  # noqa: ARG003
        """See `Index`; takes no parameter and draws nothing. Float32 vectors are kept, not copied."""
        return cls(not_empty(checked(vectors, "vectors to index")), parameters)

    def save(self, folder: Path, made_for: str) -> None:
        """See `Index`."""
        with writing_index(folder, self, made_for) as fresh:
            write_array(fresh / "vectors.npy", self.vectors)

    @classmethod
    def load(cls, folder: Path, manifest: Manifest) -> Self:
        """See `Index`."""
        return cls(read_array(folder / "vectors.npy"), manifest.parameters)

    def search(self, queries: Vectors, k: int, allowed: Mask | None = None) -> tuple[Vectors, Positions]:
        """See `Index`; equal to a search in double precision."""
        queries = checked(queries, "queries", self.dimension)
        positions = None if allowed is None else np.flatnonzero(allowed)
        k = checked_k(k, self.count if positions is None else len(positions))
        distances = np.empty((len(queries), k), dtype=np.float32)
        found = np.empty((len(queries), k), dtype=np.int64)
        step = max(1, _SCORES_AT_ONCE // max(1, self.count))
        gathered = None if positions is None or len(positions) >= FEW * self.count else positions
        vectors = self.vectors if gathered is None else self.vectors.take(gathered, axis=0)
        halves = self._halves if positions is None else self._halves[positions]
        for start in range(0, len(queries) if k else 0, step):
            products = queries[start : start + step] @ vectors.T
            for i, scores in enumerate(products, start):
                if positions is not None and gathered is None:
                    scores = scores[positions]
                scores -= halves
                least = lower_bound_of_kth_largest(scores, k) - self._rounding(queries[i])
                near = np.flatnonzero(scores >= least)
                among = near if positions is None else positions[near]
                distances[i], found[i] = self.among(queries[i], k, among)
        return distances, found

    def among(self, query: Vectors, k: int, positions: Positions) -> tuple[Vectors, Positions]:
        """Find the nearest of the vectors at some positions (j,), ascending.

        Returns:
            distances (i,) float32, ascending, and positions (i,); i is k, or j where that is less.
        """
        differences = np.subtract(self.vectors.take(positions, axis=0), query, dtype=np.float64)
        squares = np.vecdot(differences, differences)
        nearest = np.argsort(squares, kind="stable")[:k]
        return np.sqrt(squares[nearest]).astype(np.float32), positions[nearest]

    def at(self, positions: Positions) -> Vectors:
        """Return the vectors (j, d) at positions."""
        return self.vectors[positions]

    def _rounding(self, query: Vectors) -> float:
        """Bound how far rounding can put the scores of two vectors in the wrong order.

        A dot product of n terms is off by at most n·u·|a||b| in any order of summation, u being half of eps
        (Higham, Accuracy and Stability of Numerical Algorithms, 2002, section 3.1), and a score has d + 1.
        Two scores make it twice that; three more terms are for |x|²/2 and for the threshold itself.
        """
        length = math.sqrt(query @ query)
        return (self.dimension + 4) * _EPS * self._radius * (length + self._radius / 2)


def lower_bound_of_kth_largest(values: npt.NDArray[np.float32], k: int) -> float:
    """Return a number at or closely below the k-th largest of the values (n,), for 1 <= k <= n.

    It is the k-th largest maximum of many disjoint blocks: k blocks have an element that reaches it.
    """
    n_blocks = min(len(values), max(256, 16 * k))
    block = len(values) // n_blocks
    n_blocks = len(values) // block
    maxima = values[: block * n_blocks].reshape(block, n_blocks).max(axis=0)
    maxima.partition(n_blocks - k)
    return float(maxima[n_blocks - k])
