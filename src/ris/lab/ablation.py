"""What each part of the recipe is worth: the experiments of conf/experiment/ablation/, trained and compared.

Usage: python -m ris.lab.ablation [NAME ...]

Each experiment is trained under several seeds, without the classes of its first draw, and asked for the
validation pictures against the training ones: those of classes that it knows, and those of classes that it
never saw. No query is looked at, so that a recipe may be chosen by it. What is finished stays in
reports/ablations/, in a folder of the device that trained it, and is not trained again there.
reports/ablations.csv and reports/ablations.png compare with the recipe on the same device, for the rounding
of another one changes a training, too.
"""

import hashlib
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from omegaconf import OmegaConf

from ris.artifacts import checksum, read_json, write_json, write_table
from ris.encoders.encoder import Encoder
from ris.errors import RisError
from ris.indexes import projection as space
from ris.indexes.exact import ExactIndex
from ris.indexes.projection import normalise
from ris.indexes.vectors import Vectors
from ris.lab import config, layout, training
from ris.lab.compose import composed
from ris.lab.config import Params
from ris.lab.inputs import Catalog, Integers, fit_projection, read_classifier
from ris.lab.layout import Tree
from ris.lab.report.plots import differences, save
from ris.lab.runner import compute_on
from ris.lab.training import Judge, Labelled
from ris.lab.unseen import held_out
from ris.metrics.intervals import holm, macro, resampled_classes, resampled_queries, two_sided
from ris.metrics.judge import Question, judge
from ris.metrics.retrieval import leave_one_out_map_at_r

CONF = Path("conf")
EXPERIMENTS = CONF / "experiment/ablation"
RESULTS, TABLE = Path("reports/ablations"), Path("reports/ablations.csv")
PICTURE = TABLE.with_suffix(".png")
UNFINISHED = Path(".ris/ablation")
RECIPE = "recipe"
"""The experiment that the others are compared with."""
SEEDS = (0, 1)
METRICS = ("precision@10", "mAP@R")
RESAMPLES = 10_000
"""Of the bootstrap: so many that a p-value can be small enough for as many comparisons as there are."""
RESAMPLED = {"same_class": resampled_queries, "unseen_class": resampled_classes}
"""What an interval is about: these very classes, or classes like these."""
QUESTIONS = {"same_class": "Classes trained on", "unseen_class": "Classes never seen"}


def main() -> None:
    """Train what is not trained yet, and write the table of all that is."""
    try:
        known = [path.stem for path in sorted(EXPERIMENTS.glob("*.yaml"))]
        asked = sys.argv[1:] or known
        for name in asked:
            if name not in known:
                raise RisError(
                    f"There is no experiment {EXPERIMENTS / name}.yaml; known: {', '.join(known)}."
                )
        for name in dict.fromkeys([RECIPE, *asked]):
            _run(name)
        table = compared(RESULTS)
        write_table(TABLE, table)
        save(drawn(table), PICTURE)
    except (RisError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from error


def _run(name: str) -> None:
    raw = OmegaConf.to_container(composed(CONF, [f"experiment=ablation/{name}"]), resolve=True)
    params, tree = config.check(raw), Tree(Path.cwd(), Path.cwd())
    compute_on(params.threads)
    catalog = Catalog.read(tree)
    for seed in SEEDS:
        result = RESULTS / device().lower().replace(" ", "_") / f"{name}_{seed}.json"
        decisive = identity(params, catalog, seed)
        if not result.is_file() or read_json(result)["identity"] != decisive:
            found = measured(params, tree, catalog, seed, UNFINISHED / decisive)
            write_json(result, {"identity": decisive, **found})
            shutil.rmtree(UNFINISHED / decisive, ignore_errors=True)


def device() -> str:
    """Name what trains here."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else f"{os.cpu_count()} cores"


def identity(params: Params, catalog: Catalog, seed: int) -> str:
    """Name what decides what `measured` finds: settings, pictures, seeds, the training and the projection."""
    decisive = (
        params.backbone,
        params.finetune.model_dump(exclude={"workers"}),
        params.pca.model_dump(exclude={"pretrained"}),
        params.extract.model_dump(include={"precision", "normalise"}),
        params.unseen,
        catalog.sha256,
        params.seed,
        params.threads,
        seed,
        checksum(Path(training.__file__)),
        checksum(Path(space.__file__)),
    )
    return hashlib.sha256(repr(decisive).encode()).hexdigest()[:16]


def measured(
    params: Params,
    tree: Tree,
    catalog: Catalog,
    seed: int,
    checkpoints: Path,
    score: Judge = leave_one_out_map_at_r,
) -> dict[str, Any]:
    """Train once, without the classes of the first draw, and ask for the validation pictures.

    Args:
        seed: of the training; the classes of the draw are those of `params.seed`.
        checkpoints: folder of the training, for the caller to remove.
        score: judges the validation vectors after each epoch.

    Returns:
        `minutes` of training, the `device` that it ran on and, for each question, the catalog `rows` asked
        and the values of each metric.
    """
    held = held_out(params, catalog, params.unseen.draws[0])
    known = held.known(catalog.gallery)
    start = time.perf_counter()
    encoder = training.finetune(
        Encoder.open(tree.read(layout.PRETRAINED)),
        _labelled(catalog, known, "train"),
        _labelled(catalog, known, "validation"),
        params.finetune,
        seed,
        score,
        params.clean.max_pixels,
        checkpoints,
    ).encoder
    minutes = (time.perf_counter() - start) / 60

    gallery, settings = catalog.rows("train"), params.extract
    vectors = np.zeros((len(catalog.table), encoder.network.dimension), np.float32)
    vectors[catalog.gallery] = encoder.embedder(settings.precision).embed_files(
        catalog.files(catalog.gallery), settings.batch_size, settings.workers, params.clean.max_pixels
    )
    if settings.normalise:
        vectors = normalise(vectors)
    learnt, classifier = held.known(gallery), read_classifier(params.pca, tree, "finetuned")
    fitted = fit_projection(params.pca, params.pca.normalise, vectors, catalog, learnt, classifier)
    projected, asked = fitted.apply(vectors), catalog.rows("validation")
    rows = {"same_class": held.known(asked), "unseen_class": held.asked(asked)}
    return {
        "minutes": round(minutes, 2),
        "device": device(),
        **{name: _asked(projected, catalog, gallery, some) for name, some in rows.items()},
    }


def _labelled(catalog: Catalog, known: Integers, split: str) -> Labelled:
    numbers = np.unique(catalog.labels[known], return_inverse=True)[1]
    chosen = np.isin(known, catalog.rows(split))
    return Labelled(catalog.files(known[chosen]), numbers[chosen])


def _asked(vectors: Vectors, catalog: Catalog, gallery: Integers, asked: Integers) -> dict[str, list[Any]]:
    index = ExactIndex(vectors[gallery])
    question = Question.among(asked, gallery, catalog.labels, catalog.table["group"].to_numpy())
    values = judge(
        lambda rows, k: index.search(vectors[rows], k), question, ks=(10,), n_resamples=1, seed=0
    ).values
    labels = catalog.labels[asked].tolist()
    return {
        "rows": asked.tolist(),
        "labels": labels,
        **{metric: values[metric].round(6).tolist() for metric in METRICS},
    }


def compared(results: Path) -> pd.DataFrame:
    """Compare every finished experiment with the recipe on the same device, query by query.

    Args:
        results: a folder a device, with a file an experiment and seed.

    Returns:
        A line an experiment, `device` and question: `n` queries, the macro average of each metric over all
        seeds, how much more it is than the recipe's, with the 95 % interval of that difference, the `p` of
        none, corrected for all comparisons of the table (Holm), the difference under each seed, and the
        `minutes` of one training. Intervals of classes never seen are for classes like them, the others for
        these very classes: see `RESAMPLED`.

    Raises:
        RisError: a device has no results of the recipe, or none that an experiment can be compared with.
    """
    lines = []
    for question in QUESTIONS:
        for folder in sorted(path for path in results.iterdir() if path.is_dir()):
            found: dict[str, dict[str, Any]] = {RECIPE: {}}
            for path in sorted(folder.glob("*.json")):
                name, _, seed = path.stem.rpartition("_")
                found.setdefault(name, {})[seed] = read_json(path)
            if not found[RECIPE]:
                raise RisError(f"{folder} has no results of the recipe; run `python -m ris.lab.ablation`.")
            for name, runs in found.items():
                if not _comparable(runs, found[RECIPE], question):
                    raise RisError(
                        f"{folder} has results of {name} and of the recipe that are not of the same seed and "
                        f"pictures; run `python -m ris.lab.ablation {name}`."
                    )
                lines.append(
                    {"experiment": name, "question": question, **_line(runs, found[RECIPE], question)}
                )
    table = pd.DataFrame(lines)
    others = table["experiment"] != RECIPE
    for metric in METRICS:
        table.loc[others, f"{metric} p"] = holm(table.loc[others, f"{metric} p"].to_numpy()).round(6)
    return table


def drawn(table: pd.DataFrame) -> Figure:
    """Draw how much mAP@R each experiment has more or less than the recipe, see `compared`."""
    others = table[table["experiment"] != RECIPE]
    of_question = {name: others[others["question"] == question] for question, name in QUESTIONS.items()}
    panels = {
        name: (
            lines["mAP@R difference"].tolist(),
            lines["mAP@R low"].tolist(),
            lines["mAP@R high"].tolist(),
        )
        for name, lines in of_question.items()
    }
    names = next(iter(of_question.values()))["experiment"]
    return differences("mAP@R", [name.replace("_", " ") for name in names], panels)


def _comparable(by_seed: dict[str, Any], recipe_by_seed: dict[str, Any], question: str) -> bool:
    common = by_seed.keys() & recipe_by_seed.keys()
    asked = [some[seed][question]["rows"] for some in (by_seed, recipe_by_seed) for seed in common]
    return bool(common) and all(rows == asked[0] for rows in asked)


def _line(by_seed: dict[str, Any], recipe_by_seed: dict[str, Any], question: str) -> dict[str, Any]:
    runs, recipe = (
        [some[seed] for seed in by_seed if seed in recipe_by_seed] for some in (by_seed, recipe_by_seed)
    )
    labels, resampled = np.array(runs[0][question]["labels"]), RESAMPLED[question]
    line: dict[str, Any] = {"n": len(labels), "seeds": len(runs)}
    for metric in METRICS:
        ours, theirs = (np.array([run[question][metric] for run in some]) for some in (runs, recipe))
        more = ours.mean(axis=0) - theirs.mean(axis=0)
        differences = resampled(more[:, None], labels, RESAMPLES, 0)[1][:, 0]
        low, high = np.quantile(differences, [0.025, 0.975]).round(6)
        paired = [macro(one - other, labels) for one, other in zip(ours, theirs, strict=True)]
        line |= {
            f"{metric} macro": macro(ours.mean(axis=0), labels),
            f"{metric} difference": macro(more, labels),
            f"{metric} low": low,
            f"{metric} high": high,
            f"{metric} p": two_sided(differences),
            f"{metric} by seed": " ".join(f"{value:+.4f}" for value in paired),
        }
    minutes = round(float(np.mean([run["minutes"] for run in runs])), 1)
    return {**line, "minutes": minutes, "device": runs[0]["device"]}


if __name__ == "__main__":
    main()
