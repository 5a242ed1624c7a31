"""What lies in a folder of pictures, without opening any of it."""

import os
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from ris.errors import RisError
from ris.images.limits import MAX_BYTES
from ris.names import kept, on_disk
from ris.store.storage import Place
from ris.types import Rejected

LATEST = 2**63 - 1
"""Latest time of a file that is kept, nanoseconds since 1970, in the year 2262; later ones count as it."""


class File(NamedTuple):
    """A regular file; a tuple, as one is made for each of a million files."""

    path: str
    """Relative to the folder, with `/` between names, as `ris.names.kept` has it."""
    bytes: int
    modified: int
    """Nanoseconds since 1970."""


def walk(root: Path, below: Path, without: Place) -> Iterator[File | Rejected]:
    """Yield the files at or below a path, at any depth, those of a folder sorted by name.

    What is hidden, as its name begins with a dot or that of a folder above it, is passed over. Links to
    folders are not followed, nor are links to files outside of the root.

    Args:
        root: the folder of pictures.
        below: a file or folder in it.
        without: a folder that is passed over: the store, where it lies in the root.

    Yields:
        Files, and what cannot be one of them with its reason.

    Raises:
        RisError: a folder cannot be read, or the root is gone.
    """
    if not root.is_dir():
        raise RisError(f"{root}, the folder of pictures, is gone; bring it back, or build a new store.")
    inside = root.resolve()
    path = kept(below.relative_to(root).as_posix())
    if below.is_symlink() or not below.is_dir():
        yield _looked_up(below, path, inside)
        return
    apart = without.stat() if isinstance(without, Path) and without.exists() else None
    yield from _below(below, "" if path == "." else f"{path}/", inside, apart)


def inside(root: Path, path: str) -> Path | None:
    """Return where a file lies, links resolved; None where that is no regular file in the root."""
    try:
        file = (root / on_disk(path)).resolve(strict=True)
        return file if file.is_relative_to(root.resolve()) and file.is_file() else None
    except (OSError, ValueError):
        return None


def linked_once(root: Path, paths: Sequence[str], contents: Sequence[int]) -> list[int]:
    """Return the places of paths without those that are links to the file of another one.

    Of several names of one file it is one that is no symbolic link, and of these the shortest.

    Args:
        root: the folder of pictures.
        paths: relative to it.
        contents: what each shows; names of one file show the same.
    """
    shown = Counter(contents)
    chosen: dict[object, int] = {}
    for place in sorted(range(len(paths)), key=lambda place: (len(paths[place]), paths[place])):
        own: object = place
        if shown[contents[place]] > 1:
            file = root / on_disk(paths[place])
            with suppress(OSError, ValueError):
                status = file.stat()
                own = status.st_dev, status.st_ino
                if (
                    own in chosen
                    and (root / on_disk(paths[chosen[own]])).is_symlink()
                    and not file.is_symlink()
                ):
                    chosen[own] = place
        chosen.setdefault(own, place)
    return sorted(chosen.values())


def _below(
    folder: Path, prefix: str, inside: Path, apart: os.stat_result | None
) -> Iterator[File | Rejected]:
    """Yield what lies below a folder: its own files, then those of each folder in it."""
    waiting = [(str(folder), prefix)]
    while waiting:
        place, prefix = waiting.pop()
        try:
            with os.scandir(place) as scanned:
                entries = sorted(scanned, key=lambda entry: entry.name)
        except OSError as error:
            raise RisError(f"{error.filename} cannot be read as a folder ({error.strerror}).") from error
        folders = []
        for entry in entries:
            name = entry.name
            if name.startswith("."):
                continue
            path = prefix + kept(name)
            if entry.is_symlink():
                yield _looked_up(Path(entry.path), path, inside)
            elif entry.is_dir():
                if apart is None or not os.path.samestat(entry.stat(), apart):
                    folders.append((entry.path, f"{path}/"))
            else:
                try:
                    yield _judged(path, entry.stat())
                except OSError as error:
                    yield Rejected(path, f"it cannot be looked at ({error.strerror})")
        waiting += reversed(folders)


def _looked_up(entry: Path, path: str, inside: Path) -> File | Rejected:
    """Tell a file that may be a link, or was named, from what cannot be a picture."""
    try:
        status = entry.stat()
        if entry.is_symlink() and not entry.resolve().is_relative_to(inside):
            return Rejected(path, "it is a link that leaves the folder")
    except OSError as error:
        return Rejected(path, f"it cannot be looked at ({error.strerror})")
    if any(part.startswith(".") for part in path.split("/")):
        return Rejected(path, "it is hidden")
    if stat.S_ISDIR(status.st_mode):
        return Rejected(path, "it is a link to a folder")
    return _judged(path, status)


def _judged(path: str, status: os.stat_result) -> File | Rejected:
    """Tell a file by its path relative to the root from what cannot be a picture."""
    if not stat.S_ISREG(status.st_mode):
        return Rejected(path, "it is no regular file")
    if status.st_size > MAX_BYTES:
        return Rejected(path, f"it has {status.st_size} bytes, more than the {MAX_BYTES} allowed")
    modified = status.st_mtime_ns
    return File(path, status.st_size, modified if -LATEST <= modified <= LATEST else LATEST)
