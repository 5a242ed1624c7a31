"""Exact nearest neighbours at about the price of one matrix-vector product."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt

from ris.artifacts import read_array, write_array
from ris.indexes.manifest import Manifest, writing_index
from ris.indexes.vectors import Rows, Vectors, checked, checked_k, checked_rows

_EPS = float(np.finfo(np.float32).eps)
_SCORES_AT_ONCE = 2**23
"""Scores of a batch held in memory together: 32 MiB."""


class ExactIndex:
    """Compares a query with every vector.

    |x - q|² = |q|² - 2 (x·q - |x|²/2), so the nearest vectors are those of the highest score
    x·q - |x|²/2. That is the product of (x, -|x|²/2) and (q, 1), and one matrix product gives all
    scores. Their rounding decides only which vectors are candidates; the distances that order them
    are then taken from the differences x - q.
    """

    kind: ClassVar[str] = "exact"
    files: ClassVar[tuple[str, ...]] = ("vectors.npy", "rows.npy")

    def __init__(self, vectors: Vectors, rows: Rows, parameters: Mapping[str, int]) -> None:
        squares = np.vecdot(vectors, vectors, dtype=np.float64)
        self._vectors = vectors
        self._rows = rows
        # A vector a column: the product with one query reads it a quarter faster than a vector a row.
        self._lifted = np.empty((vectors.shape[1] + 1, len(vectors)), dtype=np.float32)
        self._lifted[:-1] = vectors.T
        self._lifted[-1] = -squares / 2
        self._radius = math.sqrt(squares.max())
        self.parameters = parameters
        self.count, self.dimension = len(vectors), int(vectors.shape[1])

    @classmethod
    def build(cls, vectors: Vectors, rows: Rows, params: Mapping[str, int], seed: int) -> Self:  # noqa: ARG003
        """See `Index`; takes no parameter and draws nothing. Float32 vectors are kept, not copied."""
        vectors = checked(vectors, "vectors to index")
        return cls(vectors, checked_rows(rows, len(vectors)), params)

    def save(self, folder: Path, catalog_sha256: str) -> None:
        """See `Index`."""
        with writing_index(folder, self, catalog_sha256) as fresh:
            write_array(fresh / "vectors.npy", self._vectors)
            write_array(fresh / "rows.npy", self._rows)

    @classmethod
    def load(cls, folder: Path, manifest: Manifest) -> Self:
        """See `Index`."""
        return cls(read_array(folder / "vectors.npy"), read_array(folder / "rows.npy"), manifest.parameters)

    def search(self, queries: Vectors, k: int) -> tuple[Vectors, Rows]:
        """See `Index`; equal to a search in double precision."""
        queries = checked(queries, "queries", self.dimension)
        k = checked_k(k, self.count)
        distances = np.empty((len(queries), k), dtype=np.float32)
        positions = np.empty((len(queries), k), dtype=np.int64)
        lifted = np.ones((len(queries), self.dimension + 1), dtype=np.float32)
        lifted[:, :-1] = queries
        step = max(1, _SCORES_AT_ONCE // self.count)
        for start in range(0, len(queries), step):
            scores = lifted[start : start + step] @ self._lifted
            for i, of_query in enumerate(scores, start):
                distances[i], positions[i] = self._nearest(queries[i], of_query, k)
        return distances, self._rows[positions]

    def _nearest(
        self, query: Vectors, scores: Vectors, k: int
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        """Return the distances (k,) and positions (k,) of the nearest, given all scores (n,) of a query."""
        least = lower_bound_of_kth_largest(scores, k) - self._rounding(query)
        candidates = (scores >= least).nonzero()[0]
        differences = np.subtract(self._vectors.take(candidates, axis=0), query, dtype=np.float64)
        squares = np.vecdot(differences, differences)
        nearest = np.argsort(squares, kind="stable")[:k]
        return np.sqrt(squares[nearest]), candidates[nearest]

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
