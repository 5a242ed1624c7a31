"""What a store was made with, kept in it; the defaults are those of conf/."""

from typing import Any

from pydantic import ValidationError

from ris.config import Reranking, Section
from ris.types import DamagedError


class Settings(Section):
    """All that decides what a store keeps and how it is searched, besides the encoder."""

    same_picture: bool
    """Whether local features are kept."""
    max_pixels: int = 50_000_000
    """Of a picture that is read."""
    n_components: int = 128
    """Directions of the PCA that is searched, at most."""
    pca_whiten: float = 0.25
    """Power of the deviation that they are divided by."""
    n_trees: int = 100
    search_k: int = 10_000
    """Of ANNOY, see `ris.indexes.annoy`."""
    reranking: Reranking = Reranking(augmented=5, expanded=5, alpha=3.0)
    """In that space."""
    whitened: int = 1024
    """Directions of the space in which candidates for the same picture are searched, at most."""
    whiten: float = 0.5
    """Power of the deviation that its directions are divided by."""
    candidates: int = 100
    """That geometry looks at."""
    enough_evidence: float = 9.0
    """So much for one of them, and geometry looks no further."""
    gallery_features: int = 400
    """Local features that are kept of a picture."""
    query_features: int = 1000
    """Local features that are taken of a query."""
    side: int = 640
    """Longer side of the picture that they are taken from, pixels."""


def read_settings(stored: Any) -> Settings:
    """Read a store's settings.

    Raises:
        DamagedError: they are none.
    """
    try:
        return Settings.model_validate(stored)
    except ValidationError as error:
        raise DamagedError("The store's settings are damaged; build the store anew.") from error
