"""extract: every picture of the catalog as a vector, by each fine-tuned encoder and the pre-trained one."""

import time

from ris.config import Params
from ris.data.features import write_features
from ris.encoder.encoder import Encoder
from ris.pipeline import layout
from ris.pipeline.inputs import Catalog
from ris.pipeline.layout import Tree
from ris.pipeline.runner import run


def extract(params: Params, tree: Tree) -> dict[str, dict[str, float]]:
    """Write (N, D) float32 a encoder, one row a picture; say how many pictures a second were embedded."""
    catalog = Catalog.read(tree)
    speed = {}
    for name in layout.embedding_encoders(params.unseen.draws):
        embedder = Encoder.open(tree.read(layout.encoder(name))).embedder(params.extract.precision)
        start = time.perf_counter()
        vectors = embedder.embed_files(
            catalog.files(), params.extract.batch_size, params.extract.workers, params.clean.max_pixels
        )
        speed[name] = round(len(vectors) / (time.perf_counter() - start), 1)
        write_features(tree.write(layout.features(name)), vectors, catalog.sha256)
    return {"images_per_second": speed}


if __name__ == "__main__":
    run(extract)
