"""What is asked of a store that is built for it, and how the answers are counted."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from ris.copies.edits import EDITS
from ris.lab.store_questions import FILLERS, StoreFigures, StoreQuestions, ask_store, halves, lines, of_folder
from ris.metrics.intervals import exact_interval

Draw = Callable[..., Image.Image]


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory, texture: Draw) -> list[Path]:
    folder = tmp_path_factory.mktemp("photographs")
    files = [folder / f"{number:02d}.png" for number in range(FILLERS + 12)]
    for number, file in enumerate(files):
        texture(number).save(file)
    return files


@pytest.fixture(scope="module")
def figures(photographs: list[Path], tmp_path_factory: pytest.TempPathFactory) -> StoreFigures:
    names = ["crop50", "caption", "down32"]
    families = ["plain", "frames", "polaroids"]
    inside, outside = photographs[:6], photographs[6:]
    questions = StoreQuestions(inside, outside, names, families, 2, 50, 0, threads=1)
    assert questions.asked_families == ["plain", "frames"]  # for polaroids there are too few photographs
    few = dataclasses.replace(questions, outside=outside[:4])
    assert few.asked_families == ["plain"]
    return ask_store(questions, tmp_path_factory.mktemp("scratch"))


def test_edited_photographs_are_found_and_strangers_are_not(figures: StoreFigures) -> None:
    assert figures.pictures == 6 + 2 * 2
    assert (figures.n, figures.per_edit_n) == (6, {"crop50": 2, "caption": 2, "down32": 2})
    assert figures.per_edit["crop50"] == 1.0
    assert figures.per_edit_ci95["crop50"] == exact_interval(2, 2)
    assert figures.mean == pytest.approx(sum(figures.per_edit.values()) / 3, abs=1e-5)
    assert figures.strangers == {"plain": 0.0, "frames": 0.0}
    assert figures.strangers_n == {"plain": 2, "frames": 2}
    assert figures.strangers_ci95["plain"] == exact_interval(0, 2)


def test_half_of_all_is_what_may_choose(figures: StoreFigures) -> None:
    assert figures.chosen_on == ["crop50", "down32", "plain"]
    assert figures.mean_of_others == figures.per_edit["caption"]
    assert figures.strangers_mean_of_others == figures.strangers["frames"]
    one, other = halves(list(EDITS))
    assert not set(one) & set(other)
    assert set(one) | set(other) == set(EDITS)


def test_the_tables_name_every_edit_and_family(figures: StoreFigures) -> None:
    text = "\n".join(lines(figures))
    assert all(name in text for name in ("cut:", "crop50", "caption", "plain", "frames", "mean of all edits"))


def test_a_folder_is_parted_into_what_the_store_holds_and_the_rest(photographs: list[Path]) -> None:
    questions = of_folder(photographs[0].parent, photographs=9, instances=2, seed=1)
    assert len(questions.inside) == 9
    assert not set(questions.inside) & set(questions.outside)
    again = of_folder(photographs[0].parent, photographs=9, instances=2, seed=1)
    assert again == questions
