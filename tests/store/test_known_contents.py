"""Contents are known again by their SHA-256, however many were added and however often they were sorted."""

import hashlib

import pytest

from ris.store import contents
from ris.store.contents import KNOWN, Known, _KnownContents
from ris.store.tables import as_table


def sha256(number: int) -> bytes:
    """Return one of a number; those of the same third begin with the same eight bytes."""
    return (
        hashlib.sha256(str(number // 3).encode()).digest()[:8] + hashlib.sha256(b"%d" % number).digest()[8:]
    )


@pytest.mark.parametrize("recent", [1, 7, 1000])
def test_contents_are_found_whether_committed_added_or_sorted(
    recent: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contents, "RECENT", recent)
    committed = [(sha256(number), number, number + 1, number + 2) for number in range(50)]
    known = _KnownContents(as_table(committed, KNOWN))
    for number in range(50, 100):
        assert known.find(sha256(number)) is None
        known.add(sha256(number), Known(number, number + 1, number + 2))
    assert [known.find(sha256(number)) for number in range(100)] == [
        Known(number, number + 1, number + 2) for number in range(100)
    ]
    assert known.find(sha256(100)) is None
    assert known.find(bytes(32)) is None
