"""index_knn: the exact indexes, over the vectors and over their projection."""

from typing import Any

from ris.config import Params
from ris.pipeline import layout
from ris.pipeline.indexing import build_indexes
from ris.pipeline.layout import Tree
from ris.pipeline.runner import run
from ris.search.knn import ExactIndex


def index_knn(params: Params, tree: Tree) -> dict[str, Any]:
    """Write indexes/knn and indexes/knn_pca; say what building and holding them costs."""
    return build_indexes(ExactIndex, layout.EXACT_INDEXES, {}, params, tree)


if __name__ == "__main__":
    run(index_knn)
