"""Searching among the vectors of a catalogue: exactly, by ANNOY, and for candidates that geometry looks at.

All of it by position, among those that a mask lets through.
"""

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ris.copies.perceptual_hash import nearest
from ris.copies.views import in_turn
from ris.gallery.catalogue import Mask, Positions
from ris.indexes.annoy import AnnoyIndex
from ris.indexes.projection import Projection
from ris.indexes.vectors import Vectors

SAMPLE = 50_000
"""Vectors that a basis is fitted to, at most."""
AT_ONCE = 4096
"""Vectors that are computed with together, where that takes memory."""

_EPS = float(np.finfo(np.float32).eps)


class Space:
    """Vectors (n, d), the nearest of which are found exactly, and how a query comes among them.

    As `ris.indexes.exact.ExactIndex`, but without a second copy of the vectors, and among some of them only.
    """

    def __init__(self, vectors: Vectors, projection: Projection | None = None) -> None:
        self.vectors = vectors
        self._projection = projection
        # In pieces, for NumPy copies what it computes in double precision.
        pieces = (vectors[start : start + AT_ONCE] for start in range(0, len(vectors), AT_ONCE))
        squares = [np.vecdot(piece, piece, dtype=np.float64) for piece in pieces]
        self._halves = np.concatenate([np.zeros(0), *squares]).astype(np.float32) / 2
        self._radius = math.sqrt(2 * self._halves.max(initial=0))

    def project(self, vectors: Vectors) -> Vectors:
        """Bring the encoder's vectors (q, D) into this space: (q, d)."""
        return vectors if self._projection is None else self._projection.apply(vectors)

    def search(self, query: Vectors, k: int, allowed: Mask) -> tuple[Vectors, Positions]:
        """Find the nearest of the allowed vectors.

        Args:
            query: (d,).
            k: wanted, at least 1.
            allowed: (n,).

        Returns:
            distances (j,) float32, ascending, and positions (j,) at these distances; at equal distance the
            lower one first; j is k, or how many are allowed.
        """
        scores = self.vectors @ query - self._halves
        scores[~allowed] = -np.inf
        k = min(k, int(np.count_nonzero(allowed)))
        if k == 0:
            return self.among(query, k, np.zeros(0, np.int64))
        # Rounding decides only which vectors are candidates, see ExactIndex.
        least = np.partition(scores, -k)[-k] - self._rounding(query)
        return self.among(query, k, np.flatnonzero(scores >= least))

    def among(self, query: Vectors, k: int, positions: Positions) -> tuple[Vectors, Positions]:
        """Find the nearest of the vectors at some positions (j,), ascending; see `search`."""
        differences = np.subtract(self.vectors[positions], query, dtype=np.float64)
        squares = np.vecdot(differences, differences)
        nearest = np.argsort(squares, kind="stable")[:k]
        return np.sqrt(squares[nearest]).astype(np.float32), positions[nearest]

    def _rounding(self, query: Vectors) -> float:
        length = math.sqrt(query @ query)
        return (len(query) + 4) * _EPS * self._radius * (length + self._radius / 2)


@dataclass(frozen=True, eq=False)
class Forest:
    """ANNOY over what a catalogue held when it was built, with all that came later beside it.

    The trees say where to look; the distances are those of today's space, whose projection may be another
    than that of then.
    """

    trees: AnnoyIndex
    """Over contents; its rows are their numbers."""
    projection: Projection | None
    """Of the encoder's vectors to those that the trees were built over."""
    contents: npt.NDArray[np.int64]
    """(n,) the number of what each picture of the catalogue shows."""
    planted: npt.NDArray[np.int64]
    """(m,) the numbers in the trees."""

    @cached_property
    def later(self) -> Positions:
        """Positions of the pictures that the trees do not hold, ascending."""
        return np.flatnonzero(~np.isin(self.contents, self.planted))

    @cached_property
    def gone(self) -> int:
        """How many contents in the trees belong to no picture any more."""
        return int(np.count_nonzero(~np.isin(self.planted, self.contents)))

    @cached_property
    def _by_content(self) -> tuple[npt.NDArray[np.int64], Positions]:
        order = np.argsort(self.contents, kind="stable")
        return self.contents[order], order

    def search(self, space: Space, query: Vectors, k: int, allowed: Mask) -> tuple[Vectors, Positions]:
        """Find about the nearest, see `Space.search`.

        Args:
            space: of today.
            query: (D,) of the encoder.
            k: wanted.
            allowed: (n,).
        """
        then = query[None] if self.projection is None else self.projection.apply(query[None])
        enough = min(k, int(np.count_nonzero(allowed)))
        asked = k + self.gone
        while True:
            _, (numbers,) = self.trees.search(then, asked)
            positions = np.union1d(self._pictures_of(numbers), self.later)
            positions = positions[allowed[positions]]
            if len(positions) >= enough or asked >= self.trees.count:
                return space.among(space.project(query[None])[0], k, positions)
            asked *= 4

    def _pictures_of(self, numbers: npt.NDArray[np.int64]) -> Positions:
        contents, order = self._by_content
        starts, stops = (np.searchsorted(contents, numbers, side) for side in ("left", "right"))
        return np.concatenate([order[start:stop] for start, stop in zip(starts, stops, strict=True)])


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
    """Where the very same picture is looked for, in several ways, as `SamePictureSearch` does it."""

    whole: Whitened
    """The pictures."""
    regions: Whitened | None
    """Five regions of each, those of a picture one after the other; None where they are not used."""
    fingerprints: npt.NDArray[np.uint64]
    """(n,) of the pictures."""

    def search(self, queries: Vectors, fingerprint: int, k: int, allowed: Mask) -> tuple[Vectors, Positions]:
        """Draw in turn from the pictures nearest to any view of the query, from those with the nearest
        fingerprint, from those with the nearest region and from those nearest to the query itself.

        Args:
            queries: (v, D) the encoder's vectors of its views, itself first.
            fingerprint: of the query.
            k: wanted.
            allowed: (n,) which pictures count.

        Returns:
            distances (j,) float32 from the query itself in the whitened space, and positions (j,), the most
            promising first.
        """
        cosines = self.whole.cosines(queries)
        rankings = [
            _highest(cosines.max(axis=1), k, allowed),
            nearest(fingerprint, self.fingerprints[allowed], np.flatnonzero(allowed), k),
            _highest(cosines[:, 0], k, allowed),
        ]
        if self.regions is not None:
            of_regions = self.regions.cosines(queries[:1]).reshape(len(allowed), -1).max(axis=1)
            rankings.insert(2, _highest(of_regions, k, allowed))
        positions = in_turn(rankings, k)
        distances = np.sqrt(np.maximum(2 - 2 * cosines[positions, 0], 0))
        return distances.astype(np.float32), positions


def _highest(scores: npt.NDArray[np.float32], k: int, allowed: Mask) -> Positions:
    """Return the positions (j,) of the highest allowed scores (n,), at most k; the lower first at a tie."""
    positions = np.flatnonzero(allowed)
    return positions[np.argsort(-scores[positions], kind="stable")[:k]]


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
    """Fit the principal directions of vectors (n, D), all that there are; None where they do not differ."""
    sample = vectors[:: -(-len(vectors) // SAMPLE) or 1]
    if len(sample) == 0 or (sample == sample[0]).all():
        return None
    return Projection.fit(sample, min(sample.shape), 0.0, normalise=True)


def whitened(basis: Projection, n_components: int, power: float) -> Projection:
    """Return the projection to the first directions, each divided by its deviation to a power.

    As `Projection.fit` makes it with `whiten`, but for a factor, which the length of 1 takes away.
    """
    components = basis.components[:n_components]
    deviation = np.sqrt(basis.spectrum[: len(components)].astype(np.float64))
    telling = deviation > _EPS * deviation[0]
    scale = np.power(deviation, -power, out=np.zeros(len(deviation)), where=telling)
    return replace(basis, components=components, scale=scale.astype(np.float32))
