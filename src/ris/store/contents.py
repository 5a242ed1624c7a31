"""What files show, each once: known by its SHA-256, numbered, embedded and added to the store's table."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ris.copies.local_features import encode
from ris.copies.perceptual_hash import Fingerprints
from ris.encoders.embedder import Embedder
from ris.encoders.named import Identity
from ris.indexes.vectors import Vectors
from ris.store.gallery import features_checksum
from ris.store.ingest import BATCH, Content, Reading, embed_batch
from ris.store.spaces import Projected, Spaces
from ris.store.tables import (
    CONTENTS,
    REGIONS,
    Changes,
    as_column,
    as_table,
    contents_schema,
    explained,
    first_bytes,
    open_table,
    projected,
    projected_schema,
    regions_schema,
    vector_checksums,
)

KNOWN = pa.schema({"sha256": pa.binary(32), "content": pa.int64(), "width": pa.int32(), "height": pa.int32()})
"""What is held in memory of each content, so that it is known again."""
RECENT = 2**16
"""Contents that are held as Python objects, before they are put among the others."""


@dataclass(frozen=True, slots=True)
class Known:
    """A content that the store has."""

    number: int
    width: int
    height: int


class Contents:
    """The contents of a store, and those that are being added."""

    def __init__(self, changes: Changes, identity: Identity, embedder: Embedder) -> None:
        self._changes, self._identity, self._embedder = changes, identity, embedder
        self._next = changes.before.contents + 1
        self._waiting: list[tuple[bytes, Content]] = []
        self._made: list[tuple[bytes, Content]] = []
        self._vectors: list[Vectors] = []
        self._regions: list[Vectors] = []
        self._spaces: Spaces | None = None

    def __contains__(self, sha256: object) -> bool:
        return isinstance(sha256, bytes) and self._known.find(sha256) is not None

    def __getitem__(self, sha256: bytes) -> Known:
        known = self._known.find(sha256)
        if known is None:
            raise KeyError(sha256)
        return known

    @cached_property
    def _known(self) -> "_KnownContents":
        return _KnownContents(_committed(self._changes))

    def keep(self, reading: Reading) -> Reading:
        """Number and keep what a file shows, where that is new; return the reading without it."""
        content = reading.content
        if content is not None and reading.sha256 not in self:
            self._known.add(reading.sha256, Known(self._next, *content.size))
            self._next += 1
            self._waiting.append((reading.sha256, content))
            if len(self._waiting) == BATCH:
                self._embed()
        return replace(reading, content=None)

    def write(self) -> None:
        """Add what was kept to the table, and to that of the spaces, where there are some."""
        if self._waiting:
            self._embed()
        if not self._made:
            return
        changes, made, vectors = self._changes, self._made, np.concatenate(self._vectors)
        sha256s = [sha256 for sha256, _ in made]
        numbers = [self[sha256].number for sha256 in sha256s]
        packed = [None if one.features is None else encode(one.features) for _, one in made]
        prints = [0 if one.features is None else one.features.fingerprint for _, one in made]
        hashes = np.array(prints, np.uint64)
        sizes = [one.size for _, one in made]
        changes.append(
            CONTENTS,
            contents_table(np.array(numbers), sha256s, sizes, vectors, packed, hashes, self._identity),
        )
        owners, regions = np.array(numbers, np.int64), None
        if self._regions:
            regions = np.concatenate(self._regions)
            changes.append(REGIONS, regions_table(owners, regions, self._identity))
        note = changes.before.space
        if note is not None:
            self._spaces = self._spaces or Spaces.read(changes.store, note.version, note.sha256)
            found = self._spaces.project(vectors, regions, changes.before.settings)
            changes.append(projected(note.version), projected_lines(found, owners, note.sha256))
        changes.set(contents=self._next - 1)
        self._made, self._vectors, self._regions = [], [], []

    def _embed(self) -> None:
        contents = [content for _, content in self._waiting]
        self._vectors.append(embed_batch(self._embedder, [content.pixels for content in contents]))
        regions = [region for content in contents for region in content.regions]
        if regions:
            self._regions.append(embed_batch(self._embedder, regions))
        self._made += [
            (sha256, replace(content, pixels=content.pixels[:0], regions=()))
            for sha256, content in self._waiting
        ]
        self._waiting = []


def _committed(changes: Changes) -> pa.Table:
    """Return the contents that a store has, in the columns of `KNOWN`."""
    if CONTENTS not in changes.before.tables:
        return KNOWN.empty_table()
    with explained(changes.store):
        dataset = open_table(changes.store, changes.before, CONTENTS)
        return dataset.to_table(columns=KNOWN.names).cast(KNOWN)


class _KnownContents:
    """Contents found by their SHA-256, in some 64 bytes each; several threads may look for them."""

    def __init__(self, table: pa.Table) -> None:
        """Take a table of `KNOWN`."""
        self._recent: dict[bytes, Known] = {}
        self._sorted = _Sorted(table)

    def find(self, sha256: bytes) -> Known | None:
        """Return what is known of a content; None where it is not."""
        # In this order, as `add` brings them from the one into the other.
        return self._recent.get(sha256) or self._sorted.find(sha256)

    def add(self, sha256: bytes, known: Known) -> None:
        """Add a content."""
        self._recent[sha256] = known
        if len(self._recent) == RECENT:
            lines = [(one, known.number, known.width, known.height) for one, known in self._recent.items()]
            self._sorted = _Sorted(pa.concat_tables([self._sorted.table, as_table(lines, KNOWN)]))
            self._recent = {}


class _Sorted:
    """Contents, with an order to look for them by."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table.combine_chunks()
        words = first_bytes(self.table["sha256"])
        self._order = np.argsort(words)
        self._words = words[self._order]

    def find(self, sha256: bytes) -> Known | None:
        """Return what is known of a content; None where it is not."""
        word = np.frombuffer(sha256[:8], np.uint64)[0]
        first, last = (np.searchsorted(self._words, word, side) for side in ("left", "right"))
        for line in self._order[first:last].tolist():
            if self.table["sha256"][line].as_py() == sha256:
                return Known(*(self.table[name][line].as_py() for name in KNOWN.names[1:]))
        return None


def contents_table(
    numbers: npt.NDArray[np.int64],
    sha256s: Sequence[bytes],
    sizes: Sequence[tuple[int, int]],
    vectors: Vectors,
    packed: Sequence[bytes | None],
    hashes: Fingerprints,
    identity: Identity,
) -> pa.Table:
    """Return the lines of contents (m,) in their table.

    Args:
        numbers: of the contents.
        sha256s: of the files that show them.
        sizes: width and height of each.
        vectors: (m, D) of the encoder.
        packed: local features, see `encode`; None where none are kept.
        hashes: (m,) perceptual hashes.
        identity: of the encoder.
    """
    sums = [
        None if data is None else features_checksum(data, sha256)
        for data, sha256 in zip(packed, sha256s, strict=True)
    ]
    columns = [
        pa.array(numbers, pa.int64()),
        pa.array(sha256s, pa.binary(32)),
        pa.array([width for width, _ in sizes], pa.int32()),
        pa.array([height for _, height in sizes], pa.int32()),
        pa.array(hashes, pa.uint64()),
        as_column(vectors),
        pa.array(vector_checksums(vectors, first_bytes(pa.array(sha256s, pa.binary(32))), identity.seal)),
        pa.array(packed, pa.large_binary()),
        pa.array(sums, pa.uint32()),
    ]
    return pa.Table.from_arrays(columns, schema=contents_schema(identity.network.dimension))


def regions_table(numbers: npt.NDArray[np.int64], regions: Vectors, identity: Identity) -> pa.Table:
    """Return the lines of contents (m,), with vectors (5 m, D) of the encoder, in the table of regions."""
    vectors = regions.reshape(len(numbers), -1)
    sums = vector_checksums(vectors, numbers.astype(np.uint64), identity.seal)
    return pa.Table.from_arrays(
        [pa.array(numbers), as_column(vectors), pa.array(sums)],
        schema=regions_schema(identity.network.dimension),
    )


def projected_lines(found: Projected, numbers: npt.NDArray[np.int64], seal: str) -> pa.Table:
    """Return the lines of contents (m,) in the table of the spaces.

    Args:
        found: they in the spaces.
        numbers: theirs.
        seal: the checksum of the spaces.
    """
    columns = [
        pa.array(numbers),
        as_column(found.vectors),
        pa.array(vector_checksums(found.vectors, numbers.astype(np.uint64), seal)),
        pa.array(found.lengths, pa.float32()),
        pa.array(found.partitions.astype(np.int32)),
    ]
    regions = found.region_lengths.shape[1] > 0
    if regions:
        columns.append(as_column(found.region_lengths))
    return pa.Table.from_arrays(columns, schema=projected_schema(found.vectors.shape[1], regions))
