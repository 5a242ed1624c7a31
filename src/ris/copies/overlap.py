"""Two grey pictures laid over each other: how small windows of their pixels vary, and vary together."""

from dataclasses import dataclass
from typing import Any, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from ris.copies.transformations import square

Float: TypeAlias = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Overlap:
    """Local statistics at every pixel (h, w) of the picture that the other was laid over."""

    inside: npt.NDArray[np.bool_]
    """Which pixels both pictures cover."""
    variance_one: Float
    """Of the window around a pixel, as far as both cover it, in the picture that was laid over the other."""
    variance_other: Float
    covariance: Float


def lay_over(
    one: npt.NDArray[np.uint8],
    other: npt.NDArray[np.uint8],
    matrix: npt.NDArray[Any],
    *,
    window: int,
    smoothing: float,
) -> Overlap:
    """Bring one picture to another's pixels, and take the statistics of windows where both are.

    Args:
        one: (h', w') uint8.
        other: (h, w) uint8.
        matrix: (2, 3) or (3, 3) float64, the transformation from `one`'s pixels to `other`'s.
        window: side of the windows, pixels of `other`.
        smoothing: standard deviation of the blur before, pixels of `other`.
    """
    size = other.shape[1], other.shape[0]
    whole = square(matrix)
    inside = cv2.warpPerspective(np.ones(one.shape, np.float32), whole, size) > 0.99
    x = blurred(np.asarray(cv2.warpPerspective(one.astype(np.float32), whole, size), np.float32), smoothing)
    y = blurred(other.astype(np.float32), smoothing)
    return statistics(x, y, inside, window)


def blurred(picture: Float, deviation: float) -> Float:
    """Blur a picture (h, w) by a Gaussian of a standard deviation in pixels."""
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), deviation), np.float32)


def statistics(x: Float, y: Float, inside: npt.NDArray[np.bool_], window: int) -> Overlap:
    """Take the statistics of windows of two pictures (h, w), as far as they lie inside of both."""
    weight = inside.astype(np.float32)

    def window_sum(values: Any) -> Any:
        box = (window, window)
        return cv2.boxFilter(values, -1, box, normalize=False, borderType=cv2.BORDER_CONSTANT)

    mass = np.maximum(window_sum(weight), 1)
    mean_x, mean_y = window_sum(x * weight) / mass, window_sum(y * weight) / mass
    return Overlap(
        inside,
        np.maximum(window_sum(x * x * weight) / mass - mean_x**2, 0),
        np.maximum(window_sum(y * y * weight) / mass - mean_y**2, 0),
        window_sum(x * y * weight) / mass - mean_x * mean_y,
    )
