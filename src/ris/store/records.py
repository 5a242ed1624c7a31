"""The rows of a store's file as objects and arrays, always in the order of paths, and each checked."""

import io
import sqlite3
import zipfile
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from ris.copies.local_features import LocalFeatures
from ris.encoders.named import Identity
from ris.gallery.catalogue import Catalogue
from ris.indexes.projection import Projection
from ris.indexes.vectors import Vectors
from ris.store.database import checksum, get, get_data, put, put_data
from ris.store.features import encode
from ris.types import DamagedError, Picture, Rejected

_CATALOGUE = """
SELECT row, path, width, height, bytes, modified, sha256, content, fingerprint
FROM picture LEFT JOIN content ON id = content ORDER BY path
"""


def read_catalogue(
    connection: sqlite3.Connection,
) -> tuple[Catalogue, npt.NDArray[np.int64], npt.NDArray[np.uint64]]:
    """Read all pictures, and of each the number (n,) of what it shows and the fingerprint (n,) of that.

    Raises:
        DamagedError: they are not as they were committed.
    """
    records = connection.execute(_CATALOGUE).fetchall()
    if _checksum_of(records) != get(connection, "catalogue"):
        raise DamagedError("The store's catalogue is damaged; build the store anew.")
    pictures = [
        Picture(row, path, label_of(path), width, height, size, modified / 1e9, sha256)
        for row, path, width, height, size, modified, sha256, *_ in records
    ]
    columns: dict[str, dict[str, list[str]]] = {}
    for path, name, value in connection.execute("SELECT path, name, value FROM own_column ORDER BY name"):
        columns.setdefault(name, {}).setdefault(value, []).append(path)
    contents, prints = (np.array([record[place] for record in records], np.int64) for place in (-2, -1))
    return Catalogue(pictures, columns), contents, prints.view(np.uint64)


def seal_catalogue(connection: sqlite3.Connection) -> None:
    """Note the checksum of the catalogue as it is now."""
    put(connection, "catalogue", _checksum_of(connection.execute(_CATALOGUE).fetchall()))


def read_vectors(connection: sqlite3.Connection, identity: Identity) -> Vectors:
    """Read the vector of every picture: (n, D) float32.

    Raises:
        DamagedError: one is missing, damaged, or was made by another encoder or of another file.
    """
    count = connection.execute("SELECT count(*) FROM picture").fetchone()[0]
    vectors = np.empty((count, identity.network.dimension), np.float32)
    seed = checksum(b"", identity.seal)
    rows = connection.execute(
        "SELECT path, sha256, data, checksum FROM picture JOIN content ON id = picture.content "
        "JOIN vector ON vector.content = id ORDER BY path"
    )
    found = 0
    for vector, (path, sha256, data, expected) in zip(vectors, rows, strict=False):
        if len(data) != vector.nbytes or checksum(data, sha256, seed) != expected:
            raise DamagedError(
                f"The vector of {path} is damaged or of another encoder; build the store anew."
            )
        vector[:] = np.frombuffer(data, "<f4")
        found += 1
    if found < count:
        raise DamagedError(f"The store lacks the vectors of {count - found} pictures; build it anew.")
    return vectors


def write_content(
    connection: sqlite3.Connection,
    sha256: str,
    size: tuple[int, int],
    vector: Vectors,
    features: LocalFeatures | None,
    identity: Identity,
) -> None:
    """Keep what a file shows.

    Args:
        connection: in a transaction.
        sha256: of the file.
        size: width and height of the picture.
        vector: (D,) float32.
        features: of the picture; None where none are kept.
        identity: of the encoder.
    """
    # SQLite's integers have a sign.
    print_ = 0 if features is None else int(np.uint64(features.fingerprint).view(np.int64))
    number = connection.execute(
        "INSERT INTO content (sha256, width, height, fingerprint) VALUES (?, ?, ?, ?)",
        (sha256, *size, print_),
    ).lastrowid
    data = vector.astype("<f4").tobytes()
    seal = checksum(data, sha256, checksum(b"", identity.seal))
    connection.execute("INSERT INTO vector VALUES (?, ?, ?)", (number, data, seal))
    if features is not None:
        packed = encode(features)
        row = (number, packed, checksum(packed, sha256))
        connection.execute("INSERT INTO local_features VALUES (?, ?, ?)", row)


def read_rejected(connection: sqlite3.Connection) -> list[Rejected]:
    """Read the files that are no use, by path."""
    return [Rejected(*row) for row in connection.execute("SELECT path, reason FROM rejected ORDER BY path")]


def put_arrays(connection: sqlite3.Connection, name: str, **arrays: npt.NDArray[Any]) -> None:
    """Keep arrays under a name."""
    content = io.BytesIO()
    np.savez(content, **arrays)  # type: ignore[arg-type]
    put_data(connection, name, content.getvalue())


def get_arrays(connection: sqlite3.Connection, name: str) -> dict[str, npt.NDArray[Any]] | None:
    """Return the arrays under a name; None where there are none.

    Raises:
        DamagedError: they are damaged.
    """
    data = get_data(connection, name)
    if data is None:
        return None
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return dict(arrays)
    except (ValueError, OSError, KeyError, zipfile.BadZipFile) as error:
        raise DamagedError(f"The store's {name} is damaged; build the store anew.") from error


def put_projection(connection: sqlite3.Connection, name: str, projection: Projection | None) -> None:
    """Keep a projection under a name; None takes it away."""
    if projection is None:
        put_data(connection, name, None)
    else:
        put_arrays(connection, name, **vars(projection))


def get_projection(connection: sqlite3.Connection, name: str) -> Projection | None:
    """Return the projection under a name; None where there is none.

    Raises:
        DamagedError: it is damaged.
    """
    arrays = get_arrays(connection, name)
    if arrays is None:
        return None
    return Projection.of(arrays)


def label_of(path: str) -> str:
    """Return the name of the folder that a picture lies in; empty at the top."""
    return PurePosixPath(path).parent.name


def _checksum_of(records: list[Any]) -> int:
    return checksum(repr(records).encode(), "catalogue")
