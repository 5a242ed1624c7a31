"""A process that is killed while it writes leaves the old store or the new one, whole."""

import multiprocessing
import shutil
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ris.engine import RERANKED, Change, SearchEngine
from ris.errors import RisError

Draw = Callable[..., Image.Image]
KILLS = 4
"""Of each operation."""
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["ris.engine"])


def remove_and_refit(engine: SearchEngine) -> Change:
    change = engine.remove(["a"])
    engine.refit()
    return change


CHANGES: dict[str, Callable[[SearchEngine], Change]] = {
    "sync": lambda engine: engine.sync(),
    "sync and fit": lambda engine: engine.sync(),
    "add": lambda engine: engine.add([engine.folder / "later"]),
    "remove": lambda engine: engine.remove(["a"]),
    "remove and fit again": remove_and_refit,
}


def built(home: Path, encoder: Path, copies: Path) -> None:
    SearchEngine.build(
        home / "photos", home / "store", encoder=encoder, copies_encoder=copies, regions=True, threads=1
    ).close()


def build(home: Path, encoder: Path, copies: Path, sender: Connection) -> None:
    sender.send("begins")
    built(home, encoder, copies)
    sender.send("ended")


def change(name: str, home: Path, sender: Connection) -> None:
    with SearchEngine.open(home / "store", threads=1) as engine:
        sender.send("begins")
        CHANGES[name](engine)
        sender.send("ended")


def run(target: Callable[..., None], *arguments: object, killed_after: float | None = None) -> float:
    """Run in a process of its own, to its end or to its kill; return its seconds."""
    receiver, sender = PROCESSES.Pipe(duplex=False)
    process = PROCESSES.Process(target=target, args=(*arguments, sender))
    process.start()
    assert receiver.recv() == "begins"
    start = time.monotonic()
    if killed_after is None:
        assert receiver.recv() == "ended"
        seconds = time.monotonic() - start
        process.join()
        assert process.exitcode == 0
        return seconds
    time.sleep(killed_after)
    process.kill()
    process.join()
    return killed_after


def content(store: Path) -> tuple[list[tuple[int, str, str]], bytes, bytes]:
    """All that a store holds of its pictures, which must be whole."""
    with SearchEngine.open(store) as engine:
        assert engine.verify() == []
        catalogue = [(picture.row, picture.path, picture.sha256) for picture in engine.pictures()]
        _, vectors = engine.vectors()
        for index in engine.indexes:
            nearest = engine.nearest(vectors[:1], 1, index)
            assert np.all(nearest[0] < 1e-3) or index == RERANKED, index
        gallery = engine._gallery
        assert gallery.candidates is not None
        assert gallery.candidates.regions is not None
        of_regions = gallery.candidates.regions.vectors.reshape(gallery.count, 5, -1)
        copies = [gallery.candidates.whole.vectors, of_regions]
        shown = b"".join(part[gallery.shown[gallery.catalogue.by_path]].tobytes() for part in copies)
        return catalogue, vectors.tobytes(), shown


def fractions(seed: int) -> list[float]:
    """Moments over the whole of an operation, one in each part of it."""
    drawn = np.random.default_rng(seed).random(KILLS)
    return [(place + float(share)) / KILLS for place, share in enumerate(drawn)]


@pytest.fixture
def home(photos: Path) -> Path:
    return photos.parent


def test_build(home: Path, encoder: Path, copies_encoder: Path) -> None:
    seconds = run(build, home, encoder, copies_encoder)
    new = content(home / "store")
    for fraction in fractions(0):
        shutil.rmtree(home / "store")
        run(build, home, encoder, copies_encoder, killed_after=fraction * seconds)
        try:
            with SearchEngine.open(home / "store") as engine:
                assert engine.verify() == []
                whole = engine.info().unread is None
        except RisError as error:
            assert "holds no store" in str(error)  # noqa: PT017
            whole = False
        if not whole:
            run(build, home, encoder, copies_encoder)
        assert content(home / "store") == new


@pytest.mark.parametrize("name", CHANGES)
def test_change(name: str, home: Path, encoder: Path, copies_encoder: Path, texture: Draw) -> None:
    built(home, encoder, copies_encoder)
    (home / "photos" / "later").mkdir()
    for number in range(8 if name != "sync" else 2):
        texture(500 + number, 120, 90).save(home / "photos" / "later" / f"{number}.png")
    if name.startswith("sync"):
        (home / "photos" / "00.png").rename(home / "photos" / "later" / "moved.png")
        (home / "photos" / "03.png").write_bytes(b"bad")
        (home / "photos" / "06.png").unlink()
    old = content(home / "store")
    shutil.copytree(home / "store", home / "kept")
    seconds = run(change, name, home)
    new = content(home / "store")
    assert new != old
    states = set()
    for fraction in fractions(1):
        shutil.rmtree(home / "store")
        shutil.copytree(home / "kept", home / "store")
        run(change, name, home, killed_after=fraction * seconds)
        found = content(home / "store")
        assert found in (old, new)
        states.add(found == new)
        if found == old:
            run(change, name, home)
            assert content(home / "store") == new
    assert False in states
