"""Readers and writers of what stages hand to each other: atomic, checksummed, free of pickle."""

import hashlib
import io
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
import pandas as pd

from ris.errors import RisError

_DAMAGE = (ValueError, TypeError, LookupError, EOFError, OSError, RuntimeError, MemoryError, TokenError)
"""What NumPy, pandas and pyarrow raise on damaged files."""


@contextmanager
def writing(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside `target` that replaces it if and only if the block succeeds.

    The block may make a file or a folder at the temporary path. Whatever stood at `target` stays
    untouched until the new content is complete; after an error nothing half-written is left, and what a
    killed run left is cleared by the next one.

    Raises:
        FileNotFoundError: the block made nothing.
    """
    holder = target.parent / f".{target.name}.partial"
    shutil.rmtree(holder, ignore_errors=True)
    holder.mkdir(parents=True)
    fresh, old = holder / target.name, holder / f"{target.name}.old"
    try:
        yield fresh
        if fresh.is_dir() or target.is_dir():
            with suppress(FileNotFoundError):
                target.replace(old)
        fresh.replace(target)
    finally:
        if os.path.lexists(old) and not os.path.lexists(target):
            old.replace(target)
        shutil.rmtree(holder, ignore_errors=True)


def checksum(path: Path, algorithm: str = "sha256") -> str:
    """Return `algorithm:hexdigest` of a file's bytes."""
    with path.open("rb") as stream:
        return f"{algorithm}:{hashlib.file_digest(stream, algorithm).hexdigest()}"


def write_json(path: Path, content: Any) -> None:
    """Write JSON with a stable layout, so that equal content is equal bytes."""
    with writing(path) as fresh:
        text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
        fresh.write_text(f"{text}\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        RisError: the file is missing or not JSON.
    """
    try:
        return json.loads(_existing(path).read_bytes())
    except (ValueError, RecursionError) as error:
        raise RisError(f"{path} is not valid JSON ({error}); remake it with `dvc repro`.") from error


def write_array(path: Path, array: np.ndarray[Any, Any]) -> None:
    """Write one array as .npy, without pickle."""
    # Through memory, because NumPy's own error on a full disk does not say that it is one.
    content = io.BytesIO()
    np.save(content, np.ascontiguousarray(array), allow_pickle=False)
    with writing(path) as fresh:
        fresh.write_bytes(content.getbuffer())


def read_array(path: Path) -> np.ndarray[Any, Any]:
    """Read one .npy array.

    Raises:
        RisError: the file is missing, cut short, or not a plain array.
    """
    try:
        with _existing(path).open("rb") as stream:
            return np.lib.format.read_array(stream, allow_pickle=False)
    except _DAMAGE as error:
        raise RisError(f"{path} is no readable .npy array ({error}); `dvc repro` remakes it.") from error


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a table as Parquet or CSV, by the suffix of `path`."""
    with writing(path) as fresh:
        if path.suffix == ".parquet":
            table.to_parquet(fresh, index=False)
        else:
            table.to_csv(fresh, index=False, lineterminator="\n")


def read_table(path: Path) -> pd.DataFrame:
    """Read a Parquet table.

    Raises:
        RisError: the file is missing or not Parquet.
    """
    try:
        return pd.read_parquet(_existing(path))
    except _DAMAGE as error:
        raise RisError(f"{path} is no readable Parquet table ({error}); `dvc repro` remakes it.") from error


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise RisError(f"{path} is missing; run the stage that makes it, or `dvc repro`.")
    return path
