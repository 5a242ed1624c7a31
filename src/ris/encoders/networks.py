"""The networks of an engine: what embeds a query, and what writes to the store."""

import math
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Self, TypeAlias

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from ris.config import Network
from ris.encoders.encoder import Embedder
from ris.encoders.fused import fused
from ris.encoders.transforms import standardise
from ris.indexes.projection import normalise
from ris.indexes.vectors import Vectors

MOST_TOGETHER = 8
"""Pictures that are embedded together, at most."""

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
    together: int = 1
    """How many pictures may be embedded at once so that no vector is another than alone, to the last bit."""

    @property
    def network(self) -> Network:
        """How a picture is prepared."""
        return self.embedders[0].network

    def embed(self, pixels: Tensor) -> Vectors:
        """Embed prepared pictures, in this thread: (n, 3, crop, crop) uint8 to (n, D) float32."""
        return self.join([embedder.embed(pixels) for embedder in self.embedders])

    def traced(self) -> Self:
        """Return the same networks, each as a single call in which Python has no part: see `traced`.

        Call it where they are to compute: it tries how many pictures may be embedded together there.
        """
        made = replace(self, embedders=tuple(map(traced, self.embedders)))
        return replace(made, together=made._tried_together())

    def _tried_together(self) -> int:
        # In which order a convolution sums depends on the shape of its input, but on no value.
        pixels = _noise(self.network)
        alone = np.concatenate([self.embed(one) for one in torch.split(pixels, 1)])
        for count in range(2, MOST_TOGETHER + 1):
            if not np.array_equal(self.embed(pixels[:count]), alone[:count]):
                return count - 1
        return MOST_TOGETHER


@dataclass(frozen=True)
class Networks:
    """What embeds."""

    queries: QueryNetwork
    """Queries."""
    writes: Embedder
    """What is added to the store."""

    def traced(self) -> Self:
        """Return the same networks, with that which sees queries traced."""
        return replace(self, queries=self.queries.traced())


def of_store(embedder: Embedder) -> Networks:
    """Return the one network of a store for all of it."""
    return Networks(QueryNetwork((embedder,), lambda parts: normalise(parts[0])), embedder)


def traced(embedder: Embedder) -> Embedder:
    """Return the same function, in a form that several threads compute at once, and sooner: see `fused`.

    A network in Python takes the interpreter's lock again for each of its layers, for which threads wait.
    TorchScript is no longer developed, but what replaces it needs a compiler on the user's machine.
    """
    if isinstance(embedder.module, torch.jit.ScriptModule):
        return embedder
    network, pixels = embedder.network, _noise(embedder.network)
    with torch.inference_mode():
        examples = standardise(pixels, network.mean, network.std).to(embedder.device, embedder.dtype)
        module = fused(embedder.module, examples)
        module = torch.jit.trace(module, examples[:1], check_trace=False)  # type: ignore[no-untyped-call]
        module = torch.jit.freeze(module, optimize_numerics=False)
        for _ in range(2):  # In these it plans how it computes.
            module(examples[:1])
    return replace(embedder, module=module)


def _noise(network: Network) -> Tensor:
    """Return as many pictures as are ever embedded together, (MOST_TOGETHER, 3, crop, crop) uint8."""
    shape = (MOST_TOGETHER, 3, network.crop, network.crop)
    return torch.randint(256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@dataclass(frozen=True, eq=False)
class _Waiting:
    """A picture that is to be embedded."""

    network: QueryNetwork
    pixels: Tensor
    """(3, crop, crop) uint8"""
    vector: Future[Vectors] = field(default_factory=Future)
    """(D,)"""


class EmbeddingThreads:
    """Threads that compute on one processor each, and embed together what waits for them.

    A vector depends on its picture alone, to the last bit: neither on those that are embedded with it or
    beside it, nor on the number of processors. Processors that shared a picture would wait for each other
    spinning, which costs more than it gains once they have other work, too; several pictures together on one
    processor cost less than one after the other.
    """

    def __init__(self, count: int) -> None:
        self._free = count
        self._pool = ThreadPoolExecutor(count, "embedding", _on_one_processor)
        self._waiting: deque[_Waiting] = deque()
        self._lock = Lock()

    def embed(self, network: QueryNetwork, pixels: Iterable[Tensor]) -> Vectors:
        """Embed prepared pictures, (3, crop, crop) uint8 each, at least one: (n, D) float32."""
        asked = [_Waiting(network, one) for one in pixels]
        with self._lock:
            self._waiting.extend(asked)
        for _ in asked:
            self._pool.submit(self._embed_some)
        return np.stack([one.vector.result() for one in asked])

    def traced(self, networks: Networks) -> Networks:
        """Return the same networks, see `Networks.traced`."""
        return self._pool.submit(networks.traced).result()

    def shutdown(self) -> None:
        """End the threads."""
        self._pool.shutdown()

    def _embed_some(self) -> None:
        """Embed those that wait, but for the share of other free threads; nothing if none waits any more."""
        taken = self._take()
        if not taken:
            return
        try:
            vectors = taken[0].network.embed(torch.stack([one.pixels for one in taken]))
        except Exception as error:
            for one in taken:
                one.vector.set_exception(error)
        else:
            for one, vector in zip(taken, vectors, strict=True):
                one.vector.set_result(vector)
        finally:
            with self._lock:
                self._free += 1

    def _take(self) -> list[_Waiting]:
        taken: list[_Waiting] = []
        with self._lock:
            if self._waiting:
                network = self._waiting[0].network
                share = min(network.together, math.ceil(len(self._waiting) / self._free))
                while self._waiting and len(taken) < share and self._waiting[0].network is network:
                    taken.append(self._waiting.popleft())
                self._free -= 1
        return taken


def _on_one_processor() -> None:
    torch.get_num_threads()  # At its first use in a thread, PyTorch sets the number itself.
    threadpool_limits(1, user_api="openmp")
