"""A snapshot of a store: what was committed when it was opened, whatever is written later."""

import weakref
from contextlib import closing, suppress
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from ris.copies.perceptual_hash import Fingerprints
from ris.copies.threshold import packaged
from ris.encoders.named import Identity, read_identity
from ris.errors import RisError
from ris.gallery import embedding_map
from ris.gallery.embedding_map import Places
from ris.gallery.reranked import Reranked
from ris.gallery.snapshot import Snapshot
from ris.gallery.spaces import Candidates, Forest, Space, Whitened, projected, whitened
from ris.indexes.annoy import AnnoyIndex
from ris.indexes.projection import Projection
from ris.indexes.registry import open_index
from ris.store.database import FORMAT, TREES, get, get_data, has_data, reading, told, writing
from ris.store.features import StoredFeatures
from ris.store.records import (
    get_arrays,
    get_projection,
    put_arrays,
    read_catalogue,
    read_rejected,
    read_vectors,
)
from ris.store.settings import read_settings
from ris.types import BusyError, DamagedError, Progress, ReadOnlyError

STALE_MAP = 0.1
"""Share of the contents on the map that may be gone, or be placed among others, before it is made anew."""
SEED = 0


class Committed(Snapshot):
    """What a store holds, read in one transaction that stays open as long as this is used."""

    regions = False
    format = FORMAT
    read_only = False

    def __init__(self, store: Path) -> None:
        """Read it.

        Raises:
            RisError: there is no store.
            DamagedError: it is damaged, or of another format.
        """
        self.store = store
        self._lock = Lock()
        self._connection = reading(store)
        self._finalizer = weakref.finalize(self, self._connection.close)
        with told(store):
            self.generation: int = get(self._connection, "generation")
            self.stamp = get(self._connection, "token"), self.generation
            self.identity = read_identity(get(self._connection, "encoder"))
            self.settings = read_settings(get(self._connection, "settings"))
            self.catalogue, self.contents, self._fingerprints = read_catalogue(self._connection)
            self._vectors = read_vectors(self._connection, self.identity)
            self.rejected = read_rejected(self._connection)
            self.has_pca = has_data(self._connection, "basis")
            self._forests = get(self._connection, "forests")
            folder = get(self._connection, "folder")
        # The two may have been moved together, or the store alone.
        beside = store / folder["relative"]
        self.folder = beside.resolve() if beside.is_dir() else Path(folder["absolute"])
        self.network, self.precision = self.identity.network, str(self.identity.precision)
        self.threshold = packaged()

    @cached_property
    def knn(self) -> Space:
        """See `Snapshot`."""
        return Space(self._vectors)

    @cached_property
    def knn_pca(self) -> Space | None:
        """See `Snapshot`."""
        basis, settings = self._projection("basis"), self.settings
        if basis is None:
            return None
        projection = whitened(basis, settings.n_components, settings.pca_whiten)
        return Space(projected(self._vectors, projection), projection)

    @cached_property
    def reranked(self) -> Reranked | None:
        """See `Snapshot`."""
        return None if self.knn_pca is None else Reranked(self.knn_pca, self.settings.reranking)

    @cached_property
    def candidates(self) -> Candidates | None:
        """See `Snapshot`."""
        basis, lengths = self._projection("basis"), self.arrays("lengths")
        if basis is None or lengths is None or not self.settings.same_picture:
            return None
        projection = whitened(basis, self.settings.whitened, self.settings.whiten)
        return Candidates(Whitened(self._vectors, lengths["lengths"], projection), None, self.fingerprints)

    @property
    def fingerprints(self) -> Fingerprints:
        """See `Snapshot`."""
        return self._fingerprints

    @cached_property
    def features(self) -> StoredFeatures | None:
        """See `Snapshot`."""
        if not self.settings.same_picture:
            return None
        return StoredFeatures(
            self.store, self._connection, self._lock, self.contents.tolist(), self.settings.side
        )

    def forest(self, name: str) -> Forest | None:
        """See `Snapshot`.

        Raises:
            DamagedError: it is not as it was written.
        """
        return self._annoy if name == "annoy" else self._annoy_pca

    def arrays(self, name: str) -> dict[str, npt.NDArray[Any]] | None:
        """Return derived arrays, see `get_arrays`."""
        with self._lock, told(self.store):
            return get_arrays(self._connection, name)

    def weights(self) -> bytes | None:
        """Return the encoder's weights that the store keeps, as safetensors; None where a package has them.

        Raises:
            DamagedError: they are damaged.
        """
        with self._lock, told(self.store):
            return get_data(self._connection, "weights")

    def map(self, progress: Progress | None) -> Places:
        """See `Snapshot`; it is kept in the store where that can be written."""
        with told(self.store), closing(reading(self.store)) as connection:
            kept = get_arrays(connection, "map")
        contents, first, inverse = np.unique(self.contents, return_index=True, return_inverse=True)
        vectors = self._vectors[first]
        if kept is not None:
            later = ~np.isin(contents, kept["contents"])
            gone = np.setdiff1d(kept["contents"], contents)
            if len(gone) + np.count_nonzero(later) <= STALE_MAP * len(kept["contents"]):
                places: Places = np.empty((len(contents), 2), np.float32)
                places[~later] = kept["places"][np.searchsorted(kept["contents"], contents[~later])]
                if later.any():
                    places[later] = embedding_map.place(vectors[later], vectors[~later], places[~later])
                return places[inverse]
        if progress is not None:
            progress("laying out the map", 0, 1)
        places = embedding_map.project(vectors, SEED)
        # What was laid out is no less right for not being kept.
        with suppress(BusyError, ReadOnlyError), writing(self.store) as connection:
            put_arrays(connection, "map", contents=contents, places=places)
        if progress is not None:
            progress("laying out the map", 1, 1)
        return places[inverse]

    def size_on_disk(self) -> int:
        """See `Snapshot`."""
        return sum(file.stat().st_size for file in self.store.rglob("*") if file.is_file())

    def close(self) -> None:
        """Close the store's file."""
        self._finalizer()

    @cached_property
    def _annoy(self) -> Forest | None:
        return self._forest("annoy", None)

    @cached_property
    def _annoy_pca(self) -> Forest | None:
        return self._forest("annoy_pca", self._projection("forest_basis"))

    def _forest(self, name: str, projection: Projection | None) -> Forest | None:
        trees = open_trees(self.store, self._forests, name, self.identity, projection)
        planted = self.arrays("planted")
        if trees is None or planted is None:
            return None
        return Forest(trees, projection, self.contents, planted["contents"])

    def _projection(self, name: str) -> Projection | None:
        with self._lock, told(self.store):
            return get_projection(self._connection, name)


def stamp(store: Path) -> tuple[str, int]:
    """Return which store lies at a path, and which generation it has come to."""
    with told(store), closing(reading(store)) as connection:
        return get(connection, "token"), get(connection, "generation")


def open_trees(
    store: Path, note: Any, name: str, identity: Identity, projection: Projection | None
) -> AnnoyIndex | None:
    """Open ANNOY's files, all checked.

    Args:
        store: its folder.
        note: the setting `forests`.
        name: `annoy` or `annoy_pca`.
        identity: of the encoder.
        projection: to the space that the trees are over.

    Returns:
        None where there are none, as none were planted or a later change of the store has replaced them.

    Raises:
        DamagedError: they are not as they were written.
    """
    if note is None or not (folder := trees_folder(store, note["generation"], name)).is_dir():
        return None
    dimension = identity.network.dimension if projection is None else len(projection.components)
    try:
        index = open_index(folder, kind="annoy", dimension=dimension, catalog_sha256=note["token"])
    except RisError as error:
        raise DamagedError(
            f"The index in {folder} is damaged; `ris sync` makes it anew, and `knn` does without it."
        ) from error
    assert isinstance(index, AnnoyIndex)
    return index


def trees_folder(store: Path, generation: int, name: str) -> Path:
    """Return where ANNOY's files of a generation lie."""
    return store / TREES / str(generation) / name
