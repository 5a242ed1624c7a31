"""What is damaged, of another format or of another encoder is refused in one sentence, before it answers."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import lance
import pyarrow as pa
import pytest
import torch

from ris.copies import threshold
from ris.encoders import named
from ris.encoders.backbone import create
from ris.encoders.encoder import Encoder
from ris.engine import DamagedError, SearchEngine
from ris.errors import RisError
from ris.store import commits
from ris.store.commits import latest
from ris.store.tables import CONTENTS, PICTURES, Changes


@pytest.fixture
def store(built: SearchEngine) -> Path:
    built.close()
    return built.store


def spoiled(data: bytes, place: int = -5) -> bytes:
    changed = bytearray(data)
    changed[place] ^= 1
    return bytes(changed)


def refused(store: Path) -> str:
    with pytest.raises(RisError) as caught:
        SearchEngine.open(store).close()
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(".")
    return str(caught.value)


def rewritten(store: Path, name: str, change: Callable[[pa.Table], pa.Table]) -> None:
    """Put other lines into a table, as a commit of its own: what no checksum of a file can tell."""
    changes = Changes(store, latest(store))
    changes.replace(name, change(changes.dataset(name).to_table()))
    changes.commit()


def with_column(name: str, change: Callable[[list[object]], list[object]]) -> Callable[[pa.Table], pa.Table]:
    def changed(table: pa.Table) -> pa.Table:
        place = table.schema.get_field_index(name)
        values = pa.array(change(table[name].to_pylist()), table.schema.field(name).type)
        return table.set_column(place, table.schema.field(name), values)

    return changed


def asked(store: Path) -> None:
    with SearchEngine.open(store) as engine:
        for index in engine.indexes:
            engine.nearest(engine.vectors()[1][:1], 3, index)


def test_a_damaged_vector_is_refused(store: Path) -> None:
    def change(vectors: list[object]) -> list[object]:
        first = list(vectors[2])  # type: ignore[call-overload]
        first[5] += 1e-3
        return [*vectors[:2], first, *vectors[3:]]

    rewritten(store, CONTENTS, with_column("vector", change))
    with pytest.raises(DamagedError, match=r"The vector of .*\.png is damaged or of another encoder"):
        asked(store)


def test_a_missing_content_is_refused(store: Path) -> None:
    rewritten(store, CONTENTS, lambda table: table.slice(1))
    with pytest.raises(DamagedError, match="lacks what some of its pictures show"):
        asked(store)


def test_vectors_that_changed_places_are_refused(store: Path) -> None:
    rewritten(store, CONTENTS, with_column("vector", lambda all_: [all_[1], all_[0], *all_[2:]]))
    with pytest.raises(DamagedError, match="is damaged or of another encoder"):
        asked(store)


def test_another_encoder_in_its_place_is_refused(store: Path) -> None:
    commit = latest(store)
    network = commit.identity.network.model_copy(update={"crop": 24})
    identity = commit.identity.model_copy(update={"network": network})
    commits.write_commit(store, commit.model_copy(update={"identity": identity, "number": commit.number + 1}))
    with pytest.raises(DamagedError, match="is damaged or of another encoder"):
        asked(store)


def test_damaged_weights_are_refused(store: Path) -> None:
    file = store / "encoder.safetensors"
    file.write_bytes(spoiled(file.read_bytes()))
    assert refused(store) == "The store's encoder is damaged; build the store anew."
    file.unlink()
    assert refused(store) == "The store's encoder is damaged; build the store anew."


def test_a_packaged_network_that_has_changed_is_refused(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "lite"
    SearchEngine.build(photos / "a", store).close()
    lite = named.BACKBONES["efficientnet_lite0"]
    weights = lite.weights.model_copy(update={"checksum": "sha256:" + "0" * 64})
    other = {"efficientnet_lite0": lite.model_copy(update={"weights": weights})}
    with monkeypatch.context() as patched:
        patched.setattr(named, "BACKBONES", other)
        assert "was made with another efficientnet_lite0 than this version has" in refused(store)
    SearchEngine.open(store).close()


@pytest.mark.parametrize("place", [0, 20, -5, 0.5])
def test_a_damaged_commit_is_refused(store: Path, place: float) -> None:
    file = max((store / "commits").iterdir())
    data = file.read_bytes()
    file.write_bytes(spoiled(data, int(place if place in (0, 20, -5) else len(data) * place)))
    assert "is damaged; build the store anew." in refused(store)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "null", '{"commit": 1, "sha256": 2}', "[" * 10_000, '{"commit": {}, "sha256": "x"}'],
)
def test_a_commit_that_is_none_is_refused(store: Path, text: str) -> None:
    max((store / "commits").iterdir()).write_text(text)
    assert "is damaged; build the store anew." in refused(store)


def test_another_version_of_the_format_is_refused(store: Path, tmp_path: Path) -> None:
    file = max((store / "commits").iterdir())
    body = json.loads(file.read_text())["commit"] | {"format": 999}
    file.write_text(json.dumps({"commit": body, "sha256": commits._digest(body)}))
    assert "has format 999, but this version reads 3" in refused(store)
    (tmp_path / "former").mkdir()
    (tmp_path / "former" / "store.db").touch()
    assert "has format 1, which this version does not read" in refused(tmp_path / "former")


@pytest.mark.parametrize("table", ["pictures", "rejected", "columns"])
def test_a_damaged_small_table_is_refused(built: SearchEngine, table: str) -> None:
    (built.folder / "bad.png").write_bytes(b"x")
    built.sync()
    built.set_columns(_columns(built))
    for file in latest(built.store).tables[table].files:
        data = (built.store / file).read_bytes()
        (built.store / file).write_bytes(spoiled(data, len(data) // 2))
        with pytest.raises(DamagedError, match="is damaged; build the store anew"):
            SearchEngine.open(built.store).rejected()
        (built.store / file).unlink()
        with pytest.raises(DamagedError, match="cannot be read"):
            SearchEngine.open(built.store).rejected()
        (built.store / file).write_bytes(data)
    assert built.verify() == []


def _columns(engine: SearchEngine) -> "pandas.DataFrame":  # type: ignore[name-defined]  # noqa: F821
    import pandas

    return pandas.DataFrame({"path": [one.path for one in engine.pictures()], "who": "me"})


def test_no_single_byte_of_a_store_changes_an_answer_unseen(store: Path) -> None:
    def answers() -> object:
        with SearchEngine.open(store) as engine:
            vector = engine.vectors()[1][:1]
            near = [engine.nearest(vector, 5, index) for index in ("knn", "knn_pca")]
            found = [(rows.tolist(), distances.tolist()) for distances, rows in near]
            return engine.pictures(), engine.vectors()[1].tobytes(), found, engine.search(1, 4)

    before = answers()
    files = [file for file in store.rglob("*") if file.is_file() and file.stat().st_size]
    assert len(files) > 8
    for file in files:
        data = file.read_bytes()
        for place in range(3, len(data), max(1, len(data) // 6)):
            file.write_bytes(spoiled(data, place))
            try:
                assert answers() == before, (file, place)
            except RisError:
                continue
            finally:
                file.write_bytes(data)
    assert answers() == before


def test_damaged_local_features_are_told_when_they_are_read(store: Path, photos: Path) -> None:
    rewritten(store, CONTENTS, with_column("features", lambda all_: [spoiled(all_[0]), *all_[1:]]))  # type: ignore[arg-type]
    with SearchEngine.open(store) as engine:
        with pytest.raises(DamagedError, match=r"Local features in .* are damaged; build it anew"):
            engine.search(photos / "00.png", 12)
        (problem,) = engine.verify()
        assert problem.startswith("The local features of 1 pictures in ")
        assert "00.png" in problem
        assert engine.search(photos / "00.png", 12, verify=False)[0].path == "00.png"


@pytest.mark.parametrize("spoilt", [b"\x01", b"\xff\xff"], ids=["half a word", "no word of the vocabulary"])
def test_visual_words_that_are_none_are_told(store: Path, photos: Path, spoilt: bytes) -> None:
    rewritten(store, CONTENTS, with_column("words", lambda all_: [spoilt, *all_[1:]]))
    with SearchEngine.open(store) as engine:
        with pytest.raises(DamagedError, match=r"has visual words that are none; build it anew\."):
            engine.find(photos / "00.png")
        assert engine.search(photos / "00.png", 3)


@pytest.mark.parametrize("name", ["annoy", "annoy_pca"])
@pytest.mark.parametrize("file", ["trees.ann", "index.json"])
def test_a_damaged_index_is_told_and_made_anew(
    photos: Path, tmp_path: Path, encoder: Path, name: str, file: str
) -> None:
    store = tmp_path / "store"
    SearchEngine.build(photos, store, encoder=encoder, indexes=("annoy", "annoy_pca")).close()
    damaged = next(store.glob(f"indexes/*/{name}/{file}"))
    damaged.write_bytes(spoiled(damaged.read_bytes(), 10))
    with SearchEngine.open(store) as engine:
        assert engine.search(photos / "00.png", 1, index="knn")[0].path == "00.png"
        with pytest.raises(DamagedError, match="is damaged"):
            engine.search(photos / "00.png", 1, index=name)
        assert len(engine.verify()) == 1
        engine.refit()
        assert engine.verify() == []
        assert engine.search(photos / "00.png", 1, index=name)[0].path == "00.png"


def test_verify_tells_all_that_is_wrong(built: SearchEngine) -> None:
    assert built.verify() == []
    spaces = built.store / "spaces/1.safetensors"
    spaces.write_bytes(spoiled(spaces.read_bytes()))
    data = next((built.store / "contents.lance/data").iterdir())
    data.write_bytes(spoiled(data.read_bytes(), 100))
    problems = built.verify()
    assert len(problems) >= 2
    for name in ("spaces/1.safetensors", data.name):
        assert any(name in problem for problem in problems)


def test_what_a_killed_writer_left_is_undone(built: SearchEngine, photos: Path) -> None:
    before = built.pictures()
    dataset = lance.dataset(str(built.store / f"{PICTURES}.lance"))
    dataset.delete("row > 3")
    lance.write_dataset(dataset.to_table(), dataset, mode="append")
    assert SearchEngine.open(built.store).pictures() == before
    (photos / "00.png").rename(photos / "renamed.png")
    assert built.sync().moved == 1
    assert len(built) == 12
    assert built.verify() == []


def test_a_missing_threshold_is_told(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "threshold.json").write_text("{}")
    monkeypatch.setattr(threshold, "FILE", tmp_path / "threshold.json")
    assert "threshold.json is damaged; install this package anew" in refused(store)


def test_a_store_that_was_built_anew_meanwhile_is_not_written_with_the_old_encoder(
    built: SearchEngine, photos: Path, tmp_path: Path
) -> None:
    torch.manual_seed(1)
    network = built._gallery.network
    Encoder(network, create(network)).save(tmp_path / "other_encoder")
    shutil.rmtree(built.store)
    SearchEngine.build(photos, built.store, encoder=tmp_path / "other_encoder").close()
    with pytest.raises(DamagedError, match="was built anew with another encoder; open it again"):
        built.sync()
    assert built.verify() == []
