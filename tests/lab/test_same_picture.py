"""What the stage asks and how it counts, against plain loops and hand-computed cases."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ris.artifacts import read_json, write_table
from ris.copies.verification import Verified
from ris.errors import RisError
from ris.indexes.projection import Projection
from ris.lab import layout
from ris.lab.config import Edits, Params, load
from ris.lab.inputs import Catalog
from ris.lab.layout import Tree
from ris.lab.questions import Questions
from ris.lab.same_picture import (
    Found,
    answers_by_distance,
    answers_by_evidence,
    calibrated,
    made_for,
    open_finder,
)
from ris.lab.same_picture_model import write_model
from ris.lab.stages.same_picture import same_picture

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def params() -> Params:
    params = load(PROJECT / "params.yaml")
    two: dict[str, Any] = {"mirror": 1.0, "collage": 2.0}
    settings = params.same_picture.model_copy(
        update={"queries": 5, "absent": 4, "edits": Edits.model_construct(None, **two)}
    )
    return params.model_copy(update={"same_picture": settings})


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """Thirty pictures: rows 0 to 19 gallery, others queries; 0 and 1, and 20 and 21, are near-duplicates."""
    images = tmp_path / layout.IMAGES
    images.mkdir(parents=True)
    for row in range(30):
        Image.new("RGB", (40, 30), (8 * row, 255 - 8 * row, 90)).save(images / f"{row}.png")
    group = np.arange(30)
    group[1], group[21] = 0, 20
    table = pd.DataFrame(
        {
            "path": [f"{row}.png" for row in range(30)],
            "label": ["one", "other"] * 15,
            "group": group,
            "split": ["train"] * 20 + ["query"] * 10,
        }
    )
    write_table(tmp_path / layout.CATALOG, table)
    return Tree(tmp_path, tmp_path)


@pytest.fixture
def questions(params: Params, tree: Tree) -> Questions:
    return Questions(params, Catalog.read(tree))


def proof(row: int, evidence: float) -> Verified:
    return Verified(row, 9, 0.5, evidence, False, np.eye(2, 3), np.zeros((4, 2)), np.zeros((9, 2)))


def test_no_near_duplicate_is_asked_for_and_the_absent_are_not_in_the_gallery(questions: Questions) -> None:
    assert set(questions.present) <= set(range(2, 20))
    assert len(set(questions.present)) == 5
    assert set(questions.absent.ravel()) == set(range(22, 30))  # another four after each edit
    assert questions.asked[:5] == [("mirror", row) for row in questions.present]
    assert questions.asked[10:14] == [("mirror", row) for row in questions.absent[0]]
    assert questions.is_present.tolist() == [True] * 10 + [False] * 12
    assert questions.asked[-4:] == [("unedited", row) for row in questions.absent[2]]
    as_it_is, matrix = questions.edited("unedited", 22)
    assert as_it_is.tobytes() == questions.read(22).tobytes()
    assert np.array_equal(matrix, np.eye(2, 3))
    again = Questions(questions.params, questions.catalog)
    assert again.asked == questions.asked


def test_a_collage_shows_nothing_else_of_the_gallery(questions: Questions) -> None:
    for row in (*questions.present, *questions.absent[1]):
        collage, _ = questions.edited("collage", int(row))
        halves = collage.width // 2, collage.height // 2
        colours = {collage.getpixel((x * halves[0] + 9, y * halves[1] + 9)) for x in (0, 1) for y in (0, 1)}
        shown = {
            other
            for other in range(30)
            if any(abs(colour[0] - 8 * other) < 3 for colour in colours if isinstance(colour, tuple))
        }
        assert int(row) in shown
        assert shown - {int(row)} <= set(range(20, 30))
        assert len(shown) == 4


def test_a_collage_is_filled_up_with_pictures_without_a_near_duplicate(params: Params, tree: Tree) -> None:
    few = params.model_copy(update={"same_picture": params.same_picture.model_copy(update={"absent": 1})})
    questions = Questions(few, Catalog.read(tree))
    for row in questions.present:
        collage = np.asarray(questions.edited("collage", int(row))[0]).astype(int)
        shown = {other for other in range(30) if (np.abs(collage[..., 0] - 8 * other) < 3).any()}
        assert len(shown) == 4
        assert shown - {int(row)} <= set(range(22, 30)) - set(questions.absent.ravel().tolist())


def test_without_three_pictures_outside_there_is_no_collage(params: Params, tree: Tree) -> None:
    catalog = Catalog.read(tree)
    table = catalog.table.assign(split=["train"] * 27 + ["query"] * 3)
    assert Questions(params, dataclasses.replace(catalog, table=table)).names == ["mirror"]


def test_places_count_from_one_and_zero_is_not_found() -> None:
    found = Found([np.array([4, 2, 9]), np.array([7]), np.array([], np.int64)], [0.1, 0.2, 2.0])
    assert found.places(np.array([2, 7, 7])).tolist() == [2, 1, 0]
    assert found.places(np.array([9, 1, 1])).tolist() == [3, 0, 0]


def test_calibration_reports_the_half_that_it_was_not_chosen_on(questions: Questions) -> None:
    rate = questions.params.same_picture.model_copy(update={"false_positive_rate": 0.5})
    asked = Questions(questions.params.model_copy(update={"same_picture": rate}), questions.catalog)
    rows = asked.rows
    verified = [
        [proof(int(row), 30)] if present else [proof(3, 10 + place % 2)]
        for place, (row, present) in enumerate(zip(rows, asked.is_present, strict=True))
    ]
    done = calibrated(asked, answers_by_evidence(asked, verified), "evidence")
    assert done is not None
    calibration, told = done
    assert calibration.threshold < 30
    assert told["mean"] == told["per_edit"]["mirror"] == told["per_edit"]["collage"] == 1.0
    assert 0 < told["n"] < 10
    assert told["n"] + calibration.chosen.recall.n == 10
    assert told["n_absent"] + calibration.chosen.false_positive_rate.n == 12
    assert told["n_strangers"] == 4  # half of the eight, however often they were asked


def test_an_answer_is_correct_where_the_best_is_the_original(questions: Questions) -> None:
    rows = questions.rows
    found = Found([np.array([row, 2]) if row % 2 else np.array([], np.int64) for row in rows], [0.5] * 22)
    answers = answers_by_distance(questions, found)
    assert answers.scores.tolist() == [-0.5] * 22
    assert answers.correct.tolist() == [bool(row % 2) for row in rows[:10]] + [False] * 12
    wrong = answers_by_evidence(questions, [[proof(1, 40)] for _ in rows])
    assert not wrong.correct.any()


def test_too_few_strangers_are_not_calibrated(questions: Questions) -> None:
    answers = answers_by_evidence(questions, [[] for _ in questions.asked])
    assert questions.params.same_picture.false_positive_rate == 0.01
    assert calibrated(questions, answers, "evidence") is None


def test_switched_off_it_writes_nothing_but_that(params: Params, tree: Tree) -> None:
    off = params.same_picture.model_copy(update={"enabled": False})
    assert same_picture(params.model_copy(update={"same_picture": off}), tree) == {}
    assert read_json(tree.read(layout.SAME_PICTURE)) == {}
    assert list(tree.read(layout.SAME_PICTURE_PICTURES).iterdir()) == []
    assert list(tree.read(layout.SAME_PICTURE_MODEL).iterdir()) == []


def test_a_search_made_for_something_else_or_damaged_is_refused(params: Params, tree: Tree) -> None:
    identity = tree.write(layout.PRETRAINED) / "encoder.json"
    identity.parent.mkdir(parents=True)
    identity.write_text("{}")
    catalog, folder = Catalog.read(tree), tree.write(layout.SAME_PICTURE_MODEL)
    vectors = np.random.default_rng(0).standard_normal((9, 4))
    made = made_for(params, tree, catalog)
    write_model(folder, made, Projection.fit(vectors, 2, 0.5, normalise=True), {})
    other = params.model_copy(
        update={"same_picture": params.same_picture.model_copy(update={"enough_evidence": 7.0})}
    )
    with pytest.raises(RisError, match="made for another catalog, encoder or other settings"):
        open_finder(other, tree, catalog)
    identity.write_text("[]")
    with pytest.raises(RisError, match="made for another catalog, encoder or other settings"):
        open_finder(params, tree, catalog)
    identity.write_text("{}")
    (folder / "space.npz").write_bytes(b"cut")
    with pytest.raises(RisError, match=r"space\.npz is missing or damaged"):
        open_finder(params, tree, catalog)
