"""A link to a file of the folder is that file, and no copy of it."""

import os
import shutil
from pathlib import Path

import pytest

from ris.engine import SearchEngine
from ris.store.folder import linked_once


@pytest.fixture
def linked(photos: Path, tmp_path: Path, encoder: Path) -> SearchEngine:
    (photos / "a.png").symlink_to("a/01.png")
    os.link(photos / "b/02.png", photos / "z.png")
    shutil.copy(photos / "00.png", photos / "copy of 00.png")
    (photos / "s.png").symlink_to("00.png")
    return SearchEngine.build(photos, tmp_path / "linked.ris", encoder=encoder, threads=2)


def test_only_copies_are_grouped(linked: SearchEngine) -> None:
    assert {"a.png", "z.png", "s.png"} <= {one.path for one in linked.pictures()}
    (group,) = linked.duplicates()
    assert [one.path for one in group.pictures] == ["00.png", "copy of 00.png"]
    assert group.keep.path == "00.png"


def test_the_file_is_taken_and_not_the_link(photos: Path) -> None:
    (photos / "a").rename(photos / "c")
    (photos / "a.png").symlink_to("c/01.png")
    (photos / "b.png").symlink_to("a.png")
    os.link(photos / "c/01.png", photos / "c/hard.png")
    paths = ["a.png", "b.png", "c/01.png", "c/hard.png", "00.png", "gone.png"]
    assert linked_once(photos, paths, [7, 7, 7, 7, 8, 7]) == [2, 4, 5]
