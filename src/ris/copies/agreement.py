"""What points and pixels prove of two pictures: how far they agree where one is laid over the other."""

import math
from typing import Any, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from ris.copies.overlap import lay_over
from ris.copies.transformations import Matrix, jacobian, square

Bytes: TypeAlias = npt.NDArray[np.uint8]

WINDOW = 9
"""Side of the window of local statistics, pixels of the coarser picture."""
CONTRAST = 50.0
"""Local variance of the coarser picture from which a pixel counts as textured (grey levels squared)."""
STABILISER = 1.0
"""Keeps the correlation of almost flat windows defined (C3 of Wang et al. 2004)."""
SMOOTHING = 0.8
"""Standard deviation of the blur that takes noise and encoding away, pixels of the coarser picture."""
LEAST = 10
"""Textured pixels without which nothing is said."""
DOUBT = 0.02
"""Disagreement of the pixels that two copies may show, below which nothing more is proven."""
WEIGHT = 1.5
"""Of the pixels against the points, in the evidence."""


def evidence(inliers: int, agreement: float) -> float:
    """Weigh the points and the pixels of a proof: the logarithm of inliers / (1.02 - agreement)^1.5.

    Two photographs of one object share many points and few pixels; a small crop shares few points, but its
    pixels. The form was chosen on edited pictures of Caltech 101; a threshold on it is calibrated, see
    `ris.copies.calibration`.
    """
    return math.log(inliers) - WEIGHT * math.log(1 + DOUBT - max(agreement, 0.0))


def distinct_inliers(here: npt.NDArray[Any], there: npt.NDArray[Any]) -> int:
    """Count matches (m, 2), (m, 2) that agree, each pixel of either picture once.

    One point with several directions has several descriptors, which prove no more than one.
    """
    return min(len(np.unique(places.round(), axis=0)) for places in (here, there))


def agreement(one: Bytes, other: Bytes, matrix: Matrix) -> float:
    """Compare the pixels of two grey pictures where they overlap.

    The mean, over the textured pixels of the overlap, of the structure term of SSIM (Wang et al., "Image
    quality assessment", IEEE TIP 2004): the correlation of small windows, which neither brightness nor
    contrast moves. The finer picture is brought to the coarser one's pixels first.

    Args:
        one: (h, w) uint8.
        other: (h', w') uint8.
        matrix: (2, 3) or (3, 3) float64, the transformation from `one`'s pixels to `other`'s, invertible.

    Returns:
        A number from -1 to 1: 1 for copies, lower for strangers; 0 where too little texture overlaps.
    """
    whole = square(matrix)
    scale = _scale(whole, one.shape)
    if scale > 1:
        one, other, whole = other, one, square(np.linalg.inv(whole))
        scale = _scale(whole, one.shape)
    small, to_small = _shrunk(one, scale)
    laid = lay_over(small, other, whole @ np.linalg.inv(to_small), window=WINDOW, smoothing=SMOOTHING)
    textured = laid.inside & (laid.variance_other > CONTRAST)
    if np.count_nonzero(textured) < LEAST:
        return 0.0
    deviations = np.sqrt(laid.variance_one * laid.variance_other)
    return float(((laid.covariance + STABILISER) / (deviations + STABILISER))[textured].mean())


def _scale(matrix: Matrix, shape: tuple[int, ...]) -> float:
    """Return the scale of a transformation in the middle of the picture that it starts from."""
    local = jacobian(matrix, np.array([shape[1] - 1, shape[0] - 1]) / 2)
    return 1.0 if local is None else float(np.sqrt(abs(np.linalg.det(local))))


def _shrunk(grey: Bytes, scale: float) -> tuple[Bytes, Matrix]:
    """Shrink a picture to about `scale`: it, and the (3, 3) matrix from its own pixels to the small ones."""
    size = max(1, round(grey.shape[1] * scale)), max(1, round(grey.shape[0] * scale))
    x, y = size[0] / grey.shape[1], size[1] / grey.shape[0]
    matrix = np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2], [0, 0, 1]])
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.uint8), matrix
