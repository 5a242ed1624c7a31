"""Where in a gallery a very picture is: candidates from several looks at it, proof, calibrated answer."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ris.config import Network
from ris.copies.local_features import LocalFeatures, LocalFeatureStore, describe
from ris.copies.perceptual_hash import Fingerprints, nearest
from ris.copies.verification import Verified, verify
from ris.copies.views import REGIONS, in_turn, merged, query_views
from ris.encoders.transforms import for_embedding
from ris.indexes.exact import ExactIndex
from ris.indexes.vectors import Rows, Vectors
from ris.lab.config import SamePicture

Embed: TypeAlias = Callable[[Tensor], Vectors]
"""Prepared pictures (v, 3, crop, crop) uint8 to vectors (v, d) of the space that is searched."""


@dataclass(frozen=True, eq=False)
class Query:
    """A picture as the search looks at it."""

    pixels: Tensor
    """(v, 3, crop, crop) uint8: its views as the network sees them, itself first."""
    features: LocalFeatures


@dataclass(frozen=True, eq=False)
class Answer:
    """What was found for a query."""

    candidates: Rows
    """(j,) catalog rows, the most promising first."""
    verified: list[Verified]
    """Candidates in which the query was found, those with most evidence first."""
    here: bool | None
    """Whether the first verified one is the query's original, at the calibrated rate; None without it."""


@dataclass(frozen=True, eq=False)
class SamePictureSearch:
    """A gallery in which pictures are looked for."""

    whole: ExactIndex
    """Of the gallery's vectors."""
    regions: ExactIndex | None
    """Of its regions' vectors, five to a row; None where they are not used."""
    fingerprints: Fingerprints
    """(n,) of the gallery."""
    rows: Rows
    """(n,) catalog rows of the gallery."""
    store: LocalFeatureStore
    network: Network
    settings: SamePicture
    embed: Embed
    threshold: float | None = None
    """A picture is here where there is more evidence; None where that was not calibrated."""

    def look(self, image: Image.Image) -> Query:
        """Prepare a picture, RGB."""
        return look(image, self.network, self.settings)

    def rankings(self, vectors: Vectors, features: LocalFeatures) -> dict[str, tuple[Vectors | None, Rows]]:
        """Rank the gallery by each way of looking for a query.

        Args:
            vectors: (v, d) of its views, itself first.
            features: of the query.

        Returns:
            By way, distances (j,), None where they are none of vectors, and catalog rows (j,), the nearest
            first, at most as many as candidates are wanted: `views` of the query, where it has several;
            `fingerprint`; `regions` of the gallery, where they are used; `whitened`, one vector a picture.
        """
        wanted = self.settings.candidates
        found: dict[str, tuple[Vectors | None, Rows]] = {}
        distances, rows = self.whole.search(vectors, wanted)
        if len(vectors) > 1:
            found["views"] = merged(distances, rows, wanted)
        found["fingerprint"] = None, nearest(features.fingerprint, self.fingerprints, self.rows, wanted)
        if self.regions is not None:
            found["regions"] = merged(*self.regions.search(vectors[:1], wanted * REGIONS), wanted)
        found["whitened"] = distances[0], rows[0]
        return found

    def drawn(self, rankings: Mapping[str, tuple[Vectors | None, Rows]]) -> Rows:
        """Draw candidates from all rankings in turn: catalog rows (j,)."""
        return in_turn([rows for _, rows in rankings.values()], self.settings.candidates)

    def verify(self, features: LocalFeatures, rows: Rows) -> list[Verified]:
        """Look for a query's local features in candidates, catalog rows (j,), see `verify`."""
        return verify(features, rows.tolist(), self.store, self.settings.enough_evidence)

    def search(self, image: Image.Image) -> Answer:
        """Look for a picture, RGB."""
        query = self.look(image)
        rows = self.drawn(self.rankings(self.embed(query.pixels), query.features))
        verified = self.verify(query.features, rows)
        here = None
        if self.threshold is not None:
            here = bool(verified) and verified[0].evidence > self.threshold
        return Answer(rows, verified, here)


def look(image: Image.Image, network: Network, settings: SamePicture) -> Query:
    """Prepare a picture, RGB: its views, or itself where `settings.views` is off, and local features."""
    views = query_views(image) if settings.views else [image]
    pixels = torch.stack([for_embedding(view, network) for view in views])
    local = settings.local_features
    return Query(pixels, describe(image, local.query, local.side))


def regions_index(vectors: Vectors, rows: Rows) -> ExactIndex:
    """Index regions' vectors (5 n, d) by their pictures' catalog rows (n,)."""
    return ExactIndex.build(vectors, np.repeat(rows, REGIONS), {}, seed=0)


def pooled(vectors: Vectors, regions: Vectors, weight: float) -> Vectors:
    """Return the averages (n, D) of pictures' vectors and of their regions', so that one vector knows parts.

    As in Tolias et al., Particular object retrieval with integral max-pooling of CNN activations, 2016, arXiv
    1511.05879, where the regions' vectors are summed.

    Args:
        vectors: (n, D) of the pictures.
        regions: (5 n, D) of their regions, those of a picture one after the other.
        weight: of the mean of a picture's regions; its own vector has weight 1.
    """
    means = regions.reshape(len(vectors), REGIONS, -1).mean(axis=1)
    summed: Vectors = vectors + np.float32(weight) * means
    return summed / np.float32(1 + weight)
