"""The report: one page that opens from the file system, with every figure and picture in it."""

import base64
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from PIL import Image, UnidentifiedImageError

from ris.copies.edits import GROUPS
from ris.errors import RisError
from ris.indexes.registry import REGISTRY
from ris.lab.report.plots import edit_name, encoder_name, index_name

REJECTED_SHOWN = 15
"""Dropped files listed for each kind; the page says where the others are."""


@dataclass(frozen=True)
class Picture:
    """A picture of the page, embedded from its file."""

    path: Path
    """PNG or JPEG; where the file is missing, the page says so."""
    caption: str
    """What it shows, also for readers who do not see it."""


@dataclass(frozen=True)
class DataSummary:
    """What was searched."""

    name: str
    attribution: str
    """Authors, source and licence of the pictures."""
    classes: int
    split: Mapping[str, int]
    """Images of the `query`, `train` and `validation` parts; the last two are the gallery."""
    near_duplicate_groups: int
    """Groups of two or more."""
    near_duplicate_images: int
    """Images in those groups."""
    rejected: pd.DataFrame
    """`path`, `kind` and `reason` of every dropped file."""


@dataclass(frozen=True)
class RunSummary:
    """What was run, and where."""

    command: str
    """What repeats this run."""
    backbone: str
    dimension: int
    """Of the encoder's vectors."""
    projections: Mapping[str, str]
    """What each encoder's projection was, in a few words."""
    epochs: int
    """0 where the network was not trained."""
    training: str
    """In a sentence."""
    seed: int
    processor: str
    cores: int
    versions: Mapping[str, str]
    """Of Python and the libraries that matter."""
    not_measured: Sequence[str]
    """What a reader may expect here and will not find, a sentence each."""


@dataclass(frozen=True)
class Context:
    """All that the page says."""

    data: DataSummary
    run: RunSummary
    headline: tuple[str, str]
    """Encoder and index that the first sentence is about."""
    same_class: Mapping[str, Any]
    """Encoder, index, metric, then `micro`, `macro`, their `_ci95` and `n`, as in metrics.json."""
    unseen_class: Mapping[str, Any]
    """The same over classes that the encoder was not trained on, with `macro_by_draw`; or empty."""
    same_picture: Mapping[str, Any]
    """Encoder, index or way of searching, metric, then `mean`, `mean_ci95`, `per_edit` and `n`, as in
    metrics.json; with a calibrated answer also `recall_at_fpr...`. Or empty."""
    same_picture_store: Mapping[str, Any]
    """Of a store, see `ris.lab.store_questions.StoreFigures`; or empty."""
    same_picture_cost: Mapping[str, float]
    """Of a verified search: `p50_ms`, `p95_ms`, `queries`, `threads`, `local_features_bytes_per_picture`,
    `region_rows`; or empty."""
    proofs: Sequence[Picture]
    """Answers to "where is this very picture?", one picture an edit."""
    capped: Mapping[str, int]
    """For `precision@k`: how many queries have fewer than k right answers in the gallery."""
    latency: Mapping[str, Any]
    """`search` by index, `embed` and `extract`, as in latency.json."""
    per_class: pd.DataFrame
    worst_queries: pd.DataFrame
    confusions: pd.DataFrame
    """Tables shown as they are, in their order: columns are headings."""
    stages: pd.DataFrame
    """What each stage took: `stage`, `minutes`, and what else there is to say."""
    tsne: Mapping[str, float]
    """The map's `kl_divergence`, `trustworthiness`, `trustworthiness_points`, `perplexity`; or empty."""
    neighbours: Sequence[Picture]
    pictures: Mapping[str, Picture]
    """`metrics`, `recall_latency`, `explained_variance`, `learning_curves`, `tsne`, `tsne_thumbnails`,
    `per_class`, `confusions`, and where `same_picture` is not empty `same_picture_recall` and
    `same_picture_scores`; the page says which of them are missing."""


def render(context: Context) -> str:
    """Return the page as HTML that loads nothing, from the disk or the network, and runs no script.

    Raises:
        RisError: a picture's file is no picture.
    """
    encoder, index = context.headline
    names = list(context.same_class[encoder][index])
    precisions = sorted((name for name in names if name.startswith("precision@")), key=_k)
    shown = min(precisions, key=lambda name: abs(_k(name) - 10))
    ann = [
        metric
        for rows in context.same_class[encoder].values()
        for metric in rows
        if metric.startswith("ann_")
    ]
    nearest_ann = sorted(set(ann), key=lambda name: abs(_k(name) - _k(shown)))[:1]
    rejected = context.data.rejected
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            **vars(context),
            encoder=encoder,
            index=index,
            shown=shown,
            shown_k=_k(shown),
            gallery=context.data.split["train"] + context.data.split["validation"],
            listed_a_kind=REJECTED_SHOWN,
            edit_groups=GROUPS,
            by_edit=_by_edit(context.same_picture),
            calibrated=_calibrated(context.same_picture),
            main_metrics=list(dict.fromkeys([precisions[0], shown, "mAP@R", *nearest_ann])),
            all_metrics=list(dict.fromkeys([*names, *ann])),
            rejected_kinds=rejected["kind"].value_counts(sort=False).sort_index(),
            rejected_listed=rejected.sort_values(["kind", "path"]).groupby("kind").head(REJECTED_SHOWN),
        )
    )


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "count": lambda value: f"{value:,}",
        "score": lambda value: "—" if value is None else f"{value:.3f}",
        "percent": lambda value: "—" if value is None else f"{value:.1%}",
        "significant": _significant,
        "bytes": _bytes,
        "index_name": index_name,
        "encoder_name": encoder_name,
        "edit_name": edit_name,
        "family_name": _family_name,
        "cells": _cells,
        "embedded": _embedded,
    }
    environment.tests["exact"] = lambda name: name in REGISTRY and REGISTRY[name].exact
    return environment


def _family_name(name: str) -> str:
    return name.replace("_", " ")


def _by_edit(same_picture: Mapping[str, Any]) -> dict[str, Mapping[str, float | None]]:
    """Return recall@1 by edit of the encoder that gives the candidates: by one vector, by more, verified."""
    candidates: Mapping[str, Any] = next((ways for ways in same_picture.values() if "verified" in ways), {})
    shown = [way for way in ("whitened", "candidates", "verified") if way in candidates]
    return {way: candidates[way]["recall@1"]["per_edit"] for way in shown}


def _calibrated(same_picture: Mapping[str, Any]) -> list[tuple[str, str, Mapping[str, Any]]]:
    """Return encoder, index or way of searching, and figures of every answer at a false-positive rate."""
    return [
        (encoder, way, score)
        for encoder, ways in same_picture.items()
        for way, metrics in ways.items()
        for metric, score in metrics.items()
        if metric.startswith("recall_at_fpr")
    ]


def _k(metric: str) -> int:
    return int(metric.rpartition("@")[2])


def _significant(value: float | None) -> str:
    """Three significant digits, never in exponents."""
    if value is None or not math.isfinite(value):
        return "—"
    digits = 2 - math.floor(math.log10(abs(value))) if value else 0
    return f"{round(value, digits):,.{max(digits, 0)}f}"


def _bytes(value: float | None) -> str:
    if value is None:
        return "—"
    unit, divisor = next(
        ((u, d) for u, d in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)) if value >= d), ("B", 1.0)
    )
    return f"{_significant(value / divisor)} {unit}"


def _cells(table: pd.DataFrame) -> dict[str, Any]:
    """Return a table as text, and which of its columns are numbers."""
    return {
        "heads": [str(column).replace("_", " ") for column in table.columns],
        "numeric": [pd.api.types.is_numeric_dtype(table[column]) for column in table.columns],
        "rows": [[_cell(value) for value in row] for row in table.itertuples(index=False, name=None)],
    }


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return "—" if math.isnan(value) else f"{value:.3f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _embedded(picture: Picture) -> dict[str, Any] | None:
    """Return a picture as a data URI with its size in pixels, or None where its file is missing.

    It goes in as WebP, which halves the page: PNG without loss, JPEG at a quality for looking at.
    """
    if not picture.path.is_file():
        return None
    stream = io.BytesIO()
    try:
        with Image.open(picture.path) as image:
            lossless = image.format == "PNG"
            image.convert("RGB").save(stream, "WEBP", lossless=lossless, quality=35, method=5)
    except (UnidentifiedImageError, OSError) as error:
        raise RisError(
            f"{picture.path} is not a readable picture ({error}); remake it with `dvc repro`."
        ) from error
    uri = "data:image/webp;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
    return {"uri": uri, "width": image.width, "height": image.height}
