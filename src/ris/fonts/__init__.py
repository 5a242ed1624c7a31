"""The fonts that captions are drawn with, DejaVu Sans: the same on every machine."""

from functools import cache
from pathlib import Path

from PIL import ImageFont


@cache
def sans(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    """Return DejaVu Sans of a size in pixels; it has Latin, Greek, Cyrillic, Arabic and more, not Chinese."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(__file__).with_name(name), size)
