"""Which picture shows what, after a folder has changed: added, changed, moved and removed ones."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ris.gallery.catalogue import SCHEMA, label_of
from ris.store.contents import Contents, Known
from ris.store.folder import File
from ris.store.ingest import Reading
from ris.store.tables import (
    PICTURES,
    REJECTED,
    REJECTED_SCHEMA,
    Changes,
    Fragments,
    as_table,
    joined,
    read_fragments,
    read_small,
)
from ris.types import Rejected

REWRITTEN = 0.2
"""Share of the pictures from which on the table is written anew instead of changed."""
AT_ONCE = 4096
"""Files that are compared together."""


@dataclass(frozen=True)
class Line:
    """A picture of the table."""

    row: int
    path: str
    size: int
    modified: int
    read: int
    content: int
    width: int
    height: int
    sha256: bytes

    @classmethod
    def of(cls, row: int, reading: Reading, known: Known) -> Self:
        """Return the line of a file that was read, and shows a content."""
        file = reading.file
        return cls(
            row,
            file.path,
            file.bytes,
            file.modified,
            reading.read,
            known.number,
            known.width,
            known.height,
            reading.sha256,
        )

    def values(self) -> tuple[object, ...]:
        """Return them as the table has them."""
        return (
            self.row,
            self.path,
            label_of(self.path),
            self.size,
            self.modified,
            self.read,
            self.content,
            self.width,
            self.height,
            self.sha256,
        )


class Files:
    """Files that a table of the store has, as they were when they were read."""

    def __init__(self, table: pa.Table) -> None:
        """Take a table with the columns `path`, `bytes`, `modified` and `read`."""
        self.table = table
        self.sizes, self.times, self.reads = (
            np.asarray(table[name], np.int64) for name in ("bytes", "modified", "read")
        )
        self.seen = np.zeros(len(table), np.bool_)
        """Which (n,) were found unchanged."""
        self._next = 0

    def places(self, paths: Iterable[str]) -> dict[str, int]:
        """Return the places of those paths that the table has."""
        wanted = pa.array(list(paths), pa.string())
        if not len(self.table) or not len(wanted):
            return {}
        which = pc.index_in(self.table["path"], wanted)
        places = np.flatnonzero(np.asarray(pc.is_valid(which)))
        return dict(zip(self.paths(places), places.tolist(), strict=True))

    def paths(self, places: npt.NDArray[np.int64]) -> list[str]:
        """Return the paths at some places."""
        found: list[str] = self.table["path"].take(pa.array(places)).to_pylist()
        return found

    def unseen(self) -> list[str]:
        """Return the paths that were not found unchanged."""
        return self.paths(np.flatnonzero(~self.seen))

    def as_known(self, found: Sequence[File | Rejected], unsure: int) -> list[File] | None:
        """Compare files with those that come next in the table, whose order is mostly that of a walk.

        Returns:
            Those that must be read all the same; None where others come next.
        """
        rows = slice(self._next, self._next + len(found))
        if found != self._stats(rows):
            return None
        sure = self._sure(rows, unsure)
        self.seen[rows] |= sure
        self._next = rows.stop
        return [File(*found[place]) for place in np.flatnonzero(~sure)]

    def coming(self) -> dict[str, int]:
        """Return the places of the paths that come next in the table."""
        window = slice(self._next, self._next + 2 * AT_ONCE)
        return {stat[0]: place for place, stat in enumerate(self._stats(window), window.start)}

    def see(self, files: Iterable[File], known: Mapping[str, int], unsure: int) -> list[File]:
        """Note which files at known places are unchanged for sure, and return the others."""
        fresh = []
        for file in files:
            place = known[file.path]
            same = (file.bytes, file.modified) == (self.sizes[place], self.times[place])
            if same and self._sure(slice(place, place + 1), unsure)[0]:
                self.seen[place] = True
            else:
                fresh.append(file)
        return fresh

    def _stats(self, rows: slice) -> list[tuple[str, int, int]]:
        paths = self.table["path"].slice(rows.start, rows.stop - rows.start).to_pylist()
        return list(zip(paths, self.sizes[rows].tolist(), self.times[rows].tolist(), strict=True))

    def _sure(self, rows: slice, unsure: int) -> npt.NDArray[np.bool_]:
        return self.times[rows] < self.reads[rows] - unsure


class Pictures(Files):
    """The pictures of a store as they were committed, and the files that it rejected."""

    def __init__(self, table: pa.Table, rejected: pa.Table) -> None:
        super().__init__(table)
        self.refused = Files(rejected)
        self.rows = np.asarray(table["row"], np.int64)
        self.contents = np.asarray(table["content"], np.int64)

    @classmethod
    def read(cls, changes: Changes, known: Fragments | None = None) -> Self:
        """Read what was committed.

        Args:
            changes: to the store.
            known: of the table of pictures.
        """
        if PICTURES not in changes.before.tables:
            return cls(SCHEMA.empty_table(), REJECTED_SCHEMA.empty_table())
        fragments = read_fragments(changes.store, changes.before, PICTURES, known)
        return cls(joined(fragments, SCHEMA), read_small(changes.store, changes.before, REJECTED))

    def compare(self, found: Iterable[File | Rejected], unsure: int) -> tuple[list[File], list[Rejected]]:
        """Note which of the files that were found are known and unchanged, and return the others.

        Args:
            found: in the folder.
            unsure: nanoseconds between the last change of a file and its reading, below which it may have
                changed again unseen.
        """
        fresh: list[File] = []
        rejected: list[Rejected] = []
        elsewhere: list[File] = []
        found = iter(found)
        while batch := list(islice(found, AT_ONCE)):
            changed = self.as_known(batch, unsure)
            if changed is None:
                rejected += [one for one in batch if isinstance(one, Rejected)]
                files = [one for one in batch if isinstance(one, File)]
                known = self.coming()
                here = [file for file in files if file.path in known]
                changed = self.see(here, known, unsure)
                self._next = max([self._next, *(known[file.path] + 1 for file in here)])
                elsewhere += [file for file in files if file.path not in known]
            fresh += changed
        for table in (self, self.refused):
            known = table.places(file.path for file in elsewhere)
            fresh += table.see([file for file in elsewhere if file.path in known], known, unsure)
            elsewhere = [file for file in elsewhere if file.path not in known]
        return fresh + elsewhere, rejected

    def gone(self) -> set[str]:
        """Return the paths of pictures and rejected files that were not found unchanged."""
        return {*self.unseen(), *self.refused.unseen()}

    def at_or_below(self, path: str) -> set[int]:
        """Return the places of the picture at a path, and of all below it."""
        paths = self.table["path"]
        chosen = pc.or_(pc.equal(paths, path), pc.starts_with(paths, f"{path}/"))
        return set(np.flatnonzero(np.asarray(chosen)).tolist())

    def write(self, changes: Changes, gone: set[int], lines: Sequence[Line]) -> None:
        """Take away the pictures at some places, and add lines."""
        fresh = as_table((line.values() for line in lines), SCHEMA)
        leaving = self.rows[sorted(gone)]
        if len(gone) > REWRITTEN * len(self.table) + 1:
            now = changes.read(PICTURES)
            left = ~np.isin(np.asarray(now["row"], np.int64), leaving)
            changes.replace(PICTURES, pa.concat_tables([now.filter(pa.array(left)).cast(SCHEMA), fresh]))
            return
        if gone:
            changes.delete(PICTURES, "row", leaving.tolist())
        changes.append(PICTURES, fresh)


@dataclass(frozen=True)
class Placing:
    """What has become of the pictures."""

    pictures: Pictures
    before: int
    """How many there were."""
    counts: tuple[int, int, int, int]
    """How many were added, changed, moved and removed."""
    gone: set[int]
    """Places of pictures that leave the table, for good or to come back otherwise."""
    lines: list[Line]
    """Pictures that come into it."""
    refused: list[tuple[object, ...]]
    """Lines of files that are no use."""
    no_longer_refused: set[str]
    news: list[Rejected]
    """Files that are no use, and were not before for the same reason."""
    last_row: int
    touched: bool
    """Whether a file that is the same has another time than before."""

    @property
    def differs(self) -> bool:
        """Whether the store holds something else than before."""
        gone = self.no_longer_refused - self._refused_paths
        return any(self.counts) or self.touched or bool(self.news) or bool(gone)

    @property
    def _refused_paths(self) -> set[str]:
        return {str(line[0]) for line in self.refused}

    @classmethod
    def of(
        cls,
        pictures: Pictures,
        readings: Sequence[Reading],
        rejected: Sequence[Rejected],
        contents: Contents,
        everything: bool,
        last_row: int,
    ) -> Self:
        """Compare what was read with what the store holds.

        Args:
            pictures: as they were committed, compared with what was found.
            readings: of the files that were not known or have changed.
            rejected: found, but no files to read.
            contents: what the files show.
            everything: whether all that there is was found, so that what was not is gone.
            last_row: given out so far.
        """
        useful = {one.file.path: one for one in readings if one.reason is None}
        useless = {one.file.path: one for one in readings if one.reason is not None}
        useless |= {one.path: Reading(File(one.path, -1, -1), -1, b"", None, one.reason) for one in rejected}
        gone = pictures.gone() - useful.keys() - useless.keys() if everything else set()
        concerned = {*useful, *useless, *gone}
        places = pictures.places(concerned)
        refused = pictures.refused.places(concerned)
        numbers = {path: contents[one.sha256].number for path, one in useful.items()}
        arriving = {
            path: number
            for path, number in sorted(numbers.items())
            if path not in places or pictures.contents[places[path]] != number
        }
        displaced = {path: places[path] for path in sorted({*arriving, *useless, *gone} & places.keys())}
        moved, changed, removed, rows, last_row = _assigned(pictures, displaced, arriving, last_row)
        kept = {path: int(pictures.rows[places[path]]) for path in useful if path not in rows}
        of_path = rows | kept
        lines = [Line.of(of_path[path], one, contents[one.sha256]) for path, one in useful.items()]
        reasons = pictures.refused.table["reason"].take(pa.array(refused.values(), pa.int64())).to_pylist()
        before = dict(zip(refused, reasons, strict=True))
        news = [Rejected(path, str(one.reason)) for path, one in sorted(useless.items())]
        return cls(
            pictures=pictures,
            before=len(pictures.table),
            counts=(len(arriving) - moved - changed, changed, moved, removed),
            gone={*displaced.values(), *(places[path] for path in useful if path in places)},
            lines=lines,
            refused=[
                (path, one.reason, one.file.bytes, one.file.modified, one.read)
                for path, one in useless.items()
            ],
            no_longer_refused={path for path in gone | useful.keys() | useless.keys() if path in before},
            news=[one for one in news if before.get(one.path) != one.reason],
            last_row=last_row,
            touched=any(
                path in places and pictures.times[places[path]] != one.file.modified
                for path, one in useful.items()
            ),
        )

    def write(self, changes: Changes) -> None:
        """Bring the tables to it."""
        if self.gone or self.lines:
            self.pictures.write(changes, self.gone, self.lines)
        changes.delete(REJECTED, "path", sorted(self.no_longer_refused))
        changes.append(REJECTED, as_table(self.refused, REJECTED_SCHEMA))
        added, _, _, removed = self.counts
        changes.set(
            rows=self.last_row,
            pictures=changes.value("pictures") + added - removed,
            stale=changes.value("stale") + len(self.gone),
        )


def _assigned(
    pictures: Pictures, displaced: dict[str, int], arriving: dict[str, int], last_row: int
) -> tuple[int, int, int, dict[str, int], int]:
    """Give every arriving path a row: that of a picture that moved there, its own, or a new one.

    Args:
        pictures: as they were committed.
        displaced: places of pictures whose path is gone, or shows something else now.
        arriving: the content at each path that is new, or shows something else now.
        last_row: given out so far.

    Returns:
        How many were moved, changed and removed, the row of each arriving path, and the last row given out.
    """
    homeless: dict[int, list[int]] = {}
    for place in displaced.values():
        homeless.setdefault(int(pictures.contents[place]), []).append(int(pictures.rows[place]))
    rows = {path: homeless[content].pop(0) for path, content in arriving.items() if homeless.get(content)}
    moved = set(rows.values())
    changed = 0
    for path in arriving:
        if path in rows:
            continue
        own = int(pictures.rows[displaced[path]]) if path in displaced else None
        if own is not None and own not in moved:
            rows[path] = own
            changed += 1
        else:
            last_row += 1
            rows[path] = last_row
    kept = set(rows.values())
    removed = sum(int(pictures.rows[place]) not in kept for place in displaced.values())
    return len(moved), changed, removed, rows, last_row
