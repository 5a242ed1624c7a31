"""Whether a store is whole: every checksum, and every line against those that it belongs to."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

from ris.encoders.named import read_identity, restore
from ris.errors import RisError
from ris.store.committed import open_trees
from ris.store.database import FILE, checksum, get, get_data, reading, told
from ris.store.records import get_arrays, get_projection, read_catalogue, read_vectors
from ris.store.settings import read_settings


def problems(store: Path) -> list[str]:
    """Check what is committed in a store; return what is wrong, each a sentence.

    Raises:
        RisError: it cannot be opened at all.
    """
    with closing(reading(store)) as connection:
        found: list[str] = []
        for part in _parts(connection, store):
            try:
                with told(store):
                    part()
            except RisError as error:
                found.append(str(error))
        return list(dict.fromkeys(found))


def _parts(connection: sqlite3.Connection, store: Path) -> Iterator[Callable[[], object]]:
    """What is checked, each raising where something is wrong."""
    yield partial(_database, connection, store)
    yield partial(read_catalogue, connection)
    yield lambda: read_settings(get(connection, "settings"))
    yield lambda: restore(read_identity(get(connection, "encoder")), get_data(connection, "weights"))
    yield lambda: read_vectors(connection, read_identity(get(connection, "encoder")))
    yield partial(_local_features, connection, store)
    for name in ("basis", "lengths", "forest_basis", "planted", "map"):
        yield partial(get_arrays, connection, name)
    yield partial(_trees, connection, store, "annoy")
    yield partial(_trees, connection, store, "annoy_pca")


def _database(connection: sqlite3.Connection, store: Path) -> None:
    lines = [line for (line,) in connection.execute("PRAGMA integrity_check")]
    if lines != ["ok"]:
        raise RisError(f"{store / FILE} is damaged: {'; '.join(lines)}.")
    lost = {table for table, *_ in connection.execute("PRAGMA foreign_key_check")}
    if lost:
        raise RisError(f"{store / FILE} has lines that belong to nothing in {', '.join(sorted(lost))}.")


def _local_features(connection: sqlite3.Connection, store: Path) -> None:
    if not read_settings(get(connection, "settings")).same_picture:
        return
    damaged, lines = (
        [],
        connection.execute(
            "SELECT sha256, data, checksum FROM content LEFT JOIN local_features ON content = id"
        ),
    )
    for sha256, data, expected in lines:
        if data is None or checksum(data, sha256) != expected:
            damaged.append(sha256)
    if damaged:
        some = ", ".join(
            path
            for sha256 in damaged[:3]
            for (path,) in connection.execute(
                "SELECT path FROM picture JOIN content ON id = content WHERE sha256 = ?", (sha256,)
            )
        )
        raise RisError(
            f"The local features of {len(damaged)} pictures in {store} are damaged, such as {some}."
        )


def _trees(connection: sqlite3.Connection, store: Path, name: str) -> None:
    note, identity = get(connection, "forests"), read_identity(get(connection, "encoder"))
    projection = get_projection(connection, "forest_basis") if name == "annoy_pca" else None
    if note is None or (name == "annoy_pca" and projection is None):
        return
    if open_trees(store, note, name, identity, projection) is None:
        raise RisError(
            f"The index {name} of {store} is missing, so that its answers are exact; `ris sync` makes it."
        )
