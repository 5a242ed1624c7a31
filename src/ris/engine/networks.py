"""The networks of an engine: what embeds a query, and what writes to the store."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from torch import Tensor

from ris.config import Network
from ris.encoder.encoder import Embedder
from ris.search.space import normalise
from ris.search.vectors import Vectors

Embed: TypeAlias = Callable[[Tensor], Vectors]
"""Pictures as a network sees them (n, 3, crop, crop) uint8, any n, to vectors (n, D) float32."""


@dataclass(frozen=True)
class Networks:
    """What embeds."""

    embed: Embed
    """A query, for the indexes."""
    writes: Embedder | None = None
    """What is added to the store; None where that is only read."""
    for_views: tuple[Embed, Network] | None = None
    """A query's views, where candidates for the same picture are searched by another network."""


def of_store(embedder: Embedder) -> Networks:
    """Return the one network of a store for all of it."""
    return Networks(lambda pixels: normalise(embedder.embed(pixels)), embedder)
