"""Hits as a page or as one picture, to look at and to pass on."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image, ImageDraw

from ris.artifacts import writing
from ris.cli.text import plain
from ris.fonts import sans

CELL, GAP, MARGIN, LINE, HEADING = 200, 12, 24, 18, 40
"""Pixels: side of a picture's square, between squares, around all, height of a line and of a heading."""
COLUMNS = 6
INK, MUTED, PAPER, EMPTY, PROVEN = "#1b1f24", "#667079", "#ffffff", "#f2f4f5", "#0072b2"
DIFFERS = "#d55e00"

Corners = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Shown:
    """A picture with what is said of it."""

    picture: Image.Image
    """RGB, at most `CELL` pixels long: see `shrunk`."""
    name: str
    notes: tuple[str, ...] = ()
    """Below the name, a line each."""
    marked: bool = False
    """Set apart: the very picture, or the one to keep."""


@dataclass(frozen=True)
class Strip:
    """Pictures that belong together."""

    heading: str
    shown: Sequence[Shown]


def shrunk(
    picture: Image.Image,
    outline: Corners | None = None,
    size: tuple[int, int] | None = None,
    boxes: Sequence[tuple[float, float, float, float]] = (),
) -> Image.Image:
    """Fit an RGB picture into a square, and draw an outline and boxes on it, where there are any.

    Args:
        picture: of any size.
        outline: the corners of a polygon; the first is dotted, and the edge that follows it is thick.
        size: width and height in which outline and boxes are given; None for the picture's own.
        boxes: left, top, right and bottom of what differs from another picture.
    """
    small = picture.copy()
    small.thumbnail((CELL, CELL), Image.Resampling.LANCZOS)
    across, down = (here / there for here, there in zip(small.size, size or picture.size, strict=True))
    drawing = ImageDraw.Draw(small)
    for left, top, right, bottom in boxes:
        for colour, width in ((PAPER, 4), (DIFFERS, 2)):
            drawing.rectangle((left * across, top * down, right * across, bottom * down), None, colour, width)
    if outline is None:
        return small
    corners = [((x + 0.5) * across, (y + 0.5) * down) for x, y in outline]
    for colour, width in ((PAPER, 5), (PROVEN, 2)):
        drawing.line([*corners, corners[0]], colour, width, joint="curve")
    drawing.line(corners[:2], PROVEN, 4)
    drawing.circle(corners[0], 5, PROVEN, PAPER)
    return small


def empty() -> Image.Image:
    """Return what stands for a picture that cannot be read any more."""
    return Image.new("RGB", (CELL, CELL), EMPTY)


def write_sheet(path: Path, title: str, strips: Sequence[Strip]) -> None:
    """Write a contact sheet in place of what stood there: a page that needs no other file, or one picture.

    Args:
        path: ends in .html or .png.
        title: of the whole.
        strips: one below the other.
    """
    with writing(path) as fresh:
        if path.suffix == ".png":
            _drawn(title, strips).save(fresh)
        else:
            fresh.write_text(_page(title, strips), encoding="utf-8")


def _page(title: str, strips: Sequence[Strip]) -> str:
    environment = Environment(
        loader=PackageLoader("ris", "cli"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters |= {"plain": plain, "embedded": _embedded}
    return environment.get_template("contact_sheet.html.j2").render(title=title, strips=strips)


def _embedded(picture: Image.Image) -> str:
    stream = BytesIO()
    picture.save(stream, "JPEG", quality=88)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"


def _drawn(title: str, strips: Sequence[Strip]) -> Image.Image:
    notes = max((len(one.notes) for strip in strips for one in strip.shown), default=0)
    cell = CELL + GAP + LINE * (1 + notes) + GAP
    lines = [-(-len(strip.shown) // COLUMNS) for strip in strips]
    size = (
        2 * MARGIN + COLUMNS * CELL + (COLUMNS - 1) * GAP,
        2 * MARGIN + HEADING + sum(HEADING + line * cell for line in lines),
    )
    sheet = Image.new("RGB", size, PAPER)
    drawing = ImageDraw.Draw(sheet)
    top = MARGIN
    _write(drawing, (MARGIN, top), title, size[0] - 2 * MARGIN, INK, 20, bold=True)
    top += HEADING
    for strip, line in zip(strips, lines, strict=True):
        _write(drawing, (MARGIN, top + 8), strip.heading, size[0] - 2 * MARGIN, INK, 15, bold=True)
        for place, one in enumerate(strip.shown):
            left = MARGIN + place % COLUMNS * (CELL + GAP)
            _draw(sheet, drawing, one, left, top + HEADING + place // COLUMNS * cell)
        top += HEADING + line * cell
    return sheet


def _draw(sheet: Image.Image, drawing: ImageDraw.ImageDraw, one: Shown, left: int, top: int) -> None:
    square = (left, top, left + CELL - 1, top + CELL - 1)
    drawing.rectangle(square, EMPTY)
    sheet.paste(one.picture, (left + (CELL - one.picture.width) // 2, top + (CELL - one.picture.height) // 2))
    if one.marked:
        drawing.rectangle((left - 4, top - 4, left + CELL + 3, top + CELL + 3), outline=PROVEN, width=3)
    below = top + CELL + GAP // 2
    _write(drawing, (left, below), one.name, CELL, INK, 13, bold=one.marked)
    for number, note in enumerate(one.notes, 1):
        _write(drawing, (left, below + number * LINE), note, CELL, PROVEN if one.marked else MUTED, 13)


def _write(
    drawing: ImageDraw.ImageDraw,
    place: tuple[int, int],
    text: str,
    width: int,
    colour: str,
    size: int,
    *,
    bold: bool = False,
) -> None:
    """Write a line that is no longer than `width`; of a longer one, the end is kept."""
    font, text = sans(size, bold=bold), plain(text)
    kept = text
    while font.getlength(kept) > width:
        text = text[1:]
        kept = f"…{text}"
    drawing.text(place, kept, colour, font)
