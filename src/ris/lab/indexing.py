"""What a stage that builds indexes does: one over each space of each encoder, and what it costs."""

import time
from typing import Any

from ris.lab import layout
from ris.lab.config import Params
from ris.lab.inputs import Catalog, read_space
from ris.lab.layout import Tree


def build_indexes(stage: str, params: Params, tree: Tree) -> dict[str, Any]:
    """Write the indexes of a stage, one for each encoder, over the gallery's vectors.

    Returns:
        Index -> encoder -> `build_s` and `size_bytes` on disk.
    """
    catalog = Catalog.read(tree)
    costs: dict[str, Any] = {}
    for kind in (kind for kind in layout.INDEXES.values() if kind.stage == stage):
        costs[kind.name] = {}
        for encoder in layout.searched_encoders(params.unseen.draws):
            vectors = read_space(params, tree, catalog, encoder, kind.projected)[catalog.gallery]
            start = time.perf_counter()
            index = kind.index.build(vectors, params.index_parameters(kind), params.index_seed)
            build_s = round(time.perf_counter() - start, 4)
            folder = tree.write(layout.index(kind.name, encoder))
            index.save(folder, catalog.sha256)
            size_bytes = sum(path.stat().st_size for path in folder.iterdir())
            costs[kind.name][encoder] = {"build_s": build_s, "size_bytes": size_bytes}
    return costs
