"""What a gallery is made with; a store keeps it.

The defaults are those of conf/, but where a store serves classes that nobody named: the reason and the
measurement stand beside each.
"""

from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationError

from ris.config import Positive, Reranking, Section
from ris.indexes.registry import REGISTRY
from ris.types import DamagedError


def _registered(name: str) -> str:
    if name not in REGISTRY:
        raise ValueError("there is no such index")
    return name


BuiltIndex = Annotated[str, AfterValidator(_registered)]
Power = Annotated[float, Field(ge=0, le=1)]
Pixels = Annotated[int, Field(ge=1, le=2**31)]
Features = Annotated[int, Field(ge=1, le=100_000)]


class Settings(Section):
    """All that decides what a gallery keeps and how it is searched, besides the encoder."""

    same_picture: bool
    """Whether local features are kept."""
    max_pixels: Pixels = 50_000_000
    """Of a picture that is read."""
    indexes: tuple[BuiltIndex, ...] = ()
    """Approximate indexes that are built beside those that a store chooses by itself."""
    exact_up_to: Annotated[int, Field(ge=0)] = 20_000
    """Pictures up to which `auto` searches exactly; a store of more has partitions of the PCA space."""
    n_components: Positive = 128
    """Directions of the PCA that is searched, at most: of conf/'s dimensions, those that need no labels."""
    pca_whiten: Power = 0.25
    """Power of the deviation that they are divided by. conf/ divides by more, as its projection learns from
    labels; without labels 0.25 was best on validation pictures, mAP@R 0.604 on Caltech 101 (README)."""
    reranking: Reranking = Reranking(augmented=5, expanded=5, alpha=3.0)
    """In that space. conf/ averages 20, which fits classes of 60 pictures; in a gallery of ten a class it
    falls from 0.585 to 0.491, where 5 gives 0.672 (README)."""
    whitened: Positive = 1024
    """Directions of the space in which candidates for the same picture are searched, at most."""
    whiten: Power = 0.5
    """Power of the deviation that its directions are divided by."""
    candidates: Positive = 100
    """That geometry looks at."""
    enough_evidence: float = 9.0
    """So much for one of them, and geometry looks no further."""
    regions: bool = False
    """Whether candidates for copies are looked for by five regions of each picture, too. Off, unlike conf/'s,
    as a build then embeds six times as much. Of crops to an eighth 0.98 instead of 0.78 were among the
    candidates, of all fifteen edits 0.998 instead of 0.984 (`benchmarks/candidates.py`, 1,500 pictures)."""
    region_weight: Annotated[float, Field(ge=0, le=1000)] = 1.0
    """Weight that the mean of its regions' vectors has in a picture's own, where candidates are searched."""
    gallery_features: Features = 400
    """Local features that are kept of a picture."""
    query_features: Features = 1000
    """Local features that are taken of a query."""
    side: Annotated[int, Field(ge=8, le=10_000)] = 640
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
