"""Which folder of pictures the user has confirmed of a store, noted outside of it.

A store names a folder, relative to itself and absolute, and whoever made the store chose it. So nothing there
is read before this user has built the store, or has said `ris relocate`: then a note of the store's token and
each of the two names lies in the user's state folder. The two moved together are thus still confirmed.
"""

import hashlib
import os
from pathlib import Path

from ris.artifacts import write_json
from ris.errors import RisError
from ris.store.commits import Commit, Folder, latest, locked
from ris.store.storage import Place
from ris.store.tables import Changes
from ris.types import UnconfirmedError


def place(store: Place, commit: Commit) -> Path:
    """Return where a store says that its pictures lie: the two may have been moved together, or it alone."""
    beside = _beside(store, commit)
    return Path(commit.folder.absolute) if beside is None else beside.resolve()


def confirm(store: Place, commit: Commit, folder: Path) -> None:
    """Note that the user has confirmed a store's folder.

    Raises:
        RisError: the note cannot be written.
    """
    for name in (commit.folder.relative, commit.folder.absolute):
        if (store / name if isinstance(store, Path) else Path(name)).resolve() != folder.resolve():
            continue
        file = _note(commit, name)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            write_json(file, {"store": commit.token, "folder": os.fsencode(name).decode(errors="replace")})
        except OSError as error:
            raise RisError(
                f"{file} cannot be written ({error.strerror}); name a folder that can by XDG_STATE_HOME."
            ) from error


def check(store: Place, commit: Commit) -> None:
    """See that the user has confirmed a store's folder.

    Raises:
        UnconfirmedError: it was built elsewhere, or names another folder since.
    """
    relative = _beside(store, commit) is not None
    note = _note(commit, commit.folder.relative if relative else commit.folder.absolute)
    if not os.path.isfile(note):  # noqa: PTH113 - False, too, where this user may not look
        folder = place(store, commit)
        raise UnconfirmedError(
            f"{store} was not built here and names {folder} as its folder of pictures; if that is right, "
            f"confirm it: `ris relocate {store} {folder}`."
        )


def relocate(store: Place, folder: Path) -> None:
    """Say where the pictures of a store lie: after they were moved, or to confirm a store from elsewhere.

    Raises:
        RisError: there is no such folder.
        BusyError, ReadOnlyError: another folder than before cannot be noted in the store.
    """
    if not folder.is_dir():
        raise RisError(f"{folder} is no folder; name the folder of the pictures.")
    commit = latest(store)
    if place(store, commit).resolve() != folder.resolve():
        with locked(store):
            changes = Changes(store, latest(store))
            commit = changes.commit(folder=named(store, folder))
    confirm(store, commit, folder)


def named(store: Place, folder: Path) -> Folder:
    """Return how a store names a folder; one at an address has no name for it but the absolute."""
    absolute = folder.resolve()
    if not isinstance(store, Path):
        return Folder(relative=str(absolute), absolute=str(absolute))
    return Folder(relative=os.path.relpath(absolute, store.resolve()), absolute=str(absolute))


def _beside(store: Place, commit: Commit) -> Path | None:
    """Return the folder that a local store names relative to itself, where that is there."""
    if not isinstance(store, Path):
        return None
    beside = store / commit.folder.relative
    return beside if beside.is_dir() else None


def _note(commit: Commit, name: str) -> Path:
    home = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local/state")
    pair = hashlib.sha256(commit.token.encode(errors="replace") + b"\0" + os.fsencode(name))
    return Path(home) / "ris" / "stores" / f"{pair.hexdigest()}.json"
