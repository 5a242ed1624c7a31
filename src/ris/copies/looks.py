"""Further looks at a picture that was not found as it is: soft, and stretched.

SIFT's points are those of what is finest. In a halftone print or a mosaic these are the dots, which a soft
look loses; and it knows a circle from an ellipse, so what was squashed is looked at stretched again.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from ris.copies.local_features import LocalFeatures, describe

POINTS = 1000
"""Of a look, at most."""
SOFT = 72
"""Longer side of a soft look, pixels."""
STRETCH = 2.0
"""Times either side."""


@dataclass(frozen=True, eq=False)
class Look:
    """A picture's features by one look at it, in the pixels of the picture."""

    features: LocalFeatures
    soft: bool
    """Whether what is fine in it is gone, and proves nothing."""


def further_looks(features: LocalFeatures, side: int) -> Iterator[Look]:
    """Yield looks at a picture, given its features with its grey pixels as large as they were described.

    Args:
        features: of the picture.
        side: see `ris.copies.local_features.describe`.
    """
    height, width = features.grey.shape
    longer = max(width, height)
    if longer > 2 * SOFT:
        small = max(1, round(width * SOFT / longer)), max(1, round(height * SOFT / longer))
        yield Look(_looked(features, small, side), soft=True)
    for size in ((round(STRETCH * width), height), (width, round(STRETCH * height))):
        yield Look(replace(_looked(features, size, side), grey=features.grey), soft=False)


def _looked(features: LocalFeatures, size: tuple[int, int], side: int) -> LocalFeatures:
    resized = Image.fromarray(features.grey).resize(size, Image.Resampling.BICUBIC)
    look = describe(resized, POINTS, side)
    points = (look.points + 0.5) * np.divide(features.size, size) - 0.5
    return replace(look, points=points.astype(np.float32), size=features.size)
