"""Several readers and writers at once, a disk that is full, and a folder that cannot be written."""

import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from PIL import Image

from ris.engine import BusyError, Change, SearchEngine
from ris.errors import RisError

Draw = Callable[..., Image.Image]
FullDisk = Callable[[], AbstractContextManager[None]]


def hits(engine: SearchEngine, query: Image.Image) -> list[tuple[str, float, bool | None]]:
    return [(hit.path, hit.distance, hit.same_picture) for hit in engine.search(query, 20)]


def test_a_reader_keeps_what_it_saw_until_it_is_refreshed(
    built: SearchEngine, photos: Path, texture: Draw
) -> None:
    query = texture(0, 120, 90)
    with SearchEngine.open(built.store) as reader:
        before = hits(reader, query)
        assert not reader.refresh()
        texture(70, 120, 90).save(photos / "new.png")
        built.remove(["a"])
        built.sync()
        assert hits(reader, query) == before
        assert hits(built, query) != before
        assert reader.refresh()
        assert hits(reader, query) == hits(built, query)
        assert reader.generation == built.generation


def test_readers_go_on_while_a_writer_writes(built: SearchEngine, photos: Path, texture: Draw) -> None:
    for number in range(20):
        texture(300 + number, 120, 90).save(photos / f"new{number}.png")
    seen: list[int] = []

    def look(what: str, done: int, _total: int) -> None:
        if what == "reading pictures" and done % 5 == 0:
            with SearchEngine.open(built.store) as other:
                seen.append(len(other))
                assert other.search(texture(0, 120, 90), 1)[0].path == "00.png"

    assert built.sync(progress=look).added == 20
    assert seen
    assert set(seen) == {12}


def test_the_second_writer_is_told_and_changes_nothing(
    built: SearchEngine, photos: Path, texture: Draw
) -> None:
    texture(70, 120, 90).save(photos / "new.png")
    told: list[str] = []

    def try_as_well(what: str, done: int, total: int) -> None:  # noqa: ARG001
        for write in (lambda: other.sync(), lambda: other.remove(["a"]), lambda: other.set_columns(table)):
            with pytest.raises(BusyError) as caught:
                write()
            told.append(str(caught.value))

    table = photos.parent / "table.csv"
    table.write_text("path,mood\n00.png,good\n")
    with SearchEngine.open(built.store) as other:
        built.sync(progress=try_as_well)
        assert set(told) == {f"Another process is writing to {built.store}; try again when it has ended."}
        assert other.sync().unchanged == 13
        assert other.set_columns(table) == 1


def test_two_builds_of_one_store_do_not_mix(photos: Path, tmp_path: Path, encoder: Path) -> None:
    told: list[str] = []

    def build_as_well(what: str, done: int, total: int) -> None:  # noqa: ARG001
        if what == "reading pictures" and done == 3:
            with pytest.raises(BusyError) as caught:
                SearchEngine.build(photos, tmp_path / "store", encoder=encoder)
            told.append(str(caught.value))

    with SearchEngine.build(photos, tmp_path / "store", encoder=encoder, progress=build_as_well) as engine:
        assert len(told) == 1
        assert engine.verify() == []


def test_many_threads_ask_while_one_writes(built: SearchEngine, photos: Path, texture: Draw) -> None:
    queries = [texture(number, 120, 90) for number in range(12)]
    expected = {picture.path: 1 for picture in built.pictures()}
    stop = threading.Event()

    def ask(number: int) -> int:
        asked = 0
        while not stop.is_set() or asked < 3:
            hit = built.search(queries[number], 1)[0]
            assert Path(hit.path).stem == f"{number:02d}"
            assert built.find(queries[number]).here
            asked += 1
        return asked

    with ThreadPoolExecutor(6) as pool:
        asking = [pool.submit(ask, number) for number in range(6)]
        for number in range(3):
            texture(400 + number, 120, 90).save(photos / f"new{number}.png")
            assert built.sync().added == 1
        stop.set()
        assert all(one.result() >= 3 for one in asking)
    assert len(built) == len(expected) + 3
    assert built.verify() == []


def test_on_a_full_disk_all_stays_as_it_was(
    built: SearchEngine, photos: Path, texture: Draw, full_disk: FullDisk, encoder: Path, tmp_path: Path
) -> None:
    for number in range(3):
        texture(70 + number, 120, 90).save(photos / f"new{number}.png")
    before = built.pictures(), built.generation
    writes: list[Callable[[], Change]] = [built.sync, lambda: built.remove(["a"])]
    for write in writes:
        with full_disk(), pytest.raises(RisError) as caught:
            write()
        assert str(caught.value).startswith(f"{built.store} cannot be written")
        assert str(caught.value).endswith("; it is as it was.")
        assert (built.pictures(), built.generation) == before
        assert built.verify() == []
    with full_disk(), pytest.raises(RisError, match=r"cannot be written .*; it is as it was"):
        SearchEngine.build(photos, tmp_path / "other", encoder=encoder)
    assert not (tmp_path / "other").exists()
    assert built.sync().added == 3


@pytest.fixture
def readable() -> Iterator[Path]:
    """A folder that other users may enter."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_a_store_that_cannot_be_written_is_read(built: SearchEngine, readable: Path, photos: Path) -> None:
    built.close()
    shutil.copytree(photos, readable / "photos")
    shutil.copytree(built.store, readable / "store")
    shutil.copytree(os.environ["RIS_CACHE"], readable / "cache")  # the network, converted for this processor
    shutil.copytree(os.environ["XDG_STATE_HOME"], readable / "state")
    for path in [
        one
        for name in ("store", "cache", "state")
        for one in (readable / name, *(readable / name).rglob("*"))
    ]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    code = """
import encodings.cp437, openvino, os, sys  # what a user without this Python's library reads later
from ris.engine import Filter, ReadOnlyError, SearchEngine
from ris.images import decoders
decoders.start()
os.setgid(65534)
os.setuid(65534)
with SearchEngine.open(sys.argv[1]) as engine:
    print(engine.search(engine.pictures()[0].row, 1)[0].path)
    for write in (engine.sync, lambda: engine.remove(["a"])):
        try:
            write()
        except ReadOnlyError as error:
            print(error)
    print(engine.map()[1].shape, engine.verify())
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(readable / "store")],
        env={**os.environ, "RIS_CACHE": str(readable / "cache"), "XDG_STATE_HOME": str(readable / "state")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found, first, second, rest = done.stdout.splitlines()
    assert found.endswith(".png")
    assert first == second == f"{readable / 'store'} cannot be written (Permission denied)."
    assert rest == "(12, 2) []"


def test_a_lock_is_let_go_with_its_process(built: SearchEngine) -> None:
    code = "import filelock, os, sys; filelock.FileLock(sys.argv[1]).acquire(); os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", code, str(built.store / "write.lock")], check=False)
    assert built.sync().unchanged == 12
