"""A store as a gallery: one commit of it, read as far as it is needed."""

import zlib
from functools import cached_property
from pathlib import Path

import lance
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ris.copies.local_features import LocalFeatures, decode
from ris.copies.perceptual_hash import Fingerprints
from ris.copies.threshold import packaged
from ris.errors import RisError
from ris.gallery.catalogue import Catalogue, Positions
from ris.gallery.gallery import PARTITIONED, Gallery
from ris.gallery.spaces import Candidates, Space, Whitened
from ris.indexes.exact import ExactIndex
from ris.indexes.index import Index
from ris.indexes.ivf import IvfIndex
from ris.indexes.registry import REGISTRY, open_index
from ris.indexes.tailed import ScannedIndex, TailedIndex
from ris.indexes.vectors import Vectors
from ris.store.commits import Commit, latest
from ris.store.spaces import Spaces
from ris.store.tables import (
    COLUMNS,
    CONTENTS,
    MAP,
    PICTURES,
    REJECTED,
    as_vectors,
    check_files,
    explained,
    first_bytes,
    open_table,
    projected,
    read_small,
    vector_checksums,
)
from ris.types import DamagedError, Rejected

IN_MEMORY = 50_000
"""Contents of which the encoder's vectors are held in memory; those of more are read when needed."""
AT_ONCE = 10_000
"""Vectors that are read from disk together."""
TAIL = 0.1
"""Share of the contents that may stand outside the partitions in memory before all are put into them."""


class StoreGallery(Gallery):
    """What a store holds at one commit; heavy parts are read when they are first needed.

    Of an earlier commit of the same store, what is still the same is taken over instead of read again.
    """

    def __init__(
        self, store: Path, commit: Commit | None = None, before: "StoreGallery | None" = None
    ) -> None:
        """Read the catalogue of a commit, or of the newest.

        Raises:
            RisError: there is no store.
            DamagedError: it is damaged, or of another format.
        """
        self.store, self.commit = store, commit or latest(store)
        self.identity, self.settings = self.commit.identity, self.commit.settings
        self.network, self.precision = self.identity.network, str(self.identity.precision)
        self.generation = self.commit.generation
        self.threshold = packaged()
        self.catalogue = Catalogue(
            read_small(store, self.commit, PICTURES), read_small(store, self.commit, COLUMNS)
        )
        # The two may have been moved together, or the store alone.
        folder = self.commit.folder
        beside = store / folder.relative
        self.folder = beside.resolve() if beside.is_dir() else Path(folder.absolute)
        self._before = self._taken_over(before)

    @cached_property
    def rejected(self) -> list[Rejected]:
        """The files that are no use, by path."""
        table = read_small(self.store, self.commit, REJECTED).to_pydict()
        return [Rejected(*pair) for pair in sorted(zip(table["path"], table["reason"], strict=True))]

    @cached_property
    def places(self) -> pa.Table | None:
        """The map, see `MAP_SCHEMA`; None where it was not laid out."""
        return read_small(self.store, self.commit, MAP) if MAP in self.commit.tables else None

    @cached_property
    def count(self) -> int:
        """See `Gallery`."""
        return int(self._contents.count_rows())

    @cached_property
    def shown(self) -> Positions:
        """See `Gallery`."""
        numbers = self.numbers
        places = np.searchsorted(numbers, self.catalogue.contents)
        if len(places) and (
            places.max() >= len(numbers) or (numbers[places] != self.catalogue.contents).any()
        ):
            raise DamagedError(f"{self.store} lacks what some of its pictures show; build it anew.")
        return places

    @cached_property
    def numbers(self) -> npt.NDArray[np.int64]:
        """The number (m,) of each content, ascending."""
        return np.asarray(self._keys["content"], np.int64)

    def vectors(self, contents: Positions | None = None) -> Vectors:
        """See `Gallery`.

        Raises:
            DamagedError: one is damaged, or was made by another encoder.
        """
        if self.count <= IN_MEMORY:
            return self._vectors if contents is None else self._vectors[contents]
        return self._read_vectors(contents)

    @cached_property
    def hashes(self) -> Fingerprints:
        """See `Gallery`."""
        return np.asarray(self._keys["hash"], np.uint64)

    @property
    def has_pca(self) -> bool:
        """See `Gallery`."""
        return self.commit.space is not None and self.count > 0

    @cached_property
    def spaces(self) -> Spaces | None:
        """The spaces; None where there are none."""
        note, before = self.commit.space, self._before
        if note is None:
            return None
        if before is not None and before.commit.space == note and "spaces" in vars(before):
            return before.spaces
        return Spaces.read(self.store, note.version, note.sha256)

    @cached_property
    def whole(self) -> Space:
        """See `Gallery`."""
        if self.count <= IN_MEMORY:
            return Space(ExactIndex(self._vectors))
        dimension = self.network.dimension
        return Space(ScannedIndex(self.count, dimension, self._part_of_vectors, AT_ONCE))

    @cached_property
    def projected(self) -> Space | None:
        """See `Gallery`."""
        spaces = self.spaces
        if spaces is None or self.count == 0:
            return None
        if len(spaces.centres) == 0:
            return Space(ExactIndex(self._projections[0]), spaces.pca)
        partitioned = self.partitioned
        every = partitioned.first.with_probes(len(spaces.centres))
        return Space(partitioned.with_first(every), spaces.pca)

    @cached_property
    def partitioned(self) -> TailedIndex:
        """The PCA space in its partitions."""
        assert self.spaces is not None
        assert self.commit.space is not None
        before = self._before
        probes = 1 if self.commit.space.recall is None else self.commit.space.recall.n_probes
        if before is not None and before.commit.space == self.commit.space and "partitioned" in vars(before):
            first = before.partitioned.first
            if self.count - first.count <= TAIL * self.count:
                tail, _, _ = self._read_projections(first.count)
                return TailedIndex(first, tail)
        vectors, _, partitions = self._projections
        first = IvfIndex(self.spaces.centres, {"n_probes": probes})
        first.add(vectors, partitions.astype(np.int64))
        del vars(self)["_projections"]
        return TailedIndex(first, np.zeros((0, first.dimension), np.float32))

    @property
    def built(self) -> tuple[str, ...]:
        """See `Gallery`."""
        note = self.commit.space
        if note is None or self.count == 0:
            return ()
        return (*note.indexes, *([PARTITIONED] if note.recall is not None else []))

    def approximate(self, name: str) -> Index | TailedIndex:
        """See `Gallery`.

        Raises:
            DamagedError: it is not as it was written.
        """
        if name == PARTITIONED:
            return self.partitioned
        if name not in self._opened:
            self._opened[name] = open_built(self.store, self.commit, name)
        return self._opened[name]

    @cached_property
    def candidates(self) -> Candidates | None:
        """See `Gallery`."""
        spaces = self.spaces
        if spaces is None or self.count == 0 or not self.settings.same_picture or self.count > IN_MEMORY:
            return None
        whole = Whitened(self._vectors, self._projections[1], spaces.whitened)
        return Candidates(whole, None, self.hashes)

    @cached_property
    def features(self) -> "StoredFeatures | None":
        """See `Gallery`."""
        return StoredFeatures(self) if self.settings.same_picture else None

    def feature_bytes(self, contents: list[int]) -> list[tuple[bytes, int, bytes]]:
        """Return the packed local features of contents, their checksums, and the SHA-256 of their files."""
        names = ["features", "features_checksum", "sha256"]
        with explained(self.store):
            table = self._contents.take(contents, columns=names).to_pydict()
        return list(zip(*(table[name] for name in names), strict=True))

    def size_on_disk(self) -> int:
        """Return the bytes of all files that belong to it, besides the pictures."""
        return sum(file.stat().st_size for file in self.store.rglob("*") if file.is_file())

    @cached_property
    def _opened(self) -> dict[str, Index]:
        return {}

    @cached_property
    def _contents(self) -> lance.LanceDataset:
        return open_table(self.store, self.commit, CONTENTS)

    @cached_property
    def _keys(self) -> pa.Table:
        """What is held in memory of each content."""
        with explained(self.store):
            return self._contents.to_table(columns=["content", "hash"])

    @cached_property
    def _vectors(self) -> Vectors:
        before = self._before
        if before is not None and "_vectors" in vars(before) and before.count <= self.count:
            known = before._vectors
            if before.count == self.count:
                return known
            return np.concatenate([known, self._read_vectors(np.arange(before.count, self.count))])
        return self._read_vectors(None)

    @cached_property
    def _projections(self) -> tuple[Vectors, npt.NDArray[np.float32], npt.NDArray[np.int32]]:
        """The vectors (m, d) in the PCA space, lengths (m,) in the whitened one, and partitions (m,)."""
        before = self._before
        if before is not None and before.commit.space == self.commit.space and "_projections" in vars(before):
            known = before._projections
            if before.count == self.count:
                return known
            vectors, lengths, partitions = (
                np.concatenate(pair) for pair in zip(known, self._read_projections(before.count), strict=True)
            )
            return vectors, lengths, partitions
        return self._read_projections(0)

    def _read_vectors(self, contents: Positions | None) -> Vectors:
        """Read the vectors of some contents, or of all, each after its checksum."""
        columns = ["sha256", "vector", "vector_checksum"]
        with explained(self.store):
            if contents is None:
                table = self._contents.to_table(columns=columns)
            else:
                table = self._contents.take(contents.tolist(), columns=columns)
            vectors = as_vectors(table["vector"], self.network.dimension)
        owners = first_bytes(table["sha256"])
        found = vector_checksums(vectors, owners, self.identity.seal)
        damaged = np.flatnonzero(found != np.asarray(table["vector_checksum"], np.uint64))
        if len(damaged):
            place = int(damaged[0] if contents is None else contents[damaged[0]])
            paths = self.catalogue.paths(self.pictures_showing(place)) or ["a picture that was removed"]
            raise DamagedError(
                f"The vector of {paths[0]} is damaged or of another encoder; build the store anew."
            )
        return vectors

    def _part_of_vectors(self, start: int) -> Vectors:
        return self._read_vectors(np.arange(start, min(start + AT_ONCE, self.count)))

    def _read_projections(self, start: int) -> tuple[Vectors, npt.NDArray[np.float32], npt.NDArray[np.int32]]:
        """Read contents in the spaces, from a position on, each after its checksum."""
        note, spaces = self.commit.space, self.spaces
        assert note is not None
        assert spaces is not None
        dataset = open_table(self.store, self.commit, projected(note.version))
        with explained(self.store):
            table = dataset.to_table(offset=start) if start else dataset.to_table()
            vectors = as_vectors(table["vector"], len(spaces.pca.components))
        numbers = np.asarray(table["content"], np.int64)
        found = vector_checksums(vectors, numbers.astype(np.uint64), note.sha256)
        same = np.array_equal(numbers, self.numbers[start:])
        if not same or (found != np.asarray(table["vector_checksum"], np.uint64)).any():
            raise DamagedError(f"The spaces of {self.store} are damaged; `ris refit` makes them anew.")
        lengths = np.asarray(table["length"], np.float32)
        return vectors, lengths, np.asarray(table["partition"], np.int32)

    def _taken_over(self, before: "StoreGallery | None") -> "StoreGallery | None":
        """Return the earlier commit whose parts can be taken over, which then holds none before itself."""
        if before is None:
            return None
        # One that nobody has searched has nothing to give but what it would have taken over itself.
        searched = {"_vectors", "_projections", "partitioned"} & vars(before).keys()
        source = before if searched or before._before is None else before._before
        before._before = None
        return source if self._continues(source) else None

    def _continues(self, before: "StoreGallery") -> bool:
        """Whether the contents are those of an earlier commit, or those and later ones."""
        if before.commit.token != self.commit.token or "_keys" not in vars(before):
            return False
        numbers = before.numbers
        return len(numbers) <= self.count and np.array_equal(self.numbers[: len(numbers)], numbers)


class StoredFeatures:
    """The local features of a store, by content; a `ris.copies.verification.Described`."""

    def __init__(self, gallery: StoreGallery) -> None:
        self._gallery = gallery
        self.side = gallery.settings.side

    def __getitem__(self, content: int) -> LocalFeatures:
        """Return the local features of a content.

        Raises:
            DamagedError: they are not there, or not as they were written.
        """
        ((data, checksum, sha256),) = self._gallery.feature_bytes([int(content)])
        if data is None or features_checksum(data, sha256) != checksum:
            raise DamagedError(f"Local features in {self._gallery.store} are damaged; build it anew.")
        return decode(data)


def features_checksum(data: bytes, sha256: bytes) -> int:
    """Return the CRC-32 of packed features and of whose they are."""
    return zlib.crc32(data, zlib.crc32(sha256))


def built_for(commit: Commit, version: int) -> str:
    """Name what an index of a store is over."""
    return f"{commit.token} {version}"


def index_folder(store: Path, version: int, name: str) -> Path:
    """Return where an index over the spaces of a version lies."""
    return store / "indexes" / str(version) / name


def open_built(store: Path, commit: Commit, name: str) -> Index:
    """Open an index that was built beside the spaces, all of it checked.

    Raises:
        DamagedError: it is not as it was written.
    """
    note = commit.space
    assert note is not None
    folder = index_folder(store, note.version, name)
    dimension = commit.identity.network.dimension
    if REGISTRY[name].projected:
        dimension = len(Spaces.read(store, note.version, note.sha256).pca.components)
    check_files(store, {str((folder / "index.json").relative_to(store)): note.indexes[name]})
    try:
        return open_index(
            folder,
            kind=REGISTRY[name].index,
            dimension=dimension,
            made_for=built_for(commit, note.version),
        )
    except RisError as error:
        raise DamagedError(
            f"The index in {folder} is damaged; `ris refit` makes it anew, and `knn` does without it."
        ) from error
