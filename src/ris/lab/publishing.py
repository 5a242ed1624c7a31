"""The galleries that were judged, as one store: what `dvc repro` ends with."""

from dataclasses import dataclass, field

import numpy as np

from ris.copies import threshold
from ris.encoders.named import Identity, choose
from ris.gallery.spaces import fit_basis
from ris.indexes.projection import Projection, normalise
from ris.indexes.vectors import Vectors
from ris.lab import layout
from ris.lab.config import Params
from ris.lab.gallery import raw_vectors, settings_of
from ris.lab.inputs import Catalog
from ris.lab.layout import Tree
from ris.lab.local_features import CatalogFeatures
from ris.lab.same_picture import made_for, read_embedded
from ris.lab.same_picture_model import is_made, open_model
from ris.store.commits import ThresholdNote
from ris.store.publish import Published, publish
from ris.store.spaces import Embedded, Spaces
from ris.store.writing import COPIES_WEIGHTS, WEIGHTS

PUBLISHED = "finetuned"
"""The encoder whose gallery is searched."""


@dataclass(frozen=True, eq=False)
class _Copies:
    """How copies are looked for."""

    space: Projection
    """In which candidates are searched."""
    vectors: Vectors | None = None
    """(n, E); None where they are those that are searched."""
    regions: Vectors | None = None
    """(5 n, E)"""
    identity: Identity | None = None
    """Of the encoder; None where it is the one that is searched by."""
    weights: dict[str, bytes] = field(default_factory=dict)
    threshold: ThresholdNote | None = None


def publish_store(params: Params, tree: Tree, catalog: Catalog) -> None:
    """Write models/store.ris: searched by the fine-tuned encoder, and for copies as `same_picture` judged.

    Two encoders side by side are one more than a store looks for copies by: where these were judged, it looks
    by the fine-tuned one alone, and without regions.
    """
    rows = catalog.gallery
    identity, weights = choose(tree.read(layout.encoder(PUBLISHED)))
    vectors = normalise(raw_vectors(params, tree, catalog, PUBLISHED)[rows])
    projection = Projection.load(tree.read(layout.projection(PUBLISHED)))
    copies = _judged(params, tree, catalog) or _by_the_same(params, vectors, projection)
    settings = settings_of(params).model_copy(update={"regions": copies.regions is not None})
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
            embedded=Embedded(vectors, copies.vectors, copies.regions),
            packed=packed,
            hashes=hashes,
            spaces=Spaces(projection, copies.space, np.zeros((0, len(projection.components)), np.float32)),
            identity=identity,
            copies=copies.identity,
            weights=copies.weights | ({} if weights is None else {WEIGHTS: weights}),
            threshold=copies.threshold,
        ),
        settings,
    )


def _judged(params: Params, tree: Tree, catalog: Catalog) -> _Copies | None:
    """Return how `same_picture` looked for copies; None where it did not, or by two encoders."""
    encoder, folder = params.same_picture.encoder, tree.read(layout.SAME_PICTURE_MODEL)
    single = len(layout.parts(encoder)) == 1 and params.extract.normalise
    if not single or not is_made(folder):
        return None
    space, calibration = open_model(folder, made_for(params, tree, catalog))
    note = None
    if calibration is not None:
        chosen = threshold.of(calibration, "the pipeline's")
        note = ThresholdNote(
            evidence=chosen.evidence,
            false_positive_rate=chosen.false_positive_rate,
            chosen_on=calibration.chosen.false_positive_rate.n,
            pictures=len(catalog.gallery),
            over=chosen.over,
        )
    vectors, regions = read_embedded(params, tree, catalog)
    if encoder == PUBLISHED:
        return _Copies(space, regions=regions, threshold=note)
    identity, weights = choose(tree.read(layout.encoder(encoder)))
    held = {} if weights is None else {COPIES_WEIGHTS: weights}
    return _Copies(space, vectors, regions, identity, held, note)


def _by_the_same(params: Params, vectors: Vectors, projection: Projection) -> _Copies:
    """Look for copies by the vectors (n, D) that are searched, or by their projection if they are alike."""
    settings, basis = settings_of(params), fit_basis(vectors)
    return _Copies(projection if basis is None else basis.first(settings.whitened, settings.whiten))
