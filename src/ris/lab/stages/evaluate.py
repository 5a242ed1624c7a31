"""evaluate: every index of every encoder judged on the queries, timed, shown, and told in one page."""

from typing import Any

from ris.artifacts import read_json, write_json, write_table, writing
from ris.lab import layout
from ris.lab.config import Params
from ris.lab.headline import headline
from ris.lab.inputs import Catalog
from ris.lab.judging import (
    SHOWN_ENCODER,
    ask,
    ask_classifiers,
    ask_unseen,
    summaries,
    write_lists,
)
from ris.lab.layout import Tree
from ris.lab.publishing import publish_store
from ris.lab.report.page import render
from ris.lab.runner import run
from ris.lab.telling import draw_neighbours, draw_pictures, told
from ris.lab.timing import measure_costs, measure_curve


def evaluate(params: Params, tree: Tree) -> None:
    """Write metrics, latency, tables, pictures and the report."""
    catalog = Catalog.read(tree)
    question, judged = ask(params, tree, catalog)
    metrics = summaries(judged)
    unseen = ask_unseen(params, tree, catalog)
    same_picture = read_json(tree.read(layout.SAME_PICTURE))
    questions: dict[str, Any] = {"same_class": metrics}
    questions |= {"classifiers": ask_classifiers(params, tree, catalog, judged)}
    questions |= {"unseen_class": unseen} if unseen else {}
    questions |= {"same_picture": same_picture} if same_picture else {}
    in_store = read_json(tree.read(layout.SAME_PICTURE_STORE))
    asked_store = {"same_picture": {**same_picture, "store": in_store}} if in_store else {}
    write_json(tree.write(layout.METRICS), questions | asked_store)
    write_json(tree.write(layout.HEADLINE), headline(questions))
    lists = write_lists(params, tree, catalog, question, judged)

    costs = measure_costs(params, tree, catalog)
    write_json(tree.write(layout.LATENCY), costs)
    curve = measure_curve(params, tree, catalog)
    write_table(tree.write(layout.RECALL_LATENCY), curve)

    publish_store(params, tree, catalog)
    draw_pictures(tree, metrics, costs, curve, lists, params.evaluate.latency_k)
    sample = draw_neighbours(params, tree, catalog, judged[SHOWN_ENCODER], layout.SHOWN_INDEX)
    context = told(
        params, tree, catalog, questions, costs, lists, sample, (SHOWN_ENCODER, layout.SHOWN_INDEX)
    )
    with writing(tree.write(layout.REPORT)) as fresh:
        fresh.write_text(render(context))


if __name__ == "__main__":
    run(evaluate)
