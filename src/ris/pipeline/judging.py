"""What `evaluate` asks: every query of every index, and the lists of where the answers fail."""

import pandas as pd

from ris.artifacts import write_table
from ris.config import Params
from ris.data.split import check_split
from ris.evaluation import tables
from ris.evaluation.intervals import Summary
from ris.evaluation.judgement import Judged, SameClass, judge
from ris.pipeline import layout
from ris.pipeline.inputs import Catalog, read_index, read_space
from ris.pipeline.layout import Tree

SHOWN_ENCODER = "finetuned"
SHOWN_INDEX = "knn_pca"


def ask(params: Params, tree: Tree, catalog: Catalog) -> tuple[SameClass, dict[str, dict[str, Judged]]]:
    """Ask every index every query: the question, and encoder -> index -> what came back.

    Raises:
        RisError: the catalog's split is not fit to judge by, or an index is not over this catalog.
    """
    groups = catalog.table["group"].to_numpy()
    check_split(catalog.table["split"].tolist(), groups, catalog.table["label"].tolist())
    question = SameClass.of(catalog.queries, catalog.gallery, catalog.labels, groups)
    judged = {encoder: judge_encoder(params, tree, catalog, question, encoder) for encoder in layout.ENCODERS}
    return question, judged


def judge_encoder(
    params: Params, tree: Tree, catalog: Catalog, question: SameClass, encoder: str
) -> dict[str, Judged]:
    """Ask every index of an encoder every query; exact indexes come before the approximate ones."""
    settings = params.evaluate
    judged: dict[str, Judged] = {}
    for name in layout.INDEXES:
        vectors = read_space(params, tree, catalog, encoder, layout.projected(name))
        search = read_index(tree, catalog, name, encoder, vectors.shape[1]).search
        exact = judged[layout.exact(name)].nearest if layout.exact(name) != name else None
        asked = vectors[catalog.queries]
        judged[name] = judge(search, asked, question, settings.k, settings.bootstrap, params.seed, exact)
    return judged


def summaries(judged: dict[str, dict[str, Judged]]) -> dict[str, dict[str, dict[str, Summary]]]:
    """Encoder -> index -> metric -> averages and intervals, as metrics.json holds one question."""
    return {encoder: {name: one.summary for name, one in found.items()} for encoder, found in judged.items()}


def write_lists(
    params: Params, tree: Tree, catalog: Catalog, question: SameClass, judged: dict[str, dict[str, Judged]]
) -> dict[str, pd.DataFrame]:
    """Write the per-class table, the worst queries and the most confused classes; return them by path."""
    shown = judged[SHOWN_ENCODER][SHOWN_INDEX]
    k = params.evaluate.latency_k
    values = {f"precision@{k}": shown.values[f"precision@{k}"], "mAP@R": shown.values["mAP@R"]}
    before = judged["pretrained"][SHOWN_INDEX].values["mAP@R"]
    lists = {
        layout.PER_CLASS: tables.per_class(
            {**values, "mAP@R pre-trained": before},
            question.query_labels,
            catalog.labels[catalog.gallery],
            catalog.classes,
        ),
        layout.WORST_QUERIES: tables.worst_queries(
            {"AP@R": values["mAP@R"], f"precision@{k}": values[f"precision@{k}"]},
            shown.nearest,
            catalog.queries,
            catalog.table,
            count=30,
        ),
        layout.CONFUSIONS: tables.confused_pairs(
            shown.nearest,
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
