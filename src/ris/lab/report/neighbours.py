"""Sample queries and what each index found for them, as pictures."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from PIL import Image, ImageOps

from ris.lab.report.drawing import frame, write
from ris.lab.report.plots import BLUE, MUTED, PAPER, VERMILION, styled

QUERY, CELL, GAP, HEAD, FOOT, MARGIN, DPI = 150, 96, 14, 26, 36, 14, 100
"""Pixels: side of the query, of a neighbour, between neighbours, above and below a row, around all."""

Load = Callable[[int], Image.Image]
"""Gives the picture of a catalog row."""
_write = partial(write, size=8.5)


@dataclass(frozen=True)
class Found:
    """What one index found for one query, nearest first."""

    index: str
    """Name to show."""
    rows: npt.NDArray[np.int64]
    """(k,) catalog rows, without empty places."""
    distances: npt.NDArray[np.float32]
    """(k,) Euclidean."""

    def right(self, query: int, labels: Sequence[str]) -> list[bool]:
        """Which neighbours show what the query shows."""
        return [labels[row] == labels[query] for row in self.rows]


def choose_queries(
    ap: npt.NDArray[np.floating], labels: Sequence[str], n: int, seed: int
) -> npt.NDArray[np.int64]:
    """Choose queries to show: of as many classes as there are, mostly wrong and mostly right ones in turn.

    "Mostly wrong" is an average precision under 0.5. The mix is for looking at: it has more failures than the
    queries at large.

    Args:
        ap: (q,) average precision of each query.
        labels: q class names.
        n: how many to choose; all where there are fewer.
        seed: of the shuffle that comes first.

    Returns:
        (min(n, q),) int64 positions among the queries.
    """
    order = np.random.default_rng(seed).permutation(len(ap)).tolist()
    wrong = [query for query in order if ap[query] < 0.5]
    right = [query for query in order if not ap[query] < 0.5]
    shown: Counter[str] = Counter()
    chosen: list[int] = []
    while len(chosen) < min(n, len(order)):
        waiting = wrong + right if len(chosen) % 2 == 0 else right + wrong
        query = min(waiting, key=lambda query: shown[labels[query]])
        (wrong if query in wrong else right).remove(query)
        shown[labels[query]] += 1
        chosen.append(query)
    return np.array(chosen, dtype=np.int64)


def describe(query: int, found: Sequence[Found], labels: Sequence[str]) -> str:
    """Say in words what `draw` shows, for a caption or for readers who do not see the picture."""
    scores = (f"{one.index} {sum(one.right(query, labels))} of {len(one.rows)} right" for one in found)
    return f"Query {labels[query]}: {', '.join(scores)}."


@styled
def draw(query: int, found: Sequence[Found], labels: Sequence[str], load: Load) -> Figure:
    """Draw a query and, one row an index, its neighbours with their labels and distances.

    A right neighbour has a solid frame and ✓, a wrong one a dashed frame and ✗.

    Args:
        query: catalog row.
        found: what each index found; one may have found fewer than another.
        labels: class name of each catalog row.
        load: gives the picture of a catalog row.
    """
    left = MARGIN + QUERY + 2 * GAP
    band = HEAD + CELL + FOOT
    width = left + max(len(one.rows) for one in found) * (CELL + GAP)
    height = 2 * MARGIN + max(len(found) * band, HEAD + QUERY + FOOT)
    canvas = Image.new("RGB", (width, height), PAPER)
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    top = MARGIN + HEAD
    _paste(canvas, load(query), MARGIN, top, QUERY)
    _write(axes, MARGIN, top - 9, "Query", bold=True)
    _write(axes, MARGIN, top + QUERY + 16, _short(labels[query], 20))
    for number, one in enumerate(found):
        top = MARGIN + HEAD + number * band
        right = one.right(query, labels)
        _write(axes, left, top - 9, one.index, bold=True)
        _write(axes, width - GAP, top - 9, f"{sum(right)} of {len(right)} right", align="right", colour=MUTED)
        for place, (row, distance) in enumerate(zip(one.rows, one.distances, strict=True)):
            x = left + place * (CELL + GAP)
            _paste(canvas, load(int(row)), x, top, CELL)
            frame(axes, x, top, CELL, right[place])
            colour = BLUE if right[place] else VERMILION
            _write(axes, x - 2, top + CELL + 14, "✓" if right[place] else "✗", bold=True, colour=colour)
            _write(axes, x + 11, top + CELL + 14, _short(labels[row], 14), size=7.5)
            _write(axes, x + 11, top + CELL + 26, f"{distance:.3f}", size=7.5, colour=MUTED)
    axes.imshow(canvas, extent=(0, width, height, 0), interpolation="none", aspect="auto")
    axes.set_axis_off()
    return figure


def _paste(canvas: Image.Image, picture: Image.Image, x: int, y: int, side: int) -> None:
    fitted = ImageOps.pad(picture.convert("RGB"), (side, side), Image.Resampling.LANCZOS, color="#f2f4f5")
    canvas.paste(fitted, (x, y))


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
