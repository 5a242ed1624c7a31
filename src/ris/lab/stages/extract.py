"""extract: every picture of the catalog as a vector, by each fine-tuned encoder and the pre-trained one.

For the question where a very picture is: regions of the gallery's pictures as vectors, and local features.
"""

import time

from ris.artifacts import writing
from ris.copies.views import gallery_regions
from ris.encoders.encoder import Encoder
from ris.lab import layout
from ris.lab.config import Params
from ris.lab.data.features import write_features
from ris.lab.inputs import Catalog
from ris.lab.layout import Tree
from ris.lab.local_features import CatalogFeatures
from ris.lab.runner import run


def extract(params: Params, tree: Tree) -> dict[str, dict[str, float]]:
    """Write the vectors of pictures and regions, and local features; say how many pictures a second."""
    catalog = Catalog.read(tree)
    settings, max_pixels = params.extract, params.clean.max_pixels
    speed = {}
    regions = layout.parts(params.same_picture.encoder) if params.same_picture.regions else []
    with writing(tree.write(layout.REGIONS)) as fresh:
        fresh.mkdir()
        for name in layout.embedding_encoders(params.unseen.draws):
            embedder = Encoder.open(tree.read(layout.encoder(name))).embedder(settings.precision)
            start = time.perf_counter()
            vectors = embedder.embed_files(catalog.files(), settings.batch_size, settings.workers, max_pixels)
            speed[name] = round(len(vectors) / (time.perf_counter() - start), 1)
            write_features(tree.write(layout.features(name)), vectors, catalog.sha256)
            if params.same_picture.enabled and name in regions:
                vectors = embedder.embed_files(
                    catalog.files(catalog.gallery),
                    settings.batch_size,
                    settings.workers,
                    max_pixels,
                    gallery_regions,
                )
                write_features(fresh / f"{name}.npy", vectors, catalog.sha256)
    _write_local_features(params, tree, catalog)
    return {"images_per_second": speed}


def _write_local_features(params: Params, tree: Tree, catalog: Catalog) -> None:
    settings = params.same_picture
    CatalogFeatures.write(
        tree.write(layout.LOCAL_FEATURES),
        catalog.files() if settings.enabled else [],
        catalog.sha256,
        n_features=settings.local_features.gallery,
        side=settings.local_features.side,
        max_pixels=params.clean.max_pixels,
        workers=settings.workers,
    )


if __name__ == "__main__":
    run(extract)
