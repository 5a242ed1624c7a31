"""Transformations between the pixels of two pictures, as 3x3 matrices; whole numbers are pixels' centres."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Matrix: TypeAlias = npt.NDArray[np.float64]


def square(matrix: npt.NDArray[Any]) -> Matrix:
    """Return an affine transformation (2, 3), or any (3, 3), as (3, 3)."""
    whole: Matrix = np.asarray(matrix, np.float64)
    return whole if len(whole) == 3 else np.vstack([whole, [0, 0, 1]])


def jacobian(matrix: Matrix, point: npt.NDArray[np.float64]) -> Matrix | None:
    """Return the (2, 2) derivative of a (3, 3) transformation at a point; None where it goes to infinity."""
    x, y, depth = matrix @ np.append(point, 1.0)
    if depth <= 1e-9:
        return None
    derivative: Matrix = (matrix[:2, :2] - np.outer([x, y], matrix[2, :2]) / depth) / depth
    return derivative


def apply(matrix: Matrix, points: npt.NDArray[np.floating]) -> Matrix:
    """Map points (m, 2) by a (3, 3) transformation: (m, 2)."""
    mapped = np.column_stack([points, np.ones(len(points))]) @ matrix.T
    result: Matrix = mapped[:, :2] / mapped[:, 2:]
    return result


def scaling(size: tuple[int, int], to: Sequence[float]) -> Matrix:
    """Return the (3, 3) matrix between the pixels of a picture in two sizes, width and height."""
    x, y = to[0] / size[0], to[1] / size[1]
    return np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2], [0, 0, 1]])
