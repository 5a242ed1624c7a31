"""The networks of an engine: what embeds a query, and what writes to the store."""

from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from threadpoolctl import threadpool_limits
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


def embedding_threads(count: int) -> ThreadPoolExecutor:
    """Start threads for `one_by_one`."""
    return ThreadPoolExecutor(count, "embedding", _on_one_processor)


def one_by_one(threads: Executor, embed: Embed) -> Embed:
    """Embed each picture by itself and on one processor, several at once.

    So a vector depends on its picture alone, to the last bit: neither on those that are embedded with it or
    beside it, nor on the number of processors. Processors that shared a picture would wait for each other
    spinning, which costs more than it gains once they have other work, too.
    """
    return lambda pixels: np.concatenate(list(threads.map(embed, torch.split(pixels, 1))))


def _on_one_processor() -> None:
    torch.get_num_threads()  # At its first use in a thread, PyTorch sets the number itself.
    threadpool_limits(1, user_api="openmp")
