"""index_knn: the exact indexes, over the vectors and over their projection."""

from typing import Any

from ris.indexes.exact import ExactIndex
from ris.lab import layout
from ris.lab.config import Params
from ris.lab.indexing import build_indexes
from ris.lab.layout import Tree
from ris.lab.runner import run


def index_knn(params: Params, tree: Tree) -> dict[str, Any]:
    """Write indexes/knn and indexes/knn_pca; say what building and holding them costs."""
    return build_indexes(ExactIndex, layout.EXACT_INDEXES, {}, params, tree)


if __name__ == "__main__":
    run(index_knn)
