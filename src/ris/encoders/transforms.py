"""How a picture becomes what the network sees: resized and cut."""

from typing import Any, TypeAlias

import numpy as np
from PIL import Image

from ris.config import Network

Pixels: TypeAlias = np.ndarray[Any, np.dtype[np.uint8]]
"""A prepared picture (3, crop, crop), or several (n, 3, crop, crop)."""


def for_embedding(image: Image.Image, network: Network) -> Pixels:
    """Resize an RGB picture's shorter side and cut the central square: (3, crop, crop) uint8.

    Both in one step: only what the square shows is resampled, so a panorama costs no more than a square.
    """
    side = network.crop / network.resize * min(image.size)
    left, top = (image.width - side) / 2, (image.height - side) / 2
    filter = Image.Resampling[network.interpolation.upper()]
    square = (network.crop, network.crop)
    resized = image.resize(square, filter, box=(left, top, left + side, top + side))
    return np.ascontiguousarray(np.moveaxis(np.asarray(resized), 2, 0))
