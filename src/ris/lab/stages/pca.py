"""pca: a projection for each encoder, fitted on the gallery alone, and on what the encoder may know of it."""

from ris.lab import layout
from ris.lab.config import Params
from ris.lab.data.features import write_features
from ris.lab.inputs import Catalog, fit_projection, read_classifier, read_space
from ris.lab.layout import Tree
from ris.lab.report.plots import explained_variance, save
from ris.lab.runner import run
from ris.lab.unseen import held_out, write_rows


def pca(params: Params, tree: Tree) -> None:
    """Write the projections, the projected vectors, and the picture of the variance that they keep."""
    catalog = Catalog.read(tree)
    for encoder, draw in layout.searched_encoders(params.unseen.draws).items():
        vectors = read_space(params, tree, catalog, encoder, projected=False)
        rows = catalog.gallery
        if draw is not None:
            rows = held_out(params, catalog, draw).known(rows)
            write_rows(tree.write(layout.rows_fitted_to(encoder)), rows, catalog)
        settings = params.pca.of(encoder)
        classifier = read_classifier(settings, tree, encoder)
        projection = fit_projection(settings, params.pca.normalise, vectors, catalog, rows, classifier)
        if (kept := len(projection.components)) < settings.n_components:
            print(f"{encoder}: {settings.n_components} components wanted, {kept} kept: there are no more.")
        projection.save(tree.write(layout.projection(encoder)))
        projected = tree.write(layout.features(encoder, projected=True))
        write_features(projected, projection.apply(vectors), catalog.sha256)
        if encoder == "finetuned":
            picture = explained_variance(projection.spectrum, len(projection.components))
            save(picture, tree.write(layout.EXPLAINED_VARIANCE))


if __name__ == "__main__":
    run(pca)
