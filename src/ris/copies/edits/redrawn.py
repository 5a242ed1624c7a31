"""Edits that draw a picture by other means: its negative, a halftone print, two tones, a pencil sketch."""

from collections.abc import Mapping
from types import MappingProxyType

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from ris.copies.edits.edit import Edit, Edited, Images, Rng, from_array, unmoved


def negative(image: Image.Image, _rng: Rng, _strength: float, _: Images) -> Edited:
    """Swap light and dark; it has no strength."""
    return from_array(255 - np.asarray(image)), unmoved()


def halftone(image: Image.Image, _rng: Rng, cell: float, _: Images) -> Edited:
    """Print it in black dots on white, a dot every so many pixels along lines of 45 degrees."""
    y, x = np.mgrid[: image.height, : image.width] * (2 * np.pi / cell)
    screen = 0.5 + 0.25 * (np.cos((x + y) / 2**0.5) + np.cos((x - y) / 2**0.5))
    return from_array(255.0 * (_grey(image) / 255 > 1 - screen)), unmoved()


def black_and_white(image: Image.Image, _rng: Rng, share: float, _: Images) -> Edited:
    """Make each pixel black or white by what is around it, within a share of the longer side."""
    around = max(3, round(max(image.size) * share) | 1)
    mean = cv2.boxFilter(_grey(image), -1, (around, around), borderType=cv2.BORDER_REPLICATE)
    return from_array(255.0 * (_grey(image) > mean - 5)), unmoved()


def two_tone(image: Image.Image, rng: Rng, quantile: float, _: Images) -> Edited:
    """Give two colours, a dark and a light one, to what is below and above a quantile of its levels."""
    grey = _grey(image)
    dark, light = rng.uniform(0, 90, 3), rng.uniform(170, 255, 3)
    return from_array(np.where((grey > np.quantile(grey, quantile))[..., None], light, dark)), unmoved()


def pencil(image: Image.Image, _rng: Rng, sigma: float, _: Images) -> Edited:
    """Divide it by itself blurred by a sigma in pixels, so that edges are left as in a sketch."""
    grey = _grey(image)
    blurred = cv2.GaussianBlur(grey, (0, 0), sigma)
    return from_array(255 * np.minimum(grey / np.maximum(blurred, 1), 1) ** 2), unmoved()


def painted(image: Image.Image, _rng: Rng, size: float, _: Images) -> Edited:
    """Smooth it to patches of one colour, so many pixels wide, as in a poster."""
    aperture = round(size) | 1
    smooth = cv2.medianBlur(cv2.medianBlur(np.asarray(image), aperture), aperture)
    return from_array(np.round(smooth / 51.0) * 51), unmoved()


def _grey(image: Image.Image) -> npt.NDArray[np.float32]:
    return np.asarray(image.convert("L"), np.float32)


EDITS: Mapping[str, Edit] = MappingProxyType(
    {
        "negative": Edit(negative, 1, "as a negative"),
        "halftone": Edit(halftone, 5, "halftone print"),
        "black_and_white": Edit(black_and_white, 0.05, "black and white"),
        "two_tone": Edit(two_tone, 0.5, "in two tones"),
        "pencil": Edit(pencil, 8, "pencil sketch"),
        "painted": Edit(painted, 5, "as a poster"),
    }
)
