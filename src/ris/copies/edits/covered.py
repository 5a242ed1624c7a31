"""Edits that put something over or around a picture: captions, frames, stickers, watermarks."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ris.copies.edits.edit import Edit, Edited, Images, Rng, resized, scaling, sentence, shift, unmoved, write

_SCREEN_SHAPE = 1.6 / 2
"""A screenshot's width in picture widths, by its height in picture heights."""
_STICKERS = ("gold", "deeppink", "deepskyblue", "limegreen", "orangered", "white")


def caption(image: Image.Image, rng: Rng, share: float, _: Images) -> Edited:
    """Lay a black bar with white words over a share of the height, at the top or at the bottom."""
    captioned = image.copy()
    height = max(1, round(image.height * share))
    top = int(rng.choice((0, image.height - height)))
    draw = ImageDraw.Draw(captioned)
    draw.rectangle((0, top, image.width, top + height - 1), "black")
    place = image.width // 20, top + height // 8
    write(draw, place, sentence(rng), max(1, height * 5 // 8), "white")
    return captioned, unmoved()


def frame(image: Image.Image, rng: Rng, area: float, _: Images) -> Edited:
    """Put it on a screen of so many times its area, 1.6 x 2 at 3.2."""
    width = max(image.width, round(image.width * (area * _SCREEN_SHAPE) ** 0.5))
    height = max(image.height, round(image.height * (area / _SCREEN_SHAPE) ** 0.5))
    left, top = int(rng.integers(width - image.width + 1)), int(rng.integers(height - image.height + 1))
    screen = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(screen)
    line = max(1, height // 20)
    for y in range(line // 2, height, 2 * line):
        write(draw, (line, y), sentence(rng), line, "black")
    draw.rectangle((0, 0, width, line), "steelblue")
    for button in range(3):
        draw.ellipse((width - (button + 1) * line, 0, width - button * line - 1, line - 1), "whitesmoke")
    screen.paste(image, (left, top))
    return screen, shift(left, top)


def collage(image: Image.Image, rng: Rng, side: float, others: Images) -> Edited:
    """Make it one of four pictures; the collage is so many of its sides wide and high."""
    width, height = (max(1, round(length * side / 2)) for length in image.size)
    chosen = rng.choice(len(others), 3, replace=False)
    places = [(x, y) for y in (0, height) for x in (0, width)]
    own = places.pop(int(rng.integers(4)))
    joined = Image.new("RGB", (2 * width, 2 * height))
    joined.paste(resized(image, width, height), own)
    for other, place in zip(chosen, places, strict=True):
        joined.paste(resized(others[other], width, height), place)
    matrix = scaling(width / image.width, height / image.height)
    matrix[:, 2] += own
    return joined, matrix


def text_over_half(image: Image.Image, rng: Rng, share: float, _: Images) -> Edited:
    """Lay a page of text over the lower share of the height."""
    covered = image.copy()
    top = round(image.height * (1 - share))
    draw = ImageDraw.Draw(covered)
    draw.rectangle((0, top, image.width, image.height), "white")
    line = max(1, image.height // 22)
    for y in range(top + line // 2, image.height, round(1.5 * line) or 1):
        write(draw, (line, y), sentence(rng, 20), line, "black")
    return covered, unmoved()


def text_all_over(image: Image.Image, rng: Rng, share: float, _: Images) -> Edited:
    """Write lines of text over all of it, each of a share of the height."""
    covered = image.copy()
    draw, size = ImageDraw.Draw(covered), max(1, round(image.height * share))
    font = ImageFont.load_default(size)
    for y in range(0, image.height, round(1.3 * size) or 1):
        draw.text(
            (-size * rng.random(), y), sentence(rng, 30), "white", font, stroke_width=1, stroke_fill="black"
        )
    return covered, unmoved()


def watermark(image: Image.Image, rng: Rng, opacity: float, _: Images) -> Edited:
    """Tile it with slanted words that let through all but an opacity."""
    side, size = 2 * max(image.size), max(8, max(image.size) // 14)
    layer = Image.new("L", (side, side))
    draw, font = ImageDraw.Draw(layer), ImageFont.load_default(size)
    words = sentence(rng, 2)
    step = round(font.getlength(words)) + size
    for line, y in enumerate(range(0, side, 2 * size)):
        for x in range(-(line % 2) * step // 2, side, step):
            draw.text((x, y), words, round(255 * opacity), font)
    slanted = layer.rotate(30).crop((side // 4, side // 4, side // 4 + image.width, side // 4 + image.height))
    return Image.composite(Image.new("RGB", image.size, "white"), image, slanted), unmoved()


def stickers(image: Image.Image, rng: Rng, count: float, _: Images) -> Edited:
    """Paste so many round faces on it, each a fifth to a third of the shorter side across."""
    covered = image.copy()
    draw = ImageDraw.Draw(covered)
    for _sticker in range(round(count)):
        size = min(image.size) * rng.uniform(0.2, 0.33)
        left, top = rng.uniform(-0.3, 0.9, 2) * size + rng.random(2) * (np.array(image.size) - size)
        colour = str(rng.choice(_STICKERS))
        draw.ellipse((left, top, left + size, top + size), colour, "black", max(1, round(size / 20)))
        for x in (0.3, 0.6):
            eye = left + x * size, top + 0.3 * size
            draw.ellipse((*eye, eye[0] + 0.1 * size, eye[1] + 0.15 * size), "black")
        mouth = left + 0.25 * size, top + 0.35 * size, left + 0.75 * size, top + 0.8 * size
        draw.arc(mouth, 20, 160, "black", max(1, round(size / 20)))
    return covered, unmoved()


def double_exposure(image: Image.Image, _rng: Rng, share: float, others: Images) -> Edited:
    """Blend it with another picture, which has a share."""
    return Image.blend(image, others[0].resize(image.size), share), unmoved()


EDITS: Mapping[str, Edit] = MappingProxyType(
    {
        "caption": Edit(caption, 0.2, "with a caption"),
        "frame": Edit(frame, 3.2, "in a screenshot"),
        "collage": Edit(collage, 2, "in a collage", others=3),
        "text_over_half": Edit(text_over_half, 0.5, "lower half under text"),
        "text_all_over": Edit(text_all_over, 0.06, "with text all over"),
        "watermark": Edit(watermark, 0.5, "with a tiled watermark"),
        "stickers": Edit(stickers, 7, "with stickers"),
        "double_exposure": Edit(double_exposure, 0.5, "a double exposure", others=1),
    }
)
