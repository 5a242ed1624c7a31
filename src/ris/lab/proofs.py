"""What the stage `same_picture` shows: a line a query, and pictures of what was found where."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from ris.copies.verification import outline
from ris.lab import layout
from ris.lab.questions import Questions
from ris.lab.report import outlines, plots
from ris.lab.same_picture import Result

FAILURES = 2
"""Wrong answers shown for each edit, beside a right one."""
STRANGERS = 8
"""Pictures outside the gallery shown, those that geometry takes most for one in it."""


def as_table(questions: Questions, result: Result) -> pd.DataFrame:
    """One line a query: what was asked, what was found, how sure, and how far off its corners are."""
    paths, rows = questions.catalog.table["path"].to_numpy(), questions.rows
    best = [proofs[0] if proofs else None for proofs in result.verified]
    evidence = np.array([proof.evidence if proof else 0.0 for proof in best])
    table = pd.DataFrame(
        {
            "edit": [name for name, _ in questions.asked],
            "path": paths[rows],
            "present": questions.is_present,
            "place": result.found.places(rows),
            "distance": np.round(result.by_vector.distances, 5),
            "found": [str(paths[proof.row]) if proof else "" for proof in best],
            "inliers": [proof.inliers if proof else 0 for proof in best],
            "agreement": np.round([proof.agreement if proof else 0.0 for proof in best], 4),
            "evidence": np.round(evidence, 4),
            "mirrored": [proof is not None and proof.mirrored for proof in best],
            "corner_error": corner_errors(questions, result).round(2),
        }
    )
    return table if result.threshold is None else table.assign(here=evidence > result.threshold)


def corner_errors(questions: Questions, result: Result) -> npt.NDArray[np.float64]:
    """(q,) how far the worst corner of a right proof is off, in pixels of the original; else NaN."""
    errors = np.full(len(result.verified), np.nan)
    rows = questions.rows
    for place, proofs in enumerate(result.verified):
        if proofs and proofs[0].row == rows[place]:
            back = np.linalg.inv(np.vstack([result.looked.matrices[place], [0, 0, 1]]))[:2]
            truth = outline(back, result.looked.features[place].size)
            errors[place] = np.linalg.norm(proofs[0].outline - truth, axis=1).max()
    return errors


def draw_proofs(questions: Questions, result: Result, table: pd.DataFrame, folder: Path) -> None:
    """Draw for each edit a right answer and wrong ones, and the strangers that look most like the gallery."""
    shuffled = table.sample(frac=1, random_state=questions.params.seed)
    right = (shuffled["found"] == shuffled["path"]) & shuffled.get("here", True)
    shown: dict[str, list[int]] = {}
    for name in questions.names:
        asked = shuffled[shuffled["present"] & (shuffled["edit"] == name)].index
        shown[name] = [*asked[right[asked]][:1], *asked[~right[asked]][:FAILURES]]
    absent = table[~table["present"]].sort_values("evidence", ascending=False, kind="stable")
    shown["absent"] = absent.drop_duplicates("path").index[:STRANGERS].tolist()
    for name, places in shown.items():
        if places:
            answered = [_answered(questions, result, place) for place in places]
            plots.save(outlines.draw(answered), folder / Path(layout.proof(name)).name)


def _answered(questions: Questions, result: Result, place: int) -> outlines.Answered:
    name, row = questions.asked[place]
    proof = result.verified[place][0] if result.verified[place] else None
    here = proof is not None and proof.evidence > (result.threshold or 0.0)
    present = bool(questions.is_present[place])
    return outlines.Answered(
        edit=name,
        query=questions.edited(name, row)[0],
        original=questions.read(row) if present else None,
        found=questions.read(proof.row) if proof else None,
        found_name=str(questions.catalog.table["path"].iloc[proof.row]) if proof else "",
        outline=proof.outline if proof else None,
        inliers=proof.inliers if proof else 0,
        evidence=proof.evidence if proof else 0.0,
        here=here,
        right=here and proof is not None and proof.row == row if present else not here,
    )
