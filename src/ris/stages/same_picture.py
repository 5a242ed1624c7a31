"""same_picture: where is this very picture, after an edit, or is it not here; and the answer's threshold."""

from typing import Any

from ris.artifacts import write_json, write_table, writing
from ris.config import Params
from ris.evaluation.plots import recall_per_edit, save, score_distributions
from ris.pipeline import layout
from ris.pipeline.inputs import Catalog
from ris.pipeline.layout import Tree
from ris.pipeline.runner import run
from ris.pipeline.same_picture import Questions, ask, draw_proofs


def same_picture(params: Params, tree: Tree) -> dict[str, Any]:
    """Write figures, answers, the search's space and calibrations, pictures; say what a search costs."""
    questions = Questions(params, Catalog.read(tree))
    result = ask(questions, tree)
    write_json(tree.write(layout.SAME_PICTURE), result.summary)
    write_table(tree.write(layout.SAME_PICTURE_QUERIES), result.table)
    with writing(tree.write(layout.SAME_PICTURE_MODEL)) as fresh:
        fresh.mkdir()
        for projection in result.space:
            projection.save(fresh / "space.npz")
        for score, calibration in result.calibrations.items():
            calibration.write(fresh / f"{score}.json")
    with writing(tree.write(layout.SAME_PICTURE_PICTURES)) as fresh:
        fresh.mkdir()
        if result.summary:
            save(recall_per_edit(result.before_and_after), fresh / "recall.png")
            save(score_distributions(result.scores), fresh / "scores.png")
            draw_proofs(questions, result, fresh)
    return {"picture_to_answer": result.costs} if result.costs else {}


if __name__ == "__main__":
    run(same_picture)
