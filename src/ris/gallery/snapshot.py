"""What a search needs, in memory, of one committed state; nothing in it ever changes."""

from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np

from ris.config import Network
from ris.copies.perceptual_hash import Fingerprints
from ris.copies.threshold import Threshold
from ris.copies.verification import Described
from ris.gallery.catalogue import NO_PICTURES, Catalogue, Mask, Positions
from ris.gallery.embedding_map import Places
from ris.gallery.reranked import Reranked
from ris.gallery.spaces import Candidates, Forest, Space
from ris.indexes.vectors import Vectors
from ris.store.settings import Settings
from ris.types import BadQueryError, Info, Progress, Rejected

RERANKED = "reranked"
INDEXES = ("knn", "knn_pca", "annoy", "annoy_pca", RERANKED)
"""Kinds of index; `auto` is `knn_pca`, or `knn` where there are no more pictures than PCA dimensions."""
MOST_RERANKED = 50_000
"""Pictures of which the neighbours of each are found, which takes time that grows with their square."""


class Snapshot(ABC):
    """A catalogue and all that is searched in it; heavy parts are made when they are first asked for."""

    store: Path
    """Its own folder."""
    folder: Path
    """Of the pictures."""
    generation: int
    catalogue: Catalogue
    rejected: list[Rejected]
    settings: Settings
    network: Network
    precision: str
    threshold: Threshold
    has_pca: bool
    """Whether there is a PCA: not of too few pictures, or of such that are all alike."""
    regions: bool
    """Whether regions of the pictures are among the candidates."""
    format: int
    read_only: bool

    @property
    @abstractmethod
    def knn(self) -> Space:
        """The encoder's vectors, in the order of the catalogue."""

    @property
    @abstractmethod
    def knn_pca(self) -> Space | None:
        """Their projections; None where there is no PCA."""

    @property
    @abstractmethod
    def reranked(self) -> Reranked | None:
        """The search that also uses what the pictures know of each other; None as above."""

    @property
    @abstractmethod
    def candidates(self) -> Candidates | None:
        """Where the very same picture is looked for; None as above."""

    @property
    @abstractmethod
    def fingerprints(self) -> Fingerprints:
        """Of the pictures (n,); of no meaning where there are no local features."""

    @property
    @abstractmethod
    def features(self) -> Described | None:
        """Local features by position; None where there are none."""

    @abstractmethod
    def forest(self, name: str) -> Forest | None:
        """Return ANNOY over one of the spaces; None where it is not there, so that the search is exact."""

    @abstractmethod
    def map(self, progress: Progress | None) -> Places:
        """Return the places (n, 2) of the pictures on the map; computed where there are none."""

    @property
    def indexes(self) -> tuple[str, ...]:
        """Those of `INDEXES` that can be asked."""
        if not len(self.catalogue):
            return ()
        if not self.has_pca:
            return ("knn", "annoy")
        reranks = self.settings.reranking.expanded > 0 and len(self.catalogue) <= MOST_RERANKED
        return INDEXES if reranks else tuple(name for name in INDEXES if name != RERANKED)

    def prepare(self, index: str) -> None:
        """Read or compute what an index needs, so that the first search does not."""
        index = self.resolved(index)
        made = self.reranked if index == RERANKED else self.space(index)
        assert made is not None
        if index.startswith("annoy"):
            self.forest(index)

    def info(self) -> Info:
        """Tell all about it."""
        return Info(
            store=str(self.store),
            folder=str(self.folder),
            pictures=len(self.catalogue),
            rejected=len(self.rejected),
            labels=len(self.catalogue.labels()),
            columns=tuple(self.catalogue.columns),
            encoder=self.network.name,
            dimension=self.network.dimension,
            precision=self.precision,
            indexes=self.indexes,
            local_features=self.settings.same_picture,
            regions=self.regions,
            threshold=self.threshold.evidence,
            false_positive_rate=self.threshold.false_positive_rate,
            bytes=self.size_on_disk(),
            format=self.format,
            generation=self.generation,
            read_only=self.read_only,
        )

    @abstractmethod
    def size_on_disk(self) -> int:
        """Return the bytes of all files that belong to it, besides the pictures."""

    def space(self, index: str) -> Space:
        """Return the space that an index is over.

        Raises:
            BadQueryError: there is no such index.
        """
        space = self.knn_pca if self.resolved(index).endswith("_pca") else self.knn
        assert space is not None
        return space

    def resolved(self, index: str) -> str:
        """Return the index that is meant, which is for `auto` another one.

        Raises:
            BadQueryError: there is no such index.
        """
        if index == "auto":
            enough = len(self.catalogue) > self.settings.n_components and self.has_pca
            return "knn_pca" if enough else "knn"
        if index not in self.indexes:
            known = ", ".join((*self.indexes, "auto"))
            raise BadQueryError(f"The store has no index {index}; it has {known}.")
        return index

    def nearest(
        self, index: str, query: Vectors, k: int, allowed: Mask, without: Positions = NO_PICTURES
    ) -> tuple[Vectors, Positions]:
        """Ask an index: distances (j,) float32, ascending, and positions (j,), at most k.

        Args:
            index: one of `indexes`, or `auto`.
            query: (D,) of the encoder.
            k: wanted, at least 1.
            allowed: (n,) which pictures may be found.
            without: (h,) those that the store is searched without, none of them allowed.

        Raises:
            BadQueryError: there is no such index.
        """
        if not allowed.any():
            return np.zeros(0, np.float32), np.zeros(0, np.int64)
        index = self.resolved(index)
        if index == RERANKED:
            assert self.reranked is not None
            return self.reranked.search(query, k, allowed, without)
        space = self.space(index)
        forest = self.forest(index) if index.startswith("annoy") else None
        if forest is not None:
            return forest.search(space, query, k, allowed)
        return space.search(space.project(query[None])[0], k, allowed)

    def close(self) -> None:  # noqa: B027
        """Let go of files."""
