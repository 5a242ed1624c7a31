"""The gallery that was judged, as a store: what `dvc repro` ends with."""

import numpy as np

from ris.encoders.named import choose
from ris.gallery.spaces import fit_basis
from ris.indexes.projection import Projection, normalise
from ris.lab import layout
from ris.lab.config import Params
from ris.lab.gallery import raw_vectors, settings_of
from ris.lab.inputs import Catalog
from ris.lab.layout import Tree
from ris.lab.local_features import CatalogFeatures
from ris.store.publish import Published, publish
from ris.store.spaces import Spaces

PUBLISHED = "finetuned"
"""The encoder whose gallery it is."""


def publish_store(params: Params, tree: Tree, catalog: Catalog) -> None:
    """Write models/store.ris: the gallery, searched by the fine-tuned encoder as it was judged."""
    settings, rows = settings_of(params).model_copy(update={"regions": False}), catalog.gallery
    identity, weights = choose(tree.read(layout.encoder(PUBLISHED)))
    vectors = normalise(raw_vectors(params, tree, catalog, PUBLISHED)[rows])
    basis = fit_basis(vectors)
    projection = Projection.load(tree.read(layout.projection(PUBLISHED)))
    whitened = projection if basis is None else basis.first(settings.whitened, settings.whiten)
    table = catalog.table.iloc[rows]
    packed: list[bytes | None] = [None] * len(rows)
    hashes = np.zeros(len(rows), np.uint64)
    if settings.same_picture:
        features = CatalogFeatures.open(tree.read(layout.LOCAL_FEATURES), catalog.sha256)
        packed, hashes = [features.packed_of(int(row)) for row in rows], np.asarray(features.hashes)[rows]
    publish(
        tree.write(layout.STORE),
        Published(
            folder=catalog.images,
            paths=table["path"].tolist(),
            sizes=list(zip(table["width"].tolist(), table["height"].tolist(), strict=True)),
            vectors=vectors,
            packed=packed,
            hashes=hashes,
            spaces=Spaces(projection, whitened, np.zeros((0, len(projection.components)), np.float32)),
        ),
        identity,
        weights,
        settings,
    )
