"""pca: a projection a encoder, fitted on the gallery alone."""

from ris.config import Params
from ris.data.features import write_features
from ris.evaluation.plots import explained_variance, save
from ris.pipeline import layout
from ris.pipeline.inputs import Catalog, read_space
from ris.pipeline.layout import Tree
from ris.pipeline.runner import run
from ris.search.space import Projection


def pca(params: Params, tree: Tree) -> None:
    """Write the projections, the projected vectors, and the picture of the variance that they keep."""
    catalog = Catalog.read(tree)
    settings = params.pca
    for encoder in layout.ENCODERS:
        vectors = read_space(params, tree, catalog, encoder, projected=False)
        projection = Projection.fit(
            vectors[catalog.gallery], settings.n_components, settings.whiten, settings.normalise
        )
        projection.save(tree.write(layout.projection(encoder)))
        projected = tree.write(layout.features(encoder, projected=True))
        write_features(projected, projection.apply(vectors), catalog.sha256)
        if encoder == "finetuned":
            picture = explained_variance(projection.spectrum, len(projection.components))
            save(picture, tree.write(layout.EXPLAINED_VARIANCE))


if __name__ == "__main__":
    run(pca)
