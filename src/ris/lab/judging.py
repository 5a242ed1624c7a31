"""What `evaluate` asks: every query of every index, and the lists of where the answers fail."""

from collections.abc import Mapping, Sequence
from typing import Any, NotRequired

import numpy as np
import pandas as pd

from ris.artifacts import write_table
from ris.indexes.registry import approximated, exact_of
from ris.lab import baselines, layout
from ris.lab.config import Evaluate, Params
from ris.lab.data.split import check_split
from ris.lab.gallery import raw_vectors, read_gallery, searched
from ris.lab.inputs import Catalog, Integers
from ris.lab.layout import Tree
from ris.lab.report import tables
from ris.lab.unseen import check_unseen, held_out, known_to_imagenet
from ris.metrics.intervals import Summary, macro, resampled_classes, summarise_all
from ris.metrics.judge import Judged, Question, judge
from ris.metrics.retrieval import Floats, capped_queries

SHOWN_ENCODER = "finetuned"


class OverDraws(Summary):
    """A metric over the queries of all draws; intervals are for classes like these: `resampled_classes`."""

    n_classes: int
    macro_by_draw: list[float]
    """The macro average of each draw, in their order."""


class PooledSummary(OverDraws):
    """The same, with the classes apart that ImageNet has, where known: the network learnt their labels."""

    macro_new_to_imagenet: NotRequired[float]
    macro_new_to_imagenet_ci95: NotRequired[list[float]]
    macro_new_to_imagenet_by_draw: NotRequired[list[float]]
    n_classes_new_to_imagenet: NotRequired[int]
    macro_known_to_imagenet: NotRequired[float]
    macro_known_to_imagenet_ci95: NotRequired[list[float]]
    macro_known_to_imagenet_by_draw: NotRequired[list[float]]
    n_classes_known_to_imagenet: NotRequired[int]


def ask(params: Params, tree: Tree, catalog: Catalog) -> tuple[Question, dict[str, dict[str, Judged]]]:
    """Ask every index every query: the question, and encoder -> index -> what came back.

    Raises:
        RisError: the catalog's split is not fit to judge by, or an index is not over this catalog.
    """
    groups = catalog.table["group"].to_numpy()
    check_split(catalog.table["split"].tolist(), groups, catalog.table["label"].tolist())
    question = Question.among(catalog.queries, catalog.gallery, catalog.labels, groups)
    judged = {encoder: judge_encoder(params, tree, catalog, question, encoder) for encoder in layout.ENCODERS}
    return question, judged


def ask_classifiers(
    params: Params, tree: Tree, catalog: Catalog, judged: dict[str, dict[str, Judged]]
) -> dict[str, dict[str, Summary]]:
    """Return how often classifiers on the same vectors are right, beside the first hit of the exact index.

    Returns:
        Encoder -> classifier -> averages of being right.
    """
    settings, found = params.evaluate, {}
    parts = [catalog.rows(split) for split in ("train", "validation", "query")]
    asked = catalog.labels[catalog.queries]
    for encoder in layout.ENCODERS:
        vectors = raw_vectors(params, tree, catalog, encoder)
        labelled = (baselines.Labelled(vectors[rows], catalog.labels[rows]) for rows in parts)
        first = judged[encoder][exact_of(projected=False)].nearest[:, 0]
        right = {
            "first_hit": (catalog.labels[catalog.gallery][first] == asked).astype(np.float64),
            **baselines.answers(*labelled),
        }
        found[encoder] = summarise_all(right, asked, settings.bootstrap, params.seed)
    return found


def ask_unseen(
    params: Params, tree: Tree, catalog: Catalog
) -> dict[str, dict[str, dict[str, PooledSummary]]] | None:
    """Ask the queries of the classes that each draw holds out, against the whole gallery.

    Returns:
        Encoder -> index -> metric -> averages over all draws; None where no classes were held out.

    Raises:
        RisError: an encoder or its PCA has seen what it must not know.
    """
    groups = catalog.table["group"].to_numpy()
    settings = params.evaluate
    known = known_to_imagenet(params, catalog)
    asked: dict[str, dict[str, list[tuple[Question, Judged]]]] = {}
    for draw in params.unseen.draws:
        held = held_out(params, catalog, draw)
        question = Question.among(held.asked(catalog.queries), catalog.gallery, catalog.labels, groups)
        for base in layout.ENCODERS:
            encoder = layout.unseen(base, draw)
            check_unseen(tree, catalog, encoder, held)
            for name, one in judge_encoder(params, tree, catalog, question, encoder).items():
                asked.setdefault(base, {}).setdefault(name, []).append((question, one))
    return {
        encoder: {name: pooled(answers, settings, params.seed, known) for name, answers in found.items()}
        for encoder, found in asked.items()
    } or None


def pooled(
    answers: Sequence[tuple[Question, Judged]], settings: Evaluate, seed: int, known: Integers | None
) -> dict[str, PooledSummary]:
    """Average over several draws: a class that two of them hold out counts as two.

    Args:
        answers: of each draw, what was asked and what came back.
        known: label codes of the classes that ImageNet has, to average these and the others apart.
    """
    labels = np.concatenate([question.query_labels for question, _ in answers])
    draws = np.repeat(np.arange(len(answers)), [len(question.query_labels) for question, _ in answers])
    n_relevant = np.concatenate([question.n_relevant for question, _ in answers])
    values = {
        name: np.concatenate([judged.values[name] for _, judged in answers]) for name in answers[0][1].values
    }
    summary: dict[str, Any] = {**averaged(values, labels, draws, settings, seed)}
    for k in settings.k:
        summary[f"precision@{k}"]["capped_queries"] = capped_queries(n_relevant, k)
    if known is not None:
        inside = np.isin(labels, known)
        for end, some in (("new_to_imagenet", ~inside), ("known_to_imagenet", inside)):
            if some.any():
                chosen = {name: value[some] for name, value in values.items()}
                for name, one in averaged(chosen, labels[some], draws[some], settings, seed).items():
                    summary[name] |= {
                        f"macro_{end}": one["macro"],
                        f"macro_{end}_ci95": one["macro_ci95"],
                        f"macro_{end}_by_draw": one["macro_by_draw"],
                        f"n_classes_{end}": one["n_classes"],
                    }
    return summary


def averaged(
    values: Mapping[str, Floats], labels: Integers, draws: Integers, settings: Evaluate, seed: int
) -> dict[str, OverDraws]:
    """Average values (q,) of queries with label codes (q,), asked in draws (q,)."""
    classes = labels + (labels.max() + 1) * draws
    by_draw = {
        name: [macro(value[draws == draw], labels[draws == draw]) for draw in np.unique(draws)]
        for name, value in values.items()
    }
    return {
        name: {**one, "n_classes": len(np.unique(classes)), "macro_by_draw": by_draw[name]}
        for name, one in summarise_all(values, classes, settings.bootstrap, seed, resampled_classes).items()
    }


def judge_encoder(
    params: Params, tree: Tree, catalog: Catalog, question: Question, encoder: str
) -> dict[str, Judged]:
    """Ask every index of an encoder's gallery every query, exact before approximate ones."""
    settings = params.evaluate
    gallery = read_gallery(params, tree, catalog, encoder)
    vectors = raw_vectors(params, tree, catalog, encoder)
    judged: dict[str, Judged] = {}
    names = sorted(gallery.indexes, key=lambda name: approximated(name) is not None)
    for name in names:
        other = approximated(name)
        exact = judged[other].nearest if other else None
        search = searched(gallery, name, vectors)
        judged[name] = judge(search, question, settings.k, settings.bootstrap, params.seed, exact)
    return {name: judged[name] for name in gallery.indexes}


def summaries(judged: dict[str, dict[str, Judged]]) -> dict[str, dict[str, dict[str, Summary]]]:
    """Encoder -> index -> metric -> averages and intervals, as metrics.json holds one question."""
    return {encoder: {name: one.summary for name, one in found.items()} for encoder, found in judged.items()}


def write_lists(
    params: Params, tree: Tree, catalog: Catalog, question: Question, judged: dict[str, dict[str, Judged]]
) -> dict[str, pd.DataFrame]:
    """Write the per-class table, the worst queries and the most confused classes; return them by path."""
    shown = judged[SHOWN_ENCODER][layout.SHOWN_INDEX]
    k = params.evaluate.latency_k
    values = {f"precision@{k}": shown.values[f"precision@{k}"], "mAP@R": shown.values["mAP@R"]}
    before = judged["pretrained"][layout.SHOWN_INDEX].values["mAP@R"]
    lists = {
        layout.PER_CLASS: tables.per_class(
            {**values, "mAP@R pre-trained": before},
            question.query_labels,
            catalog.labels[catalog.gallery],
            catalog.classes,
        ),
        layout.WORST_QUERIES: tables.worst_queries(
            {"AP@R": values["mAP@R"], f"precision@{k}": values[f"precision@{k}"]},
            catalog.gallery[shown.nearest],
            catalog.queries,
            catalog.table,
            count=30,
        ),
        layout.CONFUSIONS: tables.confused_pairs(
            catalog.gallery[shown.nearest],
            question.query_labels,
            catalog.labels,
            question.n_relevant,
            catalog.classes,
            k,
            count=15,
        ),
    }
    lists = {path: table.round(6) for path, table in lists.items()}
    for path, table in lists.items():
        write_table(tree.write(path), table)
    return lists
