"""same_picture: where is this very picture, after an edit, or is it not here; and the answer's threshold."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from ris.artifacts import write_json, write_table, writing
from ris.lab import layout
from ris.lab.config import Params
from ris.lab.inputs import Catalog
from ris.lab.layout import Tree
from ris.lab.proofs import as_table, draw_proofs
from ris.lab.questions import Questions
from ris.lab.report.plots import recall_per_edit, save, score_distributions
from ris.lab.runner import run
from ris.lab.same_picture import ask, made_for, measure
from ris.lab.same_picture_model import write_model
from ris.lab.store_questions import ask_store, of_catalog


def same_picture(params: Params, tree: Tree) -> dict[str, Any]:
    """Write figures, answers, pictures, and what the search loads; say what a search costs."""
    catalog = Catalog.read(tree)
    questions = Questions(params, catalog)
    if not params.same_picture.enabled or not len(questions.present):
        return _nothing(tree)
    result = ask(questions, tree)
    table = as_table(questions, result)
    write_json(tree.write(layout.SAME_PICTURE), result.summary)
    write_table(tree.write(layout.SAME_PICTURE_QUERIES), table)
    folder = tree.write(layout.SAME_PICTURE_MODEL)
    write_model(folder, made_for(params, tree, catalog), result.space, result.calibrations)
    with writing(tree.write(layout.SAME_PICTURE_PICTURES)) as fresh:
        fresh.mkdir()
        save(recall_per_edit(result.before_and_after), fresh / "recall.png")
        save(score_distributions(result.scores), fresh / "scores.png")
        draw_proofs(questions, result, table, fresh)
    with TemporaryDirectory() as scratch:
        figures = ask_store(of_catalog(params, catalog), Path(scratch))
    write_json(tree.write(layout.SAME_PICTURE_STORE), figures.model_dump())
    return {"picture_to_answer": measure(questions, tree)}


def _nothing(tree: Tree) -> dict[str, Any]:
    write_json(tree.write(layout.SAME_PICTURE), {})
    write_json(tree.write(layout.SAME_PICTURE_STORE), {})
    write_table(tree.write(layout.SAME_PICTURE_QUERIES), pd.DataFrame({"edit": []}))
    for folder in (layout.SAME_PICTURE_MODEL, layout.SAME_PICTURE_PICTURES):
        with writing(tree.write(folder)) as fresh:
            fresh.mkdir()
    return {}


if __name__ == "__main__":
    run(same_picture)
