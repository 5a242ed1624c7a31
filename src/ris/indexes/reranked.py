"""The search that also uses what the vectors know of each other: their own neighbours, found once."""

from dataclasses import dataclass

import numpy as np

from ris.config import Reranking
from ris.indexes.exact import ExactIndex
from ris.indexes.index import Mask
from ris.indexes.projection import normalise
from ris.indexes.vectors import Positions, Vectors, checked, not_empty

SPARE = 8
"""Neighbours of a vector that are remembered beyond those needed, in case some are left out."""


class Reranked:
    """Draws each vector towards its neighbours, and each query towards the nearest of these, then asks again.

    A vector becomes x' = Σ_{r<k} (k - r)/k x_(r), x_(r) being its r-th nearest and x_(0) itself: Gordo et al.
    2017, "End-to-end Learning of Deep Visual Representations for Image Retrieval", IJCV. A query becomes
    q' = q + Σ_{i≤k} max(q·x'_i, 0)^alpha x'_i: Radenović et al. 2019, "Fine-tuning CNN Image Retrieval with
    No Human Annotation", TPAMI; with alpha 0 it is the average of Chum et al. 2007. All are of length 1, and
    all of it is exact.
    """

    def __init__(self, vectors: Vectors, settings: Reranking) -> None:
        """Fit to vectors (n, d), brought to length 1; zero vectors are let through.

        Raises:
            RisError: there is no vector, or one holds a NaN.
        """
        self._settings = settings
        self._plain = ExactIndex(normalise(not_empty(checked(vectors, "vectors to index"))))
        self.count, self.dimension = self._plain.count, self._plain.dimension
        self._k = min(settings.augmented, self.count)
        self._neighbours = self._plain.search(self._plain.vectors, self._k + SPARE)[1]
        self._averages = ExactIndex(averaged(self._plain.vectors, self._neighbours[:, : self._k]))

    def search(
        self, query: Vectors, k: int, allowed: Mask | None = None, without: Positions | None = None
    ) -> tuple[Vectors, Positions]:
        """Find the nearest of one query.

        What is left out is as if it had not been fitted to: a vector that asks has no part in its own answer.

        Args:
            query: (d,).
            k: neighbours wanted.
            allowed: (n,) which vectors may be found, None for all; the others still speak for their
                neighbours.
            without: (h,) those that do not.

        Returns:
            distances (j,) float32 of the drawn query, ascending, and positions (j,); at equal distance the
            lower one first; j is k, or how many may be found.

        Raises:
            RisError: k is below 1, or the query has another dimension or holds a NaN.
        """
        if without is None or not len(without):
            distances, positions = self.search_many(query[None], k, allowed)
            return distances[0], positions[0]
        others = np.ones(self.count, np.bool_)
        others[without] = False
        averages = self._without(without, others)
        plain = self._unit(query[None])
        nearest = averages.search(plain, self._settings.expanded, others)[1]
        drawn = expanded(plain, averages.at(nearest)[None], self._settings.alpha)
        return averages.search(drawn, k, others if allowed is None else allowed & others)

    def search_many(self, queries: Vectors, k: int, allowed: Mask | None = None) -> tuple[Vectors, Positions]:
        """Find the nearest of each of queries (q, d): distances (q, k) and positions (q, k), see `search`."""
        plain = self._unit(queries)
        nearest = self._averages.search(plain, self._settings.expanded)[1]
        drawn = expanded(plain, self._averages.vectors[nearest], self._settings.alpha)
        return self._averages.search(drawn, k, allowed)

    def _unit(self, queries: Vectors) -> Vectors:
        return normalise(checked(queries, "queries", self.dimension))

    def _without(self, without: Positions, others: Mask) -> "_Averages":
        """Average anew what has one of the left out (h,) among its neighbours, and is not left out itself."""
        k = min(self._k, int(np.count_nonzero(others)))
        touched = others & np.isin(self._neighbours[:, : self._k], without).any(axis=1)
        positions = np.flatnonzero(touched)
        remembered = self._neighbours[positions]
        gone = ~others[remembered]
        nearest = np.take_along_axis(remembered, np.argsort(gone, axis=1, kind="stable")[:, :k], axis=1)
        short = np.count_nonzero(~gone, axis=1) < k
        if short.any():
            nearest[short] = self._plain.search(self._plain.vectors[positions[short]], k, others)[1]
        return _Averages(self._averages, positions, averaged(self._plain.vectors, nearest))


@dataclass(frozen=True, eq=False)
class _Averages:
    """The averaged vectors, some of which are others than usual."""

    usual: ExactIndex
    positions: Positions
    """(m,) of the others, ascending."""
    others: Vectors
    """(m, d)"""

    def at(self, positions: Positions) -> Vectors:
        """Return the vectors at positions (j,): (j, d)."""
        vectors = self.usual.vectors[positions]
        other = np.isin(positions, self.positions)
        vectors[other] = self.others[np.searchsorted(self.positions, positions[other])]
        return vectors

    def search(self, query: Vectors, k: int, allowed: Mask) -> tuple[Vectors, Positions]:
        """Find the nearest allowed of one query (1, d): distances (j,) and positions (j,)."""
        as_usual = allowed.copy()
        as_usual[self.positions] = False
        near = self.usual.search(query, k, as_usual)[1][0]
        candidates = np.union1d(near, self.positions[allowed[self.positions]])
        distances, nearest = ExactIndex(self.at(candidates)).among(query[0], k, np.arange(len(candidates)))
        return distances, candidates[nearest]


def averaged(vectors: Vectors, neighbours: Positions) -> Vectors:
    """Average vectors (n, d) at positions (m, k), those of a line the nearest first: (m, d) of length 1."""
    k = neighbours.shape[1]
    weights = ((k - np.arange(k)) / k).astype(np.float32)
    lines = [weights @ vectors[of_one] for of_one in neighbours]
    return normalise(np.array(lines, np.float32).reshape(len(lines), vectors.shape[1]))


def expanded(queries: Vectors, nearest: Vectors, alpha: float) -> Vectors:
    """Draw each query (q, d) towards its nearest vectors (q, k, d): (q, d) of length 1."""
    weights = np.einsum("qkd,qd->qk", nearest, queries).clip(min=0) ** alpha
    return normalise(queries + np.einsum("qk,qkd->qd", weights, nearest))
