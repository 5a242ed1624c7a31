"""Which gallery picture is an edited picture made of? This project's search against perceptual hashes.

Usage: python benchmarks/fingerprints.py [--queries 100] [--crop-resistant] [--output FILE], from a project
root after `dvc repro`; `pip install -e .[benchmarks]` brings the hashes.

Gallery pictures without a near-duplicate are edited in the fifteen ways of `ris.copies.edits.FIFTEEN`, and
every contestant is asked for every edited picture, all in one run and in an order drawn anew each time.
Recall@1 is the share of them whose original comes first; where the least distance of a hash is that of t
pictures and the original is one of them, it counts 1/t.

The hashes are ImageHash's with their defaults, 64 bits each. Its crop-resistant hash, `segments`, walks pixel
by pixel in Python, 145 ms a picture where the others take 0.4 to 2.3: a quarter of an hour of one core for
the gallery of Caltech 101. So it takes part on demand. imagededup's CNN is left out: the package installs
beside the locked versions, but its MobileNetV3 has no weights until it downloads torchvision's. `vector`
searches as it does, by the pre-trained network of this project. `search` is the project's search as `dvc
repro` made it; where it proves nothing, the nearest candidate is the answer.

Every gallery is built by two workers; those of the hashes are processes, since ImageHash is Python. A query
is a picture in memory, asked for alone on one thread.
"""

import argparse
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import imagehash
import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from ris.artifacts import write_json
from ris.copies.edits import FIFTEEN, apply, generator
from ris.encoders.encoder import Encoder
from ris.encoders.transforms import for_embedding
from ris.images.decoding import read_image
from ris.indexes.exact import ExactIndex
from ris.indexes.projection import normalise
from ris.indexes.vectors import Rows
from ris.lab import config, layout
from ris.lab.inputs import Catalog
from ris.lab.layout import Tree
from ris.lab.same_picture import open_finder

SEED = 0
BATCH, WORKERS = 64, 2
MAX_PIXELS = 2**31
HASHES: Mapping[str, Callable[[Image.Image], Any]] = {
    "aHash": imagehash.average_hash,
    "pHash": imagehash.phash,
    "dHash": imagehash.dhash,
    "wHash": imagehash.whash,
}
NOT_MEASURED = "imagededup's CNN: not measured, its weights are a download"

Floats: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Contestant:
    """A search over the gallery, and what it costs."""

    answer: Callable[[Image.Image], Rows]
    """An RGB picture to the (t,) gallery positions that come first, more than one where they tie."""
    build_s: float | None
    """Seconds from picture files to a search that is ready; None where it was built before."""
    bytes_a_picture: float
    """What is stored of a gallery picture."""


def code(hashed: imagehash.ImageHash) -> np.uint64:
    """Return the 64 bits of a hash as one number."""
    return np.uint64(np.packbits(hashed.hash).view(np.uint64)[0])


def hash_file(file: Path, function: Callable[[Image.Image], Any]) -> Any:
    """Hash one picture file."""
    return function(read_image(file, MAX_PIXELS))


def hash_files(files: list[Path], function: Callable[[Image.Image], Any]) -> list[Any]:
    """Hash picture files in their order."""
    with ProcessPoolExecutor(WORKERS) as pool:
        return list(pool.map(partial(hash_file, function=function), files, chunksize=32))


def least(distances: npt.NDArray[Any]) -> Rows:
    """Return all positions of the least of the distances (n,)."""
    return np.flatnonzero(distances == distances.min())


def by_hash(files: list[Path], function: Callable[[Image.Image], Any]) -> Contestant:
    """Hash the gallery; a query is compared with all of it at once."""
    started = time.perf_counter()
    codes = np.array([code(hashed) for hashed in hash_files(files, function)])

    def answer(image: Image.Image) -> Rows:
        return least(np.bitwise_count(codes ^ code(function(image))))

    return Contestant(answer, time.perf_counter() - started, codes.itemsize)


def by_crop_resistant_hash(files: list[Path]) -> Contestant:
    """Hash the segments of the gallery's pictures; a query is compared as ImageHash does it."""
    started = time.perf_counter()
    hashes = hash_files(files, imagehash.crop_resistant_hash)

    def answer(image: Image.Image) -> Rows:
        asked = imagehash.crop_resistant_hash(image)
        return least(np.array([asked - hashed for hashed in hashes]))

    segments = np.mean([len(hashed.segment_hashes) for hashed in hashes])
    return Contestant(answer, time.perf_counter() - started, 8 * float(segments))


def ours(files: list[Path], catalog: Catalog, tree: Tree) -> dict[str, Contestant]:
    """The nearest vector of the pre-trained network, and the search that the project made."""
    started = time.perf_counter()
    embedder = Encoder.open(tree.read(layout.PRETRAINED)).embedder()
    vectors = normalise(embedder.embed_files(files, BATCH, WORKERS, MAX_PIXELS))
    index = ExactIndex(vectors)
    built = time.perf_counter() - started
    finder = open_finder(config.load(), tree, catalog)

    def nearest(image: Image.Image) -> Rows:
        vector = embedder.embed(for_embedding(image, embedder.network)[None])
        rows: Rows = index.search(normalise(vector), 1)[1][0]
        return rows

    def found(image: Image.Image) -> Rows:
        rows = [hit.row for hit in finder.find(image).hits]
        return np.searchsorted(catalog.gallery, rows)

    searched = finder.gallery.count + finder.region_rows
    of_vectors = 4 * searched * finder.gallery.whole.index.at(np.zeros(1, np.int64)).shape[1] / len(files)
    of_features = finder.bytes_per_picture
    return {
        "vector": Contestant(nearest, built, vectors.nbytes / len(files)),
        "search": Contestant(found, None, of_vectors + of_features),
    }


def asked(
    contestants: Mapping[str, Contestant], catalog: Catalog, positions: Rows
) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """Ask every contestant for every edit of the gallery pictures at `positions` (q,).

    Returns:
        By contestant the share of each answer that is right and its milliseconds, (q, edits) each.
    """
    rng = np.random.default_rng(SEED)
    shares, milliseconds = (
        {name: np.zeros((len(positions), len(FIFTEEN))) for name in contestants} for _ in range(2)
    )
    for i, position in enumerate(tqdm(positions, "queries", disable=None)):
        row = int(catalog.gallery[position])
        others = rng.choice(catalog.queries, 3, replace=False)
        original, *fillers = (
            read_image(file, MAX_PIXELS) for file in catalog.files(np.array([row, *others]))
        )
        for j, edit in enumerate(FIFTEEN):
            edited, _ = apply(edit, original, generator(edit, row, SEED), others=fillers)
            for name in rng.permutation(list(contestants)):
                started = time.perf_counter()
                first = contestants[name].answer(edited)
                milliseconds[name][i, j] = 1000 * (time.perf_counter() - started)
                shares[name][i, j] = (first == position).sum() / len(first)
    return shares, milliseconds


def main() -> None:
    """Print the table and, where asked, write it as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--queries", type=int, default=100, help="pictures, each edited in every way")
    parser.add_argument("--crop-resistant", action="store_true", help="hash by segments, too")
    parser.add_argument("--output", type=Path, help="write the figures to this JSON file")
    options = parser.parse_args()

    tree = Tree(Path.cwd(), Path.cwd())
    catalog = Catalog.read(tree)
    files = catalog.files(catalog.gallery)
    _, group, sizes = np.unique(catalog.table["group"], return_inverse=True, return_counts=True)
    alone = np.flatnonzero(sizes[group][catalog.gallery] == 1)
    positions = np.random.default_rng(SEED).choice(alone, min(options.queries, len(alone)), replace=False)

    contestants = {name: by_hash(files, function) for name, function in HASHES.items()}
    if options.crop_resistant:
        contestants["segments"] = by_crop_resistant_hash(files)
    contestants |= ours(files, catalog, tree)
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    with threadpool_limits(1):
        shares, milliseconds = asked(contestants, catalog, positions)

    print(f"Recall@1: {len(positions)} pictures in {len(FIFTEEN)} edits, {len(files)} in the gallery")
    print(f"Built by {WORKERS} workers; p50 of one query, 1 thread; bytes that are stored\n")
    print(f"{'':<16}" + "".join(f"{name:>10}" for name in contestants))
    for j, edit in enumerate(FIFTEEN):
        print(f"{edit:<16}" + "".join(f"{shares[name][:, j].mean():10.3f}" for name in contestants))
    print(f"{'mean':<16}" + "".join(f"{shares[name].mean():10.3f}" for name in contestants))
    built = (
        f"{'before' if one.build_s is None else round(one.build_s, 1):>10}" for one in contestants.values()
    )
    print(f"{'build s':<16}" + "".join(built))
    print(f"{'query ms':<16}" + "".join(f"{np.median(milliseconds[name]):10.2f}" for name in contestants))
    print(f"{'bytes a picture':<16}" + "".join(f"{c.bytes_a_picture:10.0f}" for c in contestants.values()))
    print(f"\n{NOT_MEASURED}")
    if options.output:
        write_json(
            options.output,
            {
                "queries": len(positions),
                "gallery": len(files),
                "workers": WORKERS,
                "threads": 1,
                "search": {
                    name: {
                        "recall@1": {
                            "per_edit": dict(zip(FIFTEEN, shares[name].mean(axis=0).tolist(), strict=True)),
                            "mean": shares[name].mean(),
                        },
                        "build_s": one.build_s,
                        "p50_ms": float(np.median(milliseconds[name])),
                        "bytes_a_picture": one.bytes_a_picture,
                    }
                    for name, one in contestants.items()
                },
            },
        )


if __name__ == "__main__":
    main()
