"""Sweep the training at a small budget: python -m ris.lab.training_sweep [KEY=VALUE ...].

Optuna proposes settings out of conf/training_sweep.yaml, and a training that does worse after an epoch than
half of those trained to the end did is pruned. As in `ris.lab.ablation`, a trial knows nothing of the
classes of its draw and is judged by the validation pictures: those of classes that it knows decide what is
proposed and pruned, those of classes that it never saw are told beside. No query is looked at.

Trials are kept in .ris/training_sweep/: killed and started again, it goes on. Several processes share them.
"""

import hashlib
import sys
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
import yaml
from matplotlib.figure import Figure
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from optuna.trial import FrozenTrial, TrialState
from pydantic import ValidationError

from ris.artifacts import write_json, write_table
from ris.config import Positive, Section
from ris.errors import RisError
from ris.indexes.vectors import Vectors
from ris.lab import config
from ris.lab.ablation import identity, measured
from ris.lab.compose import composed
from ris.lab.config import Params
from ris.lab.inputs import Catalog
from ris.lab.layout import Tree
from ris.lab.report import plots
from ris.lab.runner import compute_on
from ris.lab.training import Integers
from ris.lab.tuning import propose
from ris.metrics.retrieval import leave_one_out_map_at_r

CONF = Path("conf")
SETTINGS = CONF / "training_sweep.yaml"
TRIALS = Path(".ris/training_sweep")
TABLE, SUMMARY, PICTURE = (Path(f"reports/training_sweep.{end}") for end in ("csv", "json", "png"))
KNOWN, UNSEEN = "mAP@R macro, same_class", "mAP@R macro, unseen_class"
VALIDATION = "validation_mAP@R"
HEARTBEAT = 30
"""Seconds between two signs of life of a trial; one that gives none for twice as long was killed."""
ENDED = (TrialState.COMPLETE, TrialState.PRUNED)


class TrainingSweep(Section):
    """conf/training_sweep.yaml."""

    experiment: str
    """Of conf/experiment/: what a trial changes."""
    trials: Positive
    space: dict[str, list[Any]]
    """Keys of params.yaml: the values to choose from."""


def main() -> None:
    """Run the trials that are left, then write all of them and the front."""
    try:
        settings = _settings(sys.argv[1:])
        raw = OmegaConf.to_container(composed(CONF, [f"experiment={settings.experiment}"]), resolve=True)
        here = Path.cwd()
        params = config.check(raw)
        compute_on(params.threads)
        table = sweep(params, settings, Tree(here, here), here / TRIALS)
        trials, start = front(table), as_it_is(table, params, settings)
        write_table(TABLE, table)
        counts = {"trials": len(table), "pruned": int((table["state"] == "pruned").sum())}
        lines = {
            name: [_told(line) for _, line in some.iterrows()]
            for name, some in {"as_it_is": start, "front": trials}.items()
        }
        write_json(SUMMARY, counts | lines)
        plots.save(drawn(table, trials, start, settings), PICTURE)
        print(f"{counts['trials']} trials, {counts['pruned']} of them pruned; best: {lines['front'][0]}")
    except (RisError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from error


def _settings(overrides: list[str]) -> TrainingSweep:
    try:
        raw = OmegaConf.merge(OmegaConf.load(SETTINGS), OmegaConf.from_dotlist(overrides))
        settings = TrainingSweep.model_validate(OmegaConf.to_container(raw))
    except (ValidationError, OmegaConfBaseException, yaml.YAMLError) as error:
        told = " ".join(str(error).split())
        raise RisError(f"{SETTINGS} with {overrides} is no description of a sweep: {told}") from error
    for key, values in settings.space.items():
        config.check_key(key)
        if key.count(".") != 1 or not all(isinstance(value, int | float) for value in values):
            raise RisError(f"{SETTINGS}'s `space` has {key}; name keys of a section, and numbers for each.")
    return settings


def sweep(params: Params, settings: TrainingSweep, tree: Tree, trials: Path) -> pd.DataFrame:
    """Run trials until as many as wanted have ended, those of earlier runs included.

    Args:
        params: what the settings that are tried are put into; as they are, they are the first trial.
        settings: what is tried.
        tree: of the catalog, the pictures and the pre-trained network.
        trials: folder of the trials' databases, one for what decides them.

    Returns:
        A line a trial that ended, in their order: its `state`, its settings, the best `validation_mAP@R` and
        the `epochs` that it was judged after; of those that were not pruned also mAP@R, macro, of both
        questions, the `minutes` and the `device`.

    Raises:
        RisError: a value that the settings have is not among those to choose from.
    """
    catalog = Catalog.read(tree)
    study = _study(params, settings, catalog, trials)
    propose(study, _as_it_is(params, settings))
    while len(study.get_trials(states=ENDED)) < settings.trials:
        study.sampler = optuna.samplers.TPESampler(seed=params.seed + len(study.trials))
        study.optimize(lambda trial: _objective(params, settings, tree, catalog, trial), n_trials=1)
    return pd.DataFrame([_line(trial) for trial in study.get_trials(states=ENDED)])


def _study(params: Params, settings: TrainingSweep, catalog: Catalog, trials: Path) -> optuna.Study:
    decisive = (settings.space, identity(params, catalog, params.training_seed))
    name = hashlib.sha256(repr(decisive).encode()).hexdigest()[:16]
    trials.mkdir(parents=True, exist_ok=True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    storage = optuna.storages.RDBStorage(
        f"sqlite:///{trials / name}.db",
        heartbeat_interval=HEARTBEAT,
        heartbeat_stale_trial_callback=optuna.storages.RetryHeartbeatStaleTrialCallback(),
    )
    return optuna.create_study(
        storage=storage,
        study_name="training",
        load_if_exists=True,
        direction="maximize",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=4),
    )


def _as_it_is(params: Params, settings: TrainingSweep) -> dict[str, Any]:
    raw, found = params.model_dump(), {}
    for key, values in settings.space.items():
        section, name = key.split(".")
        found[key] = raw[section][name]
        if found[key] not in values:
            raise RisError(
                f"{SETTINGS}'s `space` has no {found[key]} for {key}, as {settings.experiment} has; add it."
            )
    return found


def _objective(
    params: Params, settings: TrainingSweep, tree: Tree, catalog: Catalog, trial: optuna.Trial
) -> float:
    raw = params.model_dump()
    for key, values in settings.space.items():
        section, name = key.split(".")
        raw[section][name] = trial.suggest_categorical(key, values)

    epochs = 0

    def score(vectors: Vectors, labels: Integers) -> float:
        nonlocal epochs
        epochs += 1
        found = leave_one_out_map_at_r(vectors, labels)
        trial.report(found, epochs)
        if trial.should_prune():
            raise optuna.TrialPruned
        return found

    with tempfile.TemporaryDirectory() as checkpoints:
        found = measured(config.check(raw), tree, catalog, params.training_seed, Path(checkpoints), score)
    macro = {question: _macro(found[question]) for question in ("same_class", "unseen_class")}
    trial.set_user_attr(KNOWN, macro["same_class"])
    trial.set_user_attr(UNSEEN, macro["unseen_class"])
    trial.set_user_attr("minutes", found["minutes"])
    trial.set_user_attr("device", found["device"])
    return macro["same_class"]


def _macro(asked: Mapping[str, Any]) -> float:
    values = pd.Series(asked["mAP@R"]).groupby(asked["labels"]).mean()
    return round(float(values.mean()), 6)


def _line(trial: FrozenTrial) -> dict[str, Any]:
    judged = trial.intermediate_values
    return {
        "trial": trial.number,
        "state": trial.state.name.lower(),
        **trial.params,
        VALIDATION: round(max(judged.values(), default=np.nan), 6),
        "epochs": len(judged),
        **{name: trial.user_attrs.get(name, np.nan) for name in (KNOWN, UNSEEN, "minutes", "device")},
    }


def as_it_is(table: pd.DataFrame, params: Params, settings: TrainingSweep) -> pd.DataFrame:
    """Return the first trial of the settings as they are; no line where it has not ended."""
    values = pd.Series(_as_it_is(params, settings))
    return table[(table[values.index] == values).all(axis=1)].head(1)


def front(table: pd.DataFrame) -> pd.DataFrame:
    """Return the trials that no other is better than at both questions, the best at known classes first."""
    ordered = table.dropna(subset=[KNOWN]).sort_values([KNOWN, UNSEEN], ascending=False)
    before = ordered[UNSEEN].cummax().shift(fill_value=-np.inf)
    return ordered[ordered[UNSEEN] > before]


@plots.styled
def drawn(table: pd.DataFrame, trials: pd.DataFrame, start: pd.DataFrame, settings: TrainingSweep) -> Figure:
    """Draw every trial that was not pruned by both questions, those of the front by name.

    Args:
        table: see `sweep`.
        trials: see `front`.
        start: see `as_it_is`; it is circled.
        settings: whose keys are told.
    """
    figure = Figure(figsize=(plots.WIDTH, 3.4 + 0.2 * len(trials)), layout="constrained")
    axes = figure.subplots()
    axes.scatter(table[UNSEEN], table[KNOWN], color=plots.MUTED, s=12, alpha=0.6, linewidths=0)
    axes.plot(trials[UNSEEN], trials[KNOWN], color=plots.BLUE, marker="o", drawstyle="steps-pre")
    names = []
    for number, (_, line) in enumerate(trials.iterrows(), start=1):
        place = (line[UNSEEN], line[KNOWN])
        axes.annotate(str(number), place, (4, 4), textcoords="offset points", color=plots.BLUE, fontsize=7.5)
        values = ", ".join(
            f"{key.rpartition('.')[2].replace('_', ' ')} {line[key]:g}" for key in settings.space
        )
        names.append(f"{number}  {values}")
    axes.scatter(start[UNSEEN], start[KNOWN], s=90, facecolors="none", edgecolors=plots.VERMILION)
    axes.set(xlabel="mAP@R macro, classes never seen", ylabel="mAP@R macro, classes trained on")
    told = "\n".join([*names, f"circled: {settings.experiment} as it is"])
    figure.supxlabel(told, x=0.02, ha="left", fontsize=5, color=plots.INK)
    return figure


def _told(line: "pd.Series[Any]") -> dict[str, Any]:
    return {str(key): value for key, value in line.to_dict().items() if not pd.isna(value)}


if __name__ == "__main__":
    main()
