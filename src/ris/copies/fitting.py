"""From matched points to a transformation: affine or, where that does not explain enough, projective.

Both are fitted by OpenCV's USAC (Raguram et al. 2013, "USAC: A universal framework for random sample
consensus", TPAMI; MAGSAC++ for the projective one, Barath et al. 2020, CVPR), seeded.
"""

from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from ris.copies.agreement import distinct_inliers
from ris.copies.transformations import Matrix, jacobian

Points: TypeAlias = npt.NDArray[np.float32]

TOLERANCE = 3.0
"""Distance at which a match agrees with the transformation, pixels."""
ITERATIONS = 2000
MIN_INLIERS = 5
"""Two more than define an affine transformation."""
MIN_PROJECTIVE = 10
"""Twice as many: a projective transformation has two points' freedom more, and bends to what is by chance."""
GAIN = 1.15
"""Times as many matches as with the affine one must agree with a projective transformation."""
MAX_SCALE = 12.0
"""Between two pictures, either way."""
MAX_STRETCH = 3.2
"""Of the longer to the shorter axis of what a circle becomes."""
MAX_PERSPECTIVE = 4.0
"""Of the largest to the smallest scale among the corners of the points that agree."""


@dataclass(frozen=True, eq=False)
class Fitted:
    """A transformation, and how many matches agree with it."""

    inliers: int
    """Each place in either picture counted once."""
    matrix: Matrix
    """(3, 3) from one picture's pixels to the other's."""
    there: Matrix
    """(m, 2) the matches that agree, in the other picture."""


def fit(here: Points, there: Points) -> Fitted | None:
    """Fit a transformation to matched points (m, 2) and (m, 2); None where none is plausible."""
    affine = _affine(here, there)
    if len(here) < MIN_PROJECTIVE:
        return affine
    least = max(MIN_PROJECTIVE, GAIN * affine.inliers if affine else 0)
    if least > len(here):
        return affine
    projective = _projective(here, there)
    return projective if projective is not None and projective.inliers >= least else affine


def _affine(here: Points, there: Points) -> Fitted | None:
    if len(here) < MIN_INLIERS:
        return None
    found, agreeing = cv2.estimateAffine2D(here, there, _settings())
    if found is None:
        return None
    matrix = np.vstack([np.asarray(found, np.float64), [0, 0, 1]])
    return _counted(here, there, matrix, agreeing.ravel().astype(bool), MIN_INLIERS)


def _projective(here: Points, there: Points) -> Fitted | None:
    settings = _settings()
    settings.score = cv2.SCORE_METHOD_MAGSAC
    found, agreeing = cv2.findHomography(here, there, settings)
    if found is None:
        return None
    return _counted(here, there, np.asarray(found), agreeing.ravel().astype(bool), MIN_PROJECTIVE)


def _settings() -> cv2.UsacParams:
    settings = cv2.UsacParams()
    settings.threshold = TOLERANCE
    settings.maxIterations = ITERATIONS
    settings.randomGeneratorState = 0
    return settings


def _counted(
    here: Points, there: Points, matrix: Matrix, agreeing: npt.NDArray[np.bool_], least: int
) -> Fitted | None:
    if np.count_nonzero(agreeing) < least or not plausible(matrix, here[agreeing]):
        return None
    inliers = distinct_inliers(here[agreeing], there[agreeing])
    return Fitted(inliers, matrix, there[agreeing].astype(np.float64)) if inliers >= least else None


def plausible(matrix: Matrix, points: Points) -> bool:
    """Tell whether a (3, 3) transformation neither mirrors, nor bends, stretches or scales beyond reason.

    It is judged at the corners of the box around the points (m, 2) that agree with it.
    """
    if not np.isfinite(matrix).all():
        return False
    (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
    scales = []
    for corner in ((left, top), (right, top), (right, bottom), (left, bottom)):
        local = jacobian(matrix, np.array(corner, np.float64))
        if local is None or np.linalg.det(local) <= 0:
            return False
        longer, shorter = np.linalg.svd(local, compute_uv=False)
        if longer > MAX_STRETCH * shorter:
            return False
        scales.append((longer * shorter) ** 0.5)
    within = min(scales) >= 1 / MAX_SCALE and max(scales) <= MAX_SCALE
    return bool(within and max(scales) <= MAX_PERSPECTIVE * min(scales))
