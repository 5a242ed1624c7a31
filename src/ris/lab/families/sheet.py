"""A page that families are drawn on, and what is written there."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Self, TypeAlias, TypeVar

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

Rng: TypeAlias = np.random.Generator
Photographs: TypeAlias = Sequence[Image.Image]
"""The first is the same for all of a family, the second this member's own."""
Colour: TypeAlias = str | tuple[int, int, int]
Item = TypeVar("Item")
Points: TypeAlias = Sequence[tuple[float, float]]

FONTS = Path(matplotlib.get_data_path()) / "fonts/ttf"
"""Those that Matplotlib ships."""
_FACES = {
    "sans": "DejaVuSans.ttf",
    "bold": "DejaVuSans-Bold.ttf",
    "mono": "DejaVuSansMono.ttf",
    "serif": "DejaVuSerif.ttf",
    "book": "STIXGeneral.ttf",
}
PALETTE = ("#c0392b", "#2980b9", "#27ae60", "#f39c12", "#8e44ad", "#16a085", "#d35400", "#2c3e50", "#e84393")


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_FIRST = _words(
    "Ada Ben Cleo Dora Emil Fay Gus Hana Igor Jana Karl Lena Milo Nora Otto Pia Rosa Sven Tess Viktor"
)
_LAST = _words(
    "Abel Berg Crane Duval Falk Gomez Hale Ivers Jansen Koch Lind Marsh Novak Orr Petit Quist Rossi Sato"
)
_FIRMS = _words(
    "Amber Birch Cobalt Delta Ember Falcon Granite Harbor Indigo Juniper Kestrel Lumen Maple Nimbus"
)
_KINDS = _words(
    "Works Foods Labs Media Bank Studio Travel Motors Energy Books Health Design Tools Garden Music"
)
_WORDS = _words(
    """about after again along always another answer around because before began below between both bring
    build carry change city close could country cover cross direct early earth enough every example
    family father few field figure final follow food found friend garden glass great green ground
    group grow hand happen harbour head hear heavy high home horse house hundred idea island keep
    kind land large late learn leave letter light line list little live long machine main make many
    market measure might money morning mother mountain move music near never night north notice
    number often open order other paper part pattern people perhaps picture piece place plain plan
    plant point possible power price problem produce public question quick quiet reach ready
    remember report rest right river road room round sail school science second several shape shore
    short should simple sister slow small something song south stand start state station still stone
    story street strong study summer surface system table teach thing thought thousand through today
    together toward town travel tree under until usual valley value village voice wait walk water
    weather week west where white whole window winter wonder wood work world write year yellow young"""
)
ITEMS = _words(
    """apples bread milk coffee tea butter rice pasta soap paper lamp cable chair desk pen notebook battery
    shelf bottle gloves hammer paint brush screws mirror towel clock radio carpet plates spoons
    honey salt flour"""
)


class Sheet:
    """A picture that is drawn on; places and sizes are in pixels, from the top left."""

    def __init__(self, width: int, height: int, colour: Colour = "white") -> None:
        """Take an empty page."""
        self.image = Image.new("RGB", (width, height), colour)
        self.draw = ImageDraw.Draw(self.image)

    @classmethod
    def on(cls, picture: Image.Image) -> Self:
        """Take a picture to draw on."""
        sheet = cls(1, 1)
        sheet.image, sheet.draw = picture, ImageDraw.Draw(picture)
        return sheet

    def text(
        self,
        place: tuple[float, float],
        text: str,
        size: int = 14,
        colour: Colour = "black",
        face: str = "sans",
    ) -> None:
        """Write text, its top left at a place."""
        self.draw.text(place, text, colour, font(face, size))

    def centred(
        self,
        place: tuple[float, float],
        text: str,
        size: int = 14,
        colour: Colour = "black",
        face: str = "sans",
    ) -> None:
        """Write a line of text, its middle at a place."""
        self.draw.text(place, text, colour, font(face, size), anchor="mm")

    def box(
        self, place: tuple[float, float], size: tuple[float, float], colour: Colour, line: Colour = ""
    ) -> None:
        """Fill a rectangle, with an outline where a colour for it is given."""
        corner = place[0] + size[0], place[1] + size[1]
        self.draw.rectangle((*place, *corner), colour, line or None)

    def round(
        self, place: tuple[float, float], size: tuple[float, float], colour: Colour, radius: int = 10
    ) -> None:
        """Fill a rectangle of round corners."""
        self.draw.rounded_rectangle((*place, place[0] + size[0], place[1] + size[1]), radius, colour)

    def disc(self, centre: tuple[float, float], radius: float, colour: Colour, line: Colour = "") -> None:
        """Fill a circle, with an outline where a colour for it is given."""
        x, y = centre
        self.draw.ellipse((x - radius, y - radius, x + radius, y + radius), colour, line or None)

    def line(self, points: Points, colour: Colour = "black", width: int = 1) -> None:
        """Draw a line through points."""
        self.draw.line(list(points), colour, width, joint="curve")

    def paste(self, picture: Image.Image, place: tuple[int, int], size: tuple[int, int]) -> None:
        """Lay a picture, cut to the shape of a size, at a place."""
        self.image.paste(filling(picture, size), place)


@lru_cache(maxsize=256)
def font(face: str, size: int) -> ImageFont.FreeTypeFont:
    """Return a font; its size is in pixels."""
    return ImageFont.truetype(FONTS / _FACES[face], size)


def filling(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Return the middle of a picture in the shape and size wanted."""
    scale = max(size[0] / picture.width, size[1] / picture.height)
    wide = picture.resize((round(picture.width * scale) + 1, round(picture.height * scale) + 1))
    left, top = (wide.width - size[0]) // 2, (wide.height - size[1]) // 2
    return wide.crop((left, top, left + size[0], top + size[1]))


def pick(rng: Rng, among: Sequence[Item]) -> Item:
    """Draw one of them."""
    return among[int(rng.integers(len(among)))]


def colour(rng: Rng, low: int = 0, high: int = 255) -> tuple[int, int, int]:
    """Draw a colour of levels in a range."""
    red, green, blue = rng.integers(low, high + 1, 3).tolist()
    return red, green, blue


def person(rng: Rng) -> str:
    """Draw a person's name."""
    return f"{pick(rng, _FIRST)} {pick(rng, _LAST)}"


def company(rng: Rng) -> str:
    """Draw a company's name."""
    return f"{pick(rng, _FIRMS)} {pick(rng, _KINDS)}"


def digits(rng: Rng, count: int) -> str:
    """Draw so many digits."""
    return "".join(str(one) for one in rng.integers(0, 10, count))


def date(rng: Rng) -> str:
    """Draw a date."""
    return f"{rng.integers(1, 29):02d}.{rng.integers(1, 13):02d}.{rng.integers(1970, 2026)}"


def sentence(rng: Rng, count: int) -> str:
    """Draw a sentence of so many words."""
    return " ".join(pick(rng, _WORDS) for _ in range(count)).capitalize() + "."


def paragraph(rng: Rng, width: int, lines: int, face: str, size: int) -> str:
    """Draw lines of words, each about as wide as wanted."""
    written = []
    for _ in range(lines):
        line = pick(rng, _WORDS)
        while font(face, size).getlength(longer := f"{line} {pick(rng, _WORDS)}") <= width:
            line = longer
        written.append(line)
    return "\n".join(written).capitalize() + "."
