"""Local features of stores at addresses, kept on this machine's disk so that they are not fetched again."""

import os
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

LIMIT = 4 * 2**30
"""Bytes of a folder, some 110,000 pictures; beyond it, what was not used for longest is deleted."""
LEFT = 0.9
"""Share of the limit that is left then."""


class DiskCache:
    """Data by number, in a folder that several threads and processes may share.

    Whoever takes it out checks it. Without a disk that can be written nothing is kept, and nothing fails.
    """

    def __init__(self, folder: Path, limit: int = LIMIT) -> None:
        self._folder, self._limit, self._lock = folder, limit, threading.Lock()
        self._bytes = sum(size for _, size, _ in self._files())

    def get(self, number: int) -> bytes | None:
        """Return what was put under a number; None where it is no longer there."""
        file = self._file(number)
        with suppress(OSError):
            data = file.read_bytes()
            os.utime(file)
            return data
        return None

    def put(self, number: int, data: bytes) -> None:
        """Keep data under a number, and let go of what was not used for longest."""
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self._folder, delete=False) as fresh:
                fresh.write(data)
            Path(fresh.name).replace(self._file(number))
            with self._lock:
                self._bytes += len(data)
                if self._bytes > self._limit:
                    self._shrink()

    def _shrink(self) -> None:
        files = sorted(self._files())
        self._bytes = sum(size for _, size, _ in files)
        for _, size, file in files:
            if self._bytes <= LEFT * self._limit:
                return
            file.unlink(missing_ok=True)
            self._bytes -= size

    def _files(self) -> list[tuple[float, int, Path]]:
        """Return when each file was last used, its bytes, and where it lies."""
        found = []
        with suppress(OSError):
            for entry in os.scandir(self._folder):
                with suppress(FileNotFoundError):
                    status = entry.stat()
                    found.append((status.st_mtime, status.st_size, Path(entry.path)))
        return found

    def _file(self, number: int) -> Path:
        return self._folder / str(number)
