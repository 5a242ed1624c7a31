"""The protocol of an index, the kinds that exist, and how one is opened."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Protocol, Self

from ris.errors import RisError
from ris.indexes.annoy import AnnoyIndex
from ris.indexes.exact import ExactIndex
from ris.indexes.manifest import Described, Manifest, read_manifest, verify
from ris.indexes.vectors import Rows, Vectors


class Index(Described, Protocol):
    """Finds, for a query vector, the nearest of the vectors it was built from, by Euclidean distance."""

    files: ClassVar[tuple[str, ...]]
    """Names of the data files beside index.json."""

    @classmethod
    def build(cls, vectors: Vectors, rows: Rows, params: Mapping[str, int], seed: int) -> Self:
        """Build over vectors (n, d).

        Args:
            vectors: (n, d) float32.
            rows: (n,) int64, the catalog row of each vector.
            params: the kind's own section of the configuration; empty where it has none.
            seed: of whatever is drawn; the same input and seed give the same bytes on disk.

        Raises:
            RisError: there is no vector, or one holds a NaN.
        """
        ...

    def save(self, folder: Path, catalog_sha256: str) -> None:
        """Write the folder whole, index.json included, in place of what stood there."""
        ...

    @classmethod
    def load(cls, folder: Path, manifest: Manifest) -> Self:
        """Read a folder that `open_index` has verified."""
        ...

    def search(self, queries: Vectors, k: int) -> tuple[Vectors, Rows]:
        """Find the k nearest of each query.

        Args:
            queries: (q, d) float32.
            k: neighbours wanted; capped at `count`.

        Returns:
            distances (q, k) float32, rising along a row, and the catalog rows (q, k) int64 at these
            distances; at equal distance the vector that was given to `build` first comes first.

        Raises:
            RisError: k is below 1, or the queries have another dimension or hold a NaN.
        """
        ...


INDEXES: dict[str, type[Index]] = {kind.kind: kind for kind in (ExactIndex, AnnoyIndex)}
"""Every kind of index by its name; a new one is a new file and one entry here."""


def open_index(folder: Path, *, kind: str, dimension: int, catalog_sha256: str) -> Index:
    """Open an index folder, checking index.json and every checksum before its data is read.

    Raises:
        RisError: the index is of another kind, dimension, metric or catalog, or a file of it is missing,
            cut short or changed.
    """
    manifest = read_manifest(folder)
    index = INDEXES[kind]
    verify(folder, manifest, kind=kind, files=index.files, dimension=dimension, catalog_sha256=catalog_sha256)
    opened = index.load(folder, manifest)
    if (opened.count, opened.dimension) != (manifest.count, manifest.dimension):
        raise RisError(
            f"{folder / 'index.json'} tells of {manifest.count} vectors, but its data holds {opened.count}; "
            "remake it with `dvc repro`."
        )
    return opened
