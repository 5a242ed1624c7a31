"""A watch follows the folder while it runs."""

import threading
from collections.abc import Callable
from pathlib import Path
from queue import Queue

import pytest
from PIL import Image

from ris.engine import Change, Progress, SearchEngine
from ris.store.commits import locked

Draw = Callable[..., Image.Image]
SECONDS = 60.0
"""Until it is taken for never."""


def test_each_change_of_the_folder_is_yielded(built: SearchEngine, photos: Path, texture: Draw) -> None:
    changes: Queue[Change] = Queue()
    stop = threading.Event()

    def follow() -> None:
        for change in built.watch(stop):
            changes.put(change)

    watching = threading.Thread(target=follow)
    watching.start()
    try:
        assert changes.get(timeout=SECONDS).unchanged == 12
        texture(70).save(photos / "new.png")
        assert changes.get(timeout=SECONDS).added == 1
        (photos / "new.png").rename(photos / "a" / "new.png")
        assert changes.get(timeout=SECONDS).moved == 1
        (photos / "bad.png").write_text("bad")
        assert [one.path for one in changes.get(timeout=SECONDS).rejected] == ["bad.png"]
    finally:
        stop.set()
        watching.join(SECONDS)
    assert not watching.is_alive()
    assert changes.empty()


def test_a_store_within_its_folder_does_not_wake_its_own_watch(
    photos: Path, encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Change] = []
    original = SearchEngine.sync

    def counted(
        self: SearchEngine, *, allow_removals: bool = False, progress: Progress | None = None
    ) -> Change:
        synced.append(original(self, allow_removals=allow_removals, progress=progress))
        return synced[-1]

    monkeypatch.setattr(SearchEngine, "sync", counted)
    stop = threading.Event()
    with SearchEngine.build(photos, photos / "photos.ris", encoder=encoder) as engine:
        watching = threading.Thread(target=lambda: list(engine.watch(stop)))
        watching.start()
        stop.wait(4)
        stop.set()
        watching.join(SECONDS)
    assert 1 <= len(synced) <= 2  # one more at the first timeout


def test_what_another_writer_prevents_is_done_later(built: SearchEngine, photos: Path, texture: Draw) -> None:
    stop = threading.Event()
    watching = built.watch(stop)
    assert next(watching).unchanged == 12
    writer = threading.Event()

    def write() -> None:
        with locked(built.store):
            texture(70).save(photos / "new.png")
            writer.wait(4)

    other = threading.Thread(target=write)
    other.start()
    change = next(watching)
    assert change.added == 1
    other.join()
    stop.set()
    assert list(watching) == []
