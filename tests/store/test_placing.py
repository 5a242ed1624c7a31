"""What was found in a folder is compared with what the store has, whatever order it comes in."""

import numpy as np
import pytest
from numpy.random import Generator

from ris.gallery.catalogue import SCHEMA
from ris.store import placing
from ris.store.folder import File
from ris.store.placing import Pictures
from ris.store.tables import REJECTED_SCHEMA, as_table
from ris.types import Rejected

READ = 10**18
UNSURE = 1000


def pictures(files: list[File], refused: list[File]) -> Pictures:
    """Return pictures and rejected files that were read at `READ`."""
    lines = [
        (row, file.path, "", file.bytes, file.modified, READ, row, 1, 1, bytes(32))
        for row, file in enumerate(files)
    ]
    reasons = [(file.path, "it is no picture", file.bytes, file.modified, READ) for file in refused]
    return Pictures(as_table(lines, SCHEMA), as_table(reasons, REJECTED_SCHEMA))


def drawn(rng: Generator, count: int) -> list[File]:
    """Draw files, some of them changed shortly before they were read."""
    times = READ - rng.integers(1, 20 * UNSURE, count)
    return [File(f"{i // 7}/{i:03}.png", int(rng.integers(9)), int(time)) for i, time in enumerate(times)]


@pytest.mark.parametrize("seed", range(12))
def test_only_files_that_are_surely_the_same_are_not_read(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placing, "AT_ONCE", 8)
    rng = np.random.default_rng(seed)
    files = drawn(rng, 100)
    kept, refused, fresh = files[:70], files[70:80], files[80:]
    if seed % 3 == 0:
        kept = [kept[i] for i in rng.permutation(len(kept))]
    known = pictures(kept, refused)
    left = [file for file in (*kept, *refused) if rng.random() < (1.0 if seed % 2 else 0.8)]
    found = [
        file._replace(bytes=file.bytes + 1) if rng.random() < 0.05 else file
        for file in sorted((*left, *(fresh if seed > 3 else [])))
    ]
    strange = [Rejected("odd", "it is no regular file")]
    to_read, rejected = known.compare([*found, *strange], UNSURE)
    before = {*kept, *refused}
    same = {file for file in found if file in before and file.modified + UNSURE < READ}
    assert sorted(to_read) == sorted({*found} - same)
    assert rejected == strange
    assert known.gone() == {file.path for file in before - same}


def test_places_are_those_of_the_table() -> None:
    files = drawn(np.random.default_rng(0), 30)
    known = pictures(files, [])
    assert known.places(["0/003.png", "no", files[29].path]) == {"0/003.png": 3, files[29].path: 29}
    assert known.at_or_below("2") == set(range(14, 21))
    assert known.at_or_below("2/014.png") == {14}
    assert known.at_or_below("2/014") == set()
