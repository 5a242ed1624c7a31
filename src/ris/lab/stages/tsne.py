"""tsne: the map of the fine-tuned space, for looking at and as a table."""

from ris.artifacts import write_json, write_table
from ris.images.decoding import read_image
from ris.lab import layout
from ris.lab.config import Params
from ris.lab.inputs import Catalog, read_space
from ris.lab.layout import Tree
from ris.lab.report.plots import save
from ris.lab.report.projection_map import compute_tsne, draw_map, draw_thumbnails
from ris.lab.runner import run


def tsne(params: Params, tree: Tree) -> None:
    """Write the map coloured by class, the map of thumbnails, the coordinates, and how far to trust them."""
    catalog = Catalog.read(tree)
    vectors = read_space(params, tree, catalog, "finetuned", projected=False)
    settings = params.tsne
    projection = compute_tsne(
        vectors, settings.n_components, settings.perplexity, settings.max_iter, params.seed
    )
    table = catalog.table[["path", "label", "split"]]
    table = table.assign(x=projection.coordinates[:, 0], y=projection.coordinates[:, 1])
    write_table(tree.write(layout.TSNE), table)
    write_json(tree.write(layout.TSNE_SUMMARY), projection.summary())
    save(draw_map(projection.coordinates, table["label"].tolist()), tree.write(layout.TSNE_MAP))
    files = catalog.files()
    thumbnails = draw_thumbnails(
        projection.coordinates,
        lambda row: read_image(files[row], params.clean.max_pixels),
        settings.thumbnails,
    )
    save(thumbnails, tree.write(layout.TSNE_THUMBNAILS))


if __name__ == "__main__":
    run(tsne)
