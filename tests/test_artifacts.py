import errno
import hashlib
import json
import os
import pickle
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ris import artifacts
from ris.artifacts import writing
from ris.errors import RisError

FullDisk = Callable[[], AbstractContextManager[None]]
TABLE = pd.DataFrame(
    {
        "path": ["ant/1.jpg", "süß/2.jpg"],
        "width": np.array([3, 4], np.int32),
        "score": [0.1, 1e-9],
        "label": ["ant", "süß"],
    }
)
ARRAY = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
JSON = {"b": [1, 2.5, None, True], "a": {"süß": "ü"}}
WRITERS: dict[str, Callable[[Path], None]] = {
    "a.json": lambda path: artifacts.write_json(path, JSON),
    "a.npy": lambda path: artifacts.write_array(path, ARRAY),
    "a.parquet": lambda path: artifacts.write_table(path, TABLE),
    "a.csv": lambda path: artifacts.write_table(path, TABLE),
}
READERS: dict[str, Callable[[Path], Any]] = {
    "a.json": artifacts.read_json,
    "a.npy": artifacts.read_array,
    "a.parquet": artifacts.read_table,
}


def tree(folder: Path) -> dict[str, str | None]:
    return {
        path.relative_to(folder).as_posix(): path.read_text() if path.is_file() else None
        for path in (folder, *folder.rglob("*"))
        if path.exists()
    }


def make(path: Path, kind: str, content: str) -> None:
    if kind == "file":
        path.write_text(content)
    else:
        path.mkdir()
        (path / content).write_text(content)


@pytest.mark.parametrize("new", ["file", "folder"])
@pytest.mark.parametrize("old", ["file", "folder", "link to a file", "link to a folder", "nothing"])
def test_new_content_replaces_old(old: str, new: str, tmp_path: Path) -> None:
    target = tmp_path / "deep" / "target"
    target.parent.mkdir()
    if old.startswith("link"):
        make(tmp_path / "elsewhere", old.rpartition(" ")[2], "kept")
        target.symlink_to(tmp_path / "elsewhere")
    elif old != "nothing":
        make(target, old, "old")
    before = tree(tmp_path / "elsewhere")
    with writing(target) as fresh:
        make(fresh, new, "new")
        assert fresh.parent != target.parent
    expected = {"target": "new"} if new == "file" else {"target": None, "target/new": "new"}
    assert tree(tmp_path / "deep") == {".": None, **expected}
    assert not target.is_symlink()
    assert tree(tmp_path / "elsewhere") == before


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("new", ["file", "folder"])
@pytest.mark.parametrize("old", ["file", "folder", "nothing"])
def test_an_error_leaves_the_old_content(
    old: str, new: str, error: type[BaseException], tmp_path: Path
) -> None:
    target = tmp_path / "target"
    if old != "nothing":
        make(target, old, "old")
    before = tree(tmp_path)

    def interrupted() -> None:
        with writing(target) as fresh:
            make(fresh, new, "half")
            raise error

    with pytest.raises(error):
        interrupted()
    assert tree(tmp_path) == before


@pytest.mark.parametrize("old", ["file", "folder"])
def test_a_block_that_makes_nothing_leaves_the_old_content(old: str, tmp_path: Path) -> None:
    make(tmp_path / "target", old, "old")
    before = tree(tmp_path)
    with pytest.raises(FileNotFoundError), writing(tmp_path / "target"):
        pass
    assert tree(tmp_path) == before


def test_an_interrupt_between_the_two_moves_of_a_folder_puts_the_old_one_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path / "target", "folder", "old")
    before, moved, replace = tree(tmp_path), [], Path.replace

    def interrupted(self: Path, target: Path) -> Path:
        moved.append(self.name)
        if len(moved) == 2:
            raise KeyboardInterrupt
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt), writing(tmp_path / "target") as fresh:
        make(fresh, "folder", "new")
    assert len(moved) == 3
    assert tree(tmp_path) == before


def test_what_a_killed_run_left_is_cleared(tmp_path: Path) -> None:
    child = os.fork()
    if not child:
        with writing(tmp_path / "target") as fresh:
            make(fresh, "folder", "half")
            os._exit(9)
    os.waitpid(child, 0)
    left = list(tmp_path.rglob("half"))
    assert left
    assert not (tmp_path / "target").exists()
    with writing(tmp_path / "target") as fresh:
        assert not fresh.exists()
        make(fresh, "file", "new")
    assert tree(tmp_path) == {".": None, "target": "new"}


def test_round_trips(tmp_path: Path) -> None:
    for name, write in WRITERS.items():
        write(tmp_path / "deep" / name)
    assert artifacts.read_json(tmp_path / "deep" / "a.json") == JSON
    array = artifacts.read_array(tmp_path / "deep" / "a.npy")
    np.testing.assert_array_equal(array, ARRAY, strict=True)
    assert array.flags.c_contiguous
    pd.testing.assert_frame_equal(artifacts.read_table(tmp_path / "deep" / "a.parquet"), TABLE)
    pd.testing.assert_frame_equal(
        pd.read_csv(tmp_path / "deep" / "a.csv"), TABLE, check_dtype=False, check_exact=True
    )


@pytest.mark.parametrize("name", WRITERS)
def test_equal_content_is_equal_bytes(name: str, tmp_path: Path) -> None:
    for folder in ("first", "second"):
        WRITERS[name](tmp_path / folder / name)
    assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()
    assert [path.name for path in (tmp_path / "first").iterdir()] == [name]


def test_other_programs_read_what_is_written(tmp_path: Path) -> None:
    artifacts.write_array(tmp_path / "a.npy", ARRAY.T)
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), ARRAY.T, strict=True)
    artifacts.write_json(tmp_path / "a.json", JSON)
    assert (tmp_path / "a.json").read_bytes() == (
        json.dumps(JSON, indent=2, ensure_ascii=False) + "\n"
    ).encode()
    artifacts.write_table(tmp_path / "a.csv", TABLE)
    assert (tmp_path / "a.csv").read_bytes().count(b"\n") == 3
    assert b"\r" not in (tmp_path / "a.csv").read_bytes()


def test_json_has_no_numbers_that_json_lacks(tmp_path: Path) -> None:
    artifacts.write_json(tmp_path / "a.json", 1)
    with pytest.raises(ValueError, match="JSON"):
        artifacts.write_json(tmp_path / "a.json", float("nan"))
    assert artifacts.read_json(tmp_path / "a.json") == 1


@pytest.mark.parametrize("name", READERS)
def test_a_missing_file_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(RisError, match=rf"{name} is missing; .*dvc repro"):
        READERS[name](tmp_path / name)
    (tmp_path / name).mkdir()
    with pytest.raises(RisError, match=rf"{name} is missing; .*dvc repro"):
        READERS[name](tmp_path / name)


@pytest.mark.parametrize("name", READERS)
def test_a_file_that_is_cut_short_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    WRITERS[name](path)
    whole = path.read_bytes()
    for size in range(0, len(whole) - 1, max(1, len(whole) // 50)):
        path.write_bytes(whole[:size])
        with pytest.raises(RisError, match=rf"{name} is .*dvc repro"):
            READERS[name](path)


@pytest.mark.parametrize("name", READERS)
def test_a_damaged_file_is_read_or_refused_but_never_a_crash(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    WRITERS[name](path)
    whole = path.read_bytes()
    refused = 0
    for position in range(0, len(whole), max(1, len(whole) // 300)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        try:
            READERS[name](path)
        except RisError:
            refused += 1
    assert refused


@pytest.mark.parametrize("name", READERS)
def test_another_format_under_the_name_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    for other in READERS.keys() - {name}:
        WRITERS[other](tmp_path / other)
        path.write_bytes((tmp_path / other).read_bytes())
        with pytest.raises(RisError, match=name):
            READERS[name](path)


class Planted:
    """Unpickling this makes the file ./ran."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("ran",)


def test_a_pickle_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("objects.npy", np.array([Planted()], dtype=object), allow_pickle=True)
    Path("bare.npy").write_bytes(pickle.dumps(Planted()))
    np.savez("archive.npz", x=ARRAY)
    Path("archive.npz").rename("archive.npy")
    for name in ("objects.npy", "bare.npy", "archive.npy"):
        with pytest.raises(RisError, match=name):
            artifacts.read_array(Path(name))
    assert not Path("ran").exists()
    with pytest.raises(ValueError, match="allow_pickle"):
        artifacts.write_array(Path("new.npy"), np.array([Planted()], dtype=object))
    assert not Path("new.npy").exists()


def test_a_shape_that_no_memory_holds_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    artifacts.write_array(path, ARRAY)
    small, huge = b"(3, 4), }             ", b"(333333333333, 444), }"
    assert small in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(small, huge))
    with pytest.raises(RisError, match=r"a\.npy"):
        artifacts.read_array(path)


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_is_told_as_such_and_leaves_the_old_file(
    name: str, tmp_path: Path, full_disk: FullDisk
) -> None:
    path = tmp_path / name
    path.write_text("old")
    large = np.random.default_rng(0).random((5000, 2))
    write: Callable[[], None] = {
        ".json": lambda: artifacts.write_json(path, large.tolist()),
        ".npy": lambda: artifacts.write_array(path, large),
    }.get(path.suffix, lambda: artifacts.write_table(path, pd.DataFrame(large, columns=["a", "b"])))
    with full_disk(), pytest.raises(OSError, match="File too large") as caught:
        write()
    assert caught.value.errno == errno.EFBIG
    assert tree(tmp_path) == {".": None, name: "old"}


@pytest.mark.parametrize("algorithm", ["sha256", "md5"])
def test_checksum(algorithm: str, tmp_path: Path) -> None:
    content = os.urandom(100_000)
    (tmp_path / "a").write_bytes(content)
    expected = f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"
    assert artifacts.checksum(tmp_path / "a", algorithm) == expected
