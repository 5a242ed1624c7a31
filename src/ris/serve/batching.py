"""Pictures of many threads through the network together."""

from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Thread
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Vectors: TypeAlias = npt.NDArray[np.float32]
Embed: TypeAlias = Callable[[Tensor], Vectors]
Job: TypeAlias = tuple[Tensor, "Future[Vectors]"]


class Batcher:
    """Gathers what several threads want embedded at one time into one call.

    While one batch is in the network, the next gathers by itself: nobody waits for company, and no two
    threads compete for the processors.
    """

    def __init__(self, embed: Embed, size: int, watch: Callable[[int], None] = lambda _: None) -> None:
        """Start the thread that calls `embed`.

        Args:
            embed: prepared pictures (n, 3, crop, crop) uint8 to vectors (n, d) float32.
            size: pictures of one batch, at most, but for a single call that has more.
            watch: told how many pictures each batch has.
        """
        self._embed, self._size, self._watch = embed, size, watch
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._thread = Thread(target=self._work, name="embedding", daemon=True)
        self._thread.start()

    def __call__(self, pixels: Tensor) -> Vectors:
        """Embed pictures (n, 3, crop, crop) uint8, together with those of other threads: (n, d) float32."""
        future: Future[Vectors] = Future()
        self._jobs.put((pixels, future))
        return future.result()

    def close(self) -> None:
        """End the thread when all that was asked for is done."""
        self._jobs.put(None)
        self._thread.join()

    def _work(self) -> None:
        job = self._jobs.get()
        while job is not None:
            batch = [job]
            count = len(job[0])
            while count < self._size and not self._jobs.empty():
                job = self._jobs.get()
                if job is None:
                    break
                batch.append(job)
                count += len(job[0])
            self._run(batch)
            job = self._jobs.get() if job is not None else None

    def _run(self, batch: list[Job]) -> None:
        try:
            pixels = torch.cat([pixels for pixels, _ in batch])
            self._watch(len(pixels))
            ends = np.cumsum([len(pixels) for pixels, _ in batch])[:-1]
            parts = np.split(self._embed(pixels), ends)
        except BaseException as error:
            for _, future in batch:
                future.set_exception(error)
        else:
            for (_, future), vectors in zip(batch, parts, strict=True):
                future.set_result(vectors)
