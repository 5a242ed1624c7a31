"""What the two index stages share: an index over each space of each encoder, and what it costs."""

import time
from collections.abc import Iterable, Mapping
from typing import Any

from ris.indexes.registry import Index
from ris.lab import layout
from ris.lab.config import Params
from ris.lab.inputs import Catalog, read_space
from ris.lab.layout import Tree


def build_indexes(
    kind: type[Index], names: Iterable[str], settings: Mapping[str, int], params: Params, tree: Tree
) -> dict[str, Any]:
    """Write an index for each name and encoder over the gallery's vectors.

    Returns:
        name -> encoder -> `build_s` and `size_bytes` on disk.
    """
    catalog = Catalog.read(tree)
    costs: dict[str, Any] = {}
    for name in names:
        costs[name] = {}
        for encoder in layout.searched_encoders(params.unseen.draws):
            vectors = read_space(params, tree, catalog, encoder, layout.projected(name))[catalog.gallery]
            start = time.perf_counter()
            index = kind.build(vectors, catalog.gallery, settings, params.seed)
            build_s = round(time.perf_counter() - start, 4)
            folder = tree.write(layout.index(name, encoder))
            index.save(folder, catalog.sha256)
            size_bytes = sum(path.stat().st_size for path in folder.iterdir())
            costs[name][encoder] = {"build_s": build_s, "size_bytes": size_bytes}
    return costs
