"""The fifteen edits by which "where is this very picture?" is judged, each with its true transformation.

A transformation is a 2x3 float64 matrix from the original's pixel coordinates to the edited picture's;
whole numbers are the centres of pixels, x goes right and y down.
"""

from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from types import MappingProxyType
from typing import Any, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont

from ris.errors import RisError

Matrix: TypeAlias = npt.NDArray[np.float64]
Edited: TypeAlias = tuple[Image.Image, Matrix]
_Edit: TypeAlias = Callable[[Image.Image, np.random.Generator, float, Sequence[Image.Image]], Edited]

_WORDS = ("here", "is", "the", "picture", "that", "was", "seen", "today", "share", "like", "more", "of", "it")
_SCREEN_SHAPE = 1.6 / 2
"""A screenshot's width in picture widths, by its height in picture heights."""


def apply(
    name: str,
    image: Image.Image,
    rng: np.random.Generator,
    strength: float | None = None,
    others: Sequence[Image.Image] = (),
) -> Edited:
    """Edit a picture.

    Args:
        name: one of `STRENGTHS`.
        image: RGB.
        rng: whence the place of a crop, the side of a turn and so on are drawn.
        strength: what it is of each edit, `STRENGTHS` says; None takes the reported one.
        others: RGB pictures that a collage is filled up with, at least three; no other edit uses them.

    Returns:
        The edited picture, RGB, and the (2, 3) matrix from the original's pixels to its own.

    Raises:
        RisError: there is no such edit, or a collage has too few other pictures.
    """
    if name not in _EDITS:
        raise RisError(f"There is no edit {name!r}; there are {', '.join(_EDITS)}.")
    return _EDITS[name](image, rng, STRENGTHS[name] if strength is None else strength, others)


def generator(name: str, row: int, seed: int) -> np.random.Generator:
    """Return the generator of one edit of one picture: what it draws depends on no other picture or edit."""
    return np.random.default_rng([seed, row, list(STRENGTHS).index(name)])


def _jpeg(image: Image.Image, _rng: np.random.Generator, quality: float, _: Sequence[Image.Image]) -> Edited:
    stream = BytesIO()
    image.save(stream, "JPEG", quality=round(quality))
    return Image.open(stream).convert("RGB"), _scaling(1, 1)


def _down(image: Image.Image, _rng: np.random.Generator, width: float, _: Sequence[Image.Image]) -> Edited:
    scale = min(1.0, width / image.width)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    scaling = _scaling(size[0] / image.width, size[1] / image.height)
    return image.resize(size, Image.Resampling.LANCZOS), scaling


def _crop(image: Image.Image, rng: np.random.Generator, area: float, _: Sequence[Image.Image]) -> Edited:
    width, height = (max(1, round(side * area**0.5)) for side in image.size)
    left = int(rng.integers(image.width - width + 1))
    top = int(rng.integers(image.height - height + 1))
    return image.crop((left, top, left + width, top + height)), _shift(-left, -top)


def _rotate(image: Image.Image, rng: np.random.Generator, degrees: float, _: Sequence[Image.Image]) -> Edited:
    angle = np.deg2rad(degrees) * rng.choice((-1, 1))
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    size = np.ceil(np.abs(turn) @ image.size - 1e-6).astype(int)
    centre, new_centre = (np.array(image.size) - 1) / 2, (size - 1) / 2
    matrix = np.column_stack([turn, new_centre - turn @ centre])
    turned = cv2.warpAffine(np.asarray(image), matrix, (int(size[0]), int(size[1])), flags=cv2.INTER_CUBIC)
    return Image.fromarray(turned), matrix


def _quarter_turn(
    image: Image.Image, _rng: np.random.Generator, degrees: float, _: Sequence[Image.Image]
) -> Edited:
    right, bottom = image.width - 1.0, image.height - 1.0
    matrix = _shift(0, 0)
    for _quarter in range(round(degrees / 90) % 4):
        image = image.transpose(Image.Transpose.ROTATE_90)
        matrix = np.array([[0, 1, 0], [-1, 0, right]]) @ np.vstack([matrix, [0, 0, 1]])
        right, bottom = bottom, right
    return image, matrix


def _mirror(
    image: Image.Image, _rng: np.random.Generator, _strength: float, _: Sequence[Image.Image]
) -> Edited:
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), np.array([[-1, 0, image.width - 1.0], [0, 1, 0]])


def _grey_dark(
    image: Image.Image, _rng: np.random.Generator, brightness: float, _: Sequence[Image.Image]
) -> Edited:
    return ImageEnhance.Brightness(image.convert("L").convert("RGB")).enhance(brightness), _scaling(1, 1)


def _blur(image: Image.Image, _rng: np.random.Generator, radius: float, _: Sequence[Image.Image]) -> Edited:
    return image.filter(ImageFilter.GaussianBlur(radius)), _scaling(1, 1)


def _noise(image: Image.Image, rng: np.random.Generator, sigma: float, _: Sequence[Image.Image]) -> Edited:
    pixels = np.asarray(image) + rng.normal(0, sigma, (image.height, image.width, 3))
    return Image.fromarray(np.rint(pixels.clip(0, 255)).astype(np.uint8)), _scaling(1, 1)


def _caption(image: Image.Image, rng: np.random.Generator, share: float, _: Sequence[Image.Image]) -> Edited:
    captioned = image.copy()
    height = max(1, round(image.height * share))
    top = int(rng.choice((0, image.height - height)))
    draw = ImageDraw.Draw(captioned)
    draw.rectangle((0, top, image.width, top + height - 1), "black")
    _write(draw, rng, (image.width // 20, top + height // 8), max(1, height * 5 // 8), "white")
    return captioned, _scaling(1, 1)


def _frame(image: Image.Image, rng: np.random.Generator, area: float, _: Sequence[Image.Image]) -> Edited:
    width = max(image.width, round(image.width * (area * _SCREEN_SHAPE) ** 0.5))
    height = max(image.height, round(image.height * (area / _SCREEN_SHAPE) ** 0.5))
    left, top = int(rng.integers(width - image.width + 1)), int(rng.integers(height - image.height + 1))
    screen = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(screen)
    line = max(1, height // 20)
    for y in range(line // 2, height, 2 * line):
        _write(draw, rng, (line, y), line, "black")
    draw.rectangle((0, 0, width, line), "steelblue")
    for button in range(3):
        draw.ellipse((width - (button + 1) * line, 0, width - button * line - 1, line - 1), "whitesmoke")
    screen.paste(image, (left, top))
    return screen, _shift(left, top)


def _collage(
    image: Image.Image, rng: np.random.Generator, side: float, others: Sequence[Image.Image]
) -> Edited:
    if len(others) < 3:
        raise RisError(f"A collage needs three other pictures, but there are {len(others)}.")
    width, height = (max(1, round(length * side / 2)) for length in image.size)
    chosen = rng.choice(len(others), 3, replace=False)
    places = [(x, y) for y in (0, height) for x in (0, width)]
    own = places.pop(int(rng.integers(4)))
    collage = Image.new("RGB", (2 * width, 2 * height))
    collage.paste(image.resize((width, height), Image.Resampling.LANCZOS), own)
    for other, place in zip(chosen, places, strict=True):
        collage.paste(others[other].resize((width, height), Image.Resampling.LANCZOS), place)
    matrix = _scaling(width / image.width, height / image.height)
    matrix[:, 2] += own
    return collage, matrix


def _colour(
    image: Image.Image, rng: np.random.Generator, strength: float, _: Sequence[Image.Image]
) -> Edited:
    hue, saturation = rng.choice((-1, 1), 2) * strength
    channels = np.asarray(image.convert("HSV")).astype(np.float64)
    channels[..., 0] = np.rint(channels[..., 0] + 128 * hue) % 256
    channels[..., 1] = np.rint(channels[..., 1] * (1 + saturation)).clip(0, 255)
    return Image.fromarray(channels.astype(np.uint8), "HSV").convert("RGB"), _scaling(1, 1)


_EDITS: Mapping[str, _Edit] = MappingProxyType(
    {
        "jpeg10": _jpeg,
        "down64": _down,
        "crop50": _crop,
        "crop25": _crop,
        "crop12": _crop,
        "rot15": _rotate,
        "rot90": _quarter_turn,
        "mirror": _mirror,
        "grey_dark": _grey_dark,
        "blur": _blur,
        "noise": _noise,
        "caption": _caption,
        "frame": _frame,
        "collage": _collage,
        "colour": _colour,
    }
)

STRENGTHS: Mapping[str, float] = MappingProxyType(
    {
        "jpeg10": 10.0,
        "down64": 64.0,
        "crop50": 0.5,
        "crop25": 0.25,
        "crop12": 0.12,
        "rot15": 15.0,
        "rot90": 90.0,
        "mirror": 1.0,
        "grey_dark": 0.5,
        "blur": 3.0,
        "noise": 25.0,
        "caption": 0.2,
        "frame": 3.2,
        "collage": 2.0,
        "colour": 0.3,
    }
)
"""The reported strengths.

JPEG quality; width in pixels, never enlarged; share of the area; degrees, to either side; degrees, a
multiple of 90, counterclockwise; `mirror` has none; brightness as a factor; sigma in pixels; sigma in grey
levels; share of the height; area of the screenshot in pictures, 1.6 x 2 at 3.2; side of the collage in
sides of the picture; `colour` turns the hue by that share of half a circle and changes the saturation by
that share, each up or down.
"""


def _scaling(horizontal: float, vertical: float) -> Matrix:
    """Return the matrix of a resize: pixel borders, half a pixel from the centres, stay borders."""
    return np.array([[horizontal, 0, (horizontal - 1) / 2], [0, vertical, (vertical - 1) / 2]], np.float64)


def _shift(right: float, down: float) -> Matrix:
    return np.array([[1, 0, right], [0, 1, down]], np.float64)


def _write(draw: Any, rng: np.random.Generator, place: tuple[int, int], size: int, colour: str) -> None:
    text = " ".join(rng.choice(_WORDS, 12))
    draw.text(place, text, colour, ImageFont.load_default(size))
