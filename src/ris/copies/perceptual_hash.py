"""A picture in eight bytes: finds again what was encoded anew, shrunk, blurred or darkened as a whole.

The perceptual hash by the discrete cosine transform: Zauner 2010, "Implementation and benchmarking of
perceptual image hash functions", section 3.2.1.
"""

from collections.abc import Callable
from typing import TypeAlias

import cv2
import faiss
import numpy as np
import numpy.typing as npt

from ris.indexes.vectors import Rows

Bytes: TypeAlias = npt.NDArray[np.uint8]
Fingerprints: TypeAlias = npt.NDArray[np.uint64]

SIDE = 32
"""Side to which a picture is squeezed, pixels."""
FREQUENCIES = 8
"""The lowest of each direction."""


def fingerprint(grey: Bytes) -> int:
    """Return which of a grey picture's (h, w) low frequencies lie above their median, as 64 bits."""
    square = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    low = cv2.dct(square)[:FREQUENCIES, :FREQUENCIES]
    return int.from_bytes(np.packbits(low > np.median(low)).tobytes(), "big")


def nearest(fingerprint: int, gallery: Fingerprints, rows: Rows, k: int) -> Rows:
    """Return the rows (k,) of a gallery's fingerprints (n,) with the fewest other bits; ties by place."""
    distances = np.bitwise_count(gallery ^ np.uint64(fingerprint))
    if k < len(distances):
        near = np.flatnonzero(distances <= np.partition(distances, k)[k])
    else:
        near = np.arange(len(distances))
    return rows[near[np.argsort(distances[near], kind="stable")[:k]]]


def nearest_hashes(hashes: Fingerprints) -> Callable[[Fingerprints, int], Rows]:
    """Return a search among hashes (n,): from hashes (q,) and k to the places (q, k) of the nearest."""
    index = faiss.IndexBinaryFlat(64)
    index.add(_as_bytes(hashes))

    def search(queries: Fingerprints, k: int) -> Rows:
        found: Rows = index.search(_as_bytes(queries), k)[1]
        return found

    return search


def _as_bytes(hashes: Fingerprints) -> Bytes:
    return np.ascontiguousarray(hashes, np.uint64).view(np.uint8).reshape(-1, 8)
