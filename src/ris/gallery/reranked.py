"""The search that also uses what the pictures of a store know of each other: see `ris.indexes.reranking`."""

from dataclasses import dataclass

import numpy as np

from ris.config import Reranking
from ris.gallery.catalogue import Mask, Positions
from ris.gallery.spaces import Space
from ris.indexes.exact import ExactIndex
from ris.indexes.projection import normalise
from ris.indexes.reranking import averaged, expanded
from ris.indexes.vectors import Vectors

SPARE = 8
"""Neighbours of a picture that are remembered beyond those needed, in case some are left out."""


@dataclass(frozen=True, eq=False)
class _Gallery:
    """The averaged vectors, some of which are others than usual."""

    usual: Space
    positions: Positions
    """(m,) of the others, ascending."""
    others: Vectors
    """(m, d)"""

    def at(self, positions: Positions) -> Vectors:
        """Return the vectors at positions (j,): (j, d)."""
        vectors = self.usual.vectors[positions]
        mine = np.isin(positions, self.positions)
        vectors[mine] = self.others[np.searchsorted(self.positions, positions[mine])]
        return vectors

    def search(self, query: Vectors, k: int, allowed: Mask) -> tuple[Vectors, Positions]:
        """See `Space.search`."""
        as_usual = allowed.copy()
        as_usual[self.positions] = False
        distances, positions = self.usual.search(query, k, as_usual)
        if not len(self.positions):
            return distances, positions
        candidates = np.union1d(positions, self.positions[allowed[self.positions]])
        distances, nearest = Space(self.at(candidates)).among(query, k, np.arange(len(candidates)))
        return distances, candidates[nearest]


class Reranked:
    """Draws each vector towards its neighbours, and each query towards the nearest of these, then asks again.

    All of it is exact. What is left out of a search is as if the store did not hold it: a picture of the
    store that is asked for has no part in its own answer.
    """

    def __init__(self, space: Space, settings: Reranking) -> None:
        self._space, self._settings = space, settings
        self._vectors = normalise(space.vectors)
        self._plain = Space(self._vectors)
        self._k = min(settings.augmented, len(self._vectors))
        remembered = min(self._k + SPARE, len(self._vectors))
        index = ExactIndex.build(self._vectors, np.arange(len(self._vectors)), {}, seed=0)
        self._neighbours = index.search(self._vectors, remembered)[1]
        self._usual = Space(averaged(self._vectors, self._neighbours[:, : self._k]))

    def search(self, query: Vectors, k: int, allowed: Mask, without: Positions) -> tuple[Vectors, Positions]:
        """Find the nearest, see `Space.search`.

        Args:
            query: (D,) of the encoder.
            k: wanted.
            allowed: (n,) which may be found; the others still speak for their neighbours.
            without: (h,) those that do not.
        """
        others = np.ones(len(allowed), np.bool_)
        others[without] = False
        gallery = self._gallery(without, others)
        (plain,) = normalise(self._space.project(query[None]))
        _, nearest = gallery.search(plain, self._settings.expanded, others)
        (drawn,) = expanded(plain[None], gallery.at(nearest)[None], self._settings.alpha)
        return gallery.search(drawn, k, allowed & others)

    def _gallery(self, without: Positions, others: Mask) -> _Gallery:
        """Average anew where something is left out."""
        k = min(self._k, int(np.count_nonzero(others)))
        touched = others & np.isin(self._neighbours[:, : self._k], without).any(axis=1)
        positions = np.flatnonzero(touched)
        if not len(positions):
            return _Gallery(self._usual, positions, self._vectors[positions])
        remembered = self._neighbours[positions]
        gone = ~others[remembered]
        nearest = np.take_along_axis(remembered, np.argsort(gone, axis=1, kind="stable")[:, :k], axis=1)
        for line in np.flatnonzero(np.count_nonzero(~gone, axis=1) < k):
            nearest[line] = self._plain.search(self._vectors[positions[line]], k, others)[1]
        return _Gallery(self._usual, positions, averaged(self._vectors, nearest))
