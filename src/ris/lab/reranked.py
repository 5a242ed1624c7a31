"""The search that also uses what the gallery knows of itself, as params.yaml has it."""

from ris.indexes.projection import normalise
from ris.indexes.reranking import AlphaQueryExpansion, augmented
from ris.indexes.vectors import Vectors
from ris.lab.config import Params
from ris.lab.inputs import Catalog, read_space
from ris.lab.layout import Tree


def reranked(
    params: Params, tree: Tree, catalog: Catalog, encoder: str
) -> tuple[AlphaQueryExpansion, Vectors]:
    """Fit it over an encoder's PCA space; return it and that space, (N, d) of length 1."""
    settings = params.reranking
    vectors = normalise(read_space(params, tree, catalog, encoder, projected=True))
    gallery = augmented(vectors[catalog.gallery], settings.augmented)
    search = AlphaQueryExpansion.fit(gallery, catalog.gallery, settings.expanded, settings.alpha)
    return search, vectors
