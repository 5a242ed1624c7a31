"""What files show, each once: known by its SHA-256, numbered, embedded and added to the store's table."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ris.copies.local_features import decode, encode
from ris.copies.perceptual_hash import Fingerprints
from ris.copies.words import words_of
from ris.encoders.named import Identity, OpenEncoder
from ris.indexes.vectors import Vectors
from ris.store.gallery import features_checksum
from ris.store.ingest import BATCH, Content, Reading, embed_contents
from ris.store.spaces import Embedded, Projected, Spaces
from ris.store.tables import (
    CONTENTS,
    COPIES,
    REGIONS,
    Changes,
    as_column,
    as_table,
    beside_schema,
    contents_schema,
    explained,
    first_bytes,
    open_table,
    projected,
    projected_schema,
    vector_checksums,
)

KNOWN = pa.schema({"sha256": pa.binary(32), "content": pa.int64(), "width": pa.int32(), "height": pa.int32()})
"""What is held in memory of each content, so that it is known again."""
NO_DESCRIPTORS = np.zeros((0, 128), np.uint8)
UNSORTED = 32
"""Contents that are looked for one by one, which for a few takes less than sorting all."""
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

    def __init__(self, changes: Changes, encoder: OpenEncoder, copies: OpenEncoder | None) -> None:
        """Begin.

        Args:
            changes: to the store.
            encoder: of the store.
            copies: the one by which copies are looked for; None where that is the same one.
        """
        self._changes, self._encoder, self._copies_encoder = changes, encoder, copies
        self._next = changes.before.contents + 1
        self._waiting: list[tuple[bytes, Content]] = []
        self._made: list[tuple[bytes, Content]] = []
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
        changes, made = self._changes, self._made
        embedded = Embedded.joined([one.embedded for _, one in made if one.embedded is not None])
        sha256s = [sha256 for sha256, _ in made]
        numbers = np.array([self[sha256].number for sha256 in sha256s], np.int64)
        packed = [None if one.features is None else encode(one.features) for _, one in made]
        prints = [0 if one.features is None else one.features.fingerprint for _, one in made]
        hashes = np.array(prints, np.uint64)
        sizes = [one.size for _, one in made]
        changes.append(
            CONTENTS,
            contents_table(numbers, sha256s, sizes, embedded.vectors, packed, hashes, self._encoder.identity),
        )
        for name, vectors in ((COPIES, embedded.copies), (REGIONS, embedded.regions)):
            if vectors is not None:
                changes.append(name, beside_table(numbers, vectors, self._for_copies.identity))
        note = changes.before.space
        if note is not None:
            self._spaces = self._spaces or Spaces.read(changes.store, changes.before)
            found = self._spaces.project(embedded, changes.before.settings)
            changes.append(projected(note.version), projected_lines(found, numbers, note.sha256))
        changes.set(contents=self._next - 1)
        self._made = []

    @property
    def _for_copies(self) -> OpenEncoder:
        return self._copies_encoder or self._encoder

    def _embed(self) -> None:
        sha256s, contents = zip(*self._waiting, strict=True)
        self._made += zip(sha256s, embed_contents(contents, (self._encoder, self._for_copies)), strict=True)
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
    """Contents, with an order to look for them by, made when it pays."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table.combine_chunks()
        self._words = first_bytes(self.table["sha256"])
        self._searches = 0

    @cached_property
    def _ordered(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint64]]:
        order = np.argsort(self._words)
        return order, self._words[order]

    def find(self, sha256: bytes) -> Known | None:
        """Return what is known of a content; None where it is not."""
        self._searches += 1
        word = np.frombuffer(sha256[:8], np.uint64)[0]
        if self._searches <= UNSORTED:
            lines = np.flatnonzero(self._words == word)
        else:
            order, words = self._ordered
            lines = order[slice(*(np.searchsorted(words, word, side) for side in ("left", "right")))]
        for line in lines.tolist():
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
    descriptors = [NO_DESCRIPTORS if data is None else decode(data).descriptors for data in packed]
    columns = [
        pa.array(numbers, pa.int64()),
        pa.array(sha256s, pa.binary(32)),
        pa.array([width for width, _ in sizes], pa.int32()),
        pa.array([height for _, height in sizes], pa.int32()),
        pa.array(hashes, pa.uint64()),
        pa.array([one.astype("<u2").tobytes() for one in words_of(descriptors)], pa.binary()),
        as_column(vectors),
        pa.array(vector_checksums(vectors, first_bytes(pa.array(sha256s, pa.binary(32))), identity.seal)),
        pa.array(packed, pa.large_binary()),
        pa.array(sums, pa.uint32()),
    ]
    return pa.Table.from_arrays(columns, schema=contents_schema(identity.network.dimension))


def beside_table(numbers: npt.NDArray[np.int64], vectors: Vectors, identity: Identity) -> pa.Table:
    """Return the lines of contents in a table beside theirs.

    Args:
        numbers: (m,) of the contents.
        vectors: (m, E), or (5 m, E) of regions.
        identity: of the encoder that made them.
    """
    lines = vectors.reshape(len(numbers), -1)
    sums = vector_checksums(lines, numbers.astype(np.uint64), identity.seal)
    return pa.Table.from_arrays(
        [pa.array(numbers), as_column(lines), pa.array(sums)], schema=beside_schema(lines.shape[1])
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
