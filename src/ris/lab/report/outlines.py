"""Answers to "where is this very picture?", as pictures: the query, and where in the answer it lies."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Polygon, Rectangle
from PIL import Image, ImageDraw

from ris.lab.report.drawing import frame, write
from ris.lab.report.plots import BLUE, MUTED, PAPER, VERMILION, edit_name, styled

QUERY, ANSWER, ARROW, INSET, HEAD, FOOT, MARGIN, DPI = 170, 230, 44, 8, 26, 34, 14, 100
"""Pixels: side of the query's and of the original's cell, of the answer's, width of an arrow, least distance
from a picture to its answer's frame, above and below a row, around all."""

EMPTY, COVERED = "#f2f4f5", "#cfe3f0"
"""Colours of a cell where no picture is, and where only the query reaches."""

Corners = npt.NDArray[np.float64]
_write = partial(write, size=9)


@dataclass(frozen=True, eq=False)
class Answered:
    """One query and its answer."""

    edit: str
    """What was done to the original, one of `ris.copies.edits.EDITS`."""
    query: Image.Image
    """RGB, as asked."""
    original: Image.Image | None
    """What the query was made of; None where it is not in the gallery."""
    found: Image.Image | None
    """The gallery picture with most evidence; None where nothing was proven."""
    found_name: str
    """What to call it; not shown where nothing was proven."""
    outline: Corners | None
    """(4, 2) the query's top left, top right, bottom right and bottom left corner in `found`'s pixels."""
    inliers: int
    evidence: float
    here: bool
    """Whether that is enough evidence to answer with it."""
    right: bool


@styled
def draw(answers: Sequence[Answered]) -> Figure:
    """Draw one row an answer: the query, and the picture answered with under the query's outline.

    The dot is the query's top left corner and the thick line its upper edge. The outline may reach out of
    the picture, of whose side half is shown beyond each edge at least where it does. A right answer has a
    solid frame and ✓, a wrong one a dashed frame and ✗. Where one is wrong or proves nothing, the original
    stands beside it.

    Args:
        answers: one or more.
    """
    answer_left = MARGIN + QUERY + ARROW
    original_left = answer_left + ANSWER + MARGIN
    with_original = [not one.right or one.found is None for one in answers]
    width = original_left + (QUERY + MARGIN if any(with_original) else 0)
    band = HEAD + ANSWER + FOOT
    height = 2 * MARGIN + len(answers) * band
    canvas = Image.new("RGB", (width, height), PAPER)
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    for number, one in enumerate(answers):
        top = MARGIN + HEAD + number * band
        colour = BLUE if one.right else VERMILION
        middle = top + (ANSWER - QUERY) // 2
        size = _paste(canvas, one.query, MARGIN, middle, QUERY)
        left, upper = MARGIN + (QUERY - size[0]) / 2, middle + (QUERY - size[1]) / 2
        right, lower = left + size[0], upper + size[1]
        corners = np.array([[left, upper], [right, upper], [right, lower], [left, lower]])
        _outline(axes, corners, (0, middle - MARGIN, QUERY + 2 * MARGIN), colour)
        _write(axes, MARGIN, middle - 9, edit_name(one.edit), bold=True)
        _write(axes, MARGIN + QUERY + ARROW / 2, top + ANSWER / 2 + 6, "→", size=17, align="center")

        if one.found is None:
            _cell(canvas, answer_left, top, ANSWER)
            _write(axes, answer_left + ANSWER / 2, top + ANSWER / 2, "nothing proven", align="center")
        else:
            corners = _answer_cell(canvas, one.found, one.outline, answer_left, top)
            if one.outline is not None:
                _outline(axes, corners, (answer_left, top, ANSWER), colour)
            _write(axes, answer_left, top - 9, _short(one.found_name, 30))
        frame(axes, answer_left, top, ANSWER, one.right)
        _write(axes, answer_left - 1, top + ANSWER + 17, "✓" if one.right else "✗", bold=True, colour=colour)
        _write(axes, answer_left + 14, top + ANSWER + 17, _told(one))

        if with_original[number]:
            _write(axes, original_left, middle - 9, "The original", colour=MUTED)
            if one.original is None:
                _cell(canvas, original_left, middle, QUERY)
                place = (original_left + QUERY / 2, middle + QUERY / 2)
                _write(axes, *place, "not in the gallery", align="center", colour=MUTED)
            else:
                _paste(canvas, one.original, original_left, middle, QUERY)
    axes.imshow(canvas, extent=(0, width, height, 0), interpolation="none", aspect="auto")
    axes.set_axis_off()
    return figure


def _told(one: Answered) -> str:
    if one.found is None:
        return "not found" if one.original else "not there"
    points = f"{one.inliers:,} {'inlier' if one.inliers == 1 else 'inliers'}"
    return f"{points}, evidence {one.evidence:.1f}{'' if one.here else ': too little'}"


def _cell(canvas: Image.Image, x: int, y: int, side: int) -> None:
    canvas.paste(EMPTY, (x, y, x + side, y + side))


def _paste(canvas: Image.Image, picture: Image.Image, x: int, y: int, side: int) -> tuple[int, int]:
    """Paste a picture into the middle of an empty square, and return the size that it has there."""
    _cell(canvas, x, y, side)
    fitted = _resized(picture, side / max(picture.size))
    canvas.paste(fitted, (x + (side - fitted.width) // 2, y + (side - fitted.height) // 2))
    return fitted.size


def _answer_cell(canvas: Image.Image, found: Image.Image, outline: Corners | None, x: int, y: int) -> Corners:
    """Paste the picture answered with so that the outline is seen around it; return its corners (4, 2) there.

    Without an outline they are the picture's own.
    """
    size = np.array(found.size, np.float64)
    whole = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * size
    corners = whole if outline is None else outline + 0.5
    low = np.minimum(corners.min(axis=0), 0).clip(-size / 2, None)
    high = np.maximum(corners.max(axis=0), size).clip(None, 1.5 * size)
    scale = (ANSWER - 2 * INSET) / (high - low).max()
    shift = (ANSWER - (low + high) * scale) / 2
    placed = corners * scale + shift
    cell = Image.new("RGB", (ANSWER, ANSWER), EMPTY)
    ImageDraw.Draw(cell).polygon([tuple(corner) for corner in placed], fill=COVERED)
    cell.paste(_resized(found, scale), (round(shift[0]), round(shift[1])))
    canvas.paste(cell, (x, y))
    there: Corners = placed + np.array([x, y])
    return there


def _resized(picture: Image.Image, scale: float) -> Image.Image:
    width, height = (max(1, round(length * scale)) for length in picture.size)
    return picture.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)


def _outline(axes: Axes, corners: Corners, cell: tuple[int, int, int], colour: str) -> None:
    """Draw a polygon with its first corner and first edge marked, within a cell: left, top and side."""
    within = Rectangle(cell[:2], cell[2], cell[2], transform=axes.transData)
    for edge, width in ((PAPER, 5.0), (colour, 2.0)):
        line = Polygon(corners, fill=False, edgecolor=edge, linewidth=width, joinstyle="round")
        axes.add_patch(line)
        line.set_clip_path(within)
    (upper,) = axes.plot(*corners[:2].T, color=colour, linewidth=4.0, solid_capstyle="round")
    (dot,) = axes.plot(*corners[:1].T, "o", color=colour, markersize=10, markeredgecolor=PAPER)
    for mark in (upper, dot):
        mark.set_clip_path(within)


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else f"…{text[1 - length :]}"
