"""What an edit is, and what edits are written with."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

Rng: TypeAlias = np.random.Generator
Images: TypeAlias = Sequence[Image.Image]
Pixels: TypeAlias = npt.NDArray[np.uint8]
Matrix: TypeAlias = npt.NDArray[np.float64]
"""From the original's pixel coordinates to the edited picture's: (2, 3) where it is affine, (3, 3) of a
homography. Whole numbers are the centres of pixels, x goes right and y down."""
Edited: TypeAlias = tuple[Image.Image, Matrix]
Apply: TypeAlias = Callable[[Image.Image, Rng, float, Images], Edited]
"""From a picture, RGB, a generator, the strength, and other pictures to what is asked for."""

_WORDS = ("here", "is", "the", "picture", "that", "was", "seen", "today", "share", "like", "more", "of", "it")


@dataclass(frozen=True)
class Edit:
    """An edit of a picture."""

    apply: Apply
    strength: float
    """The reported one; what it is of, the function says."""
    label: str
    """What it is called in tables and plots."""
    others: int = 0
    """How many other pictures it needs."""


def scaling(horizontal: float, vertical: float) -> Matrix:
    """Return the matrix of a resize: pixel borders, half a pixel from the centres, stay borders."""
    return np.array([[horizontal, 0, (horizontal - 1) / 2], [0, vertical, (vertical - 1) / 2]], np.float64)


def shift(right: float, down: float) -> Matrix:
    """Return the matrix of a shift, in pixels."""
    return np.array([[1, 0, right], [0, 1, down]], np.float64)


def borders(width: float, height: float) -> Matrix:
    """Return the corners (4, 2) of the borders: top left, top right, bottom right, bottom left."""
    return np.array([[0, 0], [width, 0], [width, height], [0, height]]) - 0.5


def homography(corners: Matrix, seen: Matrix) -> Matrix:
    """Return the (3, 3) homography that takes four points (4, 2) to four others."""
    matrix = cv2.getPerspectiveTransform(corners.astype(np.float32), seen.astype(np.float32))
    return np.asarray(matrix, np.float64)


def unmoved() -> Matrix:
    """Return the matrix of an edit that moves nothing."""
    return shift(0, 0)


def resized(image: Image.Image, width: float, height: float) -> Image.Image:
    """Resize to at least one pixel."""
    return image.resize((max(1, round(width)), max(1, round(height))), Image.Resampling.LANCZOS)


def from_array(pixels: npt.NDArray[np.floating] | Pixels) -> Image.Image:
    """Return the RGB picture of grey (h, w) or colour (h, w, 3) levels, cut to 0 to 255."""
    return Image.fromarray(np.rint(pixels).clip(0, 255).astype(np.uint8)).convert("RGB")


def sentence(rng: Rng, count: int = 12) -> str:
    """Draw a line of words."""
    return " ".join(rng.choice(_WORDS, count))


def write(draw: ImageDraw.ImageDraw, place: tuple[float, float], text: str, size: int, colour: str) -> None:
    """Write a line of text; its size is in pixels."""
    draw.text(place, text, colour, ImageFont.load_default(size))
