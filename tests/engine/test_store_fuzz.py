"""A store whose records someone changed, checksums and all, answers, or says in one sentence why not."""

import hashlib
import json
import math
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from PIL import Image
from safetensors.numpy import load, save

import ris.engine
import ris.gallery.settings
from ris.encoders.embedder import Embedder
from ris.encoders.named import Identity, restore
from ris.engine import SearchEngine
from ris.errors import RisError
from ris.store import commits
from ris.store.commits import latest
from ris.store.gallery import features_checksum
from ris.store.tables import (
    CONTENTS,
    MAP,
    PICTURES,
    REGIONS,
    REJECTED,
    Changes,
    first_bytes,
    vector_checksums,
)

Draw = Callable[..., Image.Image]
MISSING = object()
VALUES: tuple[Any, ...] = (
    MISSING,
    None,
    True,
    -1,
    0,
    2**31,
    2**63,
    10**40,
    0.5,
    -1e308,
    math.nan,
    "",
    "../secret",
    "../../secret/file",
    "/dev/zero",
    "\0",
    "x" * 100_000,
    [],
    {},
    ["../secret"],
    {"../secret/file": "0" * 64},
)
OF_A_FIELD = 2
"""Values that are tried of each field of a commit, drawn of a seed."""
TOUCHED: list[str] = []
"""Files of the folder `secret` that were opened."""


def noted(event: str, arguments: tuple[Any, ...]) -> None:
    if event in ("open", "os.scandir", "os.listdir") and "/secret" in str(arguments[0]):
        TOUCHED.append(str(arguments[0]))


sys.addaudithook(noted)


@pytest.fixture(scope="module")
def store(
    tmp_path_factory: pytest.TempPathFactory, encoder: Path, copies_encoder: Path, texture: Draw
) -> Iterator[Path]:
    """A store of six pictures that has a line in every table, and partitions."""
    home = tmp_path_factory.mktemp("fuzz")
    (home / "secret").mkdir()
    (home / "secret" / "file").write_bytes(b"secret")
    (home / "photos" / "a").mkdir(parents=True)
    for number in range(6):
        texture(number, 90, 70).save(home / "photos" / "a" / f"{number}.png")
    (home / "photos" / "bad.png").write_bytes(b"bad")
    opened: dict[Identity, Embedder] = {}

    def known(identity: Identity, weights: bytes | None, threads: int = 1) -> Embedder:
        if identity not in opened:
            opened[identity] = restore(identity, weights, threads)
        return opened[identity]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(ris.engine, "restore", known)
        patched.setattr(
            ris.engine, "Settings", lambda **given: ris.gallery.settings.Settings(**given, exact_up_to=3)
        )
        with SearchEngine.build(
            home / "photos",
            home / "store",
            encoder=encoder,
            copies_encoder=copies_encoder,
            regions=True,
            indexes=("annoy_pca",),
            threads=1,
        ) as engine:
            engine.map()
            paths = {"path": [one.path for one in engine.pictures()], "who": "me"}
            engine.set_columns(pd.DataFrame(paths))
        yield home / "store"


def changed_copy(store: Path) -> Path:
    """Return a copy beside the store, so that the same folder of pictures is beside it."""
    copy = store.with_name("changed")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(store, copy)
    return copy


def used(store: Path) -> list[str]:
    """Ask a store for all that it has; return the sentences with which it refuses."""
    told = []

    def ask(work: Callable[[], object]) -> None:
        try:
            work()
        except RisError as error:
            assert "\n" not in str(error)  # noqa: PT017
            told.append(str(error))

    TOUCHED.clear()
    try:
        engine = SearchEngine.open(store, threads=1)
    except RisError as error:
        assert "\n" not in str(error)  # noqa: PT017
        assert TOUCHED == []
        return [str(error)]
    with engine:
        for work in (
            engine.info,
            engine.pictures,
            engine.labels,
            engine.folders,
            engine.columns,
            engine.rejected,
            engine.versions,
            engine.map,
            engine.verify,
            lambda: engine.search(engine.pictures()[0].row, 3),
            lambda: engine.find(Image.new("RGB", (90, 70), "red"), 2),
            lambda: engine.image(engine.pictures()[-1].row),
            engine.sync,
        ):
            ask(work)
        ask(lambda: [engine.nearest(engine.vectors()[1][:1], 2, index) for index in engine.indexes])
    assert TOUCHED == []
    return told


def fields(record: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield where each value of a record stands, and those that hold others."""
    if path:
        yield path
    if isinstance(record, dict | list):
        for key, value in record.items() if isinstance(record, dict) else enumerate(record):
            yield from fields(value, (*path, key))


def changed_record(record: Any, path: tuple[Any, ...], value: Any) -> Any:
    """Return a copy of a record with another value at a place."""
    record = json.loads(json.dumps(record))
    holder = record
    for key in path[:-1]:
        holder = holder[key]
    if value is MISSING:
        del holder[path[-1]]
    else:
        holder[path[-1]] = value
    return record


def write_record(store: Path, body: Any) -> None:
    file = max((store / "commits").iterdir())
    file.write_text(json.dumps({"sha256": commits._digest(body), "commit": body}, ensure_ascii=False))


def cases(store: Path) -> list[tuple[tuple[Any, ...], Any]]:
    """Return fields of the commit, one file of each table among them, and values for each."""
    body = latest(store).model_dump(mode="json")
    rng = np.random.default_rng(0)
    seen, found = set(), []
    for path in fields(body):
        kind = (path[0], *path[2:3]) if path[0] == "tables" and len(path) > 3 else path
        if kind in seen:
            continue
        seen.add(kind)
        found += [(path, VALUES[place]) for place in rng.choice(len(VALUES), OF_A_FIELD, replace=False)]
    return found


def test_any_value_of_a_field_of_a_commit(store: Path) -> None:
    body = latest(store).model_dump(mode="json")
    assert used(changed_copy(store)) == []
    refused, tried, failed = 0, cases(store), []
    copy = changed_copy(store)
    kept = sorted(file.name for file in (copy / "commits").iterdir())
    for path, value in tried:
        write_record(copy, changed_record(body, path, value))
        try:
            refused += bool(used(copy))
        except Exception as error:
            failed.append((path, str(value)[:50], repr(error)[:200]))
        if sorted(file.name for file in (copy / "commits").iterdir()) != kept:
            copy = changed_copy(store)
    assert failed == []
    assert refused > len(tried) / 2


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("tables", PICTURES, "files"), {"../../dev/zero": "0" * 64}),
        (("tables", PICTURES, "files"), {"pictures.lance/_versions/../../../secret/x.manifest": "0" * 64}),
        (("tables", "../secret"), {"version": 1, "files": {}}),
        (("tables", CONTENTS), MISSING),
        (("space", "indexes"), {"../../secret": "0" * 64}),
        (("settings", "indexes"), ["no index"]),
        (("settings", "side"), -1),
        (("identity", "network", "dimension"), 10**9),
        (("copies", "network", "dimension"), 10**9),
        (("token",), "../../secret"),
        (("space", "version"), 10**30),
        (("rows",), 2**70),
        (("folder", "relative"), "\0"),
        (("written",), 1e300),
    ],
)
def test_a_field_of_a_commit_is_refused(store: Path, path: tuple[Any, ...], value: Any) -> None:
    copy = changed_copy(store)
    write_record(copy, changed_record(latest(store).model_dump(mode="json"), path, value))
    assert used(copy)


CELLS: tuple[tuple[str, str, Any], ...] = (
    (PICTURES, "row", None),
    (PICTURES, "row", -(2**63)),
    (PICTURES, "path", None),
    (PICTURES, "path", "../secret/file"),
    (PICTURES, "path", "\0"),
    (PICTURES, "label", None),
    (PICTURES, "modified", 2**63 - 1),
    (PICTURES, "modified", -(2**63)),
    (PICTURES, "bytes", -5),
    (PICTURES, "content", 10**15),
    (PICTURES, "width", 0),
    (PICTURES, "height", -(2**31)),
    (PICTURES, "sha256", None),
    (PICTURES, "sha256", bytes(32)),
    (REJECTED, "reason", None),
    (REJECTED, "path", "\x1b[2J"),
    (MAP, "content", None),
    (MAP, "x", math.nan),
    (CONTENTS, "content", None),
    (CONTENTS, "content", -1),
    (CONTENTS, "hash", None),
    (CONTENTS, "words", None),
    (CONTENTS, "words", b"\xff\xff\xff"),
    (CONTENTS, "sha256", None),
    (CONTENTS, "width", -1),
    (CONTENTS, "vector", math.nan),
    (CONTENTS, "vector", 3e38),
    (CONTENTS, "vector", None),
    (CONTENTS, "vector_checksum", None),
    (CONTENTS, "features", None),
    (CONTENTS, "features", b""),
    (CONTENTS, "features", b"\xff" * 16),
    (CONTENTS, "features", bytes(16)),
    (CONTENTS, "features_checksum", None),
    (REGIONS, "vector", math.nan),
    (REGIONS, "content", None),
    ("projected_1", "vector", math.nan),
    ("projected_1", "partition", 2**31 - 1),
    ("projected_1", "partition", -7),
    ("projected_1", "partition", None),
    ("projected_1", "length", 0.0),
    ("projected_1", "length", math.nan),
    ("projected_1", "region_lengths", math.nan),
)


def with_cell(store: Path, name: str, column: str, value: Any) -> None:
    """Change the third cell of a column, or the only one, and sign it anew."""
    changes = Changes(store, latest(store))
    table = changes.dataset(name).to_table()
    line = min(2, len(table) - 1)
    field = table.schema.field(column)
    cells = table[column].to_pylist()
    vector = pa.types.is_fixed_size_list(field.type) and value is not None
    cells[line] = [value, *cells[line][1:]] if vector else value
    table = table.set_column(table.schema.get_field_index(column), field, pa.array(cells, field.type))
    table = signed(store, name, table) if column in ("vector", "features") and value is not None else table
    changes.replace(name, table)
    changes.commit()


def signed(store: Path, name: str, table: pa.Table) -> pa.Table:
    """Give the lines of a table the checksums of what they hold."""
    commit = latest(store)
    assert commit.space is not None
    assert commit.copies is not None
    vectors = np.array(table["vector"].to_pylist(), np.float32)
    if name == CONTENTS:
        owners, seal = first_bytes(table["sha256"]), commit.identity.seal
        pairs = zip(table["features"].to_pylist(), table["sha256"].to_pylist(), strict=True)
        sums = pa.array([features_checksum(*pair) for pair in pairs], pa.uint32())
        place = table.schema.get_field_index("features_checksum")
        table = table.set_column(place, "features_checksum", sums)
    else:
        owners = np.asarray(table["content"], np.int64).astype(np.uint64)
        seal = commit.copies.seal if name == REGIONS else commit.space.sha256
    place = table.schema.get_field_index("vector_checksum")
    return table.set_column(place, "vector_checksum", pa.array(vector_checksums(vectors, owners, seal)))


@pytest.mark.parametrize(("name", "column", "value"), CELLS)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_any_value_of_a_cell(store: Path, name: str, column: str, value: Any) -> None:
    copy = changed_copy(store)
    with_cell(copy, name, column, value)
    used(copy)


@pytest.mark.parametrize("name", [PICTURES, CONTENTS, REGIONS, "projected_1"])
def test_a_table_with_other_columns_is_refused(store: Path, name: str) -> None:
    copy = changed_copy(store)
    changes = Changes(copy, latest(copy))
    table = changes.dataset(name).to_table()
    changes.replace(name, table.drop_columns([table.schema.names[-1]]))
    changes.commit()
    assert any("has other columns; build the store anew." in one for one in used(copy))


@pytest.mark.parametrize(
    ("array", "change"),
    [
        ("pca.components", lambda one: one[:, :-1]),
        ("pca.mean", lambda one: one[:-1]),
        ("pca.scale", lambda one: one * np.nan),
        ("whitened.components", lambda one: one[0]),
        ("centres", lambda one: one[:, :1]),
        ("centres", lambda one: one.astype(np.int64)),
        ("pca.mean", None),
    ],
)
def test_spaces_that_do_not_fit_are_refused(
    store: Path, array: str, change: Callable[[Any], Any] | None
) -> None:
    copy = changed_copy(store)
    file = copy / "spaces" / "1.safetensors"
    arrays = load(file.read_bytes())
    if change is None:
        del arrays[array]
    else:
        arrays[array] = np.ascontiguousarray(change(arrays[array]))
    file.write_bytes(save(arrays))
    body = latest(copy).model_dump(mode="json")
    body["space"]["sha256"] = hashlib.sha256(file.read_bytes()).hexdigest()
    write_record(copy, body)
    assert any("holds no spaces; build the store anew." in one for one in used(copy))
