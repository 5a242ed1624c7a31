"""Where in a gallery a very picture is: candidates by vectors, proof by geometry, calibrated answer."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ris.config import Network, SamePicture
from ris.encoder.transforms import for_embedding
from ris.same_picture.local_features import LocalFeatures, LocalFeatureStore, describe
from ris.same_picture.verification import Verified, verify
from ris.same_picture.views import REGIONS, merged, query_views
from ris.search.knn import ExactIndex
from ris.search.vectors import Rows, Vectors

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
    """(j,) catalog rows by distance, the nearest first."""
    distances: Vectors
    """(j,) of the candidates, ascending."""
    verified: list[Verified]
    """Candidates in which geometry found the query, those with most inliers first."""
    here: bool | None
    """Whether the first verified one is the query's original, at the calibrated rate; None without it."""


@dataclass(frozen=True, eq=False)
class SamePictureSearch:
    """A gallery in which pictures are looked for."""

    index: ExactIndex
    """Of the gallery's vectors, and of its regions' where they are used."""
    store: LocalFeatureStore
    network: Network
    settings: SamePicture
    embed: Embed
    threshold: float | None = None
    """A picture is here where it has more inliers; None where that was not calibrated."""

    def look(self, image: Image.Image) -> Query:
        """Prepare a picture, RGB."""
        return look(image, self.network, self.settings)

    def candidates(self, vectors: Vectors) -> tuple[Vectors, Rows]:
        """Merge what the views' vectors (v, d) find: distances (j,) and catalog rows (j,), see `merged`."""
        rows_per_picture = REGIONS + 1 if self.settings.regions else 1
        wanted = self.settings.candidates
        return merged(*self.index.search(vectors, wanted * rows_per_picture), wanted)

    def verify(self, features: LocalFeatures, rows: Rows) -> list[Verified]:
        """Look for a query's local features in candidates, catalog rows (j,), see `verify`."""
        return verify(features, rows.tolist(), self.store, self.settings.enough_inliers)

    def search(self, image: Image.Image) -> Answer:
        """Look for a picture, RGB."""
        query = self.look(image)
        distances, rows = self.candidates(self.embed(query.pixels))
        verified = self.verify(query.features, rows)
        here = None
        if self.threshold is not None:
            here = bool(verified) and verified[0].inliers > self.threshold
        return Answer(rows, distances, verified, here)


def look(image: Image.Image, network: Network, settings: SamePicture) -> Query:
    """Prepare a picture, RGB: its views, or itself where `settings.views` is off, and local features."""
    views = query_views(image) if settings.views else [image]
    pixels = torch.stack([for_embedding(view, network) for view in views])
    local = settings.local_features
    return Query(pixels, describe(image, local.query, local.side))


def gallery_index(whole: Vectors, regions: Vectors | None, rows: Rows) -> ExactIndex:
    """Index a gallery's vectors (n, d) and, where given, its regions' (5 n, d), by catalog row (n,)."""
    if regions is None:
        return ExactIndex.build(whole, rows, {}, seed=0)
    return ExactIndex.build(
        np.concatenate([whole, regions]), np.concatenate([rows, np.repeat(rows, REGIONS)]), {}, seed=0
    )
