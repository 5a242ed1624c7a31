from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle
from PIL import Image

from ris.lab.report import neighbours
from ris.lab.report.neighbours import Found, choose_queries, describe, draw
from ris.lab.report.plots import save

LABELS = ["cat", "cat", "dog", "cat", "<b>$cow_1"]
SHADES = [(250, 0, 0), (0, 250, 0), (0, 0, 250), (250, 250, 0), (0, 250, 250)]
FOUND = [
    Found("KNN", np.array([1, 2, 3]), np.array([0.1, 0.25, 0.5], dtype=np.float32)),
    Found("ANNOY", np.array([4, 1, 2]), np.array([0.0, 1.5, 2.0], dtype=np.float32)),
]


def load(row: int) -> Image.Image:
    return Image.new("RGB", (40, 40), SHADES[row])


def test_frames_and_marks_say_what_is_right() -> None:
    axes = draw(0, FOUND, LABELS, load).axes[0]
    frames = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    assert [frame.get_linestyle() == "solid" for frame in frames] == [True, False, True, False, True, False]
    assert len({to_hex(frame.get_edgecolor()) for frame in frames}) == 2
    texts = [text.get_text() for text in axes.texts]
    assert [text for text in texts if text in "✓✗"] == ["✓", "✗", "✓", "✗", "✓", "✗"]
    assert {"KNN", "2 of 3 right", "ANNOY", "1 of 3 right", "0.250", "<b>$cow_1"} <= set(texts)


def test_each_picture_stands_where_its_row_and_rank_say(tmp_path: Path) -> None:
    save(draw(0, FOUND, LABELS, load), tmp_path / "neighbours.png")
    with Image.open(tmp_path / "neighbours.png") as image:
        pixels = image.convert("RGB")
    left = neighbours.MARGIN + neighbours.QUERY + 2 * neighbours.GAP + neighbours.CELL // 2
    top = neighbours.MARGIN + neighbours.HEAD + neighbours.CELL // 2
    band = neighbours.HEAD + neighbours.CELL + neighbours.FOOT
    for number, one in enumerate(FOUND):
        for rank, row in enumerate(one.rows):
            place = (left + rank * (neighbours.CELL + neighbours.GAP), top + number * band)
            np.testing.assert_allclose(np.asarray(pixels)[place[::-1]], SHADES[row], atol=6)
    np.testing.assert_allclose(np.asarray(pixels)[top, neighbours.MARGIN + 75], SHADES[0], atol=6)


def test_an_index_that_found_fewer_has_a_shorter_row() -> None:
    fewer = Found("ANNOY", np.array([1]), np.array([0.5], dtype=np.float32))
    axes = draw(0, [fewer, FOUND[0]], LABELS, load).axes[0]
    assert len(axes.patches) == 4
    assert max(patch.get_extents().x1 for patch in axes.patches) < axes.get_window_extent().x1


def test_the_same_neighbours_are_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg"):
        save(draw(0, FOUND, LABELS, load), tmp_path / name)
    assert (tmp_path / "a.jpg").read_bytes() == (tmp_path / "b.jpg").read_bytes()


def test_describe_counts_the_right_ones() -> None:
    assert describe(0, FOUND, LABELS) == "Query cat: KNN 2 of 3 right, ANNOY 1 of 3 right."


@pytest.mark.parametrize("seed", range(5))
def test_chosen_queries_are_a_mix_of_distinct_classes(seed: int) -> None:
    random = np.random.default_rng(seed)
    labels = [f"class {number}" for number in random.integers(0, 20, 300)]
    ap = random.choice([0.1, 0.9], 300, p=[0.2, 0.8])
    chosen = choose_queries(ap, labels, 10, seed)
    assert chosen.dtype == np.int64
    assert len({labels[query] for query in chosen}) == 10
    assert (ap[chosen] < 0.5).sum() == 5
    np.testing.assert_array_equal(chosen, choose_queries(ap, labels, 10, seed))


def test_another_seed_chooses_other_queries() -> None:
    labels = [str(number) for number in range(100)]
    choices = {tuple(choose_queries(np.ones(100), labels, 5, seed)) for seed in range(4)}
    assert len(choices) == 4


def test_all_queries_are_chosen_once_where_there_are_few() -> None:
    chosen = choose_queries(np.array([1.0, 1.0, 0.0]), ["ant", "ant", "bee"], 12, 0)
    assert sorted(chosen) == [0, 1, 2]
    assert len(choose_queries(np.array([]), [], 3, 0)) == 0


def test_a_class_comes_again_only_when_every_class_was_shown() -> None:
    labels = ["ant"] * 50 + ["bee", "cow"]
    chosen = choose_queries(np.r_[np.zeros(50), 1.0, 1.0], labels, 4, 0)
    assert sorted(labels[query] for query in chosen[:3]) == ["ant", "bee", "cow"]
