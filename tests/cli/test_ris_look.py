import json
import sqlite3
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ris.engine import SearchEngine

Ris = Callable[..., Any]


def test_info_tells_what_the_engine_knows(ris: Ris, store: Path) -> None:
    with SearchEngine.open(store) as engine:
        info = asdict(engine.info())
    told = ris("info", store, "--json").json
    rejected = told.pop("rejected_files")
    assert told == json.loads(json.dumps(info))
    assert [one["path"] for one in rejected] == ["cactus/note.jpg"]
    text = ris("info", store)
    assert (text.code, text.err) == (0, "")
    for part in (
        "22 pictures of",
        "efficientnet_lite0, 1280 dimensions",
        "knn, knn_pca, annoy",
        "note.jpg: its content",
    ):
        assert part in text.out


def test_a_whole_store_is_said_to_be_whole(ris: Ris, store: Path) -> None:
    assert ris("verify", store, "--json").json == {"whole": True, "problems": []}


def test_a_damaged_store_ends_with_1(ris: Ris, own: Path) -> None:
    path = own / "photos.ris/store.db"
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 2000] = bytes(reversed(content[middle : middle + 2000]))
    path.write_bytes(content)
    ended = ris("verify", "photos.ris")
    assert ended.code == 1
    assert ended.err.startswith("error: ")
    assert ended.err.count("\n") == 1


def test_a_store_of_another_program_is_refused(ris: Ris, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    sqlite3.connect(tmp_path / "other/store.db").execute("CREATE TABLE t (x)")
    for command in ("info", "verify", "duplicates"):
        ended = ris(command, tmp_path / "other")
        assert (ended.code, ended.out) == (1, "")
        assert ended.err.count("\n") == 1


def test_export_writes_what_other_programs_read(ris: Ris, store: Path, tmp_path: Path) -> None:
    told = ris("export", store, tmp_path / "out", "--json").json
    folder = tmp_path / "out"
    assert {name: (folder / name).stat().st_size for name in told["files"]} == told["files"]
    with SearchEngine.open(store) as engine:
        rows, vectors = engine.vectors()
        paths = [one.path for one in engine.pictures()]
    table = pd.read_parquet(folder / "pictures.parquet")
    assert (table.row.tolist(), table.path.tolist()) == (rows.tolist(), paths)
    assert (np.load(folder / "vectors.npy") == vectors).all()
    assert len((folder / "tensorboard/vectors.tsv").read_text().splitlines()) == len(rows)
    again = ris("export", store, folder)
    assert (again.code, again.out) == (1, "")
    assert "pictures.parquet" in ris("export", store, tmp_path / "second").out
