"""Vectors on disk, tied to the catalog whose rows they follow."""

from pathlib import Path
from typing import Any

import numpy as np

from ris.artifacts import checksum, read_array, read_json, write_array, write_json
from ris.errors import RisError

Vectors = np.ndarray[Any, np.dtype[np.float32]]


def write_features(path: Path, vectors: Vectors, catalog_sha256: str) -> None:
    """Write (N, D) vectors as .npy, and beside them a .json that says to which catalog they belong."""
    write_array(path, vectors)
    identity = {"array": checksum(path), "catalog": catalog_sha256, "shape": list(vectors.shape)}
    write_json(path.with_suffix(".json"), identity)


def checksum_of(path: Path) -> str:
    """Return the checksum that an array of vectors was written with.

    Raises:
        RisError: it was not written, or what is said of it is damaged.
    """
    identity = read_json(path.with_suffix(".json"))
    found = identity.get("array") if isinstance(identity, dict) else None
    if not isinstance(found, str):
        raise RisError(f"{path} is missing or damaged; run the extract and pca stages again.")
    return found


def read_features(path: Path, catalog_sha256: str) -> Vectors:
    """Read (N, D) float32 vectors; row i is image i of the catalog.

    Raises:
        RisError: missing, damaged, of another catalog, or with values that are not finite.
    """
    identity = read_json(path.with_suffix(".json"))
    if not isinstance(identity, dict) or not path.is_file() or checksum(path) != identity.get("array"):
        raise RisError(f"{path} is missing or damaged; run the extract and pca stages again.")
    if identity.get("catalog") != catalog_sha256:
        raise RisError(f"{path} belongs to another catalog; run the extract and pca stages again.")
    vectors = read_array(path)
    if vectors.ndim != 2 or vectors.dtype != np.float32 or not np.isfinite(vectors).all():
        raise RisError(f"{path} holds no finite float32 vectors; run the extract and pca stages again.")
    return vectors
