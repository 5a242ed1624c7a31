"""Pictures in a terminal that shows all colours: two pixels a character."""

from collections.abc import Sequence

import numpy as np
from PIL import Image
from rich.console import Console
from rich.style import Style
from rich.table import Table
from rich.text import Text

from ris.cli.text import plain

SIDE = 20
"""Pixels, and columns, of the longer side; half as many lines."""


def shows_pictures(console: Console) -> bool:
    """Whether a console is a terminal of all colours."""
    return console.is_terminal and console.color_system == "truecolor" and not console.no_color


def blocks(picture: Image.Image, side: int = SIDE) -> Text:
    """Render an RGB picture: each character's upper half shows one pixel, its lower half the one below."""
    small = picture.copy()
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    pixels = np.asarray(small)
    if len(pixels) % 2:
        pixels = np.concatenate([pixels, pixels[-1:]])
    lines = []
    for upper, lower in zip(pixels[::2], pixels[1::2], strict=True):
        line = Text()
        for above, below in zip(upper.tolist(), lower.tolist(), strict=True):
            line.append("▀", Style(color=_colour(above), bgcolor=_colour(below)))
        lines.append(line)
    return Text("\n").join(lines)


def show(console: Console, pictures: Sequence[tuple[str, Image.Image]]) -> None:
    """Print pictures side by side, as many as fit, each below its caption."""
    a_line = max(1, (console.width + 2) // (SIDE + 2))
    for start in range(0, len(pictures), a_line):
        shown = pictures[start : start + a_line]
        grid = Table.grid(padding=(0, 2))
        for _ in shown:
            grid.add_column(width=SIDE, no_wrap=True, overflow="ellipsis")
        grid.add_row(*(Text(plain(caption)) for caption, _ in shown))
        grid.add_row(*(blocks(picture) for _, picture in shown))
        console.print(grid)
        console.print()


def _colour(pixel: Sequence[int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*pixel)
