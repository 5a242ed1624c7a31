"""What is drawn stands where the transformation says, and a reader sees what is right."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Polygon, Rectangle
from PIL import Image

from ris.lab.report import outlines
from ris.lab.report.outlines import Answered, Corners, draw
from ris.lab.report.plots import save

LEFT = outlines.MARGIN + outlines.QUERY + outlines.ARROW
"""Of the answer's cell."""
TOP = outlines.MARGIN + outlines.HEAD
BAND = outlines.HEAD + outlines.ANSWER + outlines.FOOT
RED, GREEN, TEAL = (250, 0, 0), (0, 250, 0), (0, 120, 120)


def corners(left: float, top: float, right: float, bottom: float) -> Corners:
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], dtype=np.float64)


def answered(
    outline: Corners | None = None, size: tuple[int, int] = (100, 100), right: bool = True
) -> Answered:
    return Answered(
        edit="crop25",
        query=Image.new("RGB", (50, 50), RED),
        original=Image.new("RGB", size, TEAL),
        found=Image.new("RGB", size, GREEN),
        found_name="ant/$1_a.jpg",
        outline=corners(20, 30, 69, 79) if outline is None else outline,
        inliers=57,
        evidence=8.25,
        here=True,
        right=right,
    )


NOTHING = replace(answered(right=False), found=None, found_name="", outline=None, inliers=0, here=False)


def polygons(figure: Figure) -> list[Corners]:
    """The coloured polygons, of the query and of the answer in turn."""
    drawn = [patch for patch in figure.axes[0].patches if isinstance(patch, Polygon)]
    return [np.asarray(patch.get_xy(), np.float64)[:4] for patch in drawn[1::2]]


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def pixels(figure: Figure) -> npt.NDArray[np.uint8]:
    """The pictures that a figure shows, without what is drawn over them."""
    return np.asarray(figure.axes[0].images[0].get_array(), dtype=np.uint8)


def extent(where: npt.NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of what is true, right and bottom excluded."""
    rows, columns = np.nonzero(where.any(axis=1))[0], np.nonzero(where.any(axis=0))[0]
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


OUTLINES = {
    "inside": corners(20, 30, 69, 79),
    "mirrored": corners(69, 30, 20, 79),
    "turned": np.array([[20, 79], [20, 30], [69, 30], [69, 79]], np.float64),
    "reaching out": corners(-20, 30, 120, 110),
    "far outside": corners(-900, -20, 900, 5000),
}


@pytest.mark.parametrize("name", OUTLINES)
@pytest.mark.parametrize("size", [(100, 100), (60, 240), (300, 80)])
def test_the_outline_lies_on_the_picture_as_in_its_pixels(name: str, size: tuple[int, int]) -> None:
    """Where the picture is drawn is seen from its pixels; the centres of pixels are whole numbers."""
    figure = draw([answered(OUTLINES[name], size)])
    left, top, right, bottom = extent((pixels(figure) == GREEN).all(axis=2))
    scale = np.array([right - left, bottom - top]) / size
    expected = np.array([left, top]) + (OUTLINES[name] + 0.5) * scale
    drawn = polygons(figure)[1]
    assert np.abs(drawn - expected).max() < 1 + 0.02 * np.abs(expected).max()
    marks = [np.asarray(line.get_xydata(), np.float64) for line in figure.axes[0].lines[2:]]
    np.testing.assert_allclose(marks[0], drawn[:2])
    np.testing.assert_allclose(marks[1], drawn[:1])


def test_a_query_beyond_the_picture_pads_it_by_half_a_side_at_most() -> None:
    whole, out, far = (
        extent((pixels(draw([answered(outline)])) == GREEN).all(axis=2))
        for outline in (corners(0, 0, 99, 99), corners(0, 0, 119, 99), corners(-900, -900, 900, 900))
    )
    inner = outlines.ANSWER - 2 * outlines.INSET
    assert whole[2] - whole[0] == inner
    assert out[2] - out[0] == round(inner / 1.195)
    assert far[2] - far[0] == inner / 2
    assert abs(far[0] - LEFT - (outlines.ANSWER - inner / 2) / 2) <= 0.5


def test_what_the_query_covers_beside_the_picture_is_tinted() -> None:
    image = pixels(draw([answered(corners(0, 0, 199, 99))]))
    middle = image[TOP + outlines.ANSWER // 2]
    assert tuple(middle[LEFT + outlines.ANSWER - 20]) == tuple(bytes.fromhex(outlines.COVERED[1:]))
    assert tuple(image[TOP + 12, LEFT + outlines.ANSWER - 20]) == tuple(bytes.fromhex(outlines.EMPTY[1:]))


def test_nothing_is_drawn_outside_of_the_answer_s_cell(tmp_path: Path) -> None:
    save(draw([answered(corners(-900, -900, 900, 60))]), tmp_path / "proof.png")
    save(draw([answered()]), tmp_path / "inside.png")
    with Image.open(tmp_path / "proof.png") as proof, Image.open(tmp_path / "inside.png") as inside:
        one, other = (np.asarray(image.convert("L"), np.int16) for image in (proof, inside))
    different = np.abs(one - other) > 40
    different[TOP - 3 : TOP + outlines.ANSWER + 3, LEFT - 3 : LEFT + outlines.ANSWER + 3] = False
    assert not different.any()


def test_the_outline_is_seen_on_light_and_on_dark_pictures(tmp_path: Path) -> None:
    for shade in (0, 255):
        one = replace(answered(), found=Image.new("RGB", (100, 100), (shade,) * 3))
        figure = draw([one])
        save(figure, tmp_path / "proof.png")
        with Image.open(tmp_path / "proof.png") as image:
            grey = np.asarray(image.convert("L"), np.int16)
        left, _, _, bottom = polygons(figure)[1][[0, 2]].ravel()
        across = grey[round(bottom) - 20, round(left) - 8 : round(left) + 8]
        assert across.max() > 200
        assert across.min() < 130


def test_marks_frames_and_words_say_what_is_right() -> None:
    figure = draw([answered(), answered(right=False), NOTHING])
    frames = [patch for patch in figure.axes[0].patches if type(patch) is Rectangle]
    assert [frame.get_linestyle() == "solid" for frame in frames] == [True, False, False]
    assert frames[0].get_edgecolor() != frames[1].get_edgecolor()
    said = texts(figure)
    assert [text for text in said if text in "✓✗"] == ["✓", "✗", "✗"]
    assert said.count("cropped to 25%") == 3
    assert said.count("57 inliers, evidence 8.2") == said.count("ant/$1_a.jpg") == 2
    assert said.count("nothing proven") == said.count("not found") == 1


def test_the_original_stands_beside_what_is_wrong_or_not_found() -> None:
    figure = draw([answered(), answered(right=False), NOTHING])
    rows = np.nonzero((pixels(figure) == TEAL).all(axis=2).any(axis=1))[0]
    assert set((rows - outlines.MARGIN) // BAND) == {1, 2}
    left, _, right, _ = extent((pixels(figure) == TEAL).all(axis=2))
    assert left > LEFT + outlines.ANSWER
    assert right < pixels(figure).shape[1]
    assert texts(figure).count("The original") == 2


def test_right_answers_alone_leave_no_place_for_an_original() -> None:
    assert pixels(draw([answered()])).shape[1] < pixels(draw([answered(right=False)])).shape[1]
    assert "The original" not in texts(draw([answered()]))


def test_a_stranger_is_rightly_not_found() -> None:
    stranger = replace(NOTHING, original=None, right=True)
    said = texts(draw([stranger]))
    assert {"✓", "nothing proven", "not there", "not in the gallery"} <= set(said)
    assert not (pixels(draw([stranger])) == TEAL).all(axis=2).any()


def test_the_same_answers_are_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg"):
        save(draw([answered(), NOTHING]), tmp_path / name)
    assert (tmp_path / "a.jpg").read_bytes() == (tmp_path / "b.jpg").read_bytes()


def test_too_little_evidence_is_shown_and_called_that() -> None:
    said = texts(draw([replace(answered(right=False), inliers=1, evidence=3.0, here=False)]))
    assert {"1 inlier, evidence 3.0: too little", "✗", "ant/$1_a.jpg"} <= set(said)
