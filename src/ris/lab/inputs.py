"""What several stages read, the catalog, vectors of a space, an index; and the projection that they fit."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from ris.artifacts import checksum, read_json, read_table
from ris.errors import RisError
from ris.indexes.index import Index
from ris.indexes.manifest import METRIC
from ris.indexes.projection import Projection, side_by_side
from ris.indexes.registry import Kind, open_index
from ris.lab import layout
from ris.lab.config import Params, Space
from ris.lab.data.features import Vectors, checksum_of, read_features
from ris.lab.layout import Tree

EXACT = "index.json"
"""The file of an exact index."""
Integers = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class Catalog:
    """The catalog as arrays."""

    table: pd.DataFrame
    sha256: str
    classes: list[str]
    labels: Integers
    """(N,) class number of each row."""
    images: Path

    @classmethod
    def read(cls, tree: Tree) -> Self:
        """Read data/catalog.parquet."""
        path = tree.read(layout.CATALOG)
        table = read_table(path)
        classes, labels = np.unique(table["label"].to_numpy(dtype=str), return_inverse=True)
        return cls(table, checksum(path), classes.tolist(), labels, tree.read(layout.IMAGES))

    def rows(self, *splits: str) -> Integers:
        """Rows of the named splits, ascending."""
        return np.flatnonzero(self.table["split"].isin(splits))

    @property
    def gallery(self) -> Integers:
        """Rows that a search may return."""
        return self.rows("train", "validation")

    @property
    def queries(self) -> Integers:
        """Rows that a search is asked for."""
        return self.rows("query")

    def files(self, rows: Integers | None = None) -> list[Path]:
        """Picture files of some rows, or of all."""
        paths = self.table["path"] if rows is None else self.table["path"].iloc[rows]
        return [self.images / path for path in paths]


def exact_note(params: Params, tree: Tree, catalog: Catalog, kind: Kind, encoder: str) -> dict[str, Any]:
    """Return what an exact index keeps: no copy of the vectors, but which they are.

    Raises:
        RisError: there are no such vectors.
    """
    names = [encoder] if kind.projected else layout.parts(encoder)
    files = [layout.features(name, kind.projected) for name in names]
    return {
        "kind": kind.index.kind,
        "metric": METRIC,
        "catalog": catalog.sha256,
        "normalise": params.extract.normalise,
        "vectors": {file: checksum_of(tree.read(file)) for file in files},
    }


def read_index(
    params: Params, tree: Tree, catalog: Catalog, kind: Kind, encoder: str, dimension: int
) -> Index:
    """Open one of `layout.INDEXES`, checked to be over this catalog and its vectors.

    Raises:
        RisError: it is over others, or missing or damaged.
    """
    folder = tree.read(layout.index(kind.name, encoder))
    if not kind.exact:
        return open_index(folder, kind=kind.index, dimension=dimension, made_for=catalog.sha256)
    vectors = read_space(params, tree, catalog, encoder, kind.projected)[catalog.gallery]
    if read_json(folder / EXACT) != exact_note(params, tree, catalog, kind, encoder):
        raise RisError(
            f"The index in {folder} was built over other vectors than the present ones; remake it with "
            "`dvc repro`."
        )
    if vectors.shape[1] != dimension:
        raise RisError(f"The index in {folder} has dimension {vectors.shape[1]}, not {dimension}.")
    return kind.index.build(vectors, {}, params.index_seed)


def read_space(params: Params, tree: Tree, catalog: Catalog, encoder: str, projected: bool) -> Vectors:
    """Read an encoder's vectors as they are searched: (N, D) normalised if so set, or (N, d) after PCA."""
    if projected:
        return read_features(tree.read(layout.features(encoder, projected)), catalog.sha256)
    parts = [
        read_features(tree.read(layout.features(part)), catalog.sha256) for part in layout.parts(encoder)
    ]
    return side_by_side(parts, params.extract.normalise)


def read_classifier(settings: Space, tree: Tree, encoder: str) -> Vectors | None:
    """Read the pre-trained network's last layer, (K, D) float32, for a projection that takes it in.

    None where none is wanted, and for two networks side by side.

    Raises:
        RisError: it is missing or damaged, or the network was published without one.
    """
    if settings.sharpness == 0 or len(layout.parts(encoder)) > 1:
        return None
    path = tree.read(layout.CLASSIFIER)
    try:
        classifier: Vectors = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise RisError(f"{path} is missing or damaged; remake it with `dvc repro fetch`.") from error
    check_classifier(settings, len(classifier))
    return classifier


def check_classifier(settings: Space, classes: int) -> None:
    """Check that there is a classifier, of so many classes, where a projection takes it in.

    Raises:
        RisError: there is none.
    """
    if settings.sharpness > 0 and classes == 0:
        raise RisError(
            f"`pca.sharpness` or `pca.pretrained.sharpness` is {settings.sharpness:g}, but this backbone has "
            "no classifier of one linear layer; set both to 0."
        )


def fit_projection(
    settings: Space,
    normalise: bool,
    vectors: Vectors,
    catalog: Catalog,
    rows: Integers,
    classifier: Vectors | None,
) -> Projection:
    """Fit to the vectors (N, D) of some rows and to their classes, with no more directions than they have.

    See `Projection.fit`.
    """
    width = vectors.shape[1] + (0 if classifier is None else len(classifier))
    return Projection.fit(
        vectors[rows],
        min(settings.n_components, len(rows), width),
        settings.whiten,
        normalise,
        catalog.labels[rows],
        settings.shrinkage,
        classifier,
        settings.sharpness,
    )
