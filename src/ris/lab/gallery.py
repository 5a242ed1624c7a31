"""The gallery of an encoder, over what the stages made: the object that is judged, timed and published."""

import numpy as np

from ris.gallery.arrays import ArrayGallery, Parts, catalogue_of
from ris.gallery.settings import Settings
from ris.gallery.spaces import Space
from ris.indexes.exact import ExactIndex
from ris.indexes.projection import Projection
from ris.indexes.registry import REGISTRY
from ris.indexes.vectors import Positions, Vectors
from ris.lab import layout
from ris.lab.config import Params
from ris.lab.inputs import Catalog, read_index, read_space
from ris.lab.layout import Tree
from ris.metrics.judge import Search
from ris.metrics.retrieval import Integers


def settings_of(params: Params) -> Settings:
    """Return what params.yaml says of a gallery."""
    same = params.same_picture
    return Settings(
        same_picture=same.enabled,
        max_pixels=params.clean.max_pixels,
        reranking=params.reranking,
        n_components=1,  # however few pictures there are, the PCA that was fitted is searched
        candidates=same.candidates,
        enough_evidence=same.enough_evidence,
        gallery_features=same.local_features.gallery,
        query_features=same.local_features.query,
        side=same.local_features.side,
        whitened=same.n_components,
        whiten=same.whiten,
        regions=same.regions,
        region_weight=same.region_weight,
    )


def read_gallery(params: Params, tree: Tree, catalog: Catalog, encoder: str) -> ArrayGallery:
    """Put together what is searched by an encoder: its vectors, their projection, and every index."""
    table = catalog.table.iloc[catalog.gallery]
    projection = Projection.load(tree.read(layout.projection(encoder)))
    dimensions = {False: projection.classifier.shape[1], True: len(projection.components)}
    opened = {
        name: read_index(params, tree, catalog, kind, encoder, dimensions[kind.projected])
        for name, kind in layout.INDEXES.items()
    }
    exact: dict[bool, ExactIndex] = {}
    for name, index in opened.items():
        if isinstance(index, ExactIndex):
            exact[layout.INDEXES[name].projected] = index
    return ArrayGallery(
        catalogue_of(table["path"].tolist(), table["label"].tolist(), catalog.gallery),
        settings_of(params),
        Parts(
            whole=Space(exact[False]),
            projected=Space(exact[True], projection),
            approximate={name: one for name, one in opened.items() if not REGISTRY[name].exact},
        ),
    )


def searched(gallery: ArrayGallery, name: str, vectors: Vectors) -> Search:
    """Return the search of a gallery's index for catalog rows whose vectors are lines of (N, D)."""

    def search(rows: Integers, k: int) -> tuple[Vectors, Positions]:
        return gallery.nearest_many(name, vectors[rows], k)

    return search


def raw_vectors(params: Params, tree: Tree, catalog: Catalog, encoder: str) -> Vectors:
    """Read the vectors (N, D) that queries are asked by."""
    return np.ascontiguousarray(read_space(params, tree, catalog, encoder, projected=False))
