"""Files whose time of change lies beyond what a store can hold."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from ris.engine import SearchEngine


@pytest.mark.parametrize("seconds", [10_000_000_000, 2**34 - 1])
def test_a_time_in_the_far_future_is_taken_for_the_latest(
    tmp_path: Path, texture: Callable[..., Image.Image], seconds: int
) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(3):
        texture(number).save(folder / f"{number}.png")
    (folder / "note.txt").write_text("No picture.")
    for name in ("1.png", "note.txt"):
        os.utime(folder / name, (0, seconds))
    if (folder / "1.png").stat().st_mtime != seconds:
        pytest.skip("this file system keeps no such time")
    with SearchEngine.build(folder, tmp_path / "store", threads=1) as engine:
        assert [one.path for one in engine.pictures()] == ["0.png", "1.png", "2.png"]
        assert [one.path for one in engine.rejected()] == ["note.txt"]
        assert engine.pictures()[1].modified == pytest.approx(2**63 / 1e9)
        change = engine.sync()
        assert (change.added, change.removed, change.changed) == (0, 0, 0)
        assert engine.verify() == []
