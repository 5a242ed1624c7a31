"""Makes the vocabulary that `ris.copies.words` comes with, from a folder of photographs and from drawings.

    python -m ris.lab.vocabulary FOLDER [--seed 0]

The folder is Caltech 101's class BACKGROUND_Google, of which no picture is ever judged; the drawings are the
first members of every family, which at the same seed are also among those that a store is asked with.
"""

import argparse
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from sklearn.cluster import KMeans

from ris.copies.local_features import describe, pack, unpack
from ris.copies.words import BRANCHES, FILE, LEAVES
from ris.gallery.settings import Settings
from ris.images.decoding import read_image
from ris.lab.families import FAMILIES, PHOTOGRAPHIC, draw

SETTINGS = Settings(same_picture=True)
MEMBERS = 6
"""Of each family."""
OF_DRAWING = 100
"""Local features of a member, at most, so that drawings are not the larger part."""
ROUNDS = 20
"""Of k-means."""


def sampled(folder: Path, seed: int) -> npt.NDArray[np.float32]:
    """Return the descriptors (m, 128) of a folder's pictures and of drawings, as a store keeps them."""
    files = sorted(chain.from_iterable(folder.rglob(f"*.{suffix}") for suffix in ("jpg", "jpeg", "png")))
    photographs = [read_image(file, SETTINGS.max_pixels) for file in files]
    described = [_descriptors(one) for one in photographs]
    described += [_descriptors(one)[:OF_DRAWING] for one in _drawn(photographs, seed)]
    return np.concatenate(described).astype(np.float32)


def _drawn(photographs: list[Image.Image], seed: int) -> Iterator[Image.Image]:
    for number, name in enumerate(FAMILIES):
        shown = photographs[number * MEMBERS :][: MEMBERS + 1] if name in PHOTOGRAPHIC else []
        yield from draw(name, MEMBERS, shown, seed)


def _descriptors(image: Image.Image) -> npt.NDArray[np.uint8]:
    return unpack(pack(describe(image, SETTINGS.gallery_features, SETTINGS.side).descriptors))


def learn(descriptors: npt.NDArray[np.float32], seed: int) -> npt.NDArray[np.uint8]:
    """Learn a vocabulary, see `FILE`, from descriptors (m, 128): k-means, and again within each branch."""
    tree = _clustered(descriptors, BRANCHES, seed)
    leaves = [
        _clustered(descriptors[tree.labels_ == branch], LEAVES, seed).cluster_centers_
        for branch in range(BRANCHES)
    ]
    centres = np.concatenate([tree.cluster_centers_[:, None], np.stack(leaves)], axis=1)
    return np.asarray(np.rint(centres), np.uint8)


def _clustered(vectors: npt.NDArray[np.float32], count: int, seed: int) -> KMeans:
    return KMeans(count, n_init=1, max_iter=ROUNDS, random_state=seed).fit(vectors)


def main() -> None:
    """Run what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m ris.lab.vocabulary", description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of photographs")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    np.save(FILE, learn(sampled(given.folder, given.seed), given.seed))


if __name__ == "__main__":
    main()
