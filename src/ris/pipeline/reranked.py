"""The search that also uses what the gallery knows of itself, as params.yaml has it."""

from ris.config import Params
from ris.pipeline.inputs import Catalog, read_space
from ris.pipeline.layout import Tree
from ris.search.reranking import AlphaQueryExpansion, augmented
from ris.search.space import normalise
from ris.search.vectors import Vectors


def reranked(
    params: Params, tree: Tree, catalog: Catalog, encoder: str
) -> tuple[AlphaQueryExpansion, Vectors]:
    """Fit it over an encoder's PCA space; return it and that space, (N, d) of length 1."""
    settings = params.reranking
    vectors = normalise(read_space(params, tree, catalog, encoder, projected=True))
    gallery = augmented(vectors[catalog.gallery], settings.augmented)
    search = AlphaQueryExpansion.fit(gallery, catalog.gallery, settings.expanded, settings.alpha)
    return search, vectors
