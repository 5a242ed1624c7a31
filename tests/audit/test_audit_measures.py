"""The measures of an audit, each against a slow one of its own or the answer by hand."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter
from scipy.stats import median_abs_deviation

from ris.audit.collection import crossing
from ris.audit.flaws import blur_effect, brightness, flaw
from ris.audit.labels import MARGIN, contradicted
from ris.audit.outliers import outlying
from ris.metrics.judge import UNLABELLED

Draw = Callable[..., Image.Image]
NONE = UNLABELLED


def grey(image: Image.Image) -> NDArray[np.uint8]:
    return np.asarray(image.convert("L"))


def by_the_paper(
    labels: NDArray[np.int64], neighbours: NDArray[np.int64]
) -> list[tuple[set[int], float, float]]:
    """Confident learning over a matrix of probabilities: allowed answers, and two shares, of each."""
    classes = range(int(max(labels.max(), neighbours.max())) + 1)
    probability = [
        [
            sum(vote == label for vote in votes) / max(1, sum(vote != NONE for vote in votes))
            for label in classes
        ]
        for votes in neighbours.tolist()
    ]
    thresholds = {}
    for label in classes:
        shares = [row[label] for row, given in zip(probability, labels, strict=True) if given == label]
        thresholds[label] = sum(shares) / len(shares) if shares else np.inf
    answers = []
    for row, given in zip(probability, labels.tolist(), strict=True):
        own = row[given] if given != NONE else 0.0
        confident = {
            label: row[label] for label in classes if row[label] >= thresholds[label] and row[label] > 0
        }
        largest = max(confident.values(), default=0.0)
        if given == NONE or largest - own < MARGIN - 1e-9:
            answers.append(({NONE}, own, 0.0))
        else:
            answers.append(({label for label in confident if confident[label] == largest}, own, largest))
    return answers


def test_labels_are_contradicted_as_confident_learning_has_it() -> None:
    wrong = 0
    for seed in range(50):
        rng = np.random.default_rng(seed)
        n_labels = int(rng.integers(2, 6))
        truth = rng.integers(0, n_labels, 40)
        neighbours = np.where(rng.random((40, 7)) < 0.7, truth[:, None], rng.integers(-1, n_labels, (40, 7)))
        labels = np.where(rng.random(40) < 0.8, truth, rng.integers(-1, n_labels, 40))
        suggested, support, against = contradicted(labels, neighbours)
        for place, (allowed, own, largest) in enumerate(by_the_paper(labels, neighbours)):
            assert int(suggested[place]) in allowed
            assert (support[place], against[place]) == (pytest.approx(own), pytest.approx(largest))
        wrong += int(np.count_nonzero(suggested != NONE))
    assert wrong > 100


def test_one_label_among_others_is_contradicted_and_an_unsure_one_is_not() -> None:
    neighbours = np.array(
        [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1], [1, 1, 1, 1], [1, 0, 1, 0]]
    )
    labels = np.array([0, 0, 1, 1, 1, 0])
    suggested, support, against = contradicted(labels, neighbours)
    assert suggested.tolist() == [NONE, NONE, 0, NONE, NONE, NONE]
    assert (support[2], against[2]) == (0, 1)
    assert contradicted(np.array([NONE, 0]), np.array([[0, 0], [NONE, NONE]]))[0].tolist() == [NONE, NONE]


def test_of_equal_suggestions_the_nearest_is_told() -> None:
    neighbours = np.array([[2, 1, 1, 2], [1, 2, 2, 1], [1, 2, 1, 2], [1, 2, 1, 2]])
    assert contradicted(np.array([0, 0, 1, 2]), neighbours)[0].tolist() == [2, 1, NONE, NONE]


def test_distances_are_held_against_the_median() -> None:
    distances = np.random.default_rng(0).gamma(3, size=101)
    spread = median_abs_deviation(distances, scale="normal")
    assert outlying(distances) == pytest.approx((distances - np.median(distances)) / spread, rel=1e-3)
    assert outlying(np.array([1.0, 1.0, 1.0, 9.0])).tolist() == [0, 0, 0, 0]


def test_groups_that_cross_a_split_are_found() -> None:
    groups = np.array([0, 1, 0, 2, 2, 3, 1, 3, 3])
    sides = ["a", "a", "b", "a", "a", "", "a", "b", "c"]
    assert crossing(groups, sides) == [[0, 2], [7, 8]]
    assert crossing(np.array([0, 0]), ["", "b"]) == []
    assert crossing(np.zeros(0, np.int64), []) == []


def tiles(seed: int) -> Image.Image:
    """Draw a picture of sharp edges."""
    levels = np.random.default_rng(seed).integers(0, 256, (15, 20), dtype=np.uint8)
    return Image.fromarray(levels).resize((400, 300), Image.Resampling.NEAREST)


def slow_blur(levels: NDArray[np.uint8]) -> float:
    """The blur effect along the rows, pixel by pixel."""
    before = after = 0.0
    for row in levels.astype(float):
        padded = np.concatenate([[row[0]] * 4, row, [row[-1]] * 4])
        again = [padded[place : place + 9].mean() for place in range(len(row))]
        for place in range(1, len(row)):
            one, other = abs(row[place] - row[place - 1]), abs(again[place] - again[place - 1])
            before, after = before + one, after + max(0.0, one - other)
    return 1 - after / before


def test_the_blur_effect_is_that_of_its_paper(texture: Draw) -> None:
    levels = grey(texture(3, 60, 40))
    assert blur_effect(levels) == pytest.approx(max(slow_blur(levels), slow_blur(levels.T)), abs=1e-4)
    assert blur_effect(np.full((20, 20), 9, np.uint8)) == 1


def test_black_blank_and_blurred_pictures_are_told_apart() -> None:
    picture = tiles(1)
    assert flaw(grey(picture)) is None
    noise = np.random.default_rng(0).normal(0, 1.5, (300, 400))
    for level, kind in ((3, "black"), (120, "blank"), (252, "blank")):
        found = flaw((level + noise).clip(0, 255).astype(np.uint8))
        assert found is not None
        assert found.kind == kind
    blurs = [
        blur_effect(grey(picture.filter(ImageFilter.GaussianBlur(radius)))) for radius in (0, 1, 2, 4, 8)
    ]
    assert blurs == sorted(blurs)
    found = flaw(grey(picture.filter(ImageFilter.GaussianBlur(4))))
    assert found is not None
    assert found.kind == "blurred"


def test_a_dark_or_faint_picture_or_a_thin_drawing_is_none_of_them() -> None:
    picture = tiles(2)
    assert flaw(grey(picture.point(lambda level: level // 5))) is None
    assert flaw(grey(picture.point(lambda level: 120 + level // 10))) is None
    night = Image.new("L", (400, 300), 2)
    ImageDraw.Draw(night).rectangle((50, 50, 90, 90), fill=250)
    drawing = Image.new("L", (400, 300), 255)
    ImageDraw.Draw(drawing).line((20, 250, 380, 30), 0, 1)
    assert flaw(grey(night)) is None
    assert flaw(grey(drawing)) is None
    assert brightness(grey(night)) == 250
