"""The versions of a store that are kept, and how one of them is restored: an undo."""

from ris.errors import RisError
from ris.store.commits import Commit, kept, latest, locked, numbers, read_commit
from ris.store.spaces import space_file
from ris.store.storage import Place
from ris.store.tables import Changes, check_files
from ris.types import DamagedError, NoSuchVersionError, Version


def versions(store: Place) -> list[Version]:
    """Return what can be restored, the newest first: of each state that was searched its last commit."""
    newest = {commit.generation: commit for commit in _whole(store)}
    return [Version(one.number, one.written, one.pictures) for one in reversed(newest.values())]


def kept_version(store: Place, number: int) -> Commit:
    """Read a version that is kept.

    Raises:
        NoSuchVersionError: it is not kept.
        DamagedError: it is damaged.
    """
    commit = read_commit(store, number) if number in numbers(store) else None
    if commit is None or not commit.generation:
        raise NoSuchVersionError(
            f"{store} keeps no version {number}; `ris restore` without one lists those kept."
        )
    return commit


def restore(store: Place, number: int) -> Commit:
    """Make a kept version the newest one; what came after it is kept, too.

    Rows and contents that were numbered since are not given out again.

    Raises:
        NoSuchVersionError: that version is not kept.
        RisError: it is not whole.
        BusyError, ReadOnlyError: the store cannot be written.
    """
    with locked(store):
        now = latest(store)
        former = kept_version(store, number)
        try:
            for table in former.tables.values():
                check_files(store, table.files)
            if former.space is not None:
                check_files(store, {space_file(former.space.version): former.space.sha256})
        except DamagedError as error:
            raise RisError(f"Version {number} cannot be restored: {error}") from error
        changes = Changes(store, former.model_copy(update={"number": now.number}))
        return changes.commit(
            generation=now.generation + 1,
            rows=max(now.rows, former.rows),
            contents=max(now.contents, former.contents),
            folder=now.folder,
        )


def _whole(store: Place) -> list[Commit]:
    """Return the commits that are kept, the oldest first, but for those of a build before its end."""
    return [commit for commit in kept(store) if commit.generation]
