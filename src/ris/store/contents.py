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
from ris.store.spaces import Spaces
from ris.store.tables import (
    CONTENTS,
    Changes,
    as_column,
    contents_schema,
    explained,
    first_bytes,
    open_table,
    projected,
    projected_schema,
    vector_checksums,
)


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
        self._added: dict[bytes, Known] = {}
        self._next = changes.before.contents + 1
        self._waiting: list[tuple[bytes, Content]] = []
        self._made: list[tuple[bytes, Content]] = []
        self._vectors: list[Vectors] = []
        self._spaces: Spaces | None = None

    def __contains__(self, sha256: object) -> bool:
        return isinstance(sha256, bytes) and (
            sha256 in self._added or self._committed.find(sha256) is not None
        )

    def __getitem__(self, sha256: bytes) -> Known:
        known = self._added.get(sha256) or self._committed.find(sha256)
        if known is None:
            raise KeyError(sha256)
        return known

    @cached_property
    def _committed(self) -> "_Committed":
        return _Committed(self._changes)

    def keep(self, reading: Reading) -> Reading:
        """Number and keep what a file shows, where that is new; return the reading without it."""
        content = reading.content
        if content is not None and reading.sha256 not in self:
            self._added[reading.sha256] = Known(self._next, *content.size)
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
        numbers = [self._added[sha256].number for sha256 in sha256s]
        packed = [None if one.features is None else encode(one.features) for _, one in made]
        prints = [0 if one.features is None else one.features.fingerprint for _, one in made]
        hashes = np.array(prints, np.uint64)
        sizes = [one.size for _, one in made]
        changes.append(
            CONTENTS,
            contents_table(np.array(numbers), sha256s, sizes, vectors, packed, hashes, self._identity),
        )
        note = changes.before.space
        if note is not None:
            self._spaces = self._spaces or Spaces.read(changes.store, note.version, note.sha256)
            table = projected_lines(self._spaces, np.array(numbers, np.int64), vectors, note.sha256)
            changes.append(projected(note.version), table)
        changes.set(contents=self._next - 1)
        self._made, self._vectors = [], []

    def _embed(self) -> None:
        pixels = [content.pixels for _, content in self._waiting]
        self._vectors.append(embed_batch(self._embedder, pixels))
        small = [(sha256, replace(content, pixels=content.pixels[:0])) for sha256, content in self._waiting]
        self._made += small
        self._waiting = []


class _Committed:
    """The contents that the store had, found by their SHA-256 in little memory."""

    def __init__(self, changes: Changes) -> None:
        self._table = contents_schema(1).empty_table()
        if CONTENTS in changes.before.tables:
            with explained(changes.store):
                dataset = open_table(changes.store, changes.before, CONTENTS)
                names = ["sha256", "content", "width", "height"]
                self._table = dataset.to_table(columns=names).combine_chunks()
        words = first_bytes(self._table["sha256"])
        self._order = np.argsort(words, kind="stable")
        self._words = words[self._order]

    def find(self, sha256: bytes) -> Known | None:
        """Return what the store has of a content; None where it has it not."""
        word = np.frombuffer(sha256[:8], np.uint64)[0]
        first, last = (np.searchsorted(self._words, word, side) for side in ("left", "right"))
        for line in self._order[first:last].tolist():
            if self._table["sha256"][line].as_py() == sha256:
                return Known(*(self._table[name][line].as_py() for name in ("content", "width", "height")))
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


def projected_lines(spaces: Spaces, numbers: npt.NDArray[np.int64], vectors: Vectors, seal: str) -> pa.Table:
    """Return the lines of contents (m,) with vectors (m, D) in the table of the spaces.

    Args:
        spaces: that they are projected into.
        numbers: of the contents.
        vectors: of the encoder.
        seal: the checksum of the spaces.
    """
    found = spaces.project(vectors)
    columns = [
        pa.array(numbers),
        as_column(found.vectors),
        pa.array(vector_checksums(found.vectors, numbers.astype(np.uint64), seal)),
        pa.array(found.lengths, pa.float32()),
        pa.array(found.partitions.astype(np.int32)),
    ]
    return pa.Table.from_arrays(columns, schema=projected_schema(found.vectors.shape[1]))
