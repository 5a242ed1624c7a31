"""Pixels in, vectors out, whatever computes them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from PIL import Image
from tqdm import tqdm

from ris.config import Network
from ris.encoders.transforms import Pixels, for_embedding
from ris.errors import RisError
from ris.images.decoding import read_image
from ris.indexes.vectors import Vectors
from ris.threads import in_order, worker_threads

Compute: TypeAlias = Callable[[Pixels], Vectors]
"""Prepared pictures (n, 3, crop, crop) to vectors (n, dimension); several threads may call it at once."""

Device: TypeAlias = Literal["cpu", "cuda", "mps"]
"""What computes: the processor, or a GPU by PyTorch's name."""

Looks = Callable[[Image.Image], Sequence[Image.Image]]
"""A picture to the pictures that are embedded of it, as many for every one."""


def whole(image: Image.Image) -> list[Image.Image]:
    """The picture itself."""
    return [image]


@dataclass(frozen=True)
class Embedder:
    """A network, ready to embed."""

    network: Network
    compute: Compute

    def embed(self, pixels: Pixels) -> Vectors:
        """Embed prepared pictures: (n, 3, crop, crop) uint8 -> (n, dimension) float32."""
        return self.compute(pixels)

    def embed_files(
        self, files: Sequence[Path], batch_size: int, workers: int, max_pixels: int, looks: Looks = whole
    ) -> Vectors:
        """Embed picture files in their order, all looks at one together: (N · looks, dimension) float32.

        Decoding runs in `workers` threads beside the network, or one. A vector depends neither on `workers`
        nor, on a processor, on `batch_size`.

        Raises:
            RisError: a file cannot be read any more, or a vector is not finite.
        """
        with worker_threads(max(workers, 1)) as pool:
            read = partial(self._read, max_pixels=max_pixels, looks=looks)
            seen = in_order(pool, read, files, lead=2 * batch_size)
            progress = iter(tqdm(seen, "embedding", len(files), unit="picture", disable=None))
            batches = iter(lambda: list(islice(progress, batch_size)), [])
            vectors = np.concatenate([self.embed(np.concatenate(some)) for some in batches])
        if not np.isfinite(vectors).all():
            row = int(np.flatnonzero(~np.isfinite(vectors).all(axis=1))[0]) * len(files) // len(vectors)
            raise RisError(f"The vector of {files[row]} is not finite; retrain with a lower learning rate.")
        return vectors

    def _read(self, file: Path, max_pixels: int, looks: Looks) -> Pixels:
        """Return what is embedded of a file: (looks, 3, crop, crop)."""
        draft = 2 * self.network.resize if looks is whole else None
        image = read_image(file, max_pixels, draft)
        return np.stack([for_embedding(look, self.network) for look in looks(image)])
