"""Local features as a store keeps them, and reads them one picture at a time."""

import sqlite3
import struct
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from threading import Lock

import numpy as np

from ris.copies.local_features import LocalFeatures, pack, thumbnail, unpack
from ris.store.database import checksum, told
from ris.types import DamagedError

_HEADER = struct.Struct("<3I2H")
"""Features, the picture's width and height, its thumbnail's width and height."""
_POINT, _DESCRIPTOR = 4, 64
"""Bytes of a feature."""


def encode(features: LocalFeatures) -> bytes:
    """Pack local features as `LocalFeatureStore` rounds and shrinks them: 68 bytes a feature, 9 kB more."""
    small = thumbnail(features.grey)
    header = _HEADER.pack(len(features.points), *features.size, *small.shape[::-1])
    places = ((features.points + 0.5) / features.size).clip(0, 1) * 65535
    parts = (np.rint(places).astype("<u2"), pack(features.descriptors), small)
    return b"".join([header, *(part.tobytes() for part in parts)])


def decode(data: bytes) -> LocalFeatures:
    """Undo `encode`, up to its rounding."""
    count, width, height, across, down = _HEADER.unpack_from(data)
    ends = np.cumsum([_HEADER.size, count * _POINT, count * _DESCRIPTOR, down * across])
    points, packed, grey = (data[start:end] for start, end in pairwise(ends))
    places = np.frombuffer(points, "<u2").reshape(count, 2) / np.float32(65535)
    return LocalFeatures(
        (places * (width, height) - 0.5).astype(np.float32),
        unpack(np.frombuffer(packed, np.uint8).reshape(count, _DESCRIPTOR)),
        (width, height),
        np.frombuffer(grey, np.uint8).reshape(down, across),
    )


class StoredFeatures:
    """The local features of a catalogue, by position; a `ris.copies.verification.Described`."""

    def __init__(
        self, store: Path, connection: sqlite3.Connection, lock: Lock, contents: Sequence[int], side: int
    ) -> None:
        self._store, self._connection, self._lock, self._contents = store, connection, lock, contents
        self.side = side

    def __getitem__(self, position: int) -> LocalFeatures:
        """Return the local features of a picture.

        Raises:
            DamagedError: they are not there, or not as they were written.
        """
        query = (
            "SELECT data, checksum, sha256 FROM local_features JOIN content ON id = content WHERE content = ?"
        )
        with self._lock, told(self._store):
            found = self._connection.execute(query, (int(self._contents[position]),)).fetchone()
        if found is None or checksum(found[0], found[2]) != found[1]:
            raise DamagedError(f"Local features in {self._store} are damaged; build it anew.")
        return decode(found[0])
