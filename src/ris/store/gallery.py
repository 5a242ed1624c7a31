"""A store as a gallery: one commit of it, read as far as it is needed."""

import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import lance
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ris.config import Network
from ris.copies.local_features import LocalFeatures, decode, in_grey
from ris.copies.perceptual_hash import Fingerprints
from ris.copies.threshold import Threshold, packaged
from ris.copies.views import REGIONS as REGIONS_OF_ONE
from ris.copies.words import WORDS, InvertedIndex, Words
from ris.encoders import cache
from ris.errors import RisError
from ris.gallery.catalogue import SCHEMA, Catalogue, Positions
from ris.gallery.gallery import PARTITIONED, Gallery
from ris.gallery.spaces import Candidates, Space, Whitened, for_copies
from ris.images.decoders import read_image
from ris.images.decoding import UnreadableImage
from ris.indexes.exact import ExactIndex
from ris.indexes.index import Index
from ris.indexes.ivf import IvfIndex
from ris.indexes.registry import REGISTRY, open_index
from ris.indexes.tailed import ScannedIndex, TailedIndex
from ris.indexes.vectors import Vectors
from ris.store import confirmed
from ris.store.commits import Commit, latest
from ris.store.disk_cache import DiskCache
from ris.store.folder import inside
from ris.store.spaces import Projected, Spaces
from ris.store.storage import Address, Place, fetched, size_of
from ris.store.tables import (
    COLUMNS,
    CONTENTS,
    COPIES,
    MAP,
    PICTURES,
    REGIONS,
    REJECTED,
    Fragments,
    as_vectors,
    check_files,
    explained,
    files_of,
    first_bytes,
    joined,
    open_table,
    projected,
    read_fragments,
    read_small,
    sound,
    vector_checksums,
)
from ris.types import DamagedError, Rejected

IN_MEMORY = 50_000
"""Contents of which the encoder's vectors are held in memory; those of more are read when needed."""
AT_ONCE = 10_000
"""Vectors that are read from disk together."""
READ_AHEAD = 2**25
"""Bytes of a table that Lance reads ahead of what is used."""
TAIL = 0.1
"""Share of the contents that may stand outside the partitions in memory before all are put into them."""


class StoreGallery(Gallery):
    """What a store holds at one commit; heavy parts are read when they are first needed.

    Of an earlier commit of the same store, what is still the same is taken over instead of read again.
    """

    def __init__(
        self, store: Place, commit: Commit | None = None, before: "StoreGallery | None" = None
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
        self.threshold = _threshold(self.commit)
        known = None if before is None else before.fragments
        fragments = read_fragments(store, self.commit, PICTURES, known)
        self._lengths = {files: len(lines) for files, lines in fragments.items()}
        self.catalogue = Catalogue(joined(fragments, SCHEMA), read_small(store, self.commit, COLUMNS))
        self.folder = confirmed.place(store, self.commit)
        self.regions = self.settings.regions and self.settings.same_picture
        self.copies = self.commit.copies
        self._for_copies = self.copies or self.identity
        self._taken = Taken.over(before, self)

    @property
    def networks(self) -> list[Network]:
        """That embed a picture: the encoder's and, where copies have one of their own, theirs."""
        return [self.network, *([] if self.copies is None else [self.copies.network])]

    @property
    def fragments(self) -> Fragments:
        """The table of pictures, see `read_fragments`; views of the catalogue's lines."""
        found, start = Fragments(), 0
        for files, length in self._lengths.items():
            found[files] = self.catalogue.lines.slice(start, length)
            start += length
        return found

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
        with explained(self.store):
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
        if any(column.null_count for column in self._keys.columns):
            raise DamagedError(f"The contents of {self.store} are damaged; build it anew.")
        found = np.asarray(self._keys["content"], np.int64)
        if (np.diff(found) <= 0).any():
            raise DamagedError(f"The contents of {self.store} are damaged; build it anew.")
        return found

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
        if self.commit.space is None:
            return None
        return self._taken.spaces or Spaces.read(self.store, self.commit)

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
            return Space(ExactIndex(self._projections.vectors), spaces.pca)
        partitioned = self.partitioned
        every = partitioned.first.with_probes(len(spaces.centres))
        return Space(partitioned.with_first(every), spaces.pca)

    @cached_property
    def partitioned(self) -> TailedIndex:
        """The PCA space in its partitions."""
        spaces, note = self.spaces, self.commit.space
        assert spaces is not None
        assert note is not None
        former, self._taken.partitioned = self._taken.partitioned, None
        if former is not None and self.count - former.first.count <= TAIL * self.count:
            return TailedIndex(former.first, self._read_projections(former.first.count).vectors)
        first = IvfIndex(spaces.centres, {"n_probes": 1 if note.recall is None else note.recall.n_probes})
        first.reserve(self._partitions)
        for part in self._projected_parts(0):
            first.add(part.vectors, part.partitions)
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
        found, space, regions = self._projections, spaces.whitened, None
        if self.regions:
            regions = Whitened(self._regions, found.region_lengths.ravel(), space)
        vectors = self._vectors if self.copies is None else self._copies
        vectors = for_copies(vectors, self._regions if self.regions else None, self.settings)
        whole = Whitened(vectors, found.lengths, space)
        return Candidates(whole, regions, self.hashes, InvertedIndex(*self._spelled))

    @cached_property
    def features(self) -> "StoredFeatures | None":
        """See `Gallery`."""
        return StoredFeatures(self) if self.settings.same_picture else None

    def grey(self, content: int) -> npt.NDArray[np.uint8] | None:
        """See `Gallery`; a file that is no longer as the catalogue knows it is not read."""
        settings = self.settings
        for picture in self.catalogue.pictures(self.pictures_showing(content).tolist()):
            file = inside(self.folder, picture.path)
            try:
                data = b"" if file is None else file.read_bytes()
                if hashlib.sha256(data).hexdigest() == picture.sha256:
                    return in_grey(read_image(data, settings.max_pixels, 2 * settings.side), settings.side)
            except (OSError, UnreadableImage):
                continue
        return None

    def feature_bytes(self, contents: list[int]) -> list[tuple[bytes, int, bytes]]:
        """Return the packed local features of contents, their checksums, and the SHA-256 of their files."""
        names = ["features", "features_checksum", "sha256"]
        with explained(self.store):
            table = self._contents.take(contents, columns=names).to_pydict()
        return [
            (data, checksum, sha256 or b"") for data, checksum, sha256 in zip(*table.values(), strict=True)
        ]

    @cached_property
    def feature_checksums(self) -> npt.NDArray[np.uint32]:
        """The checksum (m,) of the packed local features of each content."""
        with explained(self.store):
            table = self._contents.to_table(columns=["features_checksum"])
        return np.asarray(table["features_checksum"].fill_null(0), np.uint32)

    def size_on_disk(self) -> int:
        """Return the bytes of all files that belong to it, besides the pictures."""
        with explained(self.store):
            return size_of(self.store)

    @cached_property
    def _opened(self) -> dict[str, Index]:
        return {}

    @cached_property
    def _contents(self) -> lance.LanceDataset:
        return open_table(self.store, self.commit, CONTENTS)

    @cached_property
    def _keys(self) -> pa.Table:
        """What is held in memory of each content."""
        known, self._taken.keys = self._taken.keys, None
        return self._columns(["content", "hash"], known)

    def _columns(self, columns: list[str], known: pa.Table | None) -> pa.Table:
        """Return columns of the contents, of which the first lines may be known."""
        with explained(self.store):
            if known is None:
                return self._contents.to_table(columns=columns).combine_chunks()
            if len(known) == self.count:
                return known
            later = self._contents.to_table(columns=columns, offset=len(known))
            return pa.concat_tables([known, later]).combine_chunks()

    @cached_property
    def _words(self) -> pa.Table:
        """The visual words of each content."""
        known, self._taken.words = self._taken.words, None
        return self._columns(["words"], known)

    @property
    def _spelled(self) -> tuple[Words, npt.NDArray[np.int64]]:
        """The visual words (t,) of all contents, one content's after the other's, and how many each has (m,).

        Raises:
            DamagedError: they are none.
        """
        column = self._words["words"].fill_null(b"")
        sizes = np.asarray(pc.binary_length(column), np.int64)
        data = b"".join(column.to_pylist())
        words = np.frombuffer(data[: len(data) // 2 * 2], "<u2")
        if (sizes % 2).any() or (words >= WORDS).any():
            raise DamagedError(f"{self.store} has visual words that are none; build it anew.")
        return words.astype(np.uint16), sizes // 2

    @cached_property
    def _vectors(self) -> Vectors:
        known, self._taken.vectors = self._taken.vectors, None
        if known is None:
            return self._read_vectors(None)
        if len(known) == self.count:
            return known
        return np.concatenate([known, self._read_vectors(np.arange(len(known), self.count))])

    @cached_property
    def _copies(self) -> Vectors:
        """The vectors (m, E) of contents by the encoder for copies."""
        known, self._taken.copies = self._taken.copies, None
        return self._read_beside(COPIES, 1, known)

    @cached_property
    def _regions(self) -> Vectors:
        """The vectors (5 m, E) of the regions of contents by the encoder for copies."""
        known, self._taken.regions = self._taken.regions, None
        return self._read_beside(REGIONS, REGIONS_OF_ONE, known)

    def _read_beside(self, name: str, of_one: int, known: Vectors | None) -> Vectors:
        """Read a table beside the contents', but for lines that are known, each line after its checksum.

        Args:
            name: of the table.
            of_one: vectors that it has of each content.
            known: (k of_one, E) of the first k contents.
        """
        damaged = DamagedError(f"The {name} in {self.store} are damaged; build it anew.")
        start = 0 if known is None else len(known) // of_one
        dataset = open_table(self.store, self.commit, name)
        dimension = self._for_copies.network.dimension
        found = np.empty((self.count, of_one * dimension), np.float32)
        if known is not None:
            found[:start] = known.reshape(start, -1)
        with explained(self.store):
            for batch in dataset.to_batches(offset=start or None, batch_size=512):
                part = slice(start, start + len(batch))
                found[part] = as_vectors(pa.chunked_array([batch["vector"]]), found.shape[1])
                owners = np.asarray(batch["content"], np.int64)
                sums = vector_checksums(found[part], owners.astype(np.uint64), self._for_copies.seal)
                if (
                    not np.array_equal(owners, self.numbers[part])
                    or (sums != np.asarray(batch["vector_checksum"], np.uint64)).any()
                    or not sound(found[part]).all()
                ):
                    raise damaged
                start += len(batch)
        if start != self.count:
            raise damaged
        return found.reshape(of_one * self.count, dimension)

    @cached_property
    def _projections(self) -> Projected:
        known, self._taken.projections = self._taken.projections, None
        if known is None:
            return self._read_projections(0)
        if len(known.vectors) == self.count:
            return known
        return Projected.joined([known, self._read_projections(len(known.vectors))])

    @property
    def _partitions(self) -> npt.NDArray[np.int64]:
        with explained(self.store):
            table = self._projected_table.to_table(columns=["partition"])
        found = np.asarray(table["partition"].fill_null(-1), np.int64)
        spaces = self.spaces
        assert spaces is not None
        if len(found) and not 0 <= found.min() <= found.max() < len(spaces.centres):
            raise DamagedError(f"The spaces of {self.store} are damaged; `ris refit` makes them anew.")
        return found

    def _read_vectors(self, contents: Positions | None) -> Vectors:
        """Read the vectors of some contents, or of all, each after its checksum."""
        columns = ["sha256", "vector", "vector_checksum"]
        found = np.empty(
            (self.count if contents is None else len(contents), self.network.dimension), np.float32
        )
        start = 0
        with explained(self.store):
            parts = (
                (pa.Table.from_batches([one]) for one in self._contents.to_batches(columns=columns))
                if contents is None
                else [self._contents.take(contents.tolist(), columns=columns)]
            )
            for part in parts:
                places = np.arange(start, start + len(part))
                found[start : start + len(part)] = self._checked(
                    part, places if contents is None else contents
                )
                start += len(part)
        return found

    def _checked(self, table: pa.Table, contents: Positions) -> Vectors:
        """Return the vectors (j, D) of a part of the contents, those at positions (j,)."""
        vectors = as_vectors(table["vector"], self.network.dimension)
        sums = vector_checksums(vectors, first_bytes(table["sha256"]), self.identity.seal)
        damaged = contents[(sums != np.asarray(table["vector_checksum"], np.uint64)) | ~sound(vectors)]
        if len(damaged):
            shown = self.pictures_showing(int(damaged[0]))
            paths = self.catalogue.paths(shown) or ["a picture that was removed"]
            raise DamagedError(
                f"The vector of {paths[0]} is damaged or of another encoder; build the store anew."
            )
        return vectors

    def _part_of_vectors(self, start: int) -> Vectors:
        return self._read_vectors(np.arange(start, min(start + AT_ONCE, self.count)))

    @cached_property
    def _projected_table(self) -> lance.LanceDataset:
        assert self.commit.space is not None
        return open_table(self.store, self.commit, projected(self.commit.space.version))

    def _region_lengths(self, batch: pa.RecordBatch) -> npt.NDArray[np.float32]:
        if not self.regions:
            return np.zeros((len(batch), 0), np.float32)
        return as_vectors(pa.chunked_array([batch["region_lengths"]]), REGIONS_OF_ONE)

    def _read_projections(self, start: int) -> Projected:
        """Read contents in the spaces, from a position on, each after its checksum."""
        return Projected.joined(list(self._projected_parts(start)))

    def _projected_parts(self, start: int) -> Iterator[Projected]:
        """Yield contents in the spaces, part by part."""
        note, spaces = self.commit.space, self.spaces
        assert note is not None
        assert spaces is not None
        damaged = DamagedError(f"The spaces of {self.store} are damaged; `ris refit` makes them anew.")
        numbers = self.numbers
        with explained(self.store):
            scanned = self._projected_table.to_batches(
                offset=start or None, batch_size=AT_ONCE, batch_readahead=2, io_buffer_size=READ_AHEAD
            )
            for batch in scanned:
                vectors = as_vectors(pa.chunked_array([batch["vector"]]), len(spaces.pca.components))
                owners = np.asarray(batch["content"], np.int64)
                sums = vector_checksums(vectors, owners.astype(np.uint64), note.sha256)
                if (
                    not np.array_equal(owners, numbers[start : start + len(batch)])
                    or (sums != np.asarray(batch["vector_checksum"], np.uint64)).any()
                    or not sound(vectors).all()
                ):
                    raise damaged
                start += len(batch)
                lengths, of_regions = np.asarray(batch["length"], np.float32), self._region_lengths(batch)
                if not ((lengths > 0).all() and (of_regions > 0).all()):
                    raise damaged
                yield Projected(vectors, lengths, np.asarray(batch["partition"], np.int64), of_regions)
        if start != self.count:
            raise damaged


@dataclass(eq=False)
class Taken:
    """What is taken over of an earlier commit, instead of read again, until it is used."""

    keys: pa.Table | None = None
    words: pa.Table | None = None
    vectors: Vectors | None = None
    copies: Vectors | None = None
    regions: Vectors | None = None
    spaces: Spaces | None = None
    projections: Projected | None = None
    partitioned: TailedIndex | None = None

    @classmethod
    def over(cls, before: StoreGallery | None, gallery: StoreGallery) -> Self:
        """Return what a gallery can use of one of an earlier commit."""
        same = 0 if before is None else _shared(gallery, before.commit)
        if before is None or same == 0:
            return cls()
        had = vars(before)
        former = before._taken
        keys, words = had.get("_keys", former.keys), had.get("_words", former.words)
        taken = cls(
            keys=None if keys is None else keys.slice(0, same),
            words=None if words is None else words.slice(0, same),
            vectors=_first(had.get("_vectors", former.vectors), same),
            copies=_first(had.get("_copies", former.copies), same),
            regions=_first(had.get("_regions", former.regions), REGIONS_OF_ONE * same),
        )
        if before.commit.space == gallery.commit.space:
            projections = had.get("_projections", former.projections)
            partitioned = had.get("partitioned", former.partitioned)
            taken.spaces = had.get("spaces", former.spaces)
            taken.projections = None if projections is None else projections.first(same)
            if partitioned is not None and partitioned.first.count <= same:
                taken.partitioned = partitioned
        return taken


def _first(vectors: Vectors | None, count: int) -> Vectors | None:
    """Return the first of vectors; these themselves where there are no more."""
    return vectors if vectors is None or len(vectors) <= count else vectors[:count]


def _shared(gallery: StoreGallery, before: Commit) -> int:
    """Return how many contents, the first, lie in the fragments of an earlier commit, unchanged."""
    if gallery.commit.token != before.token:
        return 0
    sums = gallery.commit.tables[CONTENTS].files
    former = [one for one in before.tables[CONTENTS].files.items() if not one[0].endswith(".manifest")]
    count = 0
    for fragment in gallery._contents.get_fragments():
        files = [(file, sums[file]) for file in files_of(CONTENTS, fragment)]
        follows = former[len(files) :][:1]
        if former[: len(files)] != files or any("/_deletions/" in file for file, _ in follows):
            break
        former = former[len(files) :]
        count += fragment.count_rows()
    return count


class StoredFeatures:
    """The local features of a store, by content; a `ris.copies.verification.Described`."""

    def __init__(self, gallery: StoreGallery) -> None:
        self._gallery = gallery
        self.side = gallery.settings.side
        self._cache = None
        if isinstance(gallery.store, Address):
            self._cache = DiskCache(cache.folder() / "features" / gallery.commit.token)

    def __getitem__(self, content: int) -> LocalFeatures:
        """Return the local features of a content.

        Raises:
            DamagedError: they are not there, or not as they were written.
        """
        if self._cache is None:
            return self._decoded(self._read(int(content)))
        number = int(self._gallery.numbers[content])
        data = self._cache.get(number)
        if data is None or not self._belongs(data, int(content)):
            data = self._read(int(content))
            self._cache.put(number, data)
        return self._decoded(data)

    def _decoded(self, data: bytes) -> LocalFeatures:
        features = decode(data)
        if min(features.size) < 1 or not features.grey.size:
            raise DamagedError(f"Local features in {self._gallery.store} are damaged; build it anew.")
        return features

    def _belongs(self, data: bytes, content: int) -> bool:
        """Tell whether packed features are those of a content."""
        shown = self._gallery.pictures_showing(content)[:1].tolist()
        return any(
            features_checksum(data, bytes.fromhex(picture.sha256)) == self._gallery.feature_checksums[content]
            for picture in self._gallery.catalogue.pictures(shown)
        )

    def _read(self, content: int) -> bytes:
        ((data, checksum, sha256),) = self._gallery.feature_bytes([content])
        if data is None or features_checksum(data, sha256) != checksum:
            raise DamagedError(f"Local features in {self._gallery.store} are damaged; build it anew.")
        return data


def features_checksum(data: bytes, sha256: bytes) -> int:
    """Return the CRC-32 of packed features and of whose they are."""
    return zlib.crc32(data, zlib.crc32(sha256))


def built_for(commit: Commit, version: int) -> str:
    """Name what an index of a store is over."""
    return f"{commit.token} {version}"


def index_folder(store: Place, version: int, name: str) -> Place:
    """Return where an index over the spaces of a version lies."""
    return store / index_name(version, name)


def index_name(version: int, name: str) -> str:
    """Return the same relative to the store."""
    return f"indexes/{version}/{name}"


def open_built(store: Place, commit: Commit, name: str) -> Index:
    """Open an index that was built beside the spaces, all of it checked.

    Raises:
        DamagedError: it is not as it was written.
    """
    note = commit.space
    assert note is not None
    folder = index_folder(store, note.version, name)
    dimension = commit.identity.network.dimension
    if REGISTRY[name].projected:
        dimension = len(Spaces.read(store, commit).pca.components)
    check_files(store, {f"{index_name(note.version, name)}/index.json": note.indexes[name]})
    with explained(store), fetched(folder) as local:
        try:
            return open_index(
                local,
                kind=REGISTRY[name].index,
                dimension=dimension,
                made_for=built_for(commit, note.version),
            )
        except RisError as error:
            raise DamagedError(
                f"The index in {folder} is damaged; `ris refit` makes it anew, and `knn` does without it."
            ) from error


def _threshold(commit: Commit) -> Threshold:
    """Return the store's own threshold, or the package's."""
    note = commit.threshold
    if note is None:
        return packaged()
    if note.over is not None:
        return Threshold(note.evidence, note.false_positive_rate, note.over)
    over = f"this store's, chosen over {note.chosen_on:,} of its pictures when it had {note.pictures:,}"
    return Threshold(note.evidence, note.false_positive_rate, over)
