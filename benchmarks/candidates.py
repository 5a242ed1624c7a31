"""What share of edited pictures is among the candidates that a store has geometry look at.

Usage: python benchmarks/candidates.py --archive caltech-101.zip [--pictures 2000] [--output FILE]

Three ways to look, over the same vectors of the default network, spaces fitted as a store fits them: exactly,
as a store of up to 50,000 pictures does; the same with five regions of each picture; and by partitions of the
PCA space and perceptual hashes, as a larger store does. Each picture is edited in every way of
`ris.copies.edits`. Embeddings are kept in `--scratch`.
"""

import argparse
import os
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scale_vectors import archived
from threadpoolctl import threadpool_limits

from ris.artifacts import read_array, write_array, write_json
from ris.copies.edits import STRENGTHS, apply, generator
from ris.copies.local_features import LocalFeatures, decode, describe, encode
from ris.copies.views import VIEWS, gallery_regions, query_views
from ris.copies.words import InvertedIndex, words_of
from ris.encoders.named import choose, restore
from ris.encoders.transforms import for_embedding
from ris.gallery.arrays import ArrayGallery, Parts, catalogue_of
from ris.gallery.gallery import PARTITIONED
from ris.gallery.search import Prepared, _candidates
from ris.gallery.settings import Settings
from ris.gallery.spaces import Candidates, Space, Whitened, for_copies
from ris.images.decoding import UnreadableImage, read_image
from ris.indexes.exact import ExactIndex
from ris.indexes.ivf import IvfIndex
from ris.indexes.projection import normalise
from ris.indexes.vectors import Vectors
from ris.store.recall import measure_recall
from ris.store.spaces import Embedded, Spaces

KS = (10, 30, 100)
BATCH = 32
PIXELS = 50_000_000
SEED = 0
SETTINGS = Settings(same_picture=True, exact_up_to=0)


def embedded(images: Iterator[Image.Image], file: Path) -> Vectors:
    """Embed pictures, each of length 1, or read what was embedded before."""
    if not file.is_file():
        identity, weights = choose(None, "cpu")
        embedder = restore(identity, weights, os.cpu_count() or 1)
        prepared = (for_embedding(image, identity.network) for image in images)
        found = []
        while batch := list(islice(prepared, BATCH)):
            found.append(embedder.embed(np.stack(batch)))
        file.parent.mkdir(parents=True, exist_ok=True)
        write_array(file, normalise(np.concatenate(found)))
    return read_array(file)


def described(image: Image.Image, most: int) -> LocalFeatures:
    """Return the strongest local features of a picture, as a store keeps them."""
    return decode(encode(describe(image, most, SETTINGS.side)))


def galleries(vectors: Vectors, regions: Vectors, features: list[LocalFeatures]) -> dict[str, ArrayGallery]:
    """Return the three ways to look, over vectors (m, D), regions (5 m, D) and local features (m)."""
    hashes = np.array([one.fingerprint for one in features], np.uint64)
    words = words_of([one.descriptors for one in features])
    inverted = InvertedIndex(np.concatenate(words), np.array([len(one) for one in words]))
    count = len(vectors)
    names = [str(number) for number in range(count)]
    catalogue = catalogue_of(names, names, np.arange(count))
    settings = SETTINGS
    found = {}
    for name, some in {"exact": None, "exact, with regions": regions, "partitions": None}.items():
        embedded = Embedded(vectors, regions=some)
        spaces = Spaces.fit(embedded, count, settings)
        assert spaces is not None
        projected = spaces.project(embedded, settings)
        index = IvfIndex(spaces.centres, {"n_probes": 1})
        index.add(projected.vectors, projected.partitions)
        probes = measure_recall(spaces.centres, projected.vectors, projected.partitions).n_probes
        whole = Whitened(for_copies(vectors, some, settings), projected.lengths, spaces.whitened)
        of_regions = None
        if some is not None:
            of_regions = Whitened(some, projected.region_lengths.ravel(), spaces.whitened)
        parts = Parts(
            whole=Space(ExactIndex(vectors)),
            projected=Space(ExactIndex(projected.vectors), spaces.pca),
            approximate={PARTITIONED: index.with_probes(probes)},
            hashes=hashes,
            candidates=None if name == "partitions" else Candidates(whole, of_regions, hashes, inverted),
        )
        found[name] = ArrayGallery(catalogue, settings, parts)
    return found


def asked(files: list[bytes], queries: int) -> Iterator[tuple[str, int, Image.Image]]:
    """Yield edits, positions and edited pictures."""
    images = [read_image(file, PIXELS) for file in files]
    for place in range(0, len(files), len(files) // queries):
        others = images[place + 1 : place + 4] or images[:3]
        for name, strength in STRENGTHS.items():
            edited, _ = apply(name, images[place], generator(name, place, SEED), strength, others)
            yield name, place, edited


def main() -> None:
    """Print the table and, where asked, write it as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--archive", type=Path, required=True, help="Caltech 101 as a zip")
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--queries", type=int, default=60)
    parser.add_argument("--scratch", type=Path, default=Path("/tmp/ris-candidates"), help="for embeddings")
    parser.add_argument("--output", type=Path, help="write the figures to this JSON file")
    options = parser.parse_args()
    files = []
    for content in islice(archived(options.archive, options.pictures), options.pictures):
        try:
            read_image(content, PIXELS)
        except UnreadableImage:
            continue
        files.append(content)
    scratch = options.scratch / f"{len(files)}-{options.queries}-{zlib.crc32(b''.join(files[:50])):x}"

    def images() -> Iterator[Image.Image]:
        return (read_image(file, PIXELS) for file in files)

    vectors = embedded(images(), scratch / "whole.npy")
    regions = embedded((one for image in images() for one in gallery_regions(image)), scratch / "regions.npy")
    features = [described(image, SETTINGS.gallery_features) for image in images()]
    questions = list(asked(files, options.queries))
    views = embedded(
        (view for _, _, image in questions for view in query_views(image)), scratch / "views.npy"
    )
    views = views.reshape(len(questions), VIEWS, -1)
    result: dict[str, Any] = {"pictures": len(files), "queries": len(questions)}
    with threadpool_limits(1):
        for name, gallery in galleries(vectors, regions, features).items():
            result[name] = recalls(gallery, questions, views)
            print(f"{name:<22}" + "".join(f"  @{k} {result[name][f'recall@{k}']:.4f}" for k in KS))
    for edit in STRENGTHS:
        rows = [result[name]["per_edit"][edit] for name in list(result)[2:]]
        print(f"{edit:<12}" + "  ".join("  ".join(f"{value:.3f}" for value in row) for row in rows))
    if options.output:
        write_json(options.output, result)


def recalls(
    gallery: ArrayGallery, questions: list[tuple[str, int, Image.Image]], views: Vectors
) -> dict[str, Any]:
    """Return the share of questions whose original is among the first candidates, in all and by edit."""
    places: dict[str, list[int]] = {}
    for (name, place, image), seen in zip(questions, views, strict=True):
        features = describe(image, SETTINGS.query_features, SETTINGS.side)
        _, positions = _candidates(gallery, seen, Prepared(seen[0], features), max(KS), None)
        at = np.flatnonzero(positions == place)
        places.setdefault(name, []).append(int(at[0]) if len(at) else max(KS))
    every = [place for some in places.values() for place in some]
    return {f"recall@{k}": share for k, share in zip(KS, shares(every), strict=True)} | {
        "per_edit": {name: shares(some) for name, some in places.items()}
    }


def shares(places: list[int]) -> list[float]:
    """Return the share of places from 0 that are among the first k, for each k."""
    return [float(np.mean(np.array(places) < k)) for k in KS]


if __name__ == "__main__":
    main()
