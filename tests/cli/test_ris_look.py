import json
import re
import shutil
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ris.engine import SearchEngine
from ris.gallery.settings import Settings

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
        "knn, knn_pca, reranked",
        "knn: there are no more pictures than PCA dimensions",
        "note.jpg: its content",
    ):
        assert part in text.out


def test_a_whole_store_is_said_to_be_whole(ris: Ris, store: Path) -> None:
    for command in ("check", "verify"):
        assert ris(command, store, "--json").json == {"whole": True, "problems": []}


def test_a_damaged_store_ends_with_1(ris: Ris, own: Path) -> None:
    path = max((own / "photos.ris/contents.lance/data").iterdir(), key=lambda file: file.stat().st_size)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 2000] = bytes(reversed(content[middle : middle + 2000]))
    path.write_bytes(content)
    ended = ris("check", "photos.ris")
    assert ended.code == 1
    assert ended.err.startswith("error: ")
    assert ended.err.count("\n") == 1


@pytest.mark.parametrize(
    ("command", "rest"),
    [
        ("search", ["query.jpg"]),
        ("find", ["query.jpg"]),
        ("duplicates", []),
        ("evaluate", []),
        ("info", []),
        ("check", []),
        ("export", ["exported"]),
        ("serve", ["--port", "0"]),
        ("sync", []),
        ("add", ["photos"]),
        ("remove", ["fish"]),
        ("refit", []),
    ],
)
def test_a_store_of_a_former_format_is_refused(
    ris: Ris, tmp_path: Path, query: Path, monkeypatch: pytest.MonkeyPatch, command: str, rest: list[str]
) -> None:
    former = tmp_path / "former.ris"
    former.mkdir()
    (former / "store.db").write_bytes(b"SQLite format 3\x00")
    shutil.copy(query, tmp_path / "query.jpg")
    monkeypatch.chdir(tmp_path)
    ended = ris(command, "former.ris", *rest)
    assert (ended.code, ended.out) == (1, "")
    assert re.fullmatch(
        r"error: \S*former.ris has format 1, [^.]*delete it and build it anew[^.]*\.\n", ended.err
    )
    assert [file.name for file in former.iterdir()] == ["store.db"]


def test_a_store_of_a_former_format_is_not_built_over(ris: Ris, own: Path) -> None:
    (own / "former.ris").mkdir()
    (own / "former.ris/store.db").write_bytes(b"SQLite format 3\x00")
    ended = ris("build", "photos", "former.ris")
    assert (ended.code, ended.out) == (1, "")
    assert "has format 1, which this version does not read; delete it" in ended.err.splitlines()[-1]
    assert [file.name for file in (own / "former.ris").iterdir()] == ["store.db"]


def test_info_says_what_auto_is_and_why(ris: Ris, store: Path) -> None:
    told = ris("info", store, "--json").json
    assert told["auto"] == "knn: there are no more pictures than PCA dimensions"
    assert (told["format"], told["space_version"], told["space_fitted_to"]) == (3, 1, 22)
    assert told["recall"] is None, "what is exact is not measured"
    assert told["unread"] is None, "the build has ended"
    shown = ris("info", store).out
    assert re.search(r"^Auto: +knn: there are no more", shown, re.MULTILINE)
    assert re.search(r"^Spaces: +version 1, fitted to 22 contents$", shown, re.MULTILINE)
    assert "Recall" not in shown


@pytest.mark.usefixtures("own")
def test_info_tells_the_measured_recall_of_an_approximate_index(
    ris: Ris, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ris.engine.Settings", partial(Settings, exact_up_to=16, n_components=8))
    assert ris("build", "photos", "large.ris").code == 0
    told = ris("info", "large.ris", "--json").json
    assert told["auto"] == "ivf_pca: there are more than 16 pictures"
    assert told["indexes"] == ["knn", "knn_pca", "ivf_pca", "reranked"]
    assert set(told["recall"]) == {"all", "0.05", "0.005"}
    assert min(told["recall"].values()) >= 0.99
    shown = ris("info", "large.ris").out
    assert re.search(r"^Recall@10: +all: (0\.99\d|1\.000), ", shown, re.MULTILINE)


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
