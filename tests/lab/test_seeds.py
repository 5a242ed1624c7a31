"""What each seed, and the number of threads, decides: the split, the trainings, the indexes."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from ris.artifacts import write_json
from ris.lab import config
from ris.lab.stages import finetune

PROJECT = Path(__file__).parents[2]


def users(key: str) -> set[str]:
    """Stages that run anew where a key of params.yaml changes."""
    stages = yaml.safe_load((PROJECT / "dvc.yaml").read_text())["stages"]
    return {name for name, stage in stages.items() if key in stage["params"]}


def test_a_seed_runs_what_it_decides() -> None:
    assert users("training_seed") == {"finetune"}
    assert users("index_seed") == {"index_annoy", "evaluate"}
    assert {"clean", "finetune"} <= users("seed")
    assert "index_annoy" not in users("seed")


def test_what_sums_runs_anew_on_another_number_of_threads() -> None:
    assert users("threads") == {"finetune", "extract", "pca", "same_picture", "tsne", "evaluate"}


def test_what_a_training_runs_on_runs_it_anew_and_who_is_told_does_not() -> None:
    assert users("trainer") == {"finetune"}
    assert users("logger") == set()


def test_a_training_goes_on_only_where_it_is_the_same_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_json(tmp_path / "encoder.json", {})
    raw, catalog = config.load(PROJECT / "params.yaml").model_dump(), SimpleNamespace(sha256="0")

    def identity(**changes: Any) -> str:
        params = config.check(raw | changes)
        return finetune._identity(params, catalog, tmp_path)  # type: ignore[arg-type]

    as_it_is = identity()
    assert identity(index_seed=5) == identity(logger=raw["logger"] | {"kind": "csv"}) == as_it_is
    assert identity(trainer=raw["trainer"] | {"limit_train_batches": 2}) != as_it_is
    others = {identity(threads=1), identity(training_seed=1), identity(seed=1)}
    monkeypatch.setattr(finetune, "has_bf16", lambda: "another processor")
    assert len(others | {as_it_is, identity()}) == 5
