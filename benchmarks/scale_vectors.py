"""Vectors for benchmarks of large sizes: real ones, and as many as are asked for that lie around them."""

import os
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from itertools import count, islice
from pathlib import Path

import numpy as np

from ris.artifacts import read_array, write_array
from ris.encoders.named import choose, restore
from ris.encoders.transforms import for_embedding
from ris.images.decoding import UnreadableImage, read_image
from ris.indexes.exact import ExactIndex
from ris.indexes.projection import Projection, normalise
from ris.indexes.vectors import Vectors
from ris.lab.data.drawn.archive import draw_files

DIMENSION = 128
WHITEN = 0.25
"""As a store has it by default."""
JITTER = 0.7
"""How long a jitter is, in median distances from a real vector to the nearest other one."""
BETWEEN = 10
"""Nearest other real vectors, towards one of which a real one is drawn before it is jittered."""
NEAR = 20
"""Neighbours that the intrinsic dimension is estimated from."""
_PIXELS = 50_000_000
_AT_ONCE = 100_000


@dataclass(frozen=True, eq=False)
class Around:
    """Real vectors (r, d) of length 1, and what is drawn around them."""

    real: Vectors
    spread: Vectors
    """(d,) standard deviations of a jitter along each dimension: those of the real vectors, made smaller."""
    source: str
    """What the real ones are of, for people."""

    def draw(self, number: int, seed: int) -> Vectors:
        """Draw vectors (number, d) of length 1: between two real ones, and a Gaussian jitter."""
        rng = np.random.default_rng(seed)
        near = ExactIndex(self.real).search(self.real, BETWEEN + 1)[1][:, 1:]
        drawn = np.empty((number, self.real.shape[1]), np.float32)
        for start in range(0, number, _AT_ONCE):
            part = drawn[start : start + _AT_ONCE]
            rng.standard_normal(out=part, dtype=np.float32)
            part *= self.spread
            one = rng.integers(len(self.real), size=len(part))
            other = near[one, rng.integers(near.shape[1], size=len(part))]
            way = rng.random((len(part), 1), dtype=np.float32)
            part += (1 - way) * self.real[one] + way * self.real[other]
            part /= np.linalg.norm(part, axis=1, keepdims=True)
        return drawn

    def told(self) -> list[str]:
        """Say how they are drawn, and how like real ones they are."""
        drawn = self.draw(10_000, seed=99)
        few = drawn[: len(self.real)]
        return [
            f"{len(self.real)} real vectors ({self.source}), EfficientNet-Lite0, PCA to "
            f"{self.real.shape[1]}, whitened to the power {WHITEN}, length 1.",
            f"Each vector lies somewhere between a real one and one of its {BETWEEN} nearest, plus Gaussian "
            f"noise of their covariance's diagonal, {JITTER} of the median distance to the nearest real one "
            "long, and is brought to length 1. Queries are further such.",
            f"Intrinsic dimension (Levina and Bickel 2004, {NEAR} neighbours): real ones "
            f"{intrinsic_dimension(self.real):.1f}, as many drawn ones {intrinsic_dimension(few):.1f}, 10000 "
            f"{intrinsic_dimension(drawn):.1f}.",
        ]


def around_real(scratch: Path, archive: Path | None, pictures: int) -> Around:
    """Embed pictures of an archive, or drawn ones where there is none, and make ready to draw around them.

    Args:
        scratch: where the embeddings are kept for the next time.
        archive: Caltech 101 as a zip; None, or one that is not there, for drawn pictures.
        pictures: how many are embedded, about.
    """
    caltech = archive is not None and archive.is_file()
    kept = scratch / f"real_{'caltech' if caltech else 'drawn'}_{pictures}.npy"
    if not kept.is_file():
        contents = archived(archive, pictures) if caltech and archive is not None else _drawn()
        scratch.mkdir(parents=True, exist_ok=True)
        write_array(kept, embedded(islice(contents, pictures)))
    vectors = normalise(read_array(kept))
    projection = Projection.fit(vectors, DIMENSION, whiten=WHITEN, normalise=True)
    real = projection.apply(vectors)
    nearest = float(np.median(ExactIndex(real).search(real, 2)[0][:, 1]))
    deviations = real.std(axis=0)
    spread = (JITTER * nearest / np.linalg.norm(deviations) * deviations).astype(np.float32)
    return Around(real, spread, "Caltech 101" if caltech else "drawn pictures")


def embedded(contents: Iterator[bytes]) -> Vectors:
    """Embed pictures with the default encoder: (n, 1280)."""
    identity, _ = choose(None)
    embedder = restore(identity, None, os.cpu_count() or 1)
    ready = []
    for content in contents:
        try:
            image = read_image(content, _PIXELS, 2 * identity.network.resize)
        except UnreadableImage:
            continue
        ready.append(for_embedding(image, identity.network))
    return embedder.embed(np.stack(ready))


def intrinsic_dimension(vectors: Vectors) -> float:
    """Estimate how many dimensions vectors fill around some of them, in the median."""
    asked = vectors[:: max(1, len(vectors) // 500)]
    distances = ExactIndex(vectors).search(asked, NEAR + 1)[0][:, 1:].astype(np.float64)
    ratios = np.log(distances[:, -1:] / np.maximum(distances[:, :-1], 1e-9))
    return float(np.median((NEAR - 2) / np.maximum(ratios.sum(axis=1), 1e-9)))


def archived(archive: Path, pictures: int) -> Iterator[bytes]:
    """Yield files of all classes of an archive, which is a tar.gz in a zip."""
    with zipfile.ZipFile(archive) as outer:
        name = next(entry for entry in outer.namelist() if entry.endswith("Categories.tar.gz"))
        packed = BytesIO(outer.read(name))
    with tarfile.open(fileobj=packed, mode="r:gz") as inner:
        members = [member for member in inner.getmembers() if member.isfile()]
        step = max(1, len(members) // pictures)
        for member in members[::step]:
            content = inner.extractfile(member)
            assert content is not None
            yield content.read()


def _drawn() -> Iterator[bytes]:
    """Yield drawn pictures without end."""
    for seed in count():
        for _, content in draw_files(seed):
            yield content
