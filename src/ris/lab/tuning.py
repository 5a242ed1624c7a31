"""Sweep what needs no training again, on quality and latency: python -m ris.lab.tuning [KEY=VALUE ...].

Optuna proposes settings out of conf/tuning.yaml, once those of params.yaml have been tried as they are. Each
is judged by the validation pictures asked against the training ones, on two objectives: mAP@R, macro, and the
p50 of one query. No query is looked at, so that the search may be chosen by it. With an encoder that must not
know the classes of a draw, such as `encoder=pretrained_unseen3`, these classes alone are asked for, without
those that ImageNet has where that is known, and no projection learns from them. Trials are kept in
.ris/tuning/: killed and started again, it goes on.
"""

import hashlib
import re
import sys
import textwrap
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from optuna.trial import FrozenTrial, TrialState
from pydantic import Field, ValidationError

from ris.artifacts import checksum, write_json, write_table
from ris.config import Positive, Section
from ris.errors import RisError
from ris.indexes.reranked import Reranked
from ris.indexes.vectors import Vectors
from ris.lab import config, layout
from ris.lab.config import Params
from ris.lab.inputs import Catalog, Integers, fit_projection, read_classifier, read_space
from ris.lab.layout import Tree
from ris.lab.report import plots
from ris.lab.unseen import held_out, known_to_imagenet
from ris.metrics.judge import Question, judge
from ris.metrics.latency import measure_latency

CONF = Path("conf/tuning.yaml")
TRIALS = Path(".ris/tuning")
RESULTS = Path("reports/tuning")
INDEX, QUALITY, LATENCY = "index", "mAP@R macro", "p50_ms"
ENCODER = re.compile(rf"({'|'.join(layout.ENCODERS)})(_unseen\d+)?")
TIMED = 300
"""Validation pictures that are timed, one at a time."""
NAME_WIDTH = 92
"""Characters of a line below the picture."""


class Tuning(Section):
    """conf/tuning.yaml."""

    trials: Positive
    encoder: str
    """One of `ris.lab.layout.ENCODERS`, or such a one that does not know a draw's classes."""
    tolerance: float = Field(ge=0.0)
    """mAP@R, macro, that the chosen search may be worse than the best one."""
    space: dict[str, list[Any]]
    """`index`, and keys of params.yaml: the values to choose from."""


def main() -> None:
    """Run the trials that are left, then write all of them, the front, and what is chosen."""
    try:
        settings = _settings(sys.argv[1:])
        here = Path.cwd()
        table, front = tune(config.load(), settings, Tree(here, here), here / TRIALS)
        chosen = choose(table, settings.tolerance)
        of_indexes = [choose(rows, settings.tolerance) for _, rows in table.groupby(INDEX)]
        lines = {"chosen": [chosen], "by_index": of_indexes, "front": front}
        written = RESULTS / settings.encoder
        write_table(written.with_suffix(".csv"), table)
        write_json(
            written.with_suffix(".json"),
            {"trials": len(table)} | {name: list(map(_named, some)) for name, some in lines.items()},
        )
        picture = plots.pareto_front(table, front, chosen, QUALITY, LATENCY, _name)
        plots.save(picture, written.with_suffix(".png"))
        print(f"{len(table)} trials; chosen: {_named(chosen)}")
    except (RisError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from error


def _settings(overrides: list[str]) -> Tuning:
    try:
        raw = OmegaConf.merge(OmegaConf.load(CONF), OmegaConf.from_dotlist(overrides))
        settings = Tuning.model_validate(OmegaConf.to_container(raw))
    except (ValidationError, OmegaConfBaseException, yaml.YAMLError) as error:
        told = " ".join(str(error).split())
        raise RisError(f"{CONF} with {overrides} is no description of a sweep: {told}") from error
    if not ENCODER.fullmatch(settings.encoder):
        raise RisError(
            f"`encoder` is {settings.encoder}; choose one of {', '.join(layout.ENCODERS)}, or one that does "
            f"not know the classes of a draw, such as {layout.unseen('pretrained', 3)}."
        )
    known = (*layout.INDEXES, layout.RERANKED)
    for index in settings.space.get(INDEX, [None]):
        if index not in known:
            raise RisError(f"{CONF}'s `space` has the index {index}; choose of {', '.join(known)}.")
    for key in settings.space:
        if key != INDEX:
            config.check_key(key)
            if key.count(".") != 1:
                raise RisError(f"{CONF}'s `space` has {key}; name `{INDEX}`, and keys of a section.")
    return settings


def tune(
    params: Params, settings: Tuning, tree: Tree, trials: Path
) -> tuple[pd.DataFrame, list[dict[str, Any]]]:
    """Run trials until there are as many as wanted, those of earlier runs included.

    Args:
        params: what the settings that are tried are put into; as they are, they are the first trials, one an
            index, where all of them are among those to choose from.
        settings: what is tried.
        tree: of the catalog and the vectors.
        trials: folder of the trials' databases, one for what decides them.

    Returns:
        A line a trial, in their order, with its settings (NaN where they do not matter) and its two
        objectives; and the lines that no other is better than on both, the fastest first.
    """
    catalog = Catalog.read(tree)
    vectors = [checksum(tree.read(layout.features(part))) for part in layout.parts(settings.encoder)]
    left_out = _known(params, catalog).tolist() if layout.draw_unknown_to(settings.encoder) else []
    decisive = (settings.space, settings.encoder, _fixed(params, settings), catalog.sha256, vectors, left_out)
    identity = hashlib.sha256(repr(decisive).encode()).hexdigest()[:16]
    trials.mkdir(parents=True, exist_ok=True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        storage=f"sqlite:///{trials / identity}.db",
        study_name="search",
        load_if_exists=True,
        directions=["maximize", "minimize"],
    )
    for killed in study.get_trials(states=[TrialState.RUNNING]):
        study.tell(killed.number, state=TrialState.FAIL)
    for index in settings.space[INDEX]:
        as_it_is = _as_it_is(params, settings, index)
        if all(value in settings.space[key] for key, value in as_it_is.items()):
            propose(study, as_it_is)
    study.sampler = optuna.samplers.TPESampler(seed=params.seed + len(study.trials))
    finished = study.get_trials(states=[TrialState.COMPLETE])
    study.optimize(
        partial(_objectives, params, settings, tree, catalog),
        n_trials=max(0, settings.trials - len(finished)),
        show_progress_bar=sys.stderr.isatty(),
    )
    finished = study.get_trials(states=[TrialState.COMPLETE])
    table = pd.DataFrame([_line(trial, settings) for trial in finished])
    front = sorted((_line(trial, settings) for trial in study.best_trials), key=lambda line: line[LATENCY])
    return table, front


def propose(study: optuna.Study, values: dict[str, Any]) -> None:
    """Have a study try settings next, unless it has or is about to; what failed is tried again."""
    states = [state for state in TrialState if state != TrialState.FAIL]
    trials = study.get_trials(deepcopy=False, states=states)
    if all(trial.system_attrs.get("fixed_params", trial.params) != values for trial in trials):
        study.enqueue_trial(values)


def choose(table: pd.DataFrame, tolerance: float) -> dict[str, Any]:
    """Return the fastest trial that is at most `tolerance` worse than the best one."""
    good = table[table[QUALITY] >= table[QUALITY].max() - tolerance]
    chosen: dict[str, Any] = good.loc[good[LATENCY].idxmin()].to_dict()
    return chosen


def _of_encoder(params: Params, settings: Tuning) -> dict[str, Any]:
    """Return params.yaml with the projection of the encoder that is tuned in `pca` itself."""
    raw = params.model_dump()
    raw["pca"] |= params.pca.of(settings.encoder).model_dump()
    return raw


def _fixed(params: Params, settings: Tuning) -> tuple[Any, ...]:
    """Return what trials take from params.yaml and do not try."""
    raw = _of_encoder(params, settings)
    del raw["pca"]["pretrained"]
    for key in settings.space:
        if key != INDEX:
            section, name = key.split(".")
            raw[section][name] = None
    indexes = [raw[stage] for stage in layout.INDEX_STAGES if stage in raw]
    searched = (raw["extract"]["normalise"], raw["pca"], *indexes, raw["reranking"])
    return *searched, raw["unseen"]["classes"], raw["evaluate"]["latency_k"], raw["seed"]


def _as_it_is(params: Params, settings: Tuning, index: str) -> dict[str, Any]:
    raw = _of_encoder(params, settings)
    found: dict[str, Any] = {INDEX: index}
    for key in settings.space:
        if key != INDEX and _matters(key, index):
            section, name = key.split(".")
            found[key] = raw[section][name]
    return found


def _objectives(
    params: Params, settings: Tuning, tree: Tree, catalog: Catalog, trial: optuna.Trial
) -> tuple[float, float]:
    index = trial.suggest_categorical(INDEX, settings.space[INDEX])
    raw = _of_encoder(params, settings)
    for key, values in settings.space.items():
        if key != INDEX and _matters(key, index):
            section, name = key.split(".")
            raw[section][name] = trial.suggest_categorical(key, values)
    return judged(config.check(raw), tree, catalog, settings.encoder, index)


def _matters(key: str, index: str) -> bool:
    section, kind = key.partition(".")[0], layout.INDEXES.get(index)
    if section == "pca":
        return kind is None or kind.projected
    if section == "reranking":
        return kind is None
    return section not in layout.INDEX_STAGES or (kind is not None and kind.stage == section)


def judged(params: Params, tree: Tree, catalog: Catalog, encoder: str, index: str) -> tuple[float, float]:
    """Ask one search for the validation pictures among the training ones.

    Args:
        params: those of `pca` are used, whatever the encoder.
        tree: of the vectors.
        catalog: of the pictures.
        encoder: one that does not know a draw's classes is asked for these alone, new to ImageNet.
        index: to search by.

    Returns:
        mAP@R, macro, and the p50 of one query in milliseconds.
    """
    gallery, asked = catalog.rows("train"), catalog.rows("validation")
    learnt, draw = gallery, layout.draw_unknown_to(encoder)
    if draw is not None:
        held = held_out(params, catalog, draw)
        learnt = held.known(gallery)
        asked = held.asked(asked)
        new = asked[~np.isin(catalog.labels[asked], _known(params, catalog))]
        asked = new if len(new) else asked
    vectors = read_space(params, tree, catalog, encoder, projected=False)
    if _matters("pca", index):
        settings, classifier = params.pca, read_classifier(params.pca, tree, encoder)
        projection = fit_projection(settings, settings.normalise, vectors, catalog, learnt, classifier)
        vectors = projection.apply(vectors)
    search = _search(params, vectors[gallery], index)
    question = Question.among(asked, gallery, catalog.labels, catalog.table["group"].to_numpy())
    k = params.evaluate.latency_k
    found = judge(
        lambda rows, depth: search(vectors[rows], depth), question, ks=(k,), n_resamples=1, seed=params.seed
    )
    timed = measure_latency(lambda query: search(query, k), vectors[asked][:TIMED])
    return found.summary["mAP@R"]["macro"], timed["p50_ms"]


def _known(params: Params, catalog: Catalog) -> Integers:
    known = known_to_imagenet(params, catalog)
    return np.zeros(0, np.int64) if known is None else known


def _search(
    params: Params, vectors: Vectors, index: str
) -> Callable[[Vectors, int], tuple[Vectors, Integers]]:
    if index == layout.RERANKED:
        return Reranked(vectors, params.reranking).search_many
    kind = layout.INDEXES[index]
    return kind.index.build(vectors, params.index_parameters(kind), params.index_seed).search


def _line(trial: FrozenTrial, settings: Tuning) -> dict[str, Any]:
    quality, latency = trial.values
    tried = {key: trial.params.get(key, np.nan) for key in settings.space}
    return {"trial": trial.number, **tried, QUALITY: round(quality, 6), LATENCY: round(latency, 4)}


def _named(line: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in line.items() if not pd.isna(value)}


def _name(line: Mapping[str, Any]) -> str:
    told = []
    for key, value in _named(line).items():
        section, _, name = key.partition(".")
        if isinstance(value, bool | np.bool_):
            told += [] if value else [f"{section} not normalised"]
        elif name:
            told.append(f"{name.removeprefix('n_')} {value:g}")
    name = ": ".join([plots.index_name(line[INDEX]), ", ".join(told) or "as it is"])
    return textwrap.fill(name, NAME_WIDTH, subsequent_indent=6 * " ")


if __name__ == "__main__":
    main()
