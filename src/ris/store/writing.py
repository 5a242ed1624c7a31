"""A store on disk: made, and brought to what its folder holds."""

import os
import time
from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path

from ris.config import Network
from ris.copies import views
from ris.encoders.named import Identity, OpenEncoder
from ris.errors import RisError
from ris.gallery.catalogue import COLUMNS_SCHEMA
from ris.gallery.settings import Settings
from ris.store import commits, storage
from ris.store.cluster import Cluster
from ris.store.commits import Commit, ThresholdNote, latest, locked
from ris.store.confirmed import confirm, named
from ris.store.contents import Contents
from ris.store.folder import File, walk
from ris.store.ingest import BATCH, Described, Reading, read_file
from ris.store.placing import Pictures, Placing
from ris.store.refit import clean, compact, join, refit, wants_refit
from ris.store.storage import Address, Place
from ris.store.tables import (
    COLUMNS,
    CONTENTS,
    COPIES,
    PICTURES,
    REGIONS,
    REJECTED,
    SMALL,
    Changes,
    Fragments,
    as_table,
    beside_schema,
    contents_schema,
    explained,
    read_small,
)
from ris.threads import in_order, worker_threads
from ris.types import (
    Calibrated,
    Change,
    DamagedError,
    NoSuchPictureError,
    Progress,
    ReadOnlyError,
    Rejected,
    RemovalError,
)

UNSURE = 2_000_000_000
"""Nanoseconds: a file that was changed so shortly before it was read may have been changed right after, too,
without another time of change to show for it, and is read again."""
ALWAYS = 2**63 - 1
"""Likewise, so that every file is read again."""
REMOVED_AT_ONCE = 0.5
"""Share of the pictures that a sync takes away without being allowed to, at most."""
COMMITTED = 512
"""Files of a build between two commits: what a kill makes it read again, at most."""
CLEANED = 20
"""Commits after which files are deleted that no kept commit names."""
WEIGHTS = "encoder.safetensors"
"""The encoder's weights, where no package brings them."""
COPIES_WEIGHTS = "copies.safetensors"
"""Likewise of the encoder for copies."""
LEFTOVERS = {
    commits.FOLDER,
    commits.LOCK,
    WEIGHTS,
    COPIES_WEIGHTS,
    *(f"{name}.lance" for name in (*SMALL, CONTENTS, COPIES, REGIONS)),
}
"""All that a build that was broken off before its first commit can leave."""


@dataclass(frozen=True)
class Work:
    """What writing to a store takes."""

    store: Place
    root: Path
    """The folder of pictures."""
    encoder: OpenEncoder
    copies: OpenEncoder | None
    """By which copies are looked for; None where that is the same one."""
    settings: Settings
    threads: int
    progress: Progress | None = None
    known: Fragments | None = None
    """Of the table of pictures, as they were read before."""
    allow_removals: bool = False
    checksum: bool = False
    """See `SearchEngine.sync`."""
    described: Described | None = None
    """Local features that are known from another store."""
    cluster: Cluster | None = None
    """What reads and embeds in place of this process."""

    @property
    def identities(self) -> tuple[Identity, Identity | None]:
        """Of the encoder, and of that for copies."""
        return self.encoder.identity, None if self.copies is None else self.copies.identity

    @property
    def networks(self) -> list[Network]:
        """See `describe_content`."""
        return [one.network for one in self.identities if one is not None]

    def report(self, what: str, done: int, total: int) -> None:
        """Report progress."""
        if self.progress is not None:
            self.progress(what, done, total)


def build(work: Work, weights: Mapping[str, bytes]) -> Change:
    """Make a store of all that the folder holds, or go on with one whose making was broken off.

    After every `COMMITTED` files what was made so far is kept.

    Args:
        work: see `Work`.
        weights: of the encoders that the store must keep, as safetensors, by `WEIGHTS` and `COPIES_WEIGHTS`.

    Raises:
        RisError: there is a store already, the store's folder holds something else, or the pictures' folder
            cannot be read.
    """
    start = time.perf_counter()
    made = _make_folder(work)
    try:
        with locked(work.store, new=True):
            commit = _built(work, weights)
    except BaseException:
        if made and not commits.is_store(work.store):
            storage.delete(work.store)
        raise
    return Change(commit.pictures, 0, 0, 0, 0, _rejected(work.store, commit), time.perf_counter() - start)


def sync(work: Work) -> Change:
    """Bring a store to what its folder holds.

    Raises:
        RemovalError: most of it is gone, and that is not allowed.
        RisError: the folder cannot be read; or as `_writing`.
    """
    with _writing(work) as changes:
        return _changed(changes, work, walk(work.root, work.root, work.store), everything=True)


def add(work: Work, paths: Iterable[Path]) -> Change:
    """Read files, and all in folders, that lie in the folder of pictures, and keep what is new or changed.

    Raises:
        RisError: a path lies elsewhere or does not exist; or as `_writing`.
    """
    found = {one.path: one for path in paths for one in walk(work.root, path, work.store)}
    with _writing(work) as changes:
        return _changed(changes, replace(work, checksum=True), found.values(), everything=False)


def remove(work: Work, paths: Iterable[str]) -> Change:
    """Take out pictures by their paths, and all below folders.

    Raises:
        NoSuchPictureError: there is none at a path; or as `_writing`.
    """
    start = time.perf_counter()
    with _writing(work) as changes:
        pictures = Pictures.read(changes, work.known)
        chosen = set()
        for path in paths:
            found = pictures.at_or_below(path)
            if not found:
                raise NoSuchPictureError(f"The store has no picture {path}, and none below it.")
            chosen |= found
        pictures.write(changes, gone=chosen, lines=[])
        unchanged = changes.before.pictures - len(chosen)
        changes.set(pictures=unchanged, stale=changes.before.stale + len(chosen))
        _settle(changes, work)
        changes.commit(generation=changes.before.generation + 1)
    return Change(0, 0, 0, len(chosen), unchanged, [], time.perf_counter() - start)


def fit_again(work: Work) -> Commit:
    """Fit the spaces of a store to all that it holds now, and leave out what no picture shows."""
    with _writing(work) as changes:
        compact(changes)
        refit(changes, work.settings, work.report)
        return changes.commit(generation=changes.before.generation + 1)


def keep_threshold(work: Work, found: Calibrated) -> Commit:
    """Keep the threshold that a store was calibrated to."""
    assert found.threshold is not None
    with _writing(work) as changes:
        note = ThresholdNote(
            evidence=found.threshold,
            false_positive_rate=found.rate,
            chosen_on=found.chosen_on,
            pictures=changes.before.pictures,
        )
        return changes.commit(generation=changes.before.generation + 1, threshold=note)


def set_columns(store: Place, lines: Mapping[str, Mapping[str, str]]) -> int:
    """Keep the user's own columns, path -> column -> value; return how many pictures have a line."""
    with locked(store):
        changes = Changes(store, latest(store))
        cells = [(path, *cell) for path, values in lines.items() for cell in values.items()]
        changes.replace(COLUMNS, as_table(cells, COLUMNS_SCHEMA))
        commit = changes.commit(generation=changes.before.generation + 1)
        paths = read_small(store, commit, PICTURES)["path"].to_pylist()
        return sum(path in lines for path in paths)


@contextmanager
def _writing(work: Work) -> Iterator[Changes]:
    """Yield what is changed of a store that is still the one that it was opened as.

    Raises:
        BusyError: another process is writing.
        ReadOnlyError: the folder cannot be written.
        RisError: the disk is full, and all is as it was.
        DamagedError: the store was built anew with another encoder.
    """
    with locked(work.store):
        commit = latest(work.store)
        if (commit.identity, commit.copies) != work.identities:
            raise DamagedError(f"{work.store} was built anew with another encoder; open it again.")
        yield Changes(work.store, commit)


def _make_folder(work: Work) -> bool:
    """Make a store's folder, or see that it may become one; return whether there was none."""
    store = work.store
    try:
        if isinstance(store, Address):
            raise FileExistsError  # as every address may hold files already
        store.mkdir(parents=True)
        return True
    except FileExistsError as error:
        if not commits.is_store(store):
            with explained(store):
                held = {entry.name for entry in store.iterdir()} if store.is_dir() else None
            if held is not None and held <= LEFTOVERS:
                return False
            raise RisError(
                f"{store} is there already and not empty; name a new folder for the store."
            ) from error
        try:
            ended = latest(store).unread is None
        except DamagedError as damage:
            if (store / commits.FORMER).is_file():
                raise
            raise RisError(f"{store} is a store that is damaged; delete it, and build again.") from damage
        if ended:
            raise RisError(
                f"{store} is a store already; `ris sync` brings it up to date, and to build it anew, delete "
                "it first."
            ) from error
    except OSError as error:
        raise ReadOnlyError(f"{store} cannot be made ({error.strerror}).") from error
    return False


def _begun(work: Work, weights: Mapping[str, bytes]) -> Changes:
    """Return the changes to a store that is empty, or to one whose building was broken off."""
    if commits.is_store(work.store):
        commit = latest(work.store)
        if (commit.identity, commit.copies, commit.settings) != (*work.identities, work.settings):
            raise RisError(
                f"{work.store} was begun with another encoder or other options; build with these, or name a "
                "new folder."
            )
        return Changes(work.store, commit)
    for name, data in weights.items():
        with explained(work.store):
            (work.store / name).write_bytes(data)
    identity, copies = work.identities
    commit = Commit(
        format=commits.FORMAT,
        token=os.urandom(16).hex(),
        number=0,
        generation=0,
        identity=identity,
        copies=copies,
        settings=work.settings,
        folder=named(work.store, work.root),
        tables={},
        rows=0,
        contents=0,
        pictures=0,
        unread=0,
    )
    changes = Changes(work.store, commit)
    for name in (PICTURES, COLUMNS, REJECTED):
        changes.create(name, SMALL[name])
    create_contents(changes)
    return changes


def weights_of(store: Place, name: str) -> bytes | None:
    """Return an encoder's weights that a store keeps, by `WEIGHTS` or `COPIES_WEIGHTS`; None of others."""
    file = store / name
    try:
        return file.read_bytes() if file.is_file() else None
    except OSError as error:
        raise RisError(f"{file} cannot be read ({error.strerror}).") from error


def create_contents(changes: Changes) -> None:
    """Make the tables of what files show, empty."""
    identity, copies = changes.before.identity, changes.before.copies
    changes.create(CONTENTS, contents_schema(identity.network.dimension))
    if copies is not None:
        changes.create(COPIES, beside_schema(copies.network.dimension))
    if changes.before.settings.regions:
        dimension = (copies or identity).network.dimension
        changes.create(REGIONS, beside_schema(views.REGIONS * dimension))


def _built(work: Work, weights: Mapping[str, bytes]) -> Commit:
    """Read all files, commit after commit, and fit the spaces."""
    changes = _begun(work, weights)
    with suppress(RisError):  # the next sync says how
        confirm(work.store, changes.before, work.root)
    total = sum(1 for _ in walk(work.root, work.root, work.store))
    done = 0
    following = _Following(changes, work)
    found = walk(work.root, work.root, work.store)
    while batch := list(islice(found, COMMITTED)):
        following.place(batch, everything=False, progress=(done, total))
        done += len(batch)
        if changes.touched:
            join(changes)
            changes.commit(unread=total - done)
    # What changed meanwhile; of a folder that stands still, next to nothing.
    quiet = replace(work, progress=None)
    _Following(changes, quiet).place(walk(work.root, work.root, work.store), everything=True)
    _settle(changes, work)
    return changes.commit(unread=None, generation=1)


def _changed(changes: Changes, work: Work, found: Iterable[File | Rejected], everything: bool) -> Change:
    """Follow what was found, and commit it."""
    start = time.perf_counter()
    placing = _Following(changes, work).place(found, everything)
    if placing.differs or wants_refit(changes):
        _settle(changes, work)
    if everything:
        # What a build was killed before has been read now.
        changes.set(unread=None)
    if changes.touched:
        commit = changes.commit(generation=changes.before.generation + placing.differs)
        if commit.number % CLEANED == 0:
            clean(changes)
    added, changed, moved, removed = placing.counts
    return Change(
        added,
        changed,
        moved,
        removed,
        unchanged=placing.before - changed - moved - removed,
        rejected=placing.news,
        seconds=time.perf_counter() - start,
    )


class _Following:
    """Brings the tables to what was found in the folder."""

    def __init__(self, changes: Changes, work: Work) -> None:
        self._changes, self._work = changes, work
        self._pictures = Pictures.read(changes, work.known)
        self._contents = Contents(changes, work.encoder, work.copies)

    def place(
        self,
        found: Iterable[File | Rejected],
        everything: bool,
        progress: tuple[int, int] | None = None,
    ) -> Placing:
        """Read what is new, and write it to the tables.

        Args:
            found: in the folder, none of it placed by this before.
            everything: whether that is all that there is, so that what was not found is gone.
            progress: files that were read before, and of all; None for those that are read now.
        """
        files, rejected = self._pictures.compare(found, ALWAYS if self._work.checksum else UNSURE)
        readings = list(self._read(files, progress))
        placing = Placing.of(
            self._pictures, readings, rejected, self._contents, everything, self._changes.value("rows")
        )
        if not self._work.allow_removals:
            _check_removals(self._work.root, placing)
        placing.write(self._changes)
        return placing

    def _read(self, files: list[File], progress: tuple[int, int] | None) -> Iterator[Reading]:
        """Read files, and keep the contents that are new; what is yielded no longer holds what was seen."""
        work, contents = self._work, self._contents
        done, total = progress or (0, len(files))
        with _readings(work, contents, files) as readings:
            for count, one in enumerate(readings, 1):
                yield contents.keep(one)
                work.report("reading pictures", done + count, total)
                if progress is None and count % COMMITTED == 0:
                    # What no picture shows yet is seen by nobody, and is not made again after a kill.
                    contents.write()
                    join(self._changes)
                    self._changes.commit()
        contents.write()


@contextmanager
def _readings(work: Work, known: Container[bytes], files: list[File]) -> Iterator[Iterator[Reading]]:
    """Yield what comes of reading files, in their order: by threads, or by a cluster that embeds it, too."""
    if work.cluster is not None:
        yield work.cluster.read(files)
        return
    with worker_threads(work.threads) as pool:
        read = partial(read_file, work.root, work.networks, work.settings, known, described=work.described)
        yield in_order(pool, read, files, lead=2 * BATCH + work.threads)


def _check_removals(root: Path, placing: Placing) -> None:
    """Refuse to take away most of a store at once.

    Raises:
        RemovalError: it would.
    """
    _, _, _, removed = placing.counts
    if removed > REMOVED_AT_ONCE * placing.before:
        raise RemovalError(
            f"{root} lacks {removed:,} of {placing.before:,} pictures, as where a disk is not mounted; bring "
            "them back, or allow it (`ris sync --allow-removals`)."
        )


def _settle(changes: Changes, work: Work) -> None:
    """Fit the spaces where they have none or have outgrown them, and keep the tables in few parts."""
    join(changes)
    compacted = compact(changes, only_where_it_pays=True)
    if compacted or wants_refit(changes):
        refit(changes, work.settings, work.report)


def _rejected(store: Place, commit: Commit) -> list[Rejected]:
    table = read_small(store, commit, REJECTED).to_pydict()
    return [Rejected(*pair) for pair in sorted(zip(table["path"], table["reason"], strict=True))]
