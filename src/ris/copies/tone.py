"""The change of tone and of sharpness between two pictures that lie over each other."""

from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
from sklearn.isotonic import isotonic_regression

from ris.copies.overlap import blurred

Grey: TypeAlias = npt.NDArray[np.float32]
Mask: TypeAlias = npt.NDArray[np.bool_]

BINS = 32
"""Ranges of grey levels for each of which the other picture's level is taken."""
LEAST = 20
"""Pixels without which a range says nothing."""
BLURS = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
"""Standard deviations that are tried, pixels."""
SHARPER = 1.3
"""Times as much fine detail from which one picture counts as sharper."""
WINDOW = 9, 9
SAMPLE = 20_000
"""Pixels at which sharpness is measured, about."""
FINE = 1.5
"""Standard deviation, pixels, of the blur that fine detail does not survive."""


def tone_curve(one: Grey, other: Grey, where: Mask) -> Grey | None:
    """Fit the monotone curve from one picture's grey levels to the other's: (256,); None of too few pixels.

    Medians in ranges of grey levels, made monotone by isotonic regression: whatever is a minority in its
    range, such as a caption, does not move it.
    """
    level, value = (grey[where].clip(0, 255).astype(np.int64) for grey in (one, other))
    table = np.bincount((level * BINS // 256) * 256 + value, minlength=BINS * 256).reshape(BINS, 256)
    counts = table.sum(axis=1)
    known = np.flatnonzero(counts >= LEAST)
    if len(known) < 2:
        return None
    medians = (table[known].cumsum(axis=1) * 2 >= counts[known, None]).argmax(axis=1)
    smooth = isotonic_regression(medians.astype(np.float64), sample_weight=counts[known])
    curve: Grey = np.interp(np.arange(256), (known + 0.5) * 256 / BINS, smooth).astype(np.float32)
    return curve


def through(curve: Grey, picture: Grey) -> Grey:
    """Send grey levels, rounded, through a curve (256,)."""
    return np.asarray(cv2.LUT(picture.clip(0, 255).astype(np.uint8), curve), np.float32)


def equally_sharp(one: Grey, other: Grey, where: Mask) -> tuple[Grey, Grey]:
    """Blur the sharper of two pictures until it has no more fine detail than the other.

    Fine detail is the energy that a blur takes away, as a share of the local variance, at the median of some
    pixels: it knows of both pictures' contents nothing but how sharp they are.
    """
    if np.count_nonzero(where) < LEAST:
        return one, other
    of_one, of_other = _detail(one, where), _detail(other, where)
    if of_one > SHARPER * of_other:
        return _blurred_to(one, of_other, where), other
    if of_other > SHARPER * of_one:
        return one, _blurred_to(other, of_one, where)
    return one, other


def _detail(picture: Grey, where: Mask) -> float:
    fine = picture - blurred(picture, FINE)
    mean = cv2.blur(picture, WINDOW)
    variance = cv2.blur(picture * picture, WINDOW) - mean * mean
    shares = (fine * fine)[where] / np.maximum(variance[where], 1)
    return float(np.median(shares[:: 1 + len(shares) // SAMPLE]))


def _blurred_to(picture: Grey, detail: float, where: Mask) -> Grey:
    """Blur a picture as far as it keeps at least so much detail."""
    kept = picture
    for deviation in BLURS:
        softer = blurred(picture, deviation)
        if _detail(softer, where) < detail:
            break
        kept = softer
    return kept
