"""A store on disk: made, and brought to what its folder holds, each time as one transaction."""

import os
import shutil
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from ris.encoders.encoder import Embedder
from ris.encoders.named import Identity, read_identity
from ris.errors import RisError
from ris.gallery.spaces import fit_basis, projected, projected_lengths, whitened
from ris.indexes.annoy import AnnoyIndex
from ris.store.committed import open_trees, trees_folder
from ris.store.database import LEFTOVERS, TREES, creating, get, put, put_data, writing
from ris.store.folder import File, listing
from ris.store.ingest import BATCH, Look, Seen, ahead, embed_batch, look
from ris.store.records import (
    get_arrays,
    get_projection,
    put_arrays,
    put_projection,
    read_rejected,
    read_vectors,
    seal_catalogue,
    write_content,
)
from ris.store.settings import Settings
from ris.threads import worker_threads
from ris.types import Change, DamagedError, NoSuchPictureError, Progress, ReadOnlyError, Rejected

UNSURE = 2_000_000_000
"""Nanoseconds: a file that was changed so shortly before it was read may have been changed right after, too,
without another time of change to show for it, and is read again."""
STALE = 0.2
"""Share of the contents in ANNOY's trees that may be gone, or be searched beside them, before new ones are
planted."""
SEED = 0


@dataclass(frozen=True)
class Work:
    """What writing to a store takes."""

    store: Path
    root: Path
    """The folder of pictures."""
    identity: Identity
    """Of the encoder."""
    embedder: Embedder
    settings: Settings
    threads: int
    progress: Progress | None = None

    def tell(self, what: str, done: int, total: int) -> None:
        """Report progress."""
        if self.progress is not None:
            self.progress(what, done, total)


def build(work: Work, weights: bytes | None) -> Change:
    """Make a store of all that the folder holds; where that fails, none is left.

    Args:
        work: see `Work`.
        weights: of the encoder, as safetensors, where the store must keep them.

    Raises:
        RisError: the store's folder holds something, or the pictures' folder cannot be read.
    """
    made = _make_folder(work.store)
    try:
        with creating(work.store) as connection:
            put(connection, "token", os.urandom(16).hex())
            put(connection, "generation", 0)
            put(connection, "encoder", work.identity.model_dump(mode="json"))
            put(connection, "settings", work.settings.model_dump())
            relative = os.path.relpath(work.root.resolve(), work.store.resolve())
            put(connection, "folder", {"relative": relative, "absolute": str(work.root.resolve())})
            put_data(connection, "weights", weights)
            files, rejected = listing(work.root, work.root, work.store)
            return _follow(connection, work, files, rejected, everything=True)
    except BaseException:
        if made:
            with suppress(OSError):
                work.store.rmdir()
        raise


def sync(work: Work) -> Change:
    """Bring a store to what its folder holds.

    Raises:
        RisError: the folder cannot be read; or as `writing`.
    """
    with _writing(work) as connection:
        files, rejected = listing(work.root, work.root, work.store)
        return _follow(connection, work, files, rejected, everything=True)


def add(work: Work, paths: Iterable[Path]) -> Change:
    """Look at files, and at all in folders, that lie in the folder of pictures, and keep what is new.

    Raises:
        RisError: a path lies elsewhere or does not exist; or as `writing`.
    """
    listed = [listing(work.root, path, work.store) for path in paths]
    files = {file.path: file for found, _ in listed for file in found}
    rejected = {one.path: one for _, found in listed for one in found}
    with _writing(work) as connection:
        return _follow(connection, work, list(files.values()), list(rejected.values()), everything=False)


def remove(work: Work, paths: Iterable[str]) -> Change:
    """Take out pictures by their paths, and all below folders.

    Raises:
        NoSuchPictureError: there is none at a path; or as `writing`.
    """
    start = time.perf_counter()
    with _writing(work) as connection:
        rows = dict(connection.execute("SELECT path, row FROM picture"))
        before, chosen = _state(connection), set()
        for path in paths:
            found = {row for known, row in rows.items() if known == path or known.startswith(f"{path}/")}
            if not found:
                raise NoSuchPictureError(f"The store has no picture {path}, and none below it.")
            chosen |= found
        connection.executemany("DELETE FROM picture WHERE row = ?", [(row,) for row in chosen])
        if chosen:
            _derive(connection, work)
            _seal(connection, before)
    return Change(0, 0, 0, len(chosen), len(rows) - len(chosen), [], time.perf_counter() - start)


def set_columns(store: Path, lines: Mapping[str, Mapping[str, str]]) -> int:
    """Keep the user's own columns, path -> column -> value; return how many pictures have a line."""
    with writing(store) as connection:
        connection.execute("DELETE FROM own_column")
        cells = [(path, *cell) for path, values in lines.items() for cell in values.items()]
        connection.executemany("INSERT INTO own_column VALUES (?, ?, ?)", cells)
        put(connection, "generation", get(connection, "generation") + 1)
        return sum(path in lines for (path,) in connection.execute("SELECT path FROM picture"))


@contextmanager
def _writing(work: Work) -> Iterator[sqlite3.Connection]:
    """As `writing`, where the store is still the one that it was opened as."""
    with writing(work.store) as connection:
        if read_identity(get(connection, "encoder")) != work.identity:
            raise DamagedError(f"{work.store} was built anew with another encoder; open it again.")
        yield connection


def _make_folder(store: Path) -> bool:
    """Make a store's folder; return whether it was not there."""
    try:
        store.mkdir(parents=True)
        return True
    except FileExistsError as error:
        if store.is_dir() and {entry.name for entry in store.iterdir()} <= {*LEFTOVERS, TREES}:
            return False
        raise RisError(f"{store} is there already and not empty; name a new folder for the store.") from error
    except OSError as error:
        raise ReadOnlyError(f"{store} cannot be made ({error.strerror}).") from error


@dataclass(frozen=True)
class _Known:
    """What the store holds of a file that was looked at."""

    bytes: int
    modified: int
    looked: int
    reason: str | None = None
    row: int = -1
    content: int = -1

    def still(self, file: File) -> bool:
        """Whether the file is for sure the same."""
        same = (file.bytes, file.modified) == (self.bytes, self.modified)
        return same and self.modified + UNSURE < self.looked


def _follow(
    connection: sqlite3.Connection, work: Work, files: list[File], rejected: list[Rejected], everything: bool
) -> Change:
    """Bring the tables to what was listed.

    Args:
        connection: in a transaction.
        work: see `Work`.
        files: listed.
        rejected: listed, but no files to look at.
        everything: whether all that there is was listed, so that what was not is gone.
    """
    start, before = time.perf_counter(), _state(connection)
    query = "SELECT path, bytes, modified, looked, NULL, row, content FROM picture"
    pictures = {path: _Known(*values) for path, *values in connection.execute(query)}
    query = "SELECT path, bytes, modified, looked, reason FROM rejected"
    refused = {path: _Known(*values) for path, *values in connection.execute(query)}
    known = {**pictures, **refused}
    sure = {file.path for file in files if file.path in known and known[file.path].still(file)}
    looks = _look_at_all(connection, work, [file for file in files if file.path not in sure])
    useful = {one.file.path: one for one in looks if one.reason is None}
    useless = {one.file.path: one for one in looks if one.reason is not None}
    useless |= {one.path: Look(File(one.path, -1, -1), -1, "", None, one.reason) for one in rejected}

    listed = sure | useful.keys() | useless.keys()
    gone = (pictures.keys() | refused.keys()) - listed if everything else set()
    contents = dict(connection.execute("SELECT sha256, id FROM content"))
    arriving = {
        path: contents[one.sha256]
        for path, one in sorted(useful.items())
        if path not in pictures or pictures[path].content != contents[one.sha256]
    }
    leaving = {*arriving, *useless, *gone}
    displaced = {path: pictures[path] for path in sorted(leaving & pictures.keys())}
    change = _place(connection, displaced, arriving)
    connection.executemany(
        "UPDATE picture SET bytes = ?, modified = ?, looked = ? WHERE path = ?",
        [(one.file.bytes, one.file.modified, one.looked, path) for path, one in useful.items()],
    )
    connection.executemany("DELETE FROM rejected WHERE path = ?", [(path,) for path in gone | useful.keys()])
    connection.executemany(
        "INSERT OR REPLACE INTO rejected VALUES (?, ?, ?, ?, ?)",
        [(path, one.reason, one.file.bytes, one.file.modified, one.looked) for path, one in useless.items()],
    )
    if any(change) or not get(connection, "generation"):
        _derive(connection, work)
    else:
        _plant_where_needed(connection, work)
    _seal(connection, before)
    known_reasons = {path: one.reason for path, one in refused.items()}
    news = [Rejected(path, str(one.reason)) for path, one in sorted(useless.items())]
    added, changed, moved, removed = change
    return Change(
        added,
        changed,
        moved,
        removed,
        unchanged=len(pictures) - changed - moved - removed,
        rejected=[one for one in news if known_reasons.get(one.path) != one.reason],
        seconds=time.perf_counter() - start,
    )


def _look_at_all(connection: sqlite3.Connection, work: Work, files: list[File]) -> list[Look]:
    """Read files, and keep the contents that are new; the looks no longer hold what was seen."""
    kept = {sha256 for (sha256,) in connection.execute("SELECT sha256 FROM content")}
    waiting: dict[str, Seen] = {}
    looks: list[Look] = []

    def keep() -> None:
        vectors = embed_batch(work.embedder, [seen.pixels for seen in waiting.values()])
        for (sha256, seen), vector in zip(waiting.items(), vectors, strict=True):
            write_content(connection, sha256, seen.size, vector, seen.features, work.identity)
        waiting.clear()

    with worker_threads(work.threads) as pool:
        read = partial(look, work.root, work.identity.network, work.settings, kept)
        for one in ahead(pool, read, files, lead=2 * BATCH + work.threads):
            if one.seen is not None and one.sha256 not in kept:
                kept.add(one.sha256)
                waiting[one.sha256] = one.seen
            looks.append(replace(one, seen=None))
            if len(waiting) == BATCH:
                keep()
            work.tell("reading pictures", len(looks), len(files))
        if waiting:
            keep()
    return looks


def _place(
    connection: sqlite3.Connection, displaced: Mapping[str, _Known], arriving: Mapping[str, int]
) -> tuple[int, int, int, int]:
    """Bring the pictures to other paths and contents.

    Args:
        connection: in a transaction.
        displaced: pictures whose path is gone, or shows something else now.
        arriving: the content at each path that is new, or shows something else now.

    Returns:
        How many were added, changed, moved and removed.
    """
    homeless: dict[int, list[int]] = {}
    for known in displaced.values():
        homeless.setdefault(known.content, []).append(known.row)
    moved = {path: homeless[content].pop(0) for path, content in arriving.items() if homeless.get(content)}
    staying = {path: displaced[path].row for path in arriving if path in displaced and path not in moved}
    changed = {path: row for path, row in staying.items() if row not in moved.values()}
    added = [path for path in arriving if path not in moved and path not in changed]
    kept = {*moved.values(), *changed.values()}
    removed = [known.row for known in displaced.values() if known.row not in kept]

    connection.executemany("DELETE FROM picture WHERE row = ?", [(row,) for row in removed])
    # Two may have changed places: no path is taken before all are free. None begins with a slash.
    connection.executemany(
        "UPDATE picture SET path = '/' || row WHERE row = ?", [(row,) for row in moved.values()]
    )
    connection.executemany("UPDATE picture SET path = ? WHERE row = ?", moved.items())
    connection.executemany(
        "UPDATE picture SET content = ? WHERE row = ?",
        [(arriving[path], row) for path, row in changed.items()],
    )
    connection.executemany(
        "INSERT INTO picture (path, bytes, modified, looked, content) VALUES (?, 0, 0, 0, ?)",
        [(path, arriving[path]) for path in added],
    )
    return len(added), len(changed), len(moved), len(removed)


def _derive(connection: sqlite3.Connection, work: Work) -> None:
    """Make anew what follows from the pictures as they are now."""
    connection.execute("DELETE FROM content WHERE id NOT IN (SELECT content FROM picture)")
    work.tell("fitting the spaces", 0, 1)
    vectors = read_vectors(connection, work.identity)
    # On one thread, as the order of a sum over several would change its last digit from run to run.
    with threadpool_limits(1, "blas"):
        basis = fit_basis(vectors)
        put_projection(connection, "basis", basis)
        if basis is not None:
            space = whitened(basis, work.settings.whitened, work.settings.whiten)
            put_arrays(connection, "lengths", lengths=projected_lengths(vectors, space))
    work.tell("fitting the spaces", 1, 1)
    _plant_where_needed(connection, work)


def _plant_where_needed(connection: sqlite3.Connection, work: Work) -> None:
    """Build ANNOY's trees where there are none that still do."""
    contents = np.array(
        connection.execute("SELECT content FROM picture ORDER BY path").fetchall(), np.int64
    ).ravel()
    note = get(connection, "forests")
    if not len(contents) or (note is not None and _trees_do(connection, work, contents)):
        return
    _, first = np.unique(contents, return_index=True)
    first.sort()
    generation = get(connection, "generation") + 1
    token = f"{get(connection, 'token')} {generation}"
    vectors = read_vectors(connection, work.identity)[first]
    basis = get_projection(connection, "basis")
    settings = work.settings
    projection = None if basis is None else whitened(basis, settings.n_components, settings.pca_whiten)
    spaces = {"annoy": vectors} | (
        {} if projection is None else {"annoy_pca": projected(vectors, projection)}
    )
    for done, (name, space) in enumerate(spaces.items()):
        work.tell("building trees", done, len(spaces))
        params = {"n_trees": work.settings.n_trees, "search_k": work.settings.search_k}
        trees = AnnoyIndex.build(space, contents[first], params, SEED)
        try:
            trees.save(trees_folder(work.store, generation, name), token)
        except OSError as error:
            raise RisError(
                f"{work.store} cannot be written ({error.strerror or error}); it is as it was."
            ) from error
    work.tell("building trees", len(spaces), len(spaces))
    put_arrays(connection, "planted", contents=contents[first])
    put_projection(connection, "forest_basis", projection)
    before = None if note is None else note["generation"]
    put(connection, "forests", {"generation": generation, "before": before, "token": token})
    for folder in (work.store / TREES).iterdir():
        if folder.name not in (str(generation), str(before)):
            shutil.rmtree(folder, ignore_errors=True)


def _trees_do(connection: sqlite3.Connection, work: Work, contents: npt.NDArray[np.int64]) -> bool:
    """Whether the trees are whole, and hold most of the contents and not much else."""
    planted = (get_arrays(connection, "planted") or {})["contents"]
    gone, later = np.setdiff1d(planted, contents), np.setdiff1d(contents, planted)
    if len(gone) + len(later) > STALE * len(planted):
        return False
    note, projection = get(connection, "forests"), get_projection(connection, "forest_basis")
    spaces = {"annoy": None} | ({} if projection is None else {"annoy_pca": projection})
    try:
        return all(open_trees(work.store, note, name, work.identity, space) for name, space in spaces.items())
    except DamagedError:
        return False


def _state(connection: sqlite3.Connection) -> tuple[Any, ...]:
    """What must differ for there to be another generation."""
    return get(connection, "catalogue"), read_rejected(connection), get(connection, "forests")


def _seal(connection: sqlite3.Connection, before: tuple[Any, ...]) -> None:
    """Note the catalogue's checksum, and count a generation where the store is another than before."""
    seal_catalogue(connection)
    if _state(connection) != before:
        put(connection, "generation", get(connection, "generation") + 1)
