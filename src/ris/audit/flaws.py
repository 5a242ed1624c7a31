"""Pictures that show nothing: black, blank or blurred, measured on the picture in grey."""

from typing import Literal, NamedTuple, TypeAlias, get_args

import cv2
import numpy as np
import numpy.typing as npt

Grey: TypeAlias = npt.NDArray[np.uint8]
Kind: TypeAlias = Literal["black", "blank", "blurred"]
KINDS: tuple[Kind, ...] = get_args(Kind)

BLACK = 32
"""Grey level, of 255, that 99 % of a black picture's pixels do not exceed."""
BLANK = 4.0
"""Standard deviation of the grey levels that a blank picture's does not exceed."""
BLURRED = 0.6
"""Blur effect that a blurred picture's exceeds."""
WIDTH = 9
"""Pixels over which the blur effect blurs once more, as in its paper."""


class Flaw(NamedTuple):
    """What is wrong with a picture."""

    kind: Kind
    value: float
    """Of the measure that says so."""


def flaw(grey: Grey) -> Flaw | None:
    """Say whether a picture (h, w) is black, else blank, else blurred; None where it is neither."""
    light = brightness(grey)
    if light <= BLACK:
        return Flaw("black", light)
    spread = float(grey.std())
    if spread <= BLANK:
        return Flaw("blank", spread)
    blur = blur_effect(grey)
    return Flaw("blurred", blur) if blur > BLURRED else None


def brightness(grey: Grey) -> float:
    """Return the grey level of a picture (h, w) that 99 % of its pixels do not exceed, 0 to 255."""
    return float(np.percentile(grey, 99, method="inverted_cdf"))


def blur_effect(grey: Grey) -> float:
    """Return how blurred a picture (h, w) is, from 0 to 1.

    Blurred once more, a sharp picture loses much of the differences between neighbouring pixels, and a
    blurred one little: 1 less the share that is lost, of the direction in which that is more. A picture
    without differences has 1. Crété-Roffet, Dolmiere, Ladret and Nicolas 2007, "The blur effect: perception
    and estimation with a new no-reference perceptual blur metric", SPIE 6492.
    """
    return max(_blur_along(grey.astype(np.float32)), _blur_along(grey.T.astype(np.float32)))


def _blur_along(levels: npt.NDArray[np.float32]) -> float:
    """Return the blur effect along the rows."""
    again = cv2.blur(levels, (WIDTH, 1), borderType=cv2.BORDER_REPLICATE)
    before, after = np.abs(np.diff(levels, axis=1)), np.abs(np.diff(again, axis=1))
    total = float(before.sum(dtype=np.float64))
    lost = float(np.maximum(before - after, 0).sum(dtype=np.float64))
    return 1.0 if total == 0 else 1 - lost / total
