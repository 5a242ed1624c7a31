"""What a stage that builds indexes does: one over each space of each encoder, and what it costs."""

import time
from typing import Any

import numpy as np

from ris.artifacts import write_json, writing
from ris.indexes.exact import ExactIndex
from ris.indexes.index import Index, tuned
from ris.indexes.vectors import Vectors
from ris.lab import layout
from ris.lab.config import Params
from ris.lab.inputs import EXACT, Catalog, Integers, exact_note, read_space
from ris.lab.layout import Tree
from ris.metrics.retrieval import ann_recall

RECALL_AT = 10
"""Neighbours by which `index_recall` is measured."""


def build_indexes(stage: str, params: Params, tree: Tree) -> dict[str, Any]:
    """Write the indexes of a stage, one for each encoder, over the gallery's vectors.

    Returns:
        Index -> encoder -> `build_s`, `size_bytes` on disk, of an exact one those of the vectors that it
        names, and the parameters that it is searched with.
    """
    catalog = Catalog.read(tree)
    asked = np.flatnonzero(np.isin(catalog.gallery, catalog.rows("validation")))
    costs: dict[str, Any] = {}
    for kind in (kind for kind in layout.INDEXES.values() if kind.stage == stage):
        costs[kind.name] = {}
        for encoder in layout.searched_encoders(params.unseen.draws):
            vectors = read_space(params, tree, catalog, encoder, kind.projected)[catalog.gallery]
            start = time.perf_counter()
            index = kind.index.build(vectors, params.index_parameters(kind), params.index_seed)
            build_s = round(time.perf_counter() - start, 4)
            index = no_harder_than_needed(index, vectors, asked, params.index_recall)
            folder = tree.write(layout.index(kind.name, encoder))
            if kind.exact:
                with writing(folder) as fresh:
                    fresh.mkdir()
                    write_json(fresh / EXACT, exact_note(params, tree, catalog, kind, encoder))
                size_bytes = vectors.nbytes
            else:
                index.save(folder, catalog.sha256)
                size_bytes = sum(path.stat().st_size for path in folder.iterdir())
            searched = {name: index.parameters[name] for name in index.tunable}
            costs[kind.name][encoder] = {"build_s": build_s, "size_bytes": size_bytes, **searched}
    return costs


def no_harder_than_needed(index: Index, vectors: Vectors, asked: Integers, recall: float) -> Index:
    """Return an index searched with the least of its tunable parameters that finds what it must.

    They are halved as often as that leaves 1 or more; as they are where no less does, or where one is not
    positive and so has a meaning of its own.

    Args:
        index: over the vectors.
        vectors: (n, d) float32.
        asked: (q,) lines of them that are asked for, each among the others.
        recall: share of the exact nearest that must be found.
    """
    most = {name: index.parameters[name] for name in index.tunable}
    if not most or min(most.values()) < 1 or len(asked) == 0:
        return index
    k = min(RECALL_AT + 1, len(vectors))
    exact = ExactIndex(vectors).search(vectors[asked], k)[1]
    exact[exact == asked[:, None]] = -1
    for halved in reversed(range(max(most.values()).bit_length())):
        eased = tuned(index, {name: max(1, value >> halved) for name, value in most.items()})
        if ann_recall(eased.search(vectors[asked], k)[1], exact, k).mean() >= recall:
            return eased
    return index
