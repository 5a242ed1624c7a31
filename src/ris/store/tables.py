"""The Lance tables of a store: what they hold, how they are read whole, and how a writer changes them."""

import errno
import os
import re
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import lance
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ris.copies import views
from ris.errors import RisError
from ris.gallery import catalogue
from ris.indexes.vectors import Vectors
from ris.store.commits import Commit, Table, write_commit
from ris.store.storage import Address, Place, lance_options, sha256_of
from ris.types import BusyError, DamagedError, ReadOnlyError

PICTURES, COLUMNS, REJECTED, MAP = "pictures", "columns", "rejected", "map"
CONTENTS, COPIES, REGIONS = "contents", "copies", "regions"
REJECTED_SCHEMA = pa.schema(
    {
        "path": pa.string(),
        "reason": pa.string(),
        "bytes": pa.int64(),
        "modified": pa.int64(),
        "read": pa.int64(),
    }
)
MAP_SCHEMA = pa.schema({"content": pa.int64(), "x": pa.float32(), "y": pa.float32()})
LARGEST = 1e6
"""No number of a vector is as large: the encoder's have length 1."""
SMALL = {
    PICTURES: catalogue.SCHEMA,
    COLUMNS: catalogue.COLUMNS_SCHEMA,
    REJECTED: REJECTED_SCHEMA,
    MAP: MAP_SCHEMA,
}
"""Tables that are read whole, after the checksums of their files."""


def contents_schema(dimension: int) -> pa.Schema:
    """Return what is kept of what files show; lines are only added, and a checksum is of one line."""
    return pa.schema(
        {
            "content": pa.int64(),
            "sha256": pa.binary(32),
            "width": pa.int32(),
            "height": pa.int32(),
            "hash": pa.uint64(),
            "words": pa.binary(),
            "vector": pa.list_(pa.float32(), dimension),
            "vector_checksum": pa.uint64(),
            "features": pa.large_binary(),
            "features_checksum": pa.uint32(),
        }
    )


def beside_schema(numbers: int) -> pa.Schema:
    """Return what is kept beside each content: its vector for copies, or those of its regions in one line."""
    return pa.schema(
        {
            "content": pa.int64(),
            "vector": pa.list_(pa.float32(), numbers),
            "vector_checksum": pa.uint64(),
        }
    )


def projected(version: int) -> str:
    """Return the name of the table of contents in the spaces of a version."""
    return f"projected_{version}"


def projected_schema(dimension: int, regions: bool) -> pa.Schema:
    """Return what is kept of contents in the spaces of one version, with or without their regions."""
    columns = {
        "content": pa.int64(),
        "vector": pa.list_(pa.float32(), dimension),
        "vector_checksum": pa.uint64(),
        "length": pa.float32(),
        "partition": pa.int32(),
    }
    if regions:
        columns["region_lengths"] = pa.list_(pa.float32(), views.REGIONS)
    return pa.schema(columns)


def as_column(vectors: Vectors) -> pa.Array:
    """Return vectors (n, d) as a column."""
    return pa.FixedSizeListArray.from_arrays(
        pa.array(np.ascontiguousarray(vectors, np.float32).ravel()), vectors.shape[1]
    )


def as_vectors(column: pa.ChunkedArray, dimension: int) -> Vectors:
    """Return a column as vectors (n, d), in memory of their own."""
    vectors = np.empty((len(column), dimension), np.float32)
    start = 0
    for chunk in column.chunks:
        vectors[start : start + len(chunk)] = np.asarray(chunk.flatten(), np.float32).reshape(-1, dimension)
        start += len(chunk)
    return vectors


def vector_checksums(vectors: Vectors, owners: npt.NDArray[np.uint64], seal: str) -> npt.NDArray[np.uint64]:
    """Return a checksum (n,) of each of vectors (n, d), of whose it is, and of what made it.

    The sum of all words, each multiplied by an odd number of its own: any change of one word changes it, as
    does one of the owner or of the seal.

    Args:
        vectors: float32.
        owners: (n,) numbers that name whose they are.
        seal: names what made them, such as an encoder.
    """
    words = np.ascontiguousarray(vectors, np.float32).view(np.uint32)
    factors = np.random.default_rng(zlib.crc32(seal.encode())).integers(
        1, 2**63, words.shape[1], np.uint64
    ) | np.uint64(1)
    sums = np.empty(len(words), np.uint64)
    for start in range(0, len(words), 4096):
        sums[start : start + 4096] = (words[start : start + 4096] * factors).sum(axis=1, dtype=np.uint64)
    return sums + owners * np.uint64(0x9E3779B97F4A7C15)


def sound(vectors: Vectors) -> npt.NDArray[np.bool_]:
    """Tell which (n,) of vectors (n, d) hold numbers that an encoder or a projection can give."""
    found: npt.NDArray[np.bool_] = (vectors.max(axis=1) < LARGEST) & (vectors.min(axis=1) > -LARGEST)
    return found


def first_bytes(sha256: pa.ChunkedArray | pa.Array) -> npt.NDArray[np.uint64]:
    """Return the first eight bytes (n,) of a column of SHA-256 sums, as numbers."""
    whole = sha256.combine_chunks() if isinstance(sha256, pa.ChunkedArray) else sha256
    if not len(whole):
        return np.zeros(0, np.uint64)
    words = np.frombuffer(whole.buffers()[1], np.uint64).reshape(-1, 4)
    return words[whole.offset : whole.offset + len(whole), 0]


def _folder(store: Place, name: str) -> Place:
    return store / f"{name}.lance"


def open_table(store: Place, commit: Commit, name: str) -> lance.LanceDataset:
    """Open a table at its version in a commit; its manifest is checked first, its data is not.

    Raises:
        DamagedError: it is not as it was committed, or no table of its name.
    """
    table = commit.tables.get(name)
    if table is None:
        raise DamagedError(f"{store} lacks its table {name}; build it anew.")
    check_files(store, {file: one for file, one in table.files.items() if file.endswith(".manifest")})
    dataset = open_version(store, name, table.version)
    with explained(store):
        if not dataset.schema.equals(_schema(commit, name, dataset.schema)):
            raise DamagedError(f"The table {name} of {store} has other columns; build the store anew.")
        if not {*_files(name, dataset)} <= table.files.keys():
            raise DamagedError(f"{store} has no checksum of all of its table {name}; build the store anew.")
        return dataset


def open_version(store: Place, name: str, version: int | None = None) -> lance.LanceDataset:
    """Open a table at a version, or at its newest, unchecked."""
    with explained(store):
        return lance.dataset(str(_folder(store, name)), version=version, storage_options=lance_options(store))


def _schema(commit: Commit, name: str, found: pa.Schema) -> pa.Schema:
    """Return what columns a table has to have; `found` tells how many dimensions the spaces have."""
    dimension, beside = (one.network.dimension for one in (commit.identity, commit.copies or commit.identity))
    if name in SMALL:
        return SMALL[name]
    if name == CONTENTS:
        return contents_schema(dimension)
    if name in (COPIES, REGIONS):
        return beside_schema(beside if name == COPIES else views.REGIONS * beside)
    kind = found.field("vector").type if "vector" in found.names else pa.null()
    return projected_schema(
        kind.list_size if pa.types.is_fixed_size_list(kind) else 0, commit.settings.regions
    )


Fragments: TypeAlias = dict[tuple[str, ...], pa.Table]
"""Lines of a table, by the files and checksums of the fragment of Lance's that they lie in."""


def read_fragments(store: Place, commit: Commit, name: str, known: Fragments | None = None) -> Fragments:
    """Read one of the tables that are read whole, but for the fragments that are known.

    Raises:
        DamagedError: it is not as it was committed.
    """
    sums, found = commit.tables[name].files, Fragments()
    dataset = open_table(store, commit, name)
    with explained(store):
        for fragment in dataset.get_fragments():
            files = {file: sums[file] for file in files_of(name, fragment)}
            key = (*files, *files.values())
            if known is not None and key in known:
                found[key] = known[key]
                continue
            check_files(store, files)
            found[key] = fragment.to_table().cast(SMALL[name]).combine_chunks()
            if not _plausible(name, found[key]):
                raise DamagedError(f"The table {name} of {store} is damaged; build the store anew.")
    return found


def _plausible(name: str, table: pa.Table) -> bool:
    """Tell whether a table has a value in every cell, and those of pictures are of pictures."""
    if any(column.null_count for column in table.columns):
        return False
    if name == MAP:
        return all(np.isfinite(np.asarray(table[axis])).all() for axis in ("x", "y"))
    least = {"row": 1, "content": 1, "width": 1, "height": 1, "bytes": 0} if name == PICTURES else {}
    return not len(table) or all(pc.min(table[column]).as_py() >= one for column, one in least.items())


def joined(fragments: Fragments, schema: pa.Schema) -> pa.Table:
    """Return the lines of fragments as one table."""
    return pa.concat_tables(fragments.values()) if fragments else schema.empty_table()


def read_small(store: Place, commit: Commit, name: str) -> pa.Table:
    """Read one of the tables that are read whole, see `read_fragments`."""
    return joined(read_fragments(store, commit, name), SMALL[name])


def as_table(lines: Iterable[tuple[object, ...]], schema: pa.Schema) -> pa.Table:
    """Return lines as a table."""
    columns = list(zip(*lines, strict=True)) or [()] * len(schema)
    return pa.table([list(column) for column in columns], schema=schema)


def check_files(store: Place, files: dict[str, str]) -> None:
    """Check files of a store.

    Args:
        store: its folder.
        files: SHA-256 by path relative to it.

    Raises:
        DamagedError: one is gone or changed.
    """
    for name, sha256 in files.items():
        try:
            found = sha256_of(store / name)
        except OSError as error:
            if isinstance(store, Address) and not isinstance(error, FileNotFoundError):
                raise RisError(f"{store / name} cannot be read ({error.strerror}); try again.") from error
            raise DamagedError(
                f"{store / name} cannot be read ({error.strerror}); build the store anew."
            ) from error
        if found != sha256:
            raise DamagedError(f"{store / name} is damaged; build the store anew.")


@contextmanager
def explained(store: Place) -> Iterator[None]:
    """Tell what Lance says in one sentence."""
    try:
        yield
    except RisError:
        raise
    except (OSError, ValueError, RuntimeError, pa.ArrowException, KeyError) as error:
        text = " ".join(str(error).split())
        number = re.search(r"os error (\d+)", text)
        code = int(number.group(1)) if number else getattr(error, "errno", None)
        if code in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
            raise RisError(f"{store} cannot be written ({os.strerror(code)}); it is as it was.") from error
        if code in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise ReadOnlyError(f"{store} cannot be written ({os.strerror(code)}).") from error
        if isinstance(store, Address) and not re.search("not found", text, re.IGNORECASE):
            raise RisError(f"{store} cannot be reached ({text[:200]}); try again.") from error
        raise DamagedError(f"{store} is damaged ({text[:200]}); build it anew.") from error


class Changes:
    """What a writer changes; nothing of it is seen before `commit`."""

    def __init__(self, store: Place, commit: Commit) -> None:
        self.store, self.before = store, commit
        self.touched = False
        """Whether there is anything to commit."""
        self._open: dict[str, lance.LanceDataset] = {}
        self._set: dict[str, Any] = {}

    def set(self, **values: Any) -> None:
        """Give the next commit some values."""
        self.touched |= any(self.value(name) != value for name, value in values.items())
        self._set |= values

    def value(self, name: str) -> Any:
        """Return what the next commit has under a name."""
        return self._set.get(name, getattr(self.before, name))

    def create(self, name: str, schema: pa.Schema) -> None:
        """Make an empty table, in place of any that was never committed."""
        self.touched = True
        place = _folder(self.store, name)
        with explained(self.store):
            self._open[name] = lance.write_dataset(
                schema.empty_table(),
                str(place),
                schema,
                mode="overwrite" if place.exists() else "create",
                storage_options=lance_options(self.store),
            )

    def append(self, name: str, table: pa.Table) -> None:
        """Add lines to a table."""
        if len(table):
            self.touched = True
            before = self.dataset(name)
            with explained(self.store):
                self._open[name] = lance.write_dataset(table, before, mode="append")
            self._check_alone(name, before.version)

    def delete(self, name: str, column: str, values: Sequence[Any]) -> None:
        """Take away the lines with some values in a column."""
        self.touched |= bool(values)
        for start in range(0, len(values), 1000):
            listed = ", ".join(_literal(value) for value in values[start : start + 1000])
            dataset = self.dataset(name)
            before = dataset.version
            with explained(self.store):
                dataset.delete(f"{column} IN ({listed})")
            self._check_alone(name, before)

    def join(self, name: str, rows: int) -> None:
        """Write fragments of a table that stand beside each other and have fewer rows anew, as one.

        The order of the lines stays.
        """
        self.touched = True
        with explained(self.store):
            self.dataset(name).optimize.compact_files(
                target_rows_per_fragment=rows, materialize_deletions=False, num_threads=1
            )

    def replace(self, name: str, table: pa.Table) -> None:
        """Put other lines in place of all that there are."""
        self.touched = True
        before = self.dataset(name)
        with explained(self.store):
            self._open[name] = lance.write_dataset(table, before, mode="overwrite")
        self._check_alone(name, before.version)

    def drop(self, name: str) -> None:
        """Leave a table out of the next commit."""
        self.touched = True
        self._open.pop(name, None)
        self.before = self.before.model_copy(
            update={"tables": {key: one for key, one in self.before.tables.items() if key != name}}
        )

    def commit(self, **changes: Any) -> Commit:
        """Make what was changed the newest version of the store.

        Args:
            changes: values of the commit that differ from those before.
        """
        tables = dict(self.before.tables)
        with explained(self.store):
            for name, dataset in self._open.items():
                tables[name] = _described(self.store, name, dataset, tables.get(name))
        commit = self.before.model_copy(
            update={
                **self._set,
                **changes,
                "tables": tables,
                "number": self.before.number + 1,
                "written": time.time(),
            }
        )
        with explained(self.store):
            write_commit(self.store, commit)
        self.before, self.touched, self._set = commit, False, {}
        return commit

    def dataset(self, name: str) -> lance.LanceDataset:
        """Open a table as it was committed: what a killed writer added to it is undone."""
        if name not in self._open:
            version = open_table(self.store, self.before, name).version
            dataset = open_version(self.store, name)
            if dataset.version != version:
                with explained(self.store):
                    dataset = dataset.checkout_version(version)
                    dataset.restore()  # type: ignore[no-untyped-call]
            self._open[name] = dataset
        return self._open[name]

    def read(self, name: str, columns: Sequence[str] | None = None) -> pa.Table:
        """Read a table, or columns of it, with what was changed."""
        dataset = self.dataset(name)
        with explained(self.store):
            return dataset.to_table(columns=None if columns is None else list(columns))

    def count(self, name: str) -> int:
        """Count the lines of a table, with what was changed."""
        dataset = self.dataset(name)
        with explained(self.store):
            return int(dataset.count_rows())

    def _check_alone(self, name: str, before: int) -> None:
        """See that nobody else has changed a table that had a version before it was written.

        At an address, a writer that stood still for long may have lost its lock to another one.

        Raises:
            BusyError: another one has.
        """
        if self._open[name].version > before + 1:
            raise BusyError(f"Another process has written to {self.store}; try again.")


def _described(store: Place, name: str, dataset: lance.LanceDataset, before: Table | None) -> Table:
    """Return the version of a table and the checksums of its files; those known before are not read again."""
    known = before.files if before is not None else {}
    return Table(
        version=dataset.version,
        files={file: known.get(file) or sha256_of(store / file) for file in _files(name, dataset)},
    )


def _files(name: str, dataset: lance.LanceDataset) -> list[str]:
    """Return the files of a version of a table, relative to the store."""
    files = [f"{name}.lance/_versions/{2**64 - 1 - dataset.version}.manifest"]
    for fragment in dataset.get_fragments():
        files += files_of(name, fragment)
    return files


def files_of(name: str, fragment: lance.LanceFragment) -> list[str]:
    """Return the files of a fragment, relative to the store."""
    folder, deleted = f"{name}.lance", fragment.deletion_file()
    files = [f"{folder}/data/{file.path}" for file in fragment.data_files()]
    return [*files, f"{folder}/{deleted}"] if deleted else files


def _literal(value: Any) -> str:
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return str(int(value))
