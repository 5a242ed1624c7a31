"""What lies in a folder of pictures, without opening any of it."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ris.errors import RisError
from ris.types import Rejected

MAX_BYTES = 500_000_000
"""Of a file that is read, for it is read whole."""


@dataclass(frozen=True, slots=True)
class File:
    """A regular file."""

    path: str
    """Relative to the folder, with `/` between names."""
    bytes: int
    modified: int
    """Nanoseconds since 1970."""


def listing(root: Path, below: Path, without: Path) -> tuple[list[File], list[Rejected]]:
    """List the files at or below a path, at any depth, sorted by path.

    What is hidden, as its name begins with a dot or that of a folder above it, is passed over. Links to
    folders are not followed, nor are links to files outside of the root.

    Args:
        root: the folder of pictures.
        below: a file or folder in it.
        without: a folder that is passed over: the store, where it lies in the root.

    Returns:
        The files, and what cannot be one of them with its reason.

    Raises:
        RisError: a folder cannot be read, or the root is gone.
    """
    if not root.is_dir():
        raise RisError(f"{root}, the folder of pictures, is gone; bring it back, or build a new store.")
    inside, without = root.resolve(), without.resolve()
    found = [_looked_at(entry, entry.relative_to(root), inside) for entry in _entries(below, without)]
    found.sort(key=lambda one: one.path)
    files = [one for one in found if isinstance(one, File)]
    return files, [one for one in found if isinstance(one, Rejected)]


def inside(root: Path, path: str) -> Path | None:
    """Return where a file lies, links resolved; None where that is no regular file in the root."""
    try:
        file = (root / path).resolve(strict=True)
        return file if file.is_relative_to(root.resolve()) and file.is_file() else None
    except (OSError, ValueError):
        return None


def _entries(below: Path, without: Path) -> Iterator[Path]:
    def fail(error: OSError) -> None:
        raise RisError(f"{error.filename} cannot be read as a folder ({error.strerror}).") from error

    if not below.is_dir():
        yield below
        return
    for parent, folders, names in os.walk(below, onerror=fail):
        kept = [name for name in folders if not name.startswith(".")]
        folders[:] = [name for name in kept if Path(parent, name).resolve() != without]
        links = [name for name in folders if Path(parent, name).is_symlink()]
        yield from (Path(parent, name) for name in [*names, *links] if not name.startswith("."))


def _looked_at(entry: Path, path: Path, inside: Path) -> File | Rejected:
    """Tell a file by its entry and its path relative to the root from what cannot be a picture."""
    name = path.as_posix()
    try:
        name.encode()
        status = entry.stat()
        if entry.is_symlink() and not entry.resolve().is_relative_to(inside):
            return Rejected(name, "it is a link that leaves the folder")
    except UnicodeEncodeError:
        readable = os.fsencode(name).decode(errors="backslashreplace")
        return Rejected(readable, "its name is not valid UTF-8")
    except OSError as error:
        return Rejected(name, f"it cannot be looked at ({error.strerror})")
    if any(part.startswith(".") for part in path.parts):
        return Rejected(name, "it is hidden")
    if stat.S_ISDIR(status.st_mode):
        return Rejected(name, "it is a link to a folder")
    if not stat.S_ISREG(status.st_mode):
        return Rejected(name, "it is no regular file")
    if status.st_size > MAX_BYTES:
        return Rejected(name, f"it has {status.st_size} bytes, more than the {MAX_BYTES} allowed")
    return File(name, status.st_size, status.st_mtime_ns)
