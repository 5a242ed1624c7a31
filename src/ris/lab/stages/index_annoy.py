"""index_annoy: the approximate indexes, over the vectors and over their projection."""

from typing import Any

from ris.indexes.annoy import AnnoyIndex
from ris.lab import layout
from ris.lab.config import Params
from ris.lab.indexing import build_indexes
from ris.lab.layout import Tree
from ris.lab.runner import run


def index_annoy(params: Params, tree: Tree) -> dict[str, Any]:
    """Write indexes/annoy and indexes/annoy_pca; say what building and holding them costs."""
    settings = params.index_annoy.model_dump()
    return build_indexes(AnnoyIndex, layout.APPROXIMATE_INDEXES, settings, params, tree)


if __name__ == "__main__":
    run(index_annoy)
