"""The store's file: an SQLite database, whose transactions are the store's."""

import json
import shutil
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ris.errors import RisError
from ris.types import BusyError, DamagedError, ReadOnlyError

FORMAT = 1
"""Version of the schema, SQLite's `user_version`; 0 is a file in which nothing was ever committed."""
APPLICATION = int.from_bytes(b"RISs")
FILE = "store.db"
LOCK = "write.lock"
PATIENCE = 1.0
"""Seconds that a writer waits for another, who may only be noting something, such as the map."""
LEFTOVERS = (FILE, f"{FILE}-journal", f"{FILE}-wal", f"{FILE}-shm", LOCK)
"""All that a making that was broken off can leave, besides `TREES`."""
TREES = "annoy"
"""Folder of ANNOY's files."""

SCHEMA = """
CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE content (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    sha256 TEXT NOT NULL UNIQUE,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    fingerprint INTEGER NOT NULL
) STRICT;
CREATE TABLE vector (
    content INTEGER PRIMARY KEY REFERENCES content ON DELETE CASCADE,
    data BLOB NOT NULL,
    checksum INTEGER NOT NULL
) STRICT;
CREATE TABLE local_features (
    content INTEGER PRIMARY KEY REFERENCES content ON DELETE CASCADE,
    data BLOB NOT NULL,
    checksum INTEGER NOT NULL
) STRICT;
CREATE TABLE picture (
    row INTEGER PRIMARY KEY AUTOINCREMENT,
    path TEXT NOT NULL UNIQUE,
    bytes INTEGER NOT NULL,
    modified INTEGER NOT NULL,
    looked INTEGER NOT NULL,
    content INTEGER NOT NULL REFERENCES content
) STRICT;
CREATE INDEX picture_by_content ON picture (content);
CREATE TABLE rejected (
    path TEXT PRIMARY KEY,
    reason TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    modified INTEGER NOT NULL,
    looked INTEGER NOT NULL
) STRICT;
CREATE TABLE own_column (
    path TEXT NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (path, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE derived (name TEXT PRIMARY KEY, data BLOB NOT NULL, checksum INTEGER NOT NULL) STRICT;
"""
"""A content is what a file's bytes show, once for however many files; times are nanoseconds since 1970.

`derived` holds what is made of the rest, and the encoder's weights where no package brings them.
"""


def checksum(data: bytes, owner: str, seed: int = 0) -> int:
    """Return the CRC-32 of data and of whose it is, so that another's is refused as well.

    Args:
        data: what is kept.
        owner: its name, or the SHA-256 of the file that it was made of.
        seed: the checksum of what else decided it.
    """
    return zlib.crc32(data, zlib.crc32(owner.encode(), seed))


def reading(store: Path) -> sqlite3.Connection:
    """Open a store's file to read, in a transaction that sees one committed state until it is closed.

    The connection may be used by several threads, one at a time.

    Raises:
        RisError: there is no store.
        DamagedError: the file is damaged or of another format.
    """
    file = store / FILE
    if not file.is_file():
        raise RisError(f"{store} holds no store; make one with `ris build`.")
    with told(store):
        connection = _connect(file, "mode=ro")
        try:
            connection.execute("BEGIN")
            _check_format(connection, store)
        except sqlite3.OperationalError as error:
            connection.close()
            if not _cannot_write_beside(error) or _pages_left_in_log(file):
                raise
            # What cannot be written does not change either, and needs no lock.
            connection = _connect(file, "mode=ro&immutable=1")
            connection.execute("BEGIN")
            _check_format(connection, store)
        except BaseException:
            connection.close()
            raise
        return connection


@contextmanager
def writing(store: Path) -> Iterator[sqlite3.Connection]:
    """Yield a connection in a transaction that is committed if and only if the block succeeds.

    Readers go on meanwhile with what they see.

    Raises:
        BusyError: another one is writing.
        ReadOnlyError: the folder or a file in it cannot be written.
        RisError: the disk is full, and all is as it was.
        DamagedError: see `reading`.
    """
    with locked(store), told(store):
        connection = _connect(store / FILE, "mode=rw")
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            with _transaction(connection):
                _check_format(connection, store)
                yield connection
        finally:
            connection.close()


@contextmanager
def creating(store: Path) -> Iterator[sqlite3.Connection]:
    """Yield a connection in a transaction that makes the tables; without success, it leaves no file.

    What a killed one left is written over.

    Raises:
        RisError: a store is there already; or as `writing`.
    """
    with locked(store), told(store):
        connection = _connect(store / FILE, "mode=rwc")
        try:
            if connection.execute("PRAGMA user_version").fetchone()[0]:
                raise RisError(f"{store} is a store already; `ris sync` brings it up to date.")
            try:
                # With a rollback journal, which for a new file is near to nothing. Only then with a log that
                # readers look past: what is built would be written twice by it.
                with _transaction(connection):
                    connection.execute(f"PRAGMA application_id = {APPLICATION}")
                    connection.execute(f"PRAGMA user_version = {FORMAT}")
                    for statement in SCHEMA.split(";\n"):
                        connection.execute(statement)
                    yield connection
            except BaseException:
                connection.close()
                shutil.rmtree(store / TREES, ignore_errors=True)
                for name in LEFTOVERS:
                    (store / name).unlink(missing_ok=True)
                raise
            connection.execute("PRAGMA journal_mode = WAL")
        finally:
            connection.close()


@contextmanager
def locked(store: Path) -> Iterator[None]:
    """Hold the writer's lock, which ends with the process at the latest.

    Raises:
        BusyError: another one holds it.
        ReadOnlyError: it cannot be made.
    """
    lock = FileLock(store / LOCK)
    try:
        lock.acquire(timeout=PATIENCE)
    except Timeout as error:
        raise BusyError(f"Another process is writing to {store}; try again when it has ended.") from error
    except OSError as error:
        raise ReadOnlyError(f"{store} cannot be written ({error.strerror}).") from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def told(store: Path) -> Iterator[None]:
    """Tell what SQLite says in one sentence."""
    try:
        yield
    except sqlite3.ProgrammingError:
        raise
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
            raise RisError(f"{store} cannot be written or read ({error}); it is as it was.") from error
        if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
            raise ReadOnlyError(f"{store} cannot be written ({error}).") from error
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise BusyError(f"Another program keeps {store} busy; try again when it has ended.") from error
        raise DamagedError(f"{store} is damaged ({error}); build it anew.") from error


def get(connection: sqlite3.Connection, name: str) -> Any:
    """Return a setting, from JSON; None where it is not set."""
    found = connection.execute("SELECT value FROM setting WHERE name = ?", (name,)).fetchone()
    return None if found is None else json.loads(found[0])


def put(connection: sqlite3.Connection, name: str, value: Any) -> None:
    """Set a setting, as JSON."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    connection.execute("INSERT OR REPLACE INTO setting VALUES (?, ?)", (name, text))


def get_data(connection: sqlite3.Connection, name: str) -> bytes | None:
    """Return derived data; None where there is none.

    Raises:
        DamagedError: it does not have its checksum.
    """
    query = "SELECT data, checksum FROM derived WHERE name = ?"
    found = connection.execute(query, (name,)).fetchone()
    if found is None:
        return None
    data: bytes = found[0]
    if checksum(data, name) != found[1]:
        raise DamagedError(f"The store's {name} is damaged; build the store anew.")
    return data


def has_data(connection: sqlite3.Connection, name: str) -> bool:
    """Tell whether there is derived data of a name."""
    return connection.execute("SELECT 1 FROM derived WHERE name = ?", (name,)).fetchone() is not None


def put_data(connection: sqlite3.Connection, name: str, data: bytes | None) -> None:
    """Keep derived data in place of any of that name; None takes it away."""
    connection.execute("DELETE FROM derived WHERE name = ?", (name,))
    if data is not None:
        connection.execute("INSERT INTO derived VALUES (?, ?, ?)", (name, data, checksum(data, name)))


def _connect(file: Path, options: str) -> sqlite3.Connection:
    # SQLite's own transactions, begun and ended here alone.
    connection = sqlite3.connect(
        f"{file.absolute().as_uri()}?{options}", uri=True, isolation_level=None, check_same_thread=False
    )
    for pragma in ("trusted_schema = OFF", "cell_size_check = ON", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")
    return connection


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # After some errors, such as a full disk, SQLite has rolled back by itself.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _check_format(connection: sqlite3.Connection, store: Path) -> None:
    application, version = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")
    )
    if version == 0:
        raise RisError(f"{store} holds no store, as its making was broken off; build it again.")
    if application != APPLICATION:
        raise DamagedError(f"{store / FILE} is the file of another program.")
    if version != FORMAT:
        raise DamagedError(f"{store} has format {version}, but this version reads {FORMAT}; build it anew.")


def _cannot_write_beside(error: sqlite3.OperationalError) -> bool:
    return error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)


def _pages_left_in_log(file: Path) -> bool:
    log = file.with_name(f"{file.name}-wal")
    return log.exists() and log.stat().st_size > 0
