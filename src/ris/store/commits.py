"""The commits of a store: small JSON files, each of which names versions of the Lance tables.

A commit is there or it is not: its file is linked into place when all that it names is written. What a
killed writer left in the tables beyond the newest commit is never seen, and is undone by the next writer.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationError

from ris.config import Section
from ris.encoders.named import Identity
from ris.errors import RisError
from ris.gallery.settings import BuiltIndex, Settings
from ris.store import storage
from ris.store.storage import Place
from ris.types import BusyError, DamagedError

FORMAT = 3
FOLDER = "commits"
LOCK = "write.lock"
FORMER = "store.db"
"""The file of a store of format 1."""
KEPT = 100
"""Commits that are kept, the newest: as far back as a reader or an undo can go."""


Count = Annotated[int, Field(ge=0, le=2**53)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
TableName = Annotated[str, Field(pattern=r"^[a-z]+(_[0-9]+)?$")]
FileName = Annotated[str, Field(pattern=r"^[a-z]+(_[0-9]+)?\.lance/(data|_versions|_deletions)/[\w.-]+$")]
"""Of a file of a table; nothing else of the store, and nothing outside of it."""


def _no_zero(path: str) -> str:
    if "\0" in path or not path:
        raise ValueError("it is no path")
    return path


FolderName = Annotated[str, AfterValidator(_no_zero)]


class Table(Section):
    """A version of a Lance table, and the SHA-256 of every file that it is made of, relative to the store."""

    version: Count
    files: dict[FileName, Digest]


class Recall(Section):
    """What the approximate index of a store finds, measured on its own vectors."""

    n_probes: Annotated[int, Field(ge=1)]
    """Partitions that a search looks into."""
    k: int
    queries: int
    """Vectors of the store that were searched with."""
    unfiltered: float
    """Mean share of the exact k nearest that are found."""
    filtered: dict[str, float]
    """The same under random filters, by the share that they let through."""


class SpaceNote(Section):
    """The spaces of a store: fitted once, and used until they are fitted again."""

    version: Count
    contents: Count
    """How many they were fitted to."""
    sha256: Digest
    """Of their file."""
    recall: Recall | None = None
    """None where there are no partitions."""
    indexes: Mapping[BuiltIndex, Digest] = Field(default_factory=dict)
    """SHA-256 of the index.json of each other index, by its name."""


class ThresholdNote(Section):
    """The threshold that a store was calibrated to, see `ris.gallery.calibrating`."""

    evidence: float
    false_positive_rate: float
    """Stated when it was chosen."""
    chosen_on: int
    """Different pictures of the store that were asked of the rest."""
    pictures: int
    """That the store had then."""
    over: str | None = None
    """Over what it was chosen, where that was not its own pictures."""


class Folder(Section):
    """Where the pictures lie."""

    relative: FolderName
    """To the store: the two may be moved together."""
    absolute: FolderName


class Commit(Section):
    """All that a store is at one moment."""

    format: int
    token: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    """Drawn when the store was made."""
    number: Count
    """Counts the commits."""
    generation: Count
    """Counts those that changed what is searched."""
    identity: Identity
    copies: Identity | None = None
    """The encoder by which copies are looked for; None where that is the same one."""
    settings: Settings
    folder: Folder
    tables: dict[TableName, Table]
    rows: Count
    """Rows given out so far; the next picture's is one more."""
    contents: Count
    """Numbers of contents given out so far."""
    pictures: Count
    stale: Count = 0
    """At most so many contents are shown by no picture."""
    space: SpaceNote | None = None
    threshold: ThresholdNote | None = None
    """None where the package's holds."""
    unread: Count | None = None
    """Files that a build has still to read; None when it has ended."""
    written: Annotated[float, Field(ge=0, le=1e11)] | None = None
    """When, seconds since 1970."""


def latest(store: Place) -> Commit:
    """Read the newest commit of a store.

    Raises:
        RisError: there is none.
        DamagedError: it is damaged or of another format.
    """
    found = numbers(store)
    if not found:
        if (store / FORMER).is_file():
            raise DamagedError(
                f"{store} has format 1, which this version does not read; delete it and build it anew: its "
                "folder of pictures has all that it was made of."
            )
        raise RisError(f"{store} holds no store; make one with `ris build`.")
    return read_commit(store, found[-1])


def read_commit(store: Place, number: int) -> Commit:
    """Read a commit by its number.

    Raises:
        DamagedError: it is gone, damaged or of another format.
    """
    file = _file(store, number)
    damaged = DamagedError(f"{file} is damaged; build the store anew.")
    try:
        held = json.loads(file.read_bytes())
        body = held["commit"]
        if held["sha256"] != _digest(body):
            raise damaged
        if body["format"] != FORMAT:
            raise DamagedError(
                f"{store} has format {body['format']}, but this version reads {FORMAT}; build it anew."
            )
        commit = Commit.model_validate(body)
    except FileNotFoundError as error:
        raise DamagedError(f"{file} is gone; open the store again.") from error
    except OSError as error:
        raise RisError(f"{file} cannot be read ({error.strerror}).") from error
    except (ValueError, KeyError, TypeError, RecursionError, ValidationError) as error:
        raise damaged from error
    if commit.number != number:
        raise damaged
    return commit


def write_commit(store: Place, commit: Commit) -> None:
    """Put a commit in place, and take away those that are no longer kept.

    Raises:
        BusyError: another writer made one of the same number.
    """
    body = commit.model_dump(mode="json")
    text = json.dumps({"sha256": _digest(body), "commit": body}, indent=1, ensure_ascii=False)
    try:
        storage.create(_file(store, commit.number), text)
    except FileExistsError as error:
        raise BusyError(f"Another process has written to {store}; try again.") from error
    for number in numbers(store)[:-KEPT]:
        _file(store, number).unlink(missing_ok=True)


def kept(store: Place) -> list[Commit]:
    """Read all commits that are kept, the oldest first."""
    return [read_commit(store, number) for number in numbers(store)]


def is_store(path: Place) -> bool:
    """Tell whether a folder is a store, be it a damaged or a former one."""
    return bool(numbers(path)) or (path / FORMER).is_file()


@contextmanager
def locked(store: Place, new: bool = False) -> Iterator[None]:
    """Hold the writer's lock, see `ris.store.storage.locked`.

    Args:
        store: its folder.
        new: whether the folder may hold no store yet.

    Raises:
        RisError: there is no store.
        BusyError: another one holds it.
        ReadOnlyError: it cannot be made.
    """
    if not new:
        latest(store)
    with storage.locked(store, LOCK):
        yield


def _file(store: Place, number: int) -> Place:
    return store / FOLDER / f"{number:010d}.json"


def numbers(store: Place) -> list[int]:
    """Return the numbers of the commits that there are, ascending."""
    names = storage.names(store / FOLDER)
    return sorted(int(name[:-5]) for name in names if name.endswith(".json") and name[:-5].isdecimal())


def _digest(body: Any) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
