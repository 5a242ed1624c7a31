"""How much of the exact answer a store's partitions find, measured on its own vectors."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from ris.gallery.gallery import Gallery
from ris.indexes.exact import ExactIndex
from ris.indexes.index import Mask
from ris.indexes.ivf import IvfIndex
from ris.indexes.vectors import Positions, Vectors
from ris.store.commits import Recall

K = 10
QUERIES = 200
"""Vectors of the store that are searched with."""
SHARES = (0.05, 0.005)
"""That random filters let through."""
ENOUGH = 0.99
"""Recall that is reached by looking into more partitions."""
PROBES = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 1024)
SEED = 0


def measure_recall(centres: Vectors, vectors: Vectors, partitions: npt.NDArray[np.int64]) -> Recall:
    """Choose the fewest partitions by which recall@10 is `ENOUGH`, without a filter and under each.

    Args:
        centres: (l, d) of the partitions.
        vectors: (n, d) of the store.
        partitions: (n,) that they belong to.
    """
    index = IvfIndex(centres, {"n_probes": 1})
    index.add(vectors, partitions)
    rng = np.random.default_rng(SEED)
    own = rng.choice(len(vectors), min(QUERIES, len(vectors)), replace=False)
    queries = vectors[own]
    exact = ExactIndex(vectors)
    masks: dict[str, Mask | None] = {"": None}
    masks |= {f"{share:g}": rng.random(len(vectors)) < share for share in SHARES}
    expected = {name: exact.search(queries, K + 1, mask)[1] for name, mask in masks.items()}
    for probes in [*(one for one in PROBES if one < len(centres)), len(centres)]:
        tried = index.with_probes(probes)
        found = {name: tried.search(queries, K + 1, mask)[1] for name, mask in masks.items()}
        recalls = {name: _share(found[name], expected[name], own) for name in masks}
        if min(recalls.values()) >= ENOUGH:
            break
    return Recall(
        n_probes=probes,
        k=K,
        queries=len(queries),
        unfiltered=round(recalls.pop(""), 4),
        filtered={name: round(value, 4) for name, value in recalls.items()},
    )


def recall_now(gallery: Gallery) -> dict[str, float]:
    """Measure what `auto` finds of the exact nearest `K` in a gallery as it is, after deletes and additions.

    Returns:
        The mean share, by the share of pictures that a random filter lets through: `1`, and `SHARES`.
    """
    rng = np.random.default_rng(SEED)
    count = len(gallery.catalogue)
    own = rng.choice(count, min(QUERIES, count), replace=False)
    queries = gallery.vectors(gallery.shown[own])
    exact = "knn_pca" if gallery.has_pca else "knn"
    recalls = {}
    for share in (1.0, *SHARES):
        allowed = None if share == 1 else rng.random(count) < share
        found, expected = (
            [gallery.nearest(index, query, K + 1, allowed)[1] for query in queries]
            for index in ("auto", exact)
        )
        recalls[f"{share:g}"] = round(_share(found, expected, own), 4)
    return recalls


def _share(found: Iterable[Positions], expected: Iterable[Positions], own: Positions) -> float:
    """Return the mean share of the `K` nearest expected positions, q times (k,), that were found; 1 of none.

    A query's own position (q,) does not count.
    """
    lines = zip(found, expected, own, strict=True)
    shares = [np.isin(right[right != query][:K], one) for one, right, query in lines]
    return float(np.mean([share.mean() if len(share) else 1.0 for share in shares]))
