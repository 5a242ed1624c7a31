"""The catalogue: the pictures of one version of a gallery, and which of them a filter lets through."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import PurePosixPath
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ris.indexes.index import Mask
from ris.types import BadQueryError, Filter, NoSuchPictureError, Picture

Positions: TypeAlias = npt.NDArray[np.int64]
"""Places in the catalogue, from 0; unlike rows they change with it."""
NO_PICTURES: Positions = np.zeros(0, np.int64)
SCHEMA = pa.schema(
    {
        "row": pa.int64(),
        "path": pa.string(),
        "label": pa.string(),
        "bytes": pa.int64(),
        "modified": pa.int64(),
        "read": pa.int64(),
        "content": pa.int64(),
        "width": pa.int32(),
        "height": pa.int32(),
        "sha256": pa.binary(32),
    }
)
"""A line a picture. `content` is the number of what its file shows, the same for files of the same bytes;
times are nanoseconds since 1970, `read` that at which the file was last read."""
COLUMNS_SCHEMA = pa.schema({"path": pa.string(), "name": pa.string(), "value": pa.string()})
"""The user's own columns, a line a cell."""


class Catalogue:
    """Pictures as a table; a picture's position is its line."""

    def __init__(self, table: pa.Table, cells: pa.Table | None = None) -> None:
        """Take a table of `SCHEMA`, and one of `COLUMNS_SCHEMA`."""
        self.lines = table
        """All of it; `table` in one piece, once that was asked for."""
        self._cells = COLUMNS_SCHEMA.empty_table() if cells is None else cells

    def __len__(self) -> int:
        return len(self.lines)

    @cached_property
    def table(self) -> pa.Table:
        """All of it, each column in one piece."""
        self.lines = self.lines.combine_chunks()
        pa.default_memory_pool().release_unused()
        return self.lines

    @cached_property
    def rows(self) -> npt.NDArray[np.int64]:
        """The row (n,) of each picture."""
        return self._numbers("row")

    @cached_property
    def contents(self) -> npt.NDArray[np.int64]:
        """The number (n,) of what each picture shows."""
        return self._numbers("content")

    @cached_property
    def by_path(self) -> Positions:
        """The positions (n,) of all pictures, sorted by path."""
        return np.asarray(pc.sort_indices(self.table["path"]), np.int64)

    def position(self, row: int) -> int:
        """Return where the picture of a row stands.

        Raises:
            NoSuchPictureError: there is none.
        """
        order, rows = self._sorted_rows
        place = int(np.searchsorted(rows, row))
        if place == len(rows) or rows[place] != row:
            raise NoSuchPictureError(f"The store has no picture in row {row}.")
        return int(order[place])

    def pictures(self, positions: Positions | Sequence[int]) -> list[Picture]:
        """Return the pictures at positions (j,)."""
        lines = self.table.take(pa.array(positions, pa.int64())).to_pydict()
        return [
            Picture(row, path, label, width, height, size, modified / 1e9, sha256.hex())
            for row, path, label, width, height, size, modified, sha256 in zip(
                *(lines[name] for name in ("row", "path", "label", "width", "height", "bytes", "modified")),
                lines["sha256"],
                strict=True,
            )
        ]

    def paths(self, positions: Positions | Sequence[int]) -> list[str]:
        """Return the paths of the pictures at positions (j,)."""
        found: list[str] = self.table["path"].take(pa.array(positions, pa.int64())).to_pylist()
        return found

    def mask(self, where: Filter | None) -> Mask | None:
        """Tell which pictures (n,) a filter lets through; None where it lets through all.

        Raises:
            BadQueryError: it names a column that there is not.
        """
        masks = [] if where is None else self._masks(where)
        return np.logical_and.reduce(masks) if masks else None

    def chosen(self, where: Filter | None) -> Positions:
        """Return the positions (j,) of the pictures that a filter lets through, by path."""
        mask = self.mask(where)
        return self.by_path if mask is None else self.by_path[mask[self.by_path]]

    def labels(self) -> dict[str, int]:
        """Count the pictures of each label, sorted."""
        names, codes = self._labels
        counts = np.bincount(codes, minlength=len(names))
        return {name: int(counts[code]) for name, code in sorted(names.items()) if counts[code]}

    def folders(self) -> list[str]:
        """Return every folder that holds pictures at any depth but the top one, sorted."""
        direct = pc.unique(pc.replace_substring_regex(self.table["path"], r"/?[^/]*$", "")).to_pylist()
        paths = [PurePosixPath(name) for name in direct]
        every = {str(folder) for path in paths for folder in (path, *path.parents)}
        return sorted(every - {"."})

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the user's own columns, sorted."""
        return tuple(sorted(pc.unique(self._cells["name"]).to_pylist()))

    def values(self, column: str) -> list[str]:
        """Return the values that occur in one of the user's own columns, sorted."""
        return sorted(
            pc.unique(self._cells.filter(pc.equal(self._cells["name"], column))["value"]).to_pylist()
        )

    def with_sha256(self, sha256: bytes) -> Positions:
        """Return the positions (j,) of the pictures whose file has a SHA-256."""
        same = pc.equal(self.table["sha256"], pa.scalar(sha256, pa.binary(32)))
        return np.flatnonzero(np.asarray(same))

    def _masks(self, where: Filter) -> list[Mask]:
        """Return what each condition of a filter lets through."""
        masks = []
        if where.labels:
            names, codes = self._labels
            masks.append(np.isin(codes, [names[label] for label in where.labels if label in names]))
        if where.folders and "" not in where.folders:
            inside = [np.asarray(pc.starts_with(self.table["path"], f"{one}/")) for one in where.folders]
            masks.append(np.logical_or.reduce(inside))
        if where.min_side is not None:
            masks.append(self._sides >= where.min_side)
        if where.min_bytes is not None:
            masks.append(self._bytes >= where.min_bytes)
        if where.max_bytes is not None:
            masks.append(self._bytes <= where.max_bytes)
        if where.modified_after is not None:
            masks.append(self._modified >= where.modified_after)
        if where.modified_before is not None:
            masks.append(self._modified <= where.modified_before)
        return masks + [self._with_value(name, value) for name, value in where.columns.items()]

    def _with_value(self, name: str, value: str) -> Mask:
        if name not in self.columns:
            raise BadQueryError(
                f"The store has no column {name}; it has {', '.join(self.columns) or 'none'}."
            )
        if name not in self._codes:
            cells = self._cells.filter(pc.equal(self._cells["name"], name))
            values = pc.unique(cells["value"])
            lines = pc.index_in(self.table["path"], cells["path"])
            codes = pc.index_in(cells["value"], values).take(lines)
            self._codes[name] = values.to_pylist(), np.asarray(codes.fill_null(-1), np.int32)
        values, codes = self._codes[name]
        return codes == values.index(value) if value in values else np.zeros(len(self), np.bool_)

    def _numbers(self, name: str) -> npt.NDArray[np.int64]:
        return np.asarray(self.table[name], np.int64)

    @cached_property
    def _sorted_rows(self) -> tuple[Positions, npt.NDArray[np.int64]]:
        order = np.argsort(self.rows, kind="stable")
        return order, self.rows[order]

    @cached_property
    def _labels(self) -> tuple[dict[str, int], npt.NDArray[np.int32]]:
        coded = self.table["label"].combine_chunks().dictionary_encode()
        names = {name: code for code, name in enumerate(coded.dictionary.to_pylist())}
        return names, np.asarray(coded.indices, np.int32)

    @cached_property
    def _codes(self) -> dict[str, tuple[list[str], npt.NDArray[np.int32]]]:
        """The values of a column, and for each picture which of them it has, -1 for none."""
        return {}

    @cached_property
    def _bytes(self) -> npt.NDArray[np.int64]:
        return self._numbers("bytes")

    @cached_property
    def _sides(self) -> npt.NDArray[np.int64]:
        return np.minimum(self._numbers("width"), self._numbers("height"))

    @cached_property
    def _modified(self) -> npt.NDArray[np.float64]:
        return self._numbers("modified") / 1e9


def label_of(path: str) -> str:
    """Return the name of the folder that a picture lies in; empty at the top."""
    return PurePosixPath(path).parent.name
