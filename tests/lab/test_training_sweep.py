"""A sweep over the training: where it starts, what it prunes, how it goes on, and its front."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf

from ris.errors import RisError
from ris.lab import config, training_sweep
from ris.lab.compose import composed
from ris.lab.config import Params
from ris.lab.layout import Tree
from ris.lab.training_sweep import KNOWN, UNSEEN, TrainingSweep, as_it_is, drawn, front, sweep

PROJECT = Path(__file__).parents[2]
SPACE: dict[str, list[Any]] = {
    "finetune.learning_rate": [2.5e-4, 5.0e-4, 1.0e-3],
    "finetune.distillation": [0.0, 2.0],
}
SETTINGS = TrainingSweep(experiment="budget/lite0", trials=12, space=SPACE)


@pytest.fixture(scope="module")
def params() -> Params:
    raw = OmegaConf.to_container(composed(PROJECT / "conf", ["experiment=budget/lite0"]), resolve=True)
    return config.check(raw)


class Trainings:
    """Trainings in no time: a lower rate is better, and a score grows with the epoch."""

    def __init__(self) -> None:
        self.begun: list[Params] = []
        self.epochs = 0
        self.killed_at = 0

    def measured(self, params: Params, *arguments: Any) -> dict[str, Any]:
        self.begun.append(params)
        if len(self.begun) == self.killed_at:
            raise KeyboardInterrupt
        known = 1 - 400 * params.finetune.learning_rate
        for epoch in range(1, params.finetune.epochs + 1):
            self.epochs += 1
            arguments[-1](known * epoch / params.finetune.epochs, None)
        asked = {"same_class": [known, known, known - 0.3], "unseen_class": [0.5, 0.5, 0.1]}
        return {
            "minutes": 2.0,
            "device": "2 cores",
            **{name: {"mAP@R": values, "labels": [0, 0, 1]} for name, values in asked.items()},
        }


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> Trainings:
    found = Trainings()
    monkeypatch.setattr(training_sweep, "measured", found.measured)
    monkeypatch.setattr(training_sweep, "leave_one_out_map_at_r", lambda score, _: score)
    catalog = SimpleNamespace(read=lambda _: SimpleNamespace(sha256="0"))
    monkeypatch.setattr(training_sweep, "Catalog", catalog)
    return found


def test_the_first_trial_is_the_experiment_as_it_is(
    params: Params, trainings: Trainings, tmp_path: Path
) -> None:
    table = sweep(params, SETTINGS, Tree(tmp_path, tmp_path), tmp_path / "trials")
    assert trainings.begun[0] == params
    first = table.iloc[0]
    assert (first["finetune.learning_rate"], first["finetune.distillation"]) == (5.0e-4, 0.0)
    # Two pictures of a class at 0.8 and one of another at 0.5; at 0.5 and 0.1 of classes never seen.
    assert first[KNOWN] == pytest.approx(0.65)
    assert first[UNSEEN] == pytest.approx(0.3)


def test_a_training_that_falls_behind_is_pruned(params: Params, trainings: Trainings, tmp_path: Path) -> None:
    table = sweep(params, SETTINGS, Tree(tmp_path, tmp_path), tmp_path / "trials")
    pruned, complete = (table[table["state"] == state] for state in ("pruned", "complete"))
    assert len(pruned) + len(complete) == len(table) == 12
    assert trainings.epochs == table["epochs"].sum() < 12 * params.finetune.epochs
    assert len(pruned) > 0
    assert (pruned["epochs"] < params.finetune.epochs).all()
    assert (complete["epochs"] == params.finetune.epochs).all()
    assert pruned["finetune.learning_rate"].min() > complete["finetune.learning_rate"].min()
    assert pruned[[KNOWN, UNSEEN, "minutes"]].isna().all(axis=None)


def test_the_experiment_as_it_is_is_tried_again_if_it_was_killed(
    params: Params, trainings: Trainings, tmp_path: Path
) -> None:
    tree = Tree(tmp_path, tmp_path)
    trainings.killed_at = 1
    with pytest.raises(KeyboardInterrupt):
        sweep(params, SETTINGS, tree, tmp_path / "trials")
    table = sweep(params, SETTINGS, tree, tmp_path / "trials")
    assert trainings.begun[1] == params
    assert as_it_is(table, params, SETTINGS)["trial"].tolist() == [1]


def test_a_sweep_goes_on_where_it_was_killed(params: Params, trainings: Trainings, tmp_path: Path) -> None:
    tree = Tree(tmp_path, tmp_path)
    trainings.killed_at = 4
    with pytest.raises(KeyboardInterrupt):
        sweep(params, SETTINGS, tree, tmp_path / "trials")
    table = sweep(params, SETTINGS, tree, tmp_path / "trials")
    assert len(trainings.begun) == 13
    assert table["trial"].tolist() == [number for number in range(13) if number != 3]
    again = sweep(params, SETTINGS, tree, tmp_path / "trials")
    assert len(trainings.begun) == 13
    pd.testing.assert_frame_equal(again, table)


def test_the_front_is_what_no_other_trial_is_better_than_at_both_questions() -> None:
    rng = np.random.default_rng(0)
    places = rng.integers(0, 20, (60, 2)) / 20
    table = pd.DataFrame(places, columns=[KNOWN, UNSEEN])
    table.loc[len(table)] = [np.nan, np.nan]
    expected = {
        (known, unseen)
        for known, unseen in places
        if not any((other >= (known, unseen)).all() and (other > (known, unseen)).any() for other in places)
    }
    found = front(table)
    assert set(found[[KNOWN, UNSEEN]].itertuples(index=False, name=None)) == expected
    assert len(found) == len(expected)
    assert found[KNOWN].is_monotonic_decreasing


@pytest.mark.usefixtures("trainings")
def test_the_picture_names_the_front(params: Params, tmp_path: Path) -> None:
    table = sweep(params, SETTINGS, Tree(tmp_path, tmp_path), tmp_path / "trials")
    figure = drawn(table, front(table), as_it_is(table, params, SETTINGS), SETTINGS)
    assert "1  learning rate 0.00025, distillation" in figure.get_supxlabel()


def test_a_space_without_the_experiment_itself_is_refused(params: Params) -> None:
    without = SETTINGS.model_copy(update={"space": {"finetune.learning_rate": [1.0e-3]}})
    with pytest.raises(RisError, match=r"no 0\.0005 for finetune\.learning_rate"):
        training_sweep._as_it_is(params, without)


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("trials=0", "trials"),
        ("trails=3", "trails"),
        ("space={finetune.rate: [3]}", "Unknown key"),
        ("space={finetune.augment.flip: [0.5]}", "has finetune.augment.flip"),
        ("space={seed: [1]}", "has seed"),
        ("space={extract.precision: [bf16]}", "has extract.precision"),
    ],
)
def test_bad_settings_are_one_sentence(
    override: str, told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(PROJECT)
    monkeypatch.setattr("sys.argv", ["training_sweep", override])
    with pytest.raises(SystemExit, match="1"):
        training_sweep.main()
    assert told in capsys.readouterr().err


def test_the_committed_space_has_the_experiment_itself(
    params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(PROJECT)
    settings = training_sweep._settings([])
    assert training_sweep._as_it_is(params, settings).keys() == settings.space.keys()
