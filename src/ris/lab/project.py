"""What `dvc repro` made, opened as a store that is only read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import pandas as pd

from ris.artifacts import checksum, read_table
from ris.copies.calibration import Calibration
from ris.copies.local_features import LocalFeatures, LocalFeatureStore
from ris.copies.perceptual_hash import Fingerprints
from ris.copies.search import pooled
from ris.copies.threshold import Threshold, of, packaged
from ris.encoders.encoder import Embedder, Encoder, has_bf16
from ris.encoders.networks import Networks, QueryNetwork
from ris.errors import RisError
from ris.gallery.catalogue import Catalogue, Positions
from ris.gallery.embedding_map import Places
from ris.gallery.reranked import Reranked
from ris.gallery.snapshot import Snapshot
from ris.gallery.spaces import Candidates, Forest, Space, Whitened, projected_lengths
from ris.indexes.annoy import AnnoyIndex
from ris.indexes.projection import Projection, side_by_side
from ris.indexes.registry import open_index
from ris.indexes.vectors import Vectors
from ris.lab import config, layout
from ris.lab.config import Params
from ris.lab.data.features import read_features
from ris.lab.same_picture_model import identity, open_model
from ris.store.settings import Settings
from ris.types import Picture, Progress, Rejected

ENCODER = "finetuned"
"""Whose vectors are searched."""


def is_project(root: Path) -> bool:
    """Tell whether a folder is the root of a project whose pictures were catalogued."""
    return (root / layout.CATALOG).is_file()


def open_project(root: Path) -> tuple["Project", Networks]:
    """Open a project, read-only.

    Raises:
        RisError: a stage was not run, or what it made is damaged or belongs to something else.
    """
    project = Project(root)
    return project, project.networks()


def project_problems(root: Path) -> list[str]:
    """Check all that is searched of a project; return what is wrong, each a sentence."""
    project, _ = open_project(root)
    parts: list[Callable[[], object]] = [partial(project.forest, name) for name in layout.APPROXIMATE_INDEXES]
    parts += [lambda: project.knn_pca, lambda: project.candidates, lambda: project.features]
    found = []
    for part in parts:
        try:
            part()
        except RisError as error:
            found.append(str(error))
    return found


class Project(Snapshot):
    """The gallery of a project: a picture's row is its row in the catalog."""

    generation = 0
    format = 0
    read_only = True
    has_pca = True

    def __init__(self, root: Path) -> None:
        """Read the catalog and the vectors.

        Raises:
            RisError: see `open_project`.
        """
        self.store, self.folder = root, root / layout.IMAGES
        self.params = config.load(root / "params.yaml")
        self._sha256 = checksum(root / layout.CATALOG)
        table = read_table(root / layout.CATALOG)
        self._gallery = np.flatnonzero(table["split"].isin(("train", "validation")))
        self.catalogue = Catalogue(_pictures(self.folder, table.iloc[self._gallery]), {})
        rejected = read_table(root / layout.REJECTED)
        self.rejected = [Rejected(*pair) for pair in zip(rejected["path"], rejected["reason"], strict=True)]
        self._model = root / layout.SAME_PICTURE_MODEL
        self.settings = _settings(self.params, (self._model / "search.json").is_file())
        self.regions = self.settings.same_picture and self.params.same_picture.regions
        self.threshold = self._threshold()
        self.precision = self.params.extract.precision
        if self.precision == "auto":
            self.precision = "bf16" if has_bf16() else "fp32"
        self._embedders = {ENCODER: self._embedder(ENCODER)}
        self.network = self._embedders[ENCODER].network
        self._vectors = self._joined([ENCODER], layout.features)[self._gallery]

    def networks(self) -> Networks:
        """Open the networks that queries are embedded by."""
        parts = layout.parts(self.params.same_picture.encoder)
        if not self.settings.same_picture or parts == [ENCODER]:
            return Networks(self._queries([ENCODER]))
        for name in parts:
            self._embedders[name] = self._embedders.get(name) or self._embedder(name)
        return Networks(self._queries([ENCODER]), views=self._queries(parts))

    @cached_property
    def knn(self) -> Space:
        """See `Snapshot`."""
        return Space(self._vectors)

    @cached_property
    def knn_pca(self) -> Space:
        """See `Snapshot`."""
        vectors = read_features(self.store / layout.features(ENCODER, projected=True), self._sha256)
        return Space(vectors[self._gallery], self._projection)

    @cached_property
    def reranked(self) -> Reranked:
        """See `Snapshot`."""
        return Reranked(self.knn_pca, self.params.reranking)

    @cached_property
    def candidates(self) -> Candidates | None:
        """See `Snapshot`."""
        if self.features is None:
            return None
        parts = layout.parts(self.params.same_picture.encoder)
        encoders = {name: self.store / layout.encoder(name) for name in parts}
        projection, _ = open_model(self._model, identity(self.params, self._sha256, encoders))

        def whitened(vectors: Vectors) -> Whitened:
            return Whitened(vectors, projected_lengths(vectors, projection), projection)

        whole, regions = self._joined(parts, layout.features)[self._gallery], None
        if self.regions:
            regions = self._joined(parts, layout.regions)
            whole = pooled(whole, regions, self.params.same_picture.region_weight)
        return Candidates(whitened(whole), None if regions is None else whitened(regions), self.fingerprints)

    @cached_property
    def fingerprints(self) -> Fingerprints:
        """See `Snapshot`."""
        return np.asarray(self._local_features.fingerprints)[self._gallery]

    @cached_property
    def features(self) -> "_OfGallery | None":
        """See `Snapshot`."""
        return _OfGallery(self._local_features, self._gallery) if self.settings.same_picture else None

    def forest(self, name: str) -> Forest:
        """See `Snapshot`."""
        return self._annoy if name == "annoy" else self._annoy_pca

    def map(self, progress: Progress | None) -> Places:  # noqa: ARG002
        """See `Snapshot`; it is the project's own."""
        try:
            table = pd.read_csv(self.store / layout.TSNE).set_index("path")
            return table.loc[self._paths, ["x", "y"]].to_numpy(np.float32)
        except (OSError, ValueError, KeyError) as error:
            raise RisError(
                f"{self.store / layout.TSNE} is no map of the catalog; run `dvc repro tsne`."
            ) from error

    def size_on_disk(self) -> int:
        """See `Snapshot`."""
        folders = (self.store / name for name in ("data", "indexes", "models"))
        files = (file for folder in folders for file in folder.rglob("*") if file.is_file())
        return sum(file.stat().st_size for file in files if not file.is_relative_to(self.store / "data/raw"))

    @cached_property
    def _paths(self) -> list[str]:
        return [picture.path for picture in self.catalogue.pictures]

    @cached_property
    def _projection(self) -> Projection:
        return Projection.load(self.store / layout.projection(ENCODER))

    @cached_property
    def _local_features(self) -> LocalFeatureStore:
        return LocalFeatureStore.open(self.store / layout.LOCAL_FEATURES, self._sha256)

    @cached_property
    def _annoy(self) -> Forest:
        return self._forest("annoy", self.network.dimension, None)

    @cached_property
    def _annoy_pca(self) -> Forest:
        return self._forest("annoy_pca", len(self._projection.components), self._projection)

    def _forest(self, name: str, dimension: int, projection: Projection | None) -> Forest:
        folder = self.store / layout.index(name, ENCODER)
        trees = open_index(folder, kind="annoy", dimension=dimension, catalog_sha256=self._sha256)
        assert isinstance(trees, AnnoyIndex)
        return Forest(trees, projection, self._gallery, self._gallery)

    def _embedder(self, name: str) -> Embedder:
        return Encoder.open(self.store / layout.encoder(name)).embedder(self.precision)

    def _queries(self, names: Sequence[str]) -> QueryNetwork:
        """Return some encoders side by side."""
        join = partial(side_by_side, normalised=self.params.extract.normalise)
        return QueryNetwork(tuple(self._embedders[name] for name in names), join)

    def _joined(self, names: Sequence[str], file: Callable[[str], str]) -> Vectors:
        """Read the vectors of some encoders, side by side."""
        parts = [read_features(self.store / file(name), self._sha256) for name in names]
        return side_by_side(parts, self.params.extract.normalise)

    def _threshold(self) -> Threshold:
        file = self._model / "evidence.json"
        return of(Calibration.open(file, "evidence", self._sha256)) if file.is_file() else packaged()


@dataclass(frozen=True, eq=False)
class _OfGallery:
    """The local features of the gallery by position."""

    store: LocalFeatureStore
    rows: Positions

    @property
    def side(self) -> int:
        return self.store.side

    def __getitem__(self, position: int) -> LocalFeatures:
        return self.store[int(self.rows[position])]


def _settings(params: Params, same_picture: bool) -> Settings:
    settings = params.same_picture
    return Settings(
        same_picture=same_picture and settings.enabled,
        max_pixels=params.clean.max_pixels,
        reranking=params.reranking,
        candidates=settings.candidates,
        enough_evidence=settings.enough_evidence,
        query_features=settings.local_features.query,
        side=settings.local_features.side,
    )


def _pictures(folder: Path, table: pd.DataFrame) -> list[Picture]:
    pictures = []
    columns = (table[name].tolist() for name in ("path", "label", "width", "height", "sha256"))
    for row, path, label, width, height, sha256 in zip(table.index.tolist(), *columns, strict=True):
        try:
            status = (folder / path).stat()
            size, modified = status.st_size, status.st_mtime
        except OSError:
            size, modified = 0, 0.0
        pictures.append(Picture(row, path, label, width, height, size, modified, sha256))
    return pictures
