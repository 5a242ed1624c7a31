from pathlib import Path
from typing import Any

import pytest
import yaml

from ris.lab import layout
from ris.lab.layout import Tree

PROJECT = Path(__file__).parents[2]
STAGES: dict[str, Any] = yaml.safe_load((PROJECT / "dvc.yaml").read_text())["stages"]


def artefacts() -> set[str]:
    constants = {
        value
        for name, value in vars(layout).items()
        if name.isupper() and isinstance(value, str) and "/" in value
    }
    encoders = {layout.encoder(name) for name in layout.embedding_encoders([0])}
    features = {layout.features(name) for name in layout.embedding_encoders([0])}
    features |= {layout.features(name, projected=True) for name in layout.ENCODERS}
    projections = {layout.projection(name) for name in layout.ENCODERS}
    indexes = {layout.index(name, encoder) for name in layout.INDEXES for encoder in layout.ENCODERS}
    timings = {layout.timings(stage) for stage in STAGES}
    return constants | encoders | features | projections | indexes | timings


def outputs() -> list[str]:
    entries = [
        entry
        for stage in STAGES.values()
        for kind in ("outs", "metrics", "plots")
        for entry in stage.get(kind, [])
    ]
    return [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]


def within(path: str, folder: str) -> bool:
    return Path(path).is_relative_to(folder)


def test_every_artefact_is_an_output_of_one_stage() -> None:
    assert len(artefacts()) > 30
    for path in artefacts():
        assert sum(within(path, output) for output in outputs()) == 1, path


def test_every_output_is_an_artefact() -> None:
    for output in outputs():
        assert any(within(path, output) for path in artefacts()), output


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_what_exists_or_is_made(stage: str) -> None:
    for dependency in STAGES[stage]["deps"]:
        if dependency.startswith("src/"):
            assert (PROJECT / dependency).exists(), dependency
        else:
            assert any(within(dependency, output) for output in outputs()), dependency


def test_the_stages_are_the_files_of_the_stages() -> None:
    files = {path.stem for path in (PROJECT / "src/ris/lab/stages").glob("*.py")} - {"__init__"}
    assert list(STAGES) == list(layout.STAGES)
    assert set(STAGES) - set(layout.INDEX_STAGES) == files - {"index"}
    for name, stage in STAGES.items():
        file = "index" if name in layout.INDEX_STAGES else name
        command = f"python -m ris.lab.stages.{file}"
        assert stage["cmd"] == (command if file == name else f"{command} {name}")
        assert f"src/ris/lab/stages/{file}.py" in stage["deps"]


@pytest.mark.parametrize("stage", STAGES)
def test_the_parameters_of_a_stage_exist(stage: str) -> None:
    params = yaml.safe_load((PROJECT / "params.yaml").read_text())
    for key in STAGES[stage]["params"]:
        section = params
        for part in key.split("."):
            section = section[part]


def test_each_index_comes_after_the_exact_one_of_its_own_space() -> None:
    names = list(layout.INDEXES)
    assert names == ["knn", "knn_pca", "annoy", "annoy_pca"]
    for name, kind in layout.INDEXES.items():
        if kind.approximates:
            assert names.index(kind.approximates) < names.index(name)
    assert layout.SHOWN_INDEXES == ("knn", "knn_pca", "annoy")
    assert layout.SHOWN_INDEX == "knn_pca"


@pytest.mark.parametrize("stage", layout.INDEX_STAGES)
def test_who_asks_the_indexes_depends_on_all_of_them(stage: str) -> None:
    names = [name for name, kind in layout.INDEXES.items() if kind.stage == stage]
    assert STAGES[stage]["outs"][:-1] == [f"indexes/{name}" for name in names]
    for asking in ("same_picture", "evaluate"):
        assert {f"indexes/{name}" for name in names} <= set(STAGES[asking]["deps"])
    assert layout.timings(stage) in STAGES["evaluate"]["deps"]
    has_parameters = any(layout.INDEXES[name].index.section.model_fields for name in names)
    assert (stage in STAGES[stage]["params"]) == has_parameters


def test_a_tree_reads_its_own_first_and_writes_only_its_own(tmp_path: Path) -> None:
    tree = Tree(tmp_path / "job", behind=tmp_path / "project")
    for root in (tree.root, tree.behind):
        (root / "data").mkdir(parents=True)
    (tree.behind / "data/features").mkdir()
    (tree.behind / "data/catalog.parquet").touch()
    (tree.root / "data/catalog.parquet").touch()
    assert tree.read("data/catalog.parquet") == tree.root / "data/catalog.parquet"
    assert tree.read("data") == tree.root / "data"
    assert tree.read("data/features") == tree.behind / "data/features"
    assert tree.read("data/missing") == tree.behind / "data/missing"
    assert tree.write("data/features") == tree.root / "data/features"
