"""The spaces of a gallery: its vectors as they are, projected, and whitened to look for copies."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ris.copies.local_features import LocalFeatures, mirrored_descriptors
from ris.copies.perceptual_hash import Fingerprints, nearest
from ris.copies.views import REGIONS, in_turn, pooled
from ris.copies.words import InvertedIndex, words_of
from ris.gallery.settings import Settings
from ris.indexes.index import Mask
from ris.indexes.projection import Projection
from ris.indexes.vectors import Positions, Vectors

SAMPLE = 50_000
"""Vectors that a basis is fitted to, at most."""
AT_ONCE = 4096
"""Vectors that are computed with together, where that takes memory."""


class Searchable(Protocol):
    """Vectors that are searched."""

    @property
    def count(self) -> int:
        """Number of vectors."""
        ...

    def search(self, queries: Vectors, k: int, allowed: Mask | None = None) -> tuple[Vectors, Positions]:
        """See `ris.indexes.index.Index.search`."""
        ...


class Searched(Searchable, Protocol):
    """Vectors that are searched, and can be looked up."""

    def among(self, query: Vectors, k: int, positions: Positions) -> tuple[Vectors, Positions]:
        """See `ris.indexes.exact.ExactIndex.among`."""
        ...

    def at(self, positions: Positions) -> Vectors:
        """Return the vectors (j, d) at positions, ascending."""
        ...


@dataclass(frozen=True, eq=False)
class Space:
    """Vectors (m, d) that are searched exactly, and how the encoder's come among them."""

    index: Searched
    projection: Projection | None = None

    def project(self, vectors: Vectors) -> Vectors:
        """Bring the encoder's vectors (q, D) into this space: (q, d)."""
        return vectors if self.projection is None else self.projection.apply(vectors)


@dataclass(frozen=True, eq=False)
class Whitened:
    """Vectors compared in a whitened space, without keeping them there.

    With x and q for two vectors less the mean, and W for the projection, the cosine of W x and W q is
    (x · WᵀW q) / |W x| |W q|: the encoder's vectors do for it, with a length for each.
    """

    vectors: Vectors
    """(m, D) of the encoder."""
    lengths: npt.NDArray[np.float32]
    """(m,) see `projected_lengths`."""
    projection: Projection

    def cosines(self, queries: Vectors) -> npt.NDArray[np.float32]:
        """Compare with the encoder's vectors (v, D) of queries: (m, v)."""
        directions = self.projection.scale[:, None] * self.projection.components
        back = self.projection.apply(queries) @ directions
        products = self.vectors @ back.T - back @ self.projection.mean
        return np.asarray(products / self.lengths[:, None], np.float32)

    def projected(self) -> Vectors:
        """Return the vectors in the whitened space, (m, d) of length 1."""
        return projected(self.vectors, self.projection)


@dataclass(frozen=True, eq=False)
class Candidates:
    """Where copies of a picture are looked for: several rankings of the contents of a gallery."""

    whole: Whitened
    """The contents."""
    regions: Whitened | None
    """Five regions of each, those of a content one after the other; None where they are not kept."""
    hashes: Fingerprints
    """(m,) perceptual hashes of the contents."""
    words: InvertedIndex
    """Of the contents' visual words."""

    def rankings(
        self, views: Vectors, features: LocalFeatures, k: int, allowed: Mask | None = None
    ) -> dict[str, tuple[Vectors | None, Positions]]:
        """Rank the contents by each way of looking for a query.

        Args:
            views: (v, D) the encoder's vectors of the query's views, itself first.
            features: of the query.
            k: wanted of each.
            allowed: (m,) which contents count; None for all.

        Returns:
            By way, distances (j,) in the whitened space, None where they are none of vectors, and positions
            (j,), the nearest first: `words` that it shares, or that its mirror image does; `views` of the
            query, where it has several; `fingerprint`; `regions` of the gallery, where they are kept;
            `whitened`, the query itself.
        """
        counted = np.arange(len(self.hashes)) if allowed is None else np.flatnonzero(allowed)
        cosines = self.whole.cosines(views)[counted]
        found: dict[str, tuple[Vectors | None, Positions]] = {}
        seen = words_of([features.descriptors, mirrored_descriptors(features.descriptors)])
        found["words"] = None, self.words.nearest(seen, counted, k)
        if len(views) > 1:
            found["views"] = _highest(cosines.max(axis=1), counted, k)
        found["fingerprint"] = None, nearest(features.fingerprint, self.hashes[counted], counted, k)
        if self.regions is not None:
            of_regions = self.regions.cosines(views[:1]).reshape(-1, REGIONS).max(axis=1)
            found["regions"] = _highest(of_regions[counted], counted, k)
        found["whitened"] = _highest(cosines[:, 0], counted, k)
        return found

    def search(
        self, views: Vectors, features: LocalFeatures, k: int, allowed: Mask | None = None
    ) -> tuple[Vectors, Positions]:
        """Draw candidates from all rankings in turn.

        Returns:
            distances (j,) from the query itself in the whitened space, and positions (j,), the most promising
            first, j at most k.
        """
        positions = drawn(self.rankings(views, features, k, allowed), k)
        lengths = self.whole.lengths[positions]
        part = Whitened(self.whole.vectors[positions], lengths, self.whole.projection)
        return _distances(part.cosines(views[:1])[:, 0]), positions


def for_copies(vectors: Vectors, regions: Vectors | None, settings: Settings) -> Vectors:
    """Return what copies are searched among: vectors (m, D), and in them their regions' (5 m, D), if any."""
    return vectors if regions is None else pooled(vectors, regions, settings.region_weight)


def drawn(rankings: dict[str, tuple[Vectors | None, Positions]], k: int) -> Positions:
    """Draw k positions from several rankings in turn."""
    return in_turn([positions for _, positions in rankings.values()], k)


def projected(vectors: Vectors, projection: Projection) -> Vectors:
    """Return the projections (m, d) of vectors (m, D), taking little memory beside them."""
    found = np.empty((len(vectors), len(projection.components)), np.float32)
    for start in range(0, len(vectors), AT_ONCE):
        found[start : start + AT_ONCE] = projection.apply(vectors[start : start + AT_ONCE])
    return found


def projected_lengths(vectors: Vectors, projection: Projection) -> npt.NDArray[np.float32]:
    """Return the lengths (m,) of the projections of vectors (m, D); 1 where one is 0."""
    directions = (projection.scale[:, None] * projection.components).T
    lengths = np.empty(len(vectors), np.float32)
    for start in range(0, len(vectors), AT_ONCE):
        part = (vectors[start : start + AT_ONCE] - projection.mean) @ directions
        lengths[start : start + AT_ONCE] = np.linalg.norm(part, axis=1)
    return np.where(lengths > 0, lengths, 1)


def fit_basis(vectors: Vectors) -> Projection | None:
    """Fit all principal directions of vectors (m, D); None where they do not differ."""
    sample = vectors[:: -(-len(vectors) // SAMPLE) or 1]
    if len(sample) == 0 or (sample == sample[0]).all():
        return None
    return Projection.fit(sample, min(sample.shape), whiten=0.0, normalise=True)


def _highest(cosines: npt.NDArray[np.float32], positions: Positions, k: int) -> tuple[Vectors, Positions]:
    """Return the distances and positions of the highest cosines (m,) at positions (m,), at most k."""
    order = np.argsort(-cosines, kind="stable")[:k]
    return _distances(cosines[order]), positions[order]


def _distances(cosines: npt.NDArray[np.float32]) -> Vectors:
    return np.sqrt(np.maximum(2 - 2 * cosines, 0)).astype(np.float32)
