"""What is kept on the disk of what was fetched: bounded, checked, and never in the way."""

import os
from pathlib import Path

from ris.store.disk_cache import DiskCache

DATA = b"x" * 96


def test_keeps_what_was_used_last_within_its_limit(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, limit=10 * len(DATA))
    for number in range(10):
        cache.put(number, DATA)
        os.utime(tmp_path / str(number), (number, number))
    assert cache.get(0) == DATA
    cache.put(10, DATA)
    assert [number for number in range(11) if cache.get(number) is None] == [1, 2]
    again = DiskCache(tmp_path, limit=5 * len(DATA))
    again.put(11, DATA)
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= 5 * len(DATA)
    assert again.get(11) == DATA


def test_a_disk_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    cache = DiskCache(tmp_path / "file" / "cache")
    cache.put(1, DATA)
    assert cache.get(1) is None
