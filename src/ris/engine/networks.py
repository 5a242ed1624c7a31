"""The networks of an engine: what embeds a query, and what writes to the store."""

import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Self, TypeAlias

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from ris.config import Network
from ris.encoder.encoder import Embedder
from ris.encoder.transforms import standardise
from ris.search.space import normalise
from ris.search.vectors import Vectors

Join: TypeAlias = Callable[[Sequence[Vectors]], Vectors]
"""Vectors (n, D1), (n, D2), ... of several networks to (n, D) of the space that is searched."""


# `traced` says why. Not where it is called: threads that change the filters there undo each other's changes.
warnings.filterwarnings("ignore", r"`torch\.jit\.", FutureWarning)


@dataclass(frozen=True)
class QueryNetwork:
    """One network, or several side by side, that see queries."""

    embedders: tuple[Embedder, ...]
    """They see a picture prepared in the same way."""
    join: Join

    @property
    def network(self) -> Network:
        """How a picture is prepared."""
        return self.embedders[0].network

    def embed(self, pixels: Tensor, threads: Executor) -> Vectors:
        """Embed each prepared picture by itself, several at once: (n, 3, crop, crop) uint8 to (n, D) float32.

        A vector depends on its picture alone, to the last bit: neither on those that are embedded with it or
        beside it, nor on the number of processors. Processors that shared a picture would wait for each other
        spinning, which costs more than it gains once they have other work, too.

        Args:
            pixels: of any number of pictures.
            threads: of `embedding_threads`.
        """
        return np.concatenate(list(threads.map(self._embed, torch.split(pixels, 1))))

    def traced(self) -> Self:
        """Return the same networks, each as a single call in which Python has no part: see `traced`."""
        return replace(self, embedders=tuple(map(traced, self.embedders)))

    def _embed(self, pixels: Tensor) -> Vectors:
        return self.join([embedder.embed(pixels) for embedder in self.embedders])


@dataclass(frozen=True)
class Networks:
    """What embeds."""

    queries: QueryNetwork
    """For the indexes."""
    writes: Embedder | None = None
    """What is added to the store; None where that is only read."""
    views: QueryNetwork | None = None
    """Of a query, where candidates for the same picture are searched by another network."""

    def traced(self) -> Self:
        """Return the same networks, with those that see queries traced."""
        return replace(self, queries=self.queries.traced(), views=self.views and self.views.traced())


def of_store(embedder: Embedder) -> Networks:
    """Return the one network of a store for all of it."""
    return Networks(QueryNetwork((embedder,), lambda parts: normalise(parts[0])), embedder)


def traced(embedder: Embedder) -> Embedder:
    """Return the same function, in a form that several threads compute at once.

    A network in Python takes the interpreter's lock again for each of its layers, for which threads wait.
    TorchScript is no longer developed, but what replaces it needs a compiler on the user's machine.
    """
    if isinstance(embedder.module, torch.jit.ScriptModule):
        return embedder
    crop = embedder.network.crop
    blank = torch.zeros((1, 3, crop, crop), dtype=torch.uint8, device=embedder.device)
    with torch.inference_mode():
        example = standardise(blank, embedder.network.mean, embedder.network.std).to(embedder.dtype)
        module = torch.jit.trace(embedder.module, example, check_trace=False)  # type: ignore[no-untyped-call]
        module = torch.jit.freeze(module, optimize_numerics=False)
        for _ in range(2):  # In these it plans how it computes.
            module(example)
    return replace(embedder, module=module)


def embedding_threads(count: int) -> ThreadPoolExecutor:
    """Start threads that compute on one processor each."""
    return ThreadPoolExecutor(count, "embedding", _on_one_processor)


def _on_one_processor() -> None:
    torch.get_num_threads()  # At its first use in a thread, PyTorch sets the number itself.
    threadpool_limits(1, user_api="openmp")
