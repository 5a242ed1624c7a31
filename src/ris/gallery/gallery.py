"""The gallery: the one search, whether a store fills it from a folder or the lab from its stages."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from ris.copies.perceptual_hash import Fingerprints
from ris.copies.threshold import Threshold
from ris.copies.verification import Described
from ris.gallery.catalogue import NO_PICTURES, Catalogue, Positions
from ris.gallery.settings import Settings
from ris.gallery.spaces import Candidates, Searchable, Space
from ris.indexes import registry
from ris.indexes.index import Mask
from ris.indexes.registry import REGISTRY, exact_of
from ris.indexes.reranked import Reranked
from ris.indexes.vectors import Vectors
from ris.types import BadQueryError

RERANKED = registry.RERANKED.name
PARTITIONED = "ivf_pca"
"""The approximate index that a large store has, and that `auto` chooses there."""
MOST_RERANKED = 50_000
"""Contents of which the neighbours of each are found, which takes time that grows with their square."""
SELECTIVE = 0.05
"""Share of the contents, below which those that a filter lets through are searched exactly."""


Found: TypeAlias = tuple[Vectors, Positions]
"""Distances (j,) float32, ascending, and positions (j,)."""


@dataclass(frozen=True)
class Choice:
    """An index, and why it is the one that is searched."""

    index: str
    why: str
    """A clause."""


class Gallery(ABC):
    """Pictures and all that is searched in them; heavy parts are made when they are first needed.

    What a file shows is a content; files of the same bytes share one. Vectors, hashes and local features are
    of contents, by their positions from 0. Nothing in a gallery ever changes.
    """

    catalogue: Catalogue
    settings: Settings
    threshold: Threshold
    regions = False
    """Whether regions of the pictures are among the candidates for copies."""

    @property
    @abstractmethod
    def shown(self) -> Positions:
        """The content (n,) that each picture shows."""

    @property
    @abstractmethod
    def count(self) -> int:
        """How many contents there are, m."""

    @abstractmethod
    def vectors(self, contents: Positions | None = None) -> Vectors:
        """Return the encoder's vectors (j, D) of some contents, or of all."""

    @property
    @abstractmethod
    def has_pca(self) -> bool:
        """Whether there is a PCA: not of too few contents, or of such that are all alike."""

    @property
    @abstractmethod
    def whole(self) -> Space:
        """The encoder's vectors as they are."""

    @property
    @abstractmethod
    def projected(self) -> Space | None:
        """Their projections; None where there is no PCA."""

    @property
    @abstractmethod
    def built(self) -> tuple[str, ...]:
        """Names of the approximate indexes that there are."""

    @abstractmethod
    def approximate(self, name: str) -> Searchable:
        """Open one of `built`; it is over the first contents, and later ones may be missing in it."""

    @property
    @abstractmethod
    def hashes(self) -> Fingerprints:
        """The perceptual hashes (m,); of no meaning where there are no local features."""

    @property
    @abstractmethod
    def candidates(self) -> Candidates | None:
        """Where copies are looked for; None where there is no PCA, or nothing can be proven."""

    @property
    @abstractmethod
    def features(self) -> Described | None:
        """Local features by content; None where there are none."""

    @abstractmethod
    def grey(self, content: int) -> npt.NDArray[np.uint8] | None:
        """Return what a content shows, (h, w) as it was described; None where its file cannot be read.

        Local features keep a thumbnail; this is for the few pictures that are about to be called the same.
        """

    def near_duplicate_vectors(self) -> Vectors:
        """Return the vectors (m, d) of the contents in the space in which near-duplicates are looked for."""
        if self.candidates is not None:
            return self.candidates.whole.projected()
        space = self.projected
        return self.vectors() if space is None else space.index.at(np.arange(self.count))

    @cached_property
    def reranked(self) -> Reranked:
        """The search that also uses what the contents know of each other, in the PCA space."""
        assert self.projected is not None
        return Reranked(self.projected.index.at(np.arange(self.count)), self.settings.reranking)

    @property
    def indexes(self) -> tuple[str, ...]:
        """Names of the indexes that can be searched."""
        if not len(self.catalogue):
            return ()
        exact = [exact_of(projected) for projected in ((False, True) if self.has_pca else (False,))]
        names = {*exact, *self.built}
        if self.has_pca and self.settings.reranking.expanded > 0 and self.count <= MOST_RERANKED:
            names.add(RERANKED)
        return tuple(name for name in (*REGISTRY, RERANKED) if name in names)

    def choice(self, share: float = 1.0) -> Choice:
        """Choose what `auto` stands for, where a filter lets through a share of the contents."""
        if not self.has_pca or self.count <= self.settings.n_components:
            return Choice("knn", "there are no more pictures than PCA dimensions")
        approximate = [name for name in self.built if name == PARTITIONED]
        if not approximate:
            return Choice("knn_pca", f"exact search is cheap up to {self.settings.exact_up_to:,} pictures")
        if share < SELECTIVE:
            return Choice(
                "knn_pca", f"a filter that lets through less than {SELECTIVE:.0%} is searched exactly"
            )
        return Choice(approximate[0], f"there are more than {self.settings.exact_up_to:,} pictures")

    def resolved(self, index: str) -> str:
        """Return the index that is meant, which is for `auto` another one.

        Raises:
            BadQueryError: there is no such index.
        """
        if index == "auto":
            return self.choice().index
        if index not in self.indexes:
            raise BadQueryError(
                f"The store has no index {index}; it has {', '.join((*self.indexes, 'auto'))}."
            )
        return index

    def space(self, index: str) -> Space:
        """Return the space that an index is over.

        Raises:
            BadQueryError: there is no such index.
        """
        name = self.resolved(index)
        projected = name == RERANKED or REGISTRY[name].projected
        space = self.projected if projected else self.whole
        assert space is not None
        return space

    def prepare(self, index: str) -> None:
        """Read or compute what an index needs, so that the first search does not."""
        name, space = self.resolved(index), self.space(index)
        if name == RERANKED:
            assert self.reranked
        elif not REGISTRY[name].exact:
            self.approximate(name)
        assert space.index.count == self.count

    def nearest(
        self,
        index: str,
        query: Vectors,
        k: int,
        allowed: Mask | None = None,
        without: Positions = NO_PICTURES,
    ) -> Found:
        """Find the nearest pictures; at equal distance those of the lower path first.

        Args:
            index: one of `indexes`, or `auto`.
            query: (D,) of the encoder.
            k: wanted, at least 1.
            allowed: (n,) which pictures may be found; None for all.
            without: (h,) pictures that the gallery is searched without: neither found, nor used by
                re-ranking.

        Returns:
            distances (j,) float32, ascending, and positions (j,) in the catalogue; j is k, or how many may be
            found.

        Raises:
            BadQueryError: there is no such index.
        """
        if len(self.catalogue) == 0:
            return np.zeros(0, np.float32), NO_PICTURES
        if allowed is not None and len(without):
            allowed = allowed.copy()
            allowed[without] = False
        mask = self.contents_mask(allowed)
        share = 1.0 if mask is None else float(np.count_nonzero(mask)) / self.count
        name = self.choice(share).index if index == "auto" else self.resolved(index)
        space = self.space(name)
        asked = space.project(query[None])[0]
        wanted = k + 1 + len(without)
        while True:
            distances, contents = self._search(name, space, asked, wanted, mask, without)
            found = self._pictures(distances, contents, allowed, without)
            # What lies as far away as the last of them may belong before it by its path.
            if len(contents) < wanted or (len(found[0]) > k and distances[-1] > found[0][k - 1]):
                return found[0][:k], found[1][:k]
            wanted = 2 * wanted + 1

    def nearest_many(self, index: str, queries: Vectors, k: int) -> Found:
        """Find the nearest pictures of each of many queries (q, D), see `nearest`.

        Returns:
            distances (q, j) float32, ascending along a line, and positions (q, j); j is k, or how many
            pictures there are. Where a line has fewer, infinity and -1 fill it.
        """
        k = min(k, len(self.catalogue))
        distances = np.full((len(queries), k), np.inf, np.float32)
        positions = np.full((len(queries), k), -1, np.int64)
        name = self.resolved(index)
        space = self.space(name)
        if name == RERANKED:
            search = self.reranked.search_many
        else:
            search = (space.index if REGISTRY[name].exact else self.approximate(name)).search
        complete = name == RERANKED or REGISTRY[name].exact or self.approximate(name).count == self.count
        if not complete or self._live is not None:
            for i, query in enumerate(queries):
                found = self.nearest(name, query, k)
                distances[i, : len(found[0])], positions[i, : len(found[1])] = found
            return distances, positions
        far, contents = search(space.project(queries), k + 1)
        for i, query in enumerate(queries):
            found = self._pictures(far[i], contents[i], None, NO_PICTURES)
            if len(contents[i]) > k and far[i, -1] <= found[0][k - 1]:
                found = self.nearest(name, query, k)
            one = min(k, len(found[0]))
            distances[i, :one], positions[i, :one] = found[0][:k], found[1][:k]
        return distances, positions

    def contents_mask(self, allowed: Mask | None) -> Mask | None:
        """Tell which contents (m,) are shown by an allowed picture (n,); None where all are."""
        if allowed is None:
            return self._live
        mask = np.zeros(self.count, np.bool_)
        mask[self.shown[allowed]] = True
        return mask

    def pictures_showing(self, content: int) -> Positions:
        """Return the positions (j,) of the pictures that show a content."""
        order, starts = self._by_content
        return order[starts[content] : starts[content + 1]]

    def _search(
        self, name: str, space: Space, query: Vectors, k: int, mask: Mask | None, without: Positions
    ) -> Found:
        """Search among the contents, by an index."""
        if name == RERANKED:
            left = mask if mask is not None else np.ones(self.count, np.bool_)
            gone = [one for one in np.unique(self.shown[without]) if self._only(int(one), without)]
            return self.reranked.search(query, k, left, np.array(gone, np.int64))
        if REGISTRY[name].exact:
            distances, contents = space.index.search(query[None], k, mask)
            return distances[0], contents[0]
        allowed = None if mask is None else np.flatnonzero(mask)
        if allowed is not None and len(allowed) < SELECTIVE * self.count:
            return space.index.among(query, k, allowed)
        index = self.approximate(name)
        known = index.count
        distances, contents = index.search(query[None], k, None if mask is None else mask[:known])
        if known == self.count:
            return distances[0], contents[0]
        later = np.arange(known, self.count) if mask is None else known + np.flatnonzero(mask[known:])
        return space.index.among(query, k, np.union1d(contents[0], later))

    def _only(self, content: int, pictures: Positions) -> bool:
        return bool(np.isin(self.pictures_showing(content), pictures).all())

    def _pictures(
        self, distances: Vectors, contents: Positions, allowed: Mask | None, without: Positions
    ) -> Found:
        """Return the allowed pictures that show contents (j,), nearest first, by path at equal distance."""
        order, _ = self._by_content
        if len(order) == self.count and self._live is None:
            far, positions = distances, order[contents]
        else:
            shown = [self.pictures_showing(int(content)) for content in contents]
            positions = np.concatenate([NO_PICTURES, *shown])
            far = np.repeat(distances, [len(one) for one in shown])
        if allowed is not None or len(without):
            kept = ~np.isin(positions, without) if allowed is None else allowed[positions]
            positions, far = positions[kept], far[kept]
        if (far[1:] == far[:-1]).any():
            paths = np.array(self.catalogue.paths(positions), object)
            order = np.lexsort((paths, far))
            positions, far = positions[order], far[order]
        return far, positions

    @cached_property
    def _live(self) -> Mask | None:
        """Which contents (m,) are shown by a picture; None where all are."""
        mask = np.zeros(self.count, np.bool_)
        mask[self.shown] = True
        return None if mask.all() else mask

    @cached_property
    def _by_content(self) -> tuple[Positions, npt.NDArray[np.int64]]:
        order = np.argsort(self.shown, kind="stable")
        counts = np.bincount(self.shown, minlength=self.count)
        return order, np.concatenate([[0], np.cumsum(counts)])
