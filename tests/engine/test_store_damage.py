"""What is damaged, of another format or of another encoder is refused in one sentence, before it answers."""

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ris.copies import threshold
from ris.encoders import named as encoders
from ris.encoders.backbone import create
from ris.encoders.encoder import Encoder
from ris.engine import DamagedError, SearchEngine
from ris.errors import RisError


@pytest.fixture
def store(built: SearchEngine) -> Path:
    built.close()
    return built.store


def execute(store: Path, statement: str, *values: object) -> int:
    connection = sqlite3.connect(store / "store.db")
    with connection:
        done = connection.execute(statement, values).rowcount
    connection.close()
    return done


def spoiled(data: bytes, place: int = -5) -> bytes:
    changed = bytearray(data)
    changed[place] ^= 1
    return bytes(changed)


def blob(store: Path, query: str) -> bytes:
    connection = sqlite3.connect(store / "store.db")
    (data,) = connection.execute(query).fetchone()
    connection.close()
    return bytes(data)


def refused(store: Path) -> str:
    with pytest.raises(RisError) as caught:
        SearchEngine.open(store).close()
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(".")
    return str(caught.value)


def test_a_damaged_vector_is_refused(store: Path) -> None:
    data = blob(store, "SELECT data FROM vector WHERE content = 3")
    execute(store, "UPDATE vector SET data = ? WHERE content = 3", spoiled(data))
    assert "is damaged or of another encoder" in refused(store)


@pytest.mark.parametrize("cut", [0, 100])
def test_a_vector_that_is_cut_short_is_refused(store: Path, cut: int) -> None:
    data = blob(store, "SELECT data FROM vector WHERE content = 3")
    execute(store, "UPDATE vector SET data = ? WHERE content = 3", data[:cut])
    assert "is damaged or of another encoder" in refused(store)


def test_a_missing_vector_is_refused(store: Path) -> None:
    execute(store, "DELETE FROM vector WHERE content = 3")
    assert "lacks the vectors of 1 pictures" in refused(store)


def test_vectors_that_changed_places_are_refused(store: Path) -> None:
    execute(
        store,
        "UPDATE vector SET (data, checksum) = (SELECT data, checksum FROM vector WHERE content = 2) "
        "WHERE content = 1",
    )
    assert "is damaged or of another encoder" in refused(store)


def test_vectors_of_another_encoder_are_refused(store: Path, photos: Path, tmp_path: Path) -> None:
    opened = SearchEngine.open(store)
    network = opened._snapshot.network
    opened.close()
    torch.manual_seed(1)
    Encoder(network, create(network)).save(tmp_path / "other_encoder")
    SearchEngine.build(photos, tmp_path / "other", encoder=tmp_path / "other_encoder").close()
    connection = sqlite3.connect(store / "store.db")
    with connection:
        connection.execute("ATTACH ? AS other", (str(tmp_path / "other" / "store.db"),))
    with connection:
        connection.execute("DELETE FROM vector")
        connection.execute("INSERT INTO vector SELECT * FROM other.vector")
    connection.close()
    assert "is damaged or of another encoder" in refused(store)


def test_another_encoder_in_its_place_is_refused(store: Path) -> None:
    connection = sqlite3.connect(store / "store.db")
    (text,) = connection.execute("SELECT value FROM setting WHERE name = 'encoder'").fetchone()
    identity = json.loads(text)
    for key, value in (("crop", 24), ("mean", [0.4, 0.5, 0.5])):
        changed = {**identity, "network": {**identity["network"], key: value}}
        with connection:
            connection.execute("UPDATE setting SET value = ? WHERE name = 'encoder'", (json.dumps(changed),))
        assert "is damaged or of another encoder" in refused(store)
    connection.close()


def test_damaged_weights_are_refused(store: Path) -> None:
    data = blob(store, "SELECT data FROM derived WHERE name = 'weights'")
    execute(store, "UPDATE derived SET data = ? WHERE name = 'weights'", spoiled(data))
    assert refused(store) == "The store's weights is damaged; build the store anew."


def test_a_packaged_network_that_has_changed_is_refused(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "lite"
    SearchEngine.build(photos / "a", store).close()
    lite = encoders.BACKBONES["efficientnet_lite0"]
    weights = lite.weights.model_copy(update={"checksum": "sha256:" + "0" * 64})
    other = {"efficientnet_lite0": lite.model_copy(update={"weights": weights})}
    with monkeypatch.context() as patched:
        patched.setattr(encoders, "BACKBONES", other)
        assert "was made with another efficientnet_lite0 than this version has" in refused(store)
    SearchEngine.open(store).close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE picture SET path = 'other.png' WHERE row = 1",
        "UPDATE picture SET modified = 5 WHERE row = 1",
        "UPDATE content SET width = 5 WHERE id = 1",
        "UPDATE content SET fingerprint = 5 WHERE id = 1",
        "DELETE FROM picture WHERE row = 1",
        "UPDATE picture SET content = 2 WHERE row = 1",
    ],
)
def test_a_catalogue_that_was_changed_is_refused(store: Path, statement: str) -> None:
    assert execute(store, statement) == 1
    assert refused(store) == "The store's catalogue is damaged; build the store anew."


@pytest.mark.parametrize("name", ["encoder", "settings"])
def test_a_damaged_setting_is_refused(store: Path, name: str) -> None:
    execute(store, "UPDATE setting SET value = '{}' WHERE name = ?", name)
    assert "damaged; build the store anew" in refused(store)


def test_another_version_of_the_format_is_refused(store: Path) -> None:
    execute(store, "PRAGMA user_version = 999")
    assert "has format 999, but this version reads 1" in refused(store)
    execute(store, "PRAGMA user_version = 1")
    execute(store, "PRAGMA application_id = 7")
    assert "is the file of another program" in refused(store)


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"not a database, but a text of some length" * 100,
        lambda data: data[: len(data) // 3],
        lambda data: data[:4096] + b"\xff" * 8192 + data[3 * 4096 :],
        lambda data: spoiled(data, 20),
    ],
    ids=["a text", "cut short", "pages overwritten", "header spoiled"],
)
def test_a_damaged_database_is_refused(store: Path, damage: Callable[[bytes], bytes]) -> None:
    file = store / "store.db"
    file.write_bytes(damage(file.read_bytes()))
    assert "damaged" in refused(store) or "format" in refused(store)


def test_no_single_byte_of_the_database_changes_an_answer_unseen(store: Path) -> None:
    file, kept = store / "store.db", store.parent / "kept.db"
    shutil.copy(file, kept)
    with SearchEngine.open(store) as engine:
        before = engine.pictures(), engine.vectors()[1].tobytes(), engine.info().threshold
    data = kept.read_bytes()
    for place in range(60, len(data), len(data) // 40):
        file.write_bytes(spoiled(data, place))
        try:
            with SearchEngine.open(store) as engine:
                assert (engine.pictures(), engine.vectors()[1].tobytes(), engine.info().threshold) == before
        except RisError:
            continue


def test_damaged_local_features_are_told_when_they_are_read(store: Path, photos: Path) -> None:
    data = blob(store, "SELECT data FROM local_features WHERE content = 1")
    execute(store, "UPDATE local_features SET data = ? WHERE content = 1", spoiled(data))
    with SearchEngine.open(store) as engine:
        with pytest.raises(DamagedError, match=r"Local features in .* are damaged; build it anew"):
            engine.search(photos / "00.png", 12)
        (problem,) = engine.verify()
        assert problem.startswith("The local features of 1 pictures in ")
        assert "00.png" in problem
        assert engine.search(photos / "00.png", 12, verify=False)[0].path == "00.png"


@pytest.mark.parametrize("name", ["annoy", "annoy_pca"])
@pytest.mark.parametrize("file", ["trees.ann", "rows.npy", "index.json"])
def test_a_damaged_forest_is_told_and_made_anew_by_sync(
    store: Path, photos: Path, name: str, file: str
) -> None:
    damaged = next(store.glob(f"annoy/*/{name}/{file}"))
    damaged.write_bytes(spoiled(damaged.read_bytes(), 10))
    with SearchEngine.open(store) as engine:
        assert engine.search(photos / "00.png", 1, index="knn")[0].path == "00.png"
        with pytest.raises(DamagedError, match=r"is damaged; `ris sync` makes it anew"):
            engine.search(photos / "00.png", 1, index=name)
        assert len(engine.verify()) == 1
        engine.sync()
        assert engine.verify() == []
        assert engine.search(photos / "00.png", 1, index=name)[0].path == "00.png"


def test_without_its_forests_a_store_answers_exactly(store: Path, photos: Path) -> None:
    shutil.rmtree(store / "annoy")
    with SearchEngine.open(store) as engine:
        exact, approximate = (engine.search(photos / "00.png", 12, index=name) for name in ("knn", "annoy"))
        assert exact == approximate
        assert len(engine.verify()) == 2
        engine.sync()
        assert engine.verify() == []


def test_verify_tells_all_that_is_wrong(built: SearchEngine) -> None:
    assert built.verify() == []
    for name in ("basis", "lengths", "planted"):
        data = blob(built.store, f"SELECT data FROM derived WHERE name = '{name}'")
        execute(built.store, "UPDATE derived SET data = ? WHERE name = ?", spoiled(data), name)
    execute(built.store, "UPDATE picture SET bytes = 5 WHERE row = 1")
    execute(built.store, "DELETE FROM local_features WHERE content = 2")
    problems = built.verify()
    assert len(problems) == 5
    for name in ("basis", "lengths", "planted", "catalogue", "local features"):
        assert any(name in problem for problem in problems)


def test_a_missing_threshold_is_told(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "threshold.json").write_text("{}")
    monkeypatch.setattr(threshold, "FILE", tmp_path / "threshold.json")
    assert "threshold.json is damaged; install this package anew" in refused(store)


def test_a_store_that_was_built_anew_meanwhile_is_not_written_with_the_old_encoder(
    built: SearchEngine, photos: Path, tmp_path: Path
) -> None:
    torch.manual_seed(1)
    network = built._snapshot.network
    Encoder(network, create(network)).save(tmp_path / "other_encoder")
    shutil.rmtree(built.store)
    SearchEngine.build(photos, built.store, encoder=tmp_path / "other_encoder").close()
    with pytest.raises(DamagedError, match="was built anew with another encoder; open it again"):
        built.sync()
    assert built.verify() == []
