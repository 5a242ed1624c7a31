"""What drawings of pictures and their answers share: frames that say right or wrong, and text."""

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from ris.lab.report.plots import BLUE, INK, VERMILION


def frame(axes: Axes, x: int, y: int, side: int, right: bool) -> None:
    """Draw a square's frame, solid where an answer is right, dashed where it is wrong."""
    axes.add_patch(
        Rectangle(
            (x - 1, y - 1),
            side + 2,
            side + 2,
            fill=False,
            linewidth=2,
            edgecolor=BLUE if right else VERMILION,
            linestyle="solid" if right else (0, (3, 2)),
        )
    )


def write(
    axes: Axes,
    x: float,
    y: float,
    text: str,
    *,
    size: float,
    bold: bool = False,
    align: str = "left",
    colour: str = INK,
) -> None:
    """Write a line of text."""
    weight = "bold" if bold else "normal"
    axes.text(x, y, text, size=size, weight=weight, ha=align, color=colour)
