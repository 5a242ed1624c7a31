"""The report's plots, and the one place where their style is set.

Every function turns numbers into a figure; `save` alone touches the disk. Nothing depends on the reader's own
matplotlib settings, on the clock or on library versions written into a file. Colours are from Okabe and Ito's
palette for colour-blind readers, and a series is told apart by its marker or line as well.
"""

import io
from collections.abc import Callable, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import matplotlib.style
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import (
    FuncFormatter,
    LogLocator,
    MaxNLocator,
    NullFormatter,
    PercentFormatter,
    StrMethodFormatter,
)
from PIL import Image

from ris.artifacts import writing
from ris.copies.edits import EDITS
from ris.indexes.registry import REGISTRY, SEARCHABLE

INK, MUTED, FAINT, PAPER = "#1b1f24", "#667079", "#dfe3e7", "#ffffff"
BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY = "#0072b2", "#d55e00", "#009e73", "#b0578d", "#e69f00", "#56b4e9"
SERIES = ((BLUE, "o"), (VERMILION, "s"), (GREEN, "^"), (PURPLE, "D"), (ORANGE, "v"), (SKY, "P"))
"""Colour and marker of the first, second, ... series of a plot."""

WIDTH = 4.8
"""Inches. Narrow, so that text stays readable where a page shows the plot at the width of a phone."""

TOO_NEAR = 40.0
"""Pixels between two points below which their numbers would overlap."""

STYLE = (
    "default",
    {
        "figure.dpi": 220,
        "figure.facecolor": PAPER,
        "font.family": "DejaVu Sans",
        "font.size": 9,
        "text.color": INK,
        "text.parse_math": False,
        "axes.titlesize": 10,
        "axes.titlelocation": "left",
        "axes.titleweight": "bold",
        "axes.titlepad": 8,
        "axes.labelcolor": MUTED,
        "axes.edgecolor": FAINT,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": FAINT,
        "grid.linewidth": 0.6,
        "xtick.color": FAINT,
        "ytick.color": FAINT,
        "xtick.labelcolor": MUTED,
        "ytick.labelcolor": MUTED,
        "lines.linewidth": 1.6,
        "lines.markersize": 4.5,
        "legend.frameon": False,
        "legend.fontsize": 8.5,
    },
)
styled = matplotlib.style.context(list(STYLE))


def index_name(index: str) -> str:
    """How an index or another way of searching is called in plots and tables: `knn_pca` is "KNN with PCA"."""
    names = {
        **{name: one.label for name, one in SEARCHABLE.items()},
        "whitened": "KNN, whitened",
        "regions": "gallery regions",
        "words": "visual words",
        "views": "query views",
        "fingerprint": "fingerprint",
        "candidates": "all rankings, in turn",
        "verified": "verified",
    }
    return names[index]


def encoder_name(encoder: str) -> str:
    """How an encoder is called in plots and tables: `finetuned` is "fine-tuned"."""
    names = {"finetuned": "fine-tuned", "pretrained": "pre-trained", "both": "both, side by side"}
    return names.get(encoder, encoder)


def edit_name(edit: str) -> str:
    """How an edit of a picture is called in plots and tables: `crop25` is "cropped to 25%"."""
    return EDITS[edit].label if edit in EDITS else edit


@styled
def save(picture: Figure | Image.Image, path: Path) -> None:
    """Write a figure or a picture as .png (64 colours at most) or .jpg, without dates or versions in it."""
    if isinstance(picture, Figure):
        drawn = io.BytesIO()
        picture.savefig(drawn, format="png")
        picture = Image.open(drawn)
    picture = picture.convert("RGB")
    with writing(path) as fresh:
        if path.suffix == ".png":
            picture.quantize(64, dither=Image.Dither.NONE).save(fresh, optimize=True)
        else:
            picture.save(fresh, quality=80, optimize=True, progressive=True)


@styled
def explained_variance(ratios: npt.NDArray[np.floating[Any]], kept: int) -> Figure:
    """Share of variance that the first 1, 2, ... principal components hold together.

    Args:
        ratios: (m,) share of variance of each component, largest first; m >= kept.
        kept: number of components that the projection keeps.
    """
    total = np.cumsum(ratios)
    figure, axes = _panel("Explained variance", height=2.9)
    axes.plot(np.arange(1, len(total) + 1), total, color=BLUE)
    axes.plot([kept, kept], [0, total[kept - 1]], color=MUTED, linestyle="--", linewidth=1)
    axes.plot([kept], [total[kept - 1]], color=BLUE, marker="o")
    right_half = kept > len(total) / 2
    axes.annotate(
        f"{kept} dimensions keep {total[kept - 1]:.1%}",
        (kept, total[kept - 1]),
        (-8 if right_half else 8, -18),
        textcoords="offset points",
        ha="right" if right_half else "left",
    )
    axes.set(xlabel="principal components", ylabel="share of variance", ylim=(0, 1.04))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    return figure


@styled
def learning_curves(curves: pd.DataFrame) -> Figure:
    """Training loss, validation mAP@R and learning rate, one above the other.

    Args:
        curves: `epoch`, `train_loss`, `validation_mAP@R` and `learning_rate`; without a row where the
            network was not trained.
    """
    if curves.empty:
        figure, axes = _panel("Not trained: finetune.epochs is 0", height=1)
        axes.set_axis_off()
        return figure
    panels = {
        "train_loss": "training loss",
        "validation_mAP@R": "validation mAP@R",
        "learning_rate": "learning rate",
    }
    figure = _figure(4.6)
    all_axes = figure.subplots(len(panels), sharex=True, height_ratios=[3, 3, 2])
    for axes, (column, title), (colour, marker) in zip(all_axes, panels.items(), SERIES, strict=False):
        axes.plot(curves["epoch"], curves[column], color=colour, marker=marker)
        axes.set_title(title, fontsize=9, fontweight="normal")
        axes.margins(y=0.15)
    scores = curves["validation_mAP@R"].to_numpy(dtype=float)
    best = int(scores.argmax())
    all_axes[1].annotate(
        f"{scores[best]:.3f}",
        (float(curves["epoch"].iloc[best]), scores[best]),
        (0, -14),
        textcoords="offset points",
        ha="right",
    )
    all_axes[-1].set_xlabel("epoch")
    all_axes[-1].ticklabel_format(axis="y", scilimits=(-2, 2))
    return figure


@styled
def recall_latency(curve: pd.DataFrame, exact_ms: Mapping[str, float]) -> Figure:
    """What approximate indexes find of the exact neighbours, against what a query costs.

    Args:
        curve: one row a measurement: `index`, a column for each parameter that was varied, NaN where an index
            has it not, `ann_recall@k`, `p50_ms` and `build_s`. One panel an index, one line a setting of
            building, one point a setting of searching.
        exact_ms: for each index, the p50 of the exact search in the same space, milliseconds.
    """
    recall = next(column for column in curve.columns if column.startswith("ann_recall@"))
    indexes = list(dict.fromkeys(curve["index"]))
    figure = _figure(0.5 + 2.7 * len(indexes))
    all_axes = figure.subplots(len(indexes), sharex=True, sharey=True, squeeze=False)[:, 0]
    shown: dict[str, Any] = {}
    for axes, index in zip(all_axes, indexes, strict=True):
        _trade_off(axes, curve[curve["index"] == index], index, recall)
        axes.axvline(exact_ms[index], color=INK, linestyle="--", linewidth=1, label="exact KNN")
        axes.set(title=index_name(index), xscale="log", ylabel=recall.replace("ann_", "ANN "))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.margins(x=0.08)
        shown |= {line.get_label(): line for line in axes.lines}
    all_axes[-1].set_xlabel("p50 of one query, milliseconds")
    figure.legend(list(shown.values()), list(shown), loc="outside lower center", ncols=3)
    return figure


def _trade_off(axes: Axes, rows: pd.DataFrame, index: str, recall: str) -> None:
    """Draw the lines of one index, and the settings of searching along the last of them."""
    kind = REGISTRY[index].index
    tunable = list(kind.tunable)
    fixed = [name for name in kind.section.model_fields if name not in tunable]
    lines = [some.sort_values(tunable) for _, some in rows.groupby(fixed)] if fixed else [rows]
    for line, (colour, marker) in zip(lines, cycle(SERIES), strict=False):
        label = _settings({name: int(line[name].iloc[0]) for name in fixed})
        axes.plot(line["p50_ms"], line[recall], color=colour, marker=marker, label=label)
    axes.set_title(f"numbers: {', '.join(tunable)}, {label}", loc="right", fontsize=7, fontweight="normal")
    labelled: tuple[float, float] | None = None
    for settings, *place in zip(
        line[tunable].astype(int).itertuples(index=False), line["p50_ms"], line[recall], strict=True
    ):
        # A label that would lie on the last one is left out.
        if labelled and place[0] < 1.3 * labelled[0] and abs(place[1] - labelled[1]) < 0.03:
            continue
        labelled = place[0], place[1]
        told = ", ".join(f"{value:,}" for value in settings)
        axes.annotate(told, labelled, (5, -9), textcoords="offset points", fontsize=7, color=colour)


def _settings(settings: Mapping[str, int]) -> str:
    """Tell parameters in a few words: `n_trees` 10 is "10 trees", `ef` 10 is "ef 10"."""
    told = (
        f"{value:,} {name.removeprefix('n_')}" if name.startswith("n_") else f"{name} {value:,}"
        for name, value in settings.items()
    )
    return ", ".join(told) or "as it is built"


@styled
def pareto_front(
    trials: pd.DataFrame,
    front: Sequence[Mapping[str, Any]],
    chosen: Mapping[str, Any],
    quality: str,
    latency: str,
    name: Callable[[Mapping[str, Any]], str],
) -> Figure:
    """Every trial of a sweep by latency and quality, and by name those that no other is better than on both.

    Args:
        trials: one row a trial, with the columns `trial`, `quality` and `latency` (milliseconds).
        front: the rows of the front, the fastest first.
        chosen: one of `trials`, marked.
        quality: name of a column, more is better.
        latency: name of a column, less is better.
        name: how a row of the front is called.
    """
    figure = _figure(3.2 + 0.2 * len(front))
    axes = figure.subplots()
    axes.scatter(trials[latency], trials[quality], color=MUTED, s=9, alpha=0.6, linewidths=0)
    places = [(one[latency], one[quality]) for one in front]
    axes.plot(*zip(*places, strict=True), color=BLUE, marker="o", drawstyle="steps-post")
    axes.scatter(
        chosen[latency], chosen[quality], s=90, facecolors="none", edgecolors=VERMILION, linewidths=1.6
    )
    axes.set(xscale="log", xlabel="p50 of one query, milliseconds", ylabel=quality)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.margins(x=0.1)
    bottom = max(float(trials[quality].min()), places[0][1] - 0.1) - 0.01
    axes.set_ylim(bottom=bottom)
    for numbers, place in _together(axes, places):
        axes.annotate(
            numbers, place, (-4, 4), textcoords="offset points", ha="right", color=BLUE, fontsize=7.5
        )
    told = [f"{number}  {name(one)}" for number, one in enumerate(front, start=1)]
    below = int((trials[quality] < bottom).sum())
    told += ["circled: chosen", *([f"not shown: {below} trials below {bottom:.2f}"] if below else [])]
    figure.supxlabel("\n".join(told), x=0.02, ha="left", fontsize=6.5, color=INK)
    return figure


def _together(axes: Axes, places: Sequence[tuple[float, float]]) -> list[tuple[str, tuple[float, float]]]:
    """Number points 1, 2, ...; those that follow each other too near for a number each share one label."""
    groups: list[list[int]] = []
    where = axes.transData.transform(places)
    for number in range(len(places)):
        if groups and np.linalg.norm(where[number] - where[groups[-1][0]]) < TOO_NEAR:
            groups[-1].append(number)
        else:
            groups.append([number])
    return [
        (str(group[0] + 1) if len(group) == 1 else f"{group[0] + 1}-{group[-1] + 1}", places[group[-1]])
        for group in groups
    ]


@styled
def metric_overview(same_class: Mapping[str, Any], metrics: Sequence[str]) -> Figure:
    """Macro averages with their 95 % intervals: one panel a metric, one line an index, one marker an encoder.

    Args:
        same_class: encoder, index, metric, average, as in metrics.json.
        metrics: which metrics to show; each is there for every encoder and index.
    """
    encoders = list(same_class)
    indexes = list(same_class[encoders[0]])
    figure = _figure(0.6 + len(metrics) * (0.6 + 0.3 * len(indexes)))
    all_axes = figure.subplots(len(metrics), squeeze=False)[:, 0]
    for axes, metric in zip(all_axes, metrics, strict=True):
        for number, encoder in enumerate(encoders):
            colour, marker = SERIES[number % len(SERIES)]
            values = [same_class[encoder][index][metric] for index in indexes]
            centres = np.array([value["macro"] for value in values])
            bounds = np.array([value["macro_ci95"] for value in values])
            places = np.arange(len(indexes)) + 0.16 * (number - (len(encoders) - 1) / 2)
            reach = np.abs(bounds.T - centres)
            axes.errorbar(
                centres,
                places,
                xerr=reach,
                fmt=marker,
                color=colour,
                capsize=2.5,
                label=encoder_name(encoder),
            )
        axes.set_yticks(range(len(indexes)), [index_name(index) for index in indexes], color=INK)
        axes.set_title(f"{metric}, mean over classes")
        axes.set_ylim(len(indexes) - 0.5, -0.5)
    figure.legend(*all_axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(encoders))
    return figure


@styled
def per_class(scores: pd.DataFrame, metric: str) -> Figure:
    """One line a class, the best at the top, with its score from each encoder.

    Args:
        scores: `label`, and one column an encoder; the last encoder decides the order.
        metric: name of what is shown.
    """
    encoders = [column for column in scores.columns if column != "label"]
    scores = scores.sort_values([encoders[-1], "label"], ascending=[False, True])
    places = np.arange(len(scores))
    figure, axes = _panel(f"{metric} by class", height=1.1 + 0.148 * len(scores))
    axes.hlines(places, scores[encoders].min(axis=1), scores[encoders].max(axis=1), color=FAINT, linewidth=2)
    for encoder, (colour, marker) in zip(encoders, reversed(SERIES[: len(encoders)]), strict=False):
        axes.plot(
            scores[encoder],
            places,
            linestyle="",
            color=colour,
            marker=marker,
            markersize=4,
            label=encoder_name(encoder),
        )
    axes.set_yticks(places, scores["label"], fontsize=7.5, color=INK)
    axes.set(ylim=(len(scores) - 0.3, -0.7), xlim=(-0.02, 1.02))
    axes.tick_params(axis="x", labeltop=True)
    figure.legend(loc="outside lower center", ncols=len(encoders))
    return figure


@styled
def confusions(pairs: pd.DataFrame) -> Figure:
    """The class pairs that are taken for one another most often, as bars.

    Args:
        pairs: `label` of the queries, `wrong_label` found for them, `share` of the neighbours of
            `label` that have it; in the order in which they are shown.
    """
    figure, axes = _panel("Most confused classes", height=0.9 + 0.25 * len(pairs))
    places = np.arange(len(pairs))
    axes.barh(places, pairs["share"], color=BLUE, height=0.62)
    names = [f"{label} → {found}" for label, found in zip(pairs["label"], pairs["wrong_label"], strict=True)]
    axes.set_yticks(places, names, fontsize=8, color=INK)
    axes.set(ylim=(len(pairs) - 0.4, -0.6), xlabel="share of the neighbours found")
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    axes.grid(axis="y", visible=False)
    return figure


@styled
def recall_per_edit(series: Mapping[str, Mapping[str, float | None]]) -> Figure:
    """Share of queries answered with their original, one line an edit and one marker a way of searching.

    Args:
        series: what to call a way of searching -> edit -> recall@1, or None where it was not asked; the first
            way says which edits there are, in which order.
    """
    edits = list(next(iter(series.values())))
    recalls = np.array([[found[edit] for edit in edits] for found in series.values()], dtype=float)
    places = np.arange(len(edits))
    figure, axes = _panel("recall@1 by edit", height=1.1 + 0.24 * len(edits))
    axes.hlines(places, recalls.min(axis=0), recalls.max(axis=0), color=MUTED, linewidth=1.2)
    for number, (label, line) in enumerate(zip(series, recalls, strict=True)):
        colour, marker = SERIES[number % len(SERIES)]
        # The later the smaller, so that equal recalls are all seen.
        size = 8.5 - 5 * number / len(series)
        axes.plot(line, places, linestyle="", color=colour, marker=marker, markersize=size, label=label)
    axes.set_yticks(places, [edit_name(edit) for edit in edits], color=INK)
    axes.set(ylim=(len(edits) - 0.4, -0.6), xlim=(-0.03, 1.03))
    figure.legend(loc="outside lower center", ncols=len(series), handletextpad=0.1, columnspacing=1.2)
    return figure


@styled
def score_distributions(
    panels: Mapping[str, tuple[npt.NDArray[np.floating[Any]], npt.NDArray[np.floating[Any]], float | None]],
) -> Figure:
    """Share of queries above each score, of those whose original is in the gallery and of the others.

    At the threshold the two curves stand at the share of queries of each kind that is answered "here". Both
    shares are on a logarithmic scale, as the few false positives are what a threshold is chosen for.

    Args:
        panels: what to call a score -> (n,) scores where the original is present, (m,) where it is absent,
            and the threshold above which a picture is here, None where there is none.
    """
    figure = _figure(0.5 + 2.5 * len(panels))
    all_axes = figure.subplots(len(panels), squeeze=False)[:, 0]
    kinds = (
        ("original in the gallery", BLUE, "-", (6, 5), "left"),
        ("original not in the gallery", VERMILION, "--", (-6, -12), "right"),
    )
    for axes, (name, (present, absent, threshold)) in zip(all_axes, panels.items(), strict=True):
        every = np.concatenate([present, absent])
        floor = 0.5 / max(len(present), len(absent))
        for scores, (kind, colour, line, offset, side) in zip((present, absent), kinds, strict=True):
            values, counts = np.unique(scores, return_counts=True)
            higher = 1 - np.cumsum(counts) / len(scores)
            steps = np.r_[every.min(), values], np.r_[1.0, higher]
            axes.plot(*steps, color=colour, linestyle=line, drawstyle="steps-post", label=kind)
            if threshold is not None:
                here = float(np.mean(scores > threshold))
                point = threshold, max(here, floor)
                axes.plot(*point, color=colour, marker="o")
                axes.annotate(
                    f"{here:.1%}",
                    point,
                    offset,
                    textcoords="offset points",
                    ha=side,
                    color=colour,
                )
        if threshold is not None:
            axes.axvline(threshold, color=INK, linestyle=":", linewidth=1, label="threshold")
        axes.set(title=name, ylabel="queries that score higher", yscale="log")
        axes.set_ylim(floor, 2)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g}%"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    figure.legend(*all_axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


@styled
def differences(
    metric: str,
    names: Sequence[str],
    panels: Mapping[str, tuple[Sequence[float], Sequence[float], Sequence[float]]],
) -> Figure:
    """How much more or less than what they are compared with: one line a name, one panel a question.

    Args:
        metric: name of what differs.
        names: from top to bottom.
        panels: title -> differences, and the lower and upper ends of their intervals, each in that order.
    """
    places = np.arange(len(names))
    figure = _figure(1.1 + 0.24 * len(names))
    row = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, (title, (values, lows, highs)) in zip(row, panels.items(), strict=True):
        axes.set_title(title, fontsize=9)
        axes.axvline(0, color=MUTED, linewidth=1)
        axes.hlines(places, lows, highs, color=BLUE)
        axes.plot(values, places, linestyle="", color=BLUE, marker="o")
        axes.xaxis.set_major_locator(MaxNLocator(3))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:+g}"))
        axes.set_xlabel(f"{metric}, difference")
    row[0].set_yticks(places, names, color=INK)
    row[0].set_ylim(len(names) - 0.4, -0.6)
    return figure


def _panel(title: str, height: float) -> tuple[Figure, Axes]:
    figure = _figure(height)
    axes = figure.subplots()
    axes.set_title(title)
    return figure, axes


def _figure(height: float) -> Figure:
    return Figure(figsize=(WIDTH, height), layout="constrained")
