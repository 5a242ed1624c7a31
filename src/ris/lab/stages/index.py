"""The stages that build indexes, each by its name: python -m ris.lab.stages.index index_knn [KEY=VALUE]."""

import sys
from typing import Any

from ris.lab import layout
from ris.lab.config import Params
from ris.lab.indexing import build_indexes
from ris.lab.layout import Tree
from ris.lab.runner import Stage, run


def index(name: str) -> Stage:
    """Return the stage of a name; it writes its indexes and says what building and holding them costs."""

    def stage(params: Params, tree: Tree) -> dict[str, Any]:
        return build_indexes(name, params, tree)

    stage.__name__ = name
    return stage


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in layout.INDEX_STAGES:
        print(f"error: Name a stage first: {' or '.join(layout.INDEX_STAGES)}.", file=sys.stderr)
        raise SystemExit(1)
    run(index(sys.argv.pop(1)))
