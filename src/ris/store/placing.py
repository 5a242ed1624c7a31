"""Which picture shows what, after a folder has changed: added, changed, moved and removed ones."""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import pyarrow as pa

from ris.gallery.catalogue import SCHEMA, label_of
from ris.store.contents import Contents
from ris.store.folder import File
from ris.store.ingest import Reading
from ris.store.tables import PICTURES, REJECTED, REJECTED_SCHEMA, Changes, read_small
from ris.types import Rejected

REWRITTEN = 0.2
"""Share of the pictures from which on the table is written anew instead of changed."""


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


class Pictures:
    """The pictures and the rejected files of a store, as they were committed."""

    def __init__(self, table: pa.Table, rejected: pa.Table) -> None:
        self.table, self.rejected = table.combine_chunks(), rejected.combine_chunks()
        self.places = {path: place for place, path in enumerate(table["path"].to_pylist())}
        self.refused = {path: place for place, path in enumerate(rejected["path"].to_pylist())}
        self.rows = np.asarray(table["row"], np.int64)
        self.contents = np.asarray(table["content"], np.int64)
        self.seen, self.refused_seen = bytearray(len(table)), set[str]()

    @classmethod
    def read(cls, changes: Changes) -> Self:
        """Read what was committed."""
        if PICTURES not in changes.before.tables:
            return cls(SCHEMA.empty_table(), REJECTED_SCHEMA.empty_table())
        return cls(
            read_small(changes.store, changes.before, PICTURES),
            read_small(changes.store, changes.before, REJECTED),
        )

    def compare(self, found: Iterable[File | Rejected], unsure: int) -> tuple[list[File], list[Rejected]]:
        """Note which of the files that were found are known and unchanged, and return the others.

        Args:
            found: in the folder.
            unsure: nanoseconds between the last change of a file and its reading, below which it may have
                changed again unseen.
        """
        (sizes, times, reads), of_refused = _stats(self.table), _stats(self.rejected)
        files: list[File] = []
        rejected: list[Rejected] = []
        self.seen, self.refused_seen = bytearray(len(self.table)), set()
        for one in found:
            if isinstance(one, Rejected):
                rejected.append(one)
                continue
            path, size, time = one
            place = self.places.get(path)
            if place is not None:
                if time == times[place] and size == sizes[place] and time + unsure < reads[place]:
                    self.seen[place] = True
                else:
                    files.append(one)
                continue
            place = self.refused.get(path)
            if place is None or not _same(of_refused, place, one, unsure):
                files.append(one)
            else:
                self.refused_seen.add(path)
        return files, rejected

    def unseen(self) -> set[str]:
        """Return the paths of pictures and rejected files that were not found unchanged."""
        places = np.flatnonzero(np.frombuffer(self.seen, np.uint8) == 0)
        paths = self.table["path"].take(pa.array(places)).to_pylist()
        return {*paths, *(self.refused.keys() - self.refused_seen)}

    def modified(self, place: int) -> int:
        """Return when the file of a picture was changed."""
        return int(self.table["modified"][place].as_py())

    def at_or_below(self, path: str) -> set[int]:
        """Return the places of the picture at a path, and of all below it."""
        return {
            place for known, place in self.places.items() if known == path or known.startswith(f"{path}/")
        }

    def write(self, changes: Changes, gone: set[int], lines: Sequence[Line]) -> None:
        """Take away the pictures at some places, and add lines."""
        columns = zip(*(line.values() for line in lines), strict=True)
        fresh = (
            pa.table([list(column) for column in columns], schema=SCHEMA) if lines else SCHEMA.empty_table()
        )
        leaving = self.rows[sorted(gone)]
        if len(gone) > REWRITTEN * len(self.table) + 1:
            now = changes.dataset(PICTURES).to_table()
            left = ~np.isin(np.asarray(now["row"], np.int64), leaving)
            changes.replace(PICTURES, pa.concat_tables([now.filter(pa.array(left)).cast(SCHEMA), fresh]))
            return
        if gone:
            changes.delete(PICTURES, "row", leaving.tolist())
        changes.append(PICTURES, fresh)

    def write_rejected(
        self, changes: Changes, gone: Iterable[str], fresh: Sequence[tuple[object, ...]]
    ) -> None:
        """Take away the rejected files at some paths, and add lines."""
        leaving = [path for path in gone if path in self.refused]
        if leaving:
            changes.delete(REJECTED, "path", leaving)
        if fresh:
            columns = [list(column) for column in zip(*fresh, strict=True)]
            changes.append(REJECTED, pa.table(columns, schema=REJECTED_SCHEMA))


def _stats(table: pa.Table) -> list["array[int]"]:
    """Return the sizes, times of change and times of reading of files, quick to look up one by one."""
    return [array("q", np.asarray(table[name], np.int64).tobytes()) for name in ("bytes", "modified", "read")]


def _same(stats: Sequence["array[int]"], place: int, file: File, unsure: int) -> bool:
    """Whether a file is for sure the one that was read."""
    sizes, times, reads = stats
    same = file.modified == times[place] and file.bytes == sizes[place]
    return same and file.modified + unsure < reads[place]


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
        places = pictures.places
        useful = {one.file.path: one for one in readings if one.reason is None}
        useless = {one.file.path: one for one in readings if one.reason is not None}
        useless |= {one.path: Reading(File(one.path, -1, -1), -1, b"", None, one.reason) for one in rejected}
        gone = pictures.unseen() - useful.keys() - useless.keys() if everything else set()
        numbers = {path: contents[one.sha256].number for path, one in useful.items()}
        arriving = {
            path: number
            for path, number in sorted(numbers.items())
            if path not in places or pictures.contents[places[path]] != number
        }
        displaced = {path: places[path] for path in sorted({*arriving, *useless, *gone} & places.keys())}
        moved, changed, removed, rows, last_row = _assigned(pictures, displaced, arriving, last_row)
        lines = []
        for path, one in useful.items():
            known = contents[one.sha256]
            row = rows[path] if path in rows else int(pictures.rows[places[path]])
            lines.append(
                Line(
                    row,
                    path,
                    one.file.bytes,
                    one.file.modified,
                    one.read,
                    known.number,
                    known.width,
                    known.height,
                    one.sha256,
                )
            )
        reasons = pictures.rejected["reason"].to_pylist()
        before = {path: reasons[place] for path, place in pictures.refused.items()}
        news = [Rejected(path, str(one.reason)) for path, one in sorted(useless.items())]
        return cls(
            pictures=pictures,
            before=len(places),
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
                path in places and pictures.modified(places[path]) != one.file.modified
                for path, one in useful.items()
            ),
        )

    def write(self, changes: Changes) -> None:
        """Bring the tables to it."""
        if self.gone or self.lines:
            self.pictures.write(changes, self.gone, self.lines)
        if self.no_longer_refused or self.refused:
            self.pictures.write_rejected(changes, self.no_longer_refused, self.refused)
        added, _, _, removed = self.counts
        changes.set(rows=self.last_row, pictures=changes.value("pictures") + added - removed)


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
