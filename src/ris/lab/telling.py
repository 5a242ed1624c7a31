"""What `evaluate` shows and tells: the pictures and the words of the report."""

import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import pandas as pd
import torch

from ris.artifacts import read_json, read_table, writing
from ris.images.decoding import read_image
from ris.indexes.projection import Projection
from ris.lab import layout
from ris.lab.config import Params, Space
from ris.lab.inputs import Catalog
from ris.lab.layout import Tree
from ris.lab.report import neighbours, plots
from ris.lab.report.page import Context, DataSummary, Picture, RunSummary
from ris.metrics.judge import Judged

PICTURES = {
    "metrics": (layout.METRICS_PICTURE, "Quality of each index and encoder, with 95 % intervals (macro)."),
    "recall_latency": (
        layout.RECALL_LATENCY_PICTURE,
        "What approximate indexes find of the exact neighbours, against what a query costs; the line is the "
        "exact search.",
    ),
    "explained_variance": (
        layout.EXPLAINED_VARIANCE,
        "Share of variance that the first directions hold, of the vectors that the PCA is fitted to.",
    ),
    "learning_curves": (layout.LEARNING_CURVES_PICTURE, "Training loss and validation mAP@R by epoch."),
    "tsne": (layout.TSNE_MAP, "t-SNE of the fine-tuned vectors, coloured by class."),
    "tsne_thumbnails": (layout.TSNE_THUMBNAILS, "The same map with the pictures themselves."),
    "per_class": (layout.PER_CLASS_PICTURE, "mAP@R of every class, each encoder in its own projection."),
    "confusions": (layout.CONFUSIONS_PICTURE, "Classes that are most often found in place of another."),
    "same_picture_recall": (
        layout.SAME_PICTURE_RECALL,
        "Recall@1 of each edit, before and after verification.",
    ),
    "same_picture_scores": (
        layout.SAME_PICTURE_SCORES,
        "Share of queries above each score, where the original is in the gallery and where it is not; all "
        "queries, with the threshold that one half of them chose.",
    ),
}
UNSEEN_NOT_MEASURED = "Classes that training has never seen: set `unseen.draws`."
SAME_PICTURE_NOT_MEASURED = "Finding the same picture after an edit: set `same_picture.enabled`."
LIBRARIES = ("torch", "torchvision", "timm", "pytorch-lightning", "scikit-learn", "annoy", "numpy", "pillow")


def draw_neighbours(
    params: Params, tree: Tree, catalog: Catalog, judged: Mapping[str, Judged], deciding: str
) -> list[Picture]:
    """Draw sample queries with what some indexes found for each; they replace those of the last run."""
    labels, files = catalog.table["label"].tolist(), catalog.files()
    asked = catalog.queries
    chosen = neighbours.choose_queries(
        judged[deciding].values["mAP@R"],
        [labels[row] for row in asked],
        params.evaluate.sample_queries,
        params.seed,
    )
    pictures = []
    folder = tree.write(layout.NEIGHBOURS)
    with writing(folder) as fresh:
        fresh.mkdir()
        for number, position in enumerate(chosen.tolist(), start=1):
            found = [
                neighbours.Found(
                    plots.index_name(name),
                    catalog.gallery[judged[name].nearest[position, : params.evaluate.neighbours]],
                    judged[name].distances[position, : params.evaluate.neighbours],
                )
                for name in layout.SHOWN_INDEXES
            ]
            query = int(asked[position])
            name = f"{number:02d}.png"
            figure = neighbours.draw(
                query, found, labels, lambda row: read_image(files[row], params.clean.max_pixels)
            )
            plots.save(figure, fresh / name)
            pictures.append(Picture(folder / name, neighbours.describe(query, found, labels)))
    return pictures


def draw_pictures(
    tree: Tree,
    metrics: Mapping[str, Any],
    costs: Mapping[str, Any],
    curve: pd.DataFrame,
    lists: Mapping[str, pd.DataFrame],
    k: int,
) -> None:
    """Draw the overview, recall against latency, the learning curves, the classes and their confusions."""
    shown = [f"precision@{k}", "mAP@R"]
    plots.save(plots.metric_overview(metrics, shown), tree.write(layout.METRICS_PICTURE))
    exact_ms = {
        name: costs["search"][kind.approximates]["p50_ms"]
        for name, kind in layout.INDEXES.items()
        if kind.approximates
    }
    plots.save(plots.recall_latency(curve, exact_ms), tree.write(layout.RECALL_LATENCY_PICTURE))
    history = pd.read_csv(tree.read(layout.LEARNING_CURVES))
    plots.save(plots.learning_curves(history), tree.write(layout.LEARNING_CURVES_PICTURE))
    scores = lists[layout.PER_CLASS].rename(columns={"mAP@R": "finetuned", "mAP@R pre-trained": "pretrained"})
    plots.save(
        plots.per_class(scores[["label", "pretrained", "finetuned"]], "mAP@R"),
        tree.write(layout.PER_CLASS_PICTURE),
    )
    plots.save(plots.confusions(lists[layout.CONFUSIONS]), tree.write(layout.CONFUSIONS_PICTURE))


def told(
    params: Params,
    tree: Tree,
    catalog: Catalog,
    questions: Mapping[str, Any],
    costs: Mapping[str, Any],
    lists: Mapping[str, pd.DataFrame],
    sample: Sequence[Picture],
    headline: tuple[str, str],
) -> Context:
    """Gather all that the page says."""
    encoder, index = headline
    metrics = questions["same_class"]
    summaries = metrics[encoder][index]
    return Context(
        data=_data(params, tree, catalog),
        run=_run(params, tree),
        headline=headline,
        same_class=metrics,
        unseen_class=questions.get("unseen_class", {}),
        same_picture=questions.get("same_picture", {}),
        same_picture_store=read_json(tree.read(layout.SAME_PICTURE_STORE)),
        same_picture_cost=costs.get("same_picture", {}),
        proofs=_proofs(params, tree),
        capped={name: one["capped_queries"] for name, one in summaries.items() if "capped_queries" in one},
        latency=costs,
        per_class=lists[layout.PER_CLASS],
        worst_queries=lists[layout.WORST_QUERIES],
        confusions=lists[layout.CONFUSIONS],
        stages=_stages(tree),
        tsne=read_json(tree.read(layout.TSNE_SUMMARY)),
        neighbours=sample,
        pictures={name: Picture(tree.read(path), caption) for name, (path, caption) in PICTURES.items()},
    )


def described(settings: Space, projection: Projection) -> str:
    """Tell what a projection is, in a few words."""
    steps = []
    if classes := len(projection.classifier):
        steps.append(
            f"putting its classifier's probabilities of {classes:,} classes beside the vectors "
            f"(sharpness {projection.sharpness:g})"
        )
    if settings.shrinkage < 1:
        steps.append(f"whitening within classes (shrinkage {settings.shrinkage:g})")
    *first, last = [*steps, "PCA"]
    after = f"{', '.join(first)} and {last}" if first else last
    divided = (
        f"; each divided by its standard deviation to the power {settings.whiten:g}"
        if settings.whiten
        else ""
    )
    return f"{len(projection.components):,} dimensions after {after}{divided}"


def _proofs(params: Params, tree: Tree) -> list[Picture]:
    shown = {name: f"What was found after {plots.edit_name(name)}." for name, _ in params.same_picture.edits}
    shown["absent"] = "Pictures that are not in the gallery, those with most evidence first."
    pictures = [Picture(tree.read(layout.proof(name)), caption) for name, caption in shown.items()]
    return [picture for picture in pictures if picture.path.is_file()]


def _data(params: Params, tree: Tree, catalog: Catalog) -> DataSummary:
    sizes = catalog.table["group"].value_counts()
    return DataSummary(
        name=params.data.name,
        attribution=params.data.attribution,
        classes=len(catalog.classes),
        split={name: len(catalog.rows(name)) for name in ("query", "train", "validation")},
        near_duplicate_groups=int((sizes > 1).sum()),
        near_duplicate_images=int(sizes[sizes > 1].sum()),
        rejected=read_table(tree.read(layout.REJECTED)),
    )


def _stages(tree: Tree) -> pd.DataFrame:
    taken = {name: read_json(tree.read(layout.timings(name))) for name in layout.STAGES[:-1]}
    return pd.DataFrame(
        {
            "stage": list(taken),
            "minutes": [round(one["seconds"] / 60, 2) for one in taken.values()],
            "GB, largest process": [round(one["peak_memory_bytes"] / 1e9, 2) for one in taken.values()],
        }
    )


def _run(params: Params, tree: Tree) -> RunSummary:
    settings = params.finetune
    history = pd.read_csv(tree.read(layout.LEARNING_CURVES))
    kept = []
    if settings.distillation:
        kept.append(f"distillation from the pre-trained network at {settings.distillation:g}")
    if settings.pretrained_share:
        kept.append(f"averaged with {settings.pretrained_share:.0%} of the pre-trained weights")
    training = (
        f"at most {settings.epochs} epochs of {settings.train_size} px crops, the first "
        f"{settings.frozen_stages} stages frozen, with a cosine classifier "
        f"(temperature {settings.temperature}, label smoothing {settings.label_smoothing}), AdamW at "
        f"{settings.learning_rate}, batches of {settings.batch_size}{''.join(f', {one}' for one in kept)}; "
        "the epoch with the best validation mAP@R is kept"
    )
    projections = {name: Projection.load(tree.read(layout.projection(name))) for name in layout.ENCODERS}
    return RunSummary(
        command="make demo" if params.data.name == "demo" else "dvc repro",
        backbone=params.backbone.name,
        dimension=projections["finetuned"].classifier.shape[1],
        projections={name: described(params.pca.of(name), one) for name, one in projections.items()},
        epochs=len(history),
        training=training if len(history) else "not trained: the pre-trained network as it is",
        seed=params.seed,
        processor=torch.cpu.get_capabilities().get("cpu_name") or platform.machine(),
        cores=os.cpu_count() or 1,
        versions={"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}},
        not_measured=[
            *([] if params.unseen.draws else [UNSEEN_NOT_MEASURED]),
            *([] if params.same_picture.enabled else [SAME_PICTURE_NOT_MEASURED]),
        ],
    )
