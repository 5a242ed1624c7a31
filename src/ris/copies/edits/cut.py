"""Edits that keep a part of a picture: cropped, or laid on something else."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from ris.copies.edits.edit import Edit, Edited, Images, Rng, resized, shift, unmoved


def crop(image: Image.Image, rng: Rng, area: float, _: Images) -> Edited:
    """Keep a share of the area, in the picture's shape, anywhere."""
    return _cropped(image, rng, area**0.5, area**0.5)


def strip(image: Image.Image, rng: Rng, area: float, _: Images) -> Edited:
    """Keep a share of the area, from side to side or from top to bottom."""
    return _cropped(image, rng, *((1.0, area) if rng.random() < 0.5 else (area, 1.0)))


def part_inside(image: Image.Image, rng: Rng, area: float, others: Images) -> Edited:
    """Lay a part of a share of the area, anywhere, into another picture of the same size."""
    part, matrix = crop(image, rng, area, others)
    background = others[0].resize(image.size)
    left = int(rng.integers(image.width - part.width + 1))
    top = int(rng.integers(image.height - part.height + 1))
    background.paste(part, (left, top))
    matrix[:, 2] += left, top
    return background, matrix


def cut_out_on_photograph(image: Image.Image, rng: Rng, share: float, others: Images) -> Edited:
    """Cut out a round shape across a share of the sides, and lay it on another picture."""
    return _cut_out(image, rng, share, others[0].resize(image.size))


def cut_out_on_white(image: Image.Image, rng: Rng, share: float, _: Images) -> Edited:
    """Cut out a round shape across a share of the sides, and lay it on white."""
    return _cut_out(image, rng, share, Image.new("RGB", image.size, "white"))


def _cropped(image: Image.Image, rng: Rng, across: float, down: float) -> Edited:
    width, height = max(1, round(image.width * across)), max(1, round(image.height * down))
    left = int(rng.integers(image.width - width + 1))
    top = int(rng.integers(image.height - height + 1))
    return image.crop((left, top, left + width, top + height)), shift(-left, -top)


def _cut_out(image: Image.Image, rng: Rng, share: float, background: Image.Image) -> Edited:
    """Lay what is inside a wavy outline around the middle on a background of the picture's size."""
    turn = np.linspace(0, 2 * np.pi, 90, endpoint=False)
    waves = sum(np.sin(n * turn + rng.uniform(0, 6.3)) * rng.uniform(0, 0.12 / n) for n in (2, 3, 5))
    radius = share / 2 * (1 + np.asarray(waves))
    outline = (0.5 + radius[:, None] * np.stack([np.cos(turn), np.sin(turn)], axis=1)) * image.size
    mask = Image.new("L", image.size)
    ImageDraw.Draw(mask).polygon([(x, y) for x, y in outline.tolist()], fill=255)
    return Image.composite(image, background, mask.filter(ImageFilter.GaussianBlur(1))), unmoved()


def thumbnail_on_page(image: Image.Image, rng: Rng, share: float, _: Images) -> Edited:
    """Lay it, its sides shrunk to a share, on a white page of its own size."""
    small = resized(image, image.width * share, image.height * share)
    page = Image.new("RGB", image.size, "white")
    left = int(rng.integers(page.width - small.width + 1))
    top = int(rng.integers(page.height - small.height + 1))
    page.paste(small, (left, top))
    across, down = small.width / image.width, small.height / image.height
    return page, np.array([[across, 0, (across - 1) / 2 + left], [0, down, (down - 1) / 2 + top]])


EDITS: Mapping[str, Edit] = MappingProxyType(
    {
        "crop50": Edit(crop, 0.5, "cropped to 50%"),
        "crop25": Edit(crop, 0.25, "cropped to 25%"),
        "crop12": Edit(crop, 0.12, "cropped to 12%"),
        "crop9": Edit(crop, 0.09, "cropped to 9%"),
        "strip12": Edit(strip, 0.12, "a strip of 12%"),
        "part_inside": Edit(part_inside, 1 / 6, "a sixth of it inside another picture", others=1),
        "cut_out_on_photograph": Edit(cut_out_on_photograph, 0.8, "cut out, on a photograph", others=1),
        "cut_out_on_white": Edit(cut_out_on_white, 0.8, "cut out, on white"),
        "thumbnail_on_page": Edit(thumbnail_on_page, 0.4, "small, on a white page"),
    }
)
