"""Another encoder for a store: made beside it, compared, taken or discarded."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_encoders import small_encoder
from typer.testing import CliRunner

from ris import reencoding
from ris.cli.app import app
from ris.engine import Filter, SearchEngine
from ris.errors import RisError
from ris.store import ingest, reencode

Draw = Callable[..., Image.Image]


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_encoder(tmp_path_factory.mktemp("models") / "other", "test_efficientnet", seed=1)


@pytest.fixture
def store(built: SearchEngine, photos: Path, texture: Draw) -> Path:
    """A store whose rows are not in the order of its paths, and that has a column of the user's own."""
    texture(50, 120, 90).save(photos / "a" / "000.png")
    built.sync()
    table = photos.parent / "own.csv"
    table.write_text("path,place\na/000.png,Rome\n")
    built.set_columns(table)
    return built.store


def facts(engine: SearchEngine) -> dict[str, tuple[int, str]]:
    return {one.path: (one.row, one.sha256) for one in engine.pictures()}


def test_the_new_store_is_one_built_with_the_other_encoder(
    store: Path, other: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(ingest, "describe", lambda *_: pytest.fail("local features are known"))
        reencoding.reencode(store, other, threads=1)
    with (
        SearchEngine.open(store) as before,
        SearchEngine.open(reencode.beside(store)) as made,
        SearchEngine.build(photos, tmp_path / "anew.ris", encoder=other) as anew,
    ):
        assert facts(made) == facts(before)
        assert before.info().encoder == "test_resnet"
        by_path = {one.path: one.row for one in anew.pictures()}
        for path, (row, _) in facts(made).items():
            for found, expected in (
                (made.search(row, 20), anew.search(by_path[path], 20)),
                (made.find(row).hits, anew.find(by_path[path]).hits),
            ):
                assert [(hit.path, hit.distance, hit.evidence) for hit in found] == [
                    (hit.path, hit.distance, hit.evidence) for hit in expected
                ]
        assert made.count(Filter(columns={"place": "Rome"})) == 1


def test_taken_it_stands_in_the_place_of_the_first_and_follows_the_folder(
    store: Path, other: Path, photos: Path, texture: Draw
) -> None:
    reencoding.reencode(store, other)
    texture(60, 120, 90).save(photos / "late.png")
    with SearchEngine.open(store) as first:
        first.sync()
        rows = facts(first)
    before = reencoding.take(store)
    with SearchEngine.open(before) as first, SearchEngine.open(store) as engine:
        assert first.info().encoder == "test_resnet"
        assert engine.info().encoder == "test_efficientnet"
        assert {path: rows[path] for path in facts(engine)} == facts(engine)
        assert engine.sync().added == 1
        late = facts(engine)["late.png"][0]
        assert late not in {row for path, (row, _) in rows.items() if path != "late.png"}
    with pytest.raises(RisError, match="holds no store; make it with"):
        reencoding.take(store)


def test_a_change_that_was_broken_off_between_its_steps_is_ended(store: Path, other: Path) -> None:
    reencoding.reencode(store, other)
    store.rename(reencode.before(store))
    assert reencoding.take(store) == reencode.before(store)
    with SearchEngine.open(store) as engine:
        assert engine.info().encoder == "test_efficientnet"


def test_broken_off_it_goes_on_and_brings_what_is_new(
    store: Path, other: Path, photos: Path, texture: Draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(reencode, "number_as", killed)
        with pytest.raises(KeyboardInterrupt):
            reencoding.reencode(store, other)
    texture(60, 120, 90).save(photos / "late.png")
    reencoding.reencode(store, other)
    with SearchEngine.open(store) as first, SearchEngine.open(reencode.beside(store)) as made:
        assert facts(first).items() <= facts(made).items()
        assert facts(made)["late.png"][0] > max(row for row, _ in facts(first).values())


def test_both_are_compared_as_by_hand(store: Path, other: Path) -> None:
    found = reencoding.reencode(store, other)
    overlaps: list[float] = []
    right: dict[str, list[tuple[str, float]]] = {"now": [], "new": []}
    with SearchEngine.open(store) as now, SearchEngine.open(reencode.beside(store)) as new:
        for one in now.pictures():
            hits = {name: engine.search(one.row, 10) for name, engine in (("now", now), ("new", new))}
            overlaps.append(len({h.path for h in hits["now"]} & {h.path for h in hits["new"]}) / 10)
            depth = min(10, now.labels()[one.label] - 1)
            if one.label:
                for name, some in hits.items():
                    share = np.mean([hit.label == one.label for hit in some[:depth]])
                    right[name].append((one.label, float(share)))
    assert found.agreement == pytest.approx(np.mean(overlaps), abs=1e-4)
    assert found.precision is not None
    for name, shares in right.items():
        by_label = [np.mean([share for label, share in shares if label == wanted]) for wanted in ("a", "b")]
        assert found.precision[name] == pytest.approx(np.mean(by_label), abs=1e-4)  # type: ignore[index]
    assert (found.labels, found.pictures) == (2, 13)
    assert found.encoders == {"now": "test_resnet", "new": "test_efficientnet"}
    assert found.found is not None
    assert found.edited == 12 * 6
    assert all(0.5 < share <= 1 for share in found.found.values())


def test_discarded_it_is_gone(store: Path, other: Path) -> None:
    reencoding.reencode(store, other)
    assert not reencoding.discard(store).exists()
    with pytest.raises(RisError, match="nothing to discard"):
        reencoding.discard(store)
    with SearchEngine.open(store) as engine:
        assert engine.verify() == []


def test_what_cannot_be_is_refused(store: Path, other: Path, encoder: Path, tmp_path: Path) -> None:
    with pytest.raises(RisError, match="has the encoder test_resnet already"):
        reencoding.reencode(store, encoder)
    reencoding.reencode(store, other)
    third = small_encoder(tmp_path / "third", seed=9)
    with pytest.raises(RisError, match="was begun with test_efficientnet"):
        reencoding.reencode(store, third)
    shutil.copytree(store, reencode.before(store))
    with pytest.raises(RisError, match="earlier change of the encoder"):
        reencoding.take(store)


def test_the_command_compares_takes_and_discards(store: Path, other: Path) -> None:
    def run(*arguments: str) -> str:
        result = CliRunner().invoke(app, ["reencode", str(store), *arguments])
        assert result.exit_code == 0, result.output
        return result.stdout

    told = run("--encoder", str(other))
    assert "now: test_resnet" in told
    assert "Of the first ten hits of 13 pictures, both find" in told
    assert json.loads(run("--encoder", str(other), "--json"))["pictures"] == 13
    assert "is deleted" in run("--discard")
    run("--encoder", str(other))
    assert str(reencode.before(store)) in run("--take")
    result = CliRunner().invoke(app, ["reencode", str(store), "--take", "--discard"])
    assert result.exit_code == 2
