"""Where two pictures agree and where not: cell by cell, one laid over the other, tone and blur fitted."""

from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from ris.copies.agreement import CONTRAST, SMOOTHING, STABILISER, WINDOW
from ris.copies.overlap import Overlap, blurred, statistics
from ris.copies.tone import equally_sharp, through, tone_curve
from ris.copies.transformations import Matrix, apply, jacobian, scaling

Bytes: TypeAlias = npt.NDArray[np.uint8]
Float: TypeAlias = npt.NDArray[np.float32]
Mask: TypeAlias = npt.NDArray[np.bool_]

CELLS = 40
"""Cells along the longer side of the overlap, at most."""
SMALLEST = 8
"""Side of a cell, pixels of the coarser picture."""
TEXTURED = 0.15
"""Share of a cell that must have texture for the cell to count."""
REACH = 4.0
"""Pixels by which one picture may be bent to fit the other, beyond the transformation."""
STIFFNESS = 1 / 40
"""Deviation of the blur that keeps the bending smooth, of the longer side: what is written is not bent."""
EDGE = np.ones((3, 3), np.uint8)
FITS = 0.4
"""Pixels of bending that are not worth it."""
COARSE = 4
"""Pixels of which the bending takes one mean, for it is smooth."""
LEVELS = 64
"""Ranges of grey levels that are told apart."""
ALIKE = 0.5
"""Correlation from which a pixel counts as agreeing when tones are fitted."""
ENOUGH = 200
"""Pixels that must agree for tones to be fitted."""


@dataclass(frozen=True, eq=False)
class Cells:
    """Cells (down, across) of the overlap of two pictures."""

    agreement: npt.NDArray[np.float64]
    """The mean correlation of small windows in a cell, -1 to 1."""
    texture: npt.NDArray[np.float64]
    """The mean variance of small windows in a cell, the larger of both pictures', grey levels squared."""
    counted: Mask
    """Which cells have texture in either picture, that the other one could show."""
    levels: npt.NDArray[np.int64]
    """(down, across, LEVELS) how many pixels of a cell have a grey level of each range, in one picture."""
    size: tuple[float, float]
    """Width and height of a cell in pixels of the overlap."""
    to_one: Matrix
    """(3, 3) from the overlap's pixels to those of the picture that was laid over the other."""
    to_other: Matrix


@dataclass(frozen=True, eq=False)
class _Laid:
    """Two pictures (h, w) in the pixels of the coarser one, cut to where both may be."""

    one: Bytes
    other: Bytes
    inside: Mask
    to_one: Matrix
    to_other: Matrix


def compare_cells(one: Bytes, other: Bytes, matrix: Matrix) -> Cells | None:
    """Compare two grey pictures cell by cell; None where next to nothing overlaps.

    The structure term of SSIM (see `ris.copies.agreement`), which a local change of brightness or contrast
    does not move, after one picture was bent a little to fit the other, the sharper one was blurred as the
    other is, and a monotone change of tone was fitted. What one picture lost by that change, such as what
    became black, does not count.

    Args:
        one: (h, w).
        other: (h', w').
        matrix: (3, 3) from the pixels of `one` to those of `other`, invertible.
    """
    laid = _laid(one, other, matrix)
    if laid is None:
        return None
    correlation, texture, counted = _compared(laid.one, laid.other, laid.inside)
    bent = _bent(laid)
    if bent is not None:
        # Beside what covers a part, it bends what lay right.
        correlation = np.maximum(correlation, _compared(bent[0], laid.other, bent[1])[0])
    return _gathered(correlation, texture, counted, laid)


def _compared(one: Bytes, other: Bytes, inside: Mask) -> tuple[Float, Float, Mask]:
    """Return the correlation, the texture and what counts, each (h, w), after a change of blur and tone."""
    x, y = (blurred(np.asarray(grey, np.float32), SMOOTHING) for grey in (one, other))
    first = statistics(x, y, inside, WINDOW)
    both = inside & (first.variance_one > CONTRAST) & (first.variance_other > CONTRAST)
    sharp = equally_sharp(x, y, both)
    even = first if sharp[0] is x and sharp[1] is y else statistics(*sharp, inside, WINDOW)
    correlation, counted = _explained(*sharp, even)
    return correlation, np.maximum(even.variance_one, even.variance_other), counted


def _explained(x: Float, y: Float, plain: Overlap) -> tuple[Float, Mask]:
    """Return the correlation (h, w) after a change of tone, and which pixels could show that they agree."""
    correlation = _correlation(plain)
    agreeing = plain.inside & (correlation > ALIKE) & (plain.variance_one > CONTRAST)
    textured_one, textured_other = plain.variance_one > CONTRAST, plain.variance_other > CONTRAST
    if np.count_nonzero(agreeing) < ENOUGH:
        return correlation, plain.inside & (textured_one | textured_other)
    there, back = tone_curve(x, y, agreeing), tone_curve(y, x, agreeing)
    if there is None or back is None:
        return correlation, plain.inside & (textured_one | textured_other)
    toned = statistics(through(there, x), y, plain.inside, WINDOW)
    kept = statistics(through(back, y), x, plain.inside, WINDOW)
    counted = (textured_other | (toned.variance_one > CONTRAST)) & (
        textured_one | (kept.variance_one > CONTRAST)
    )
    return np.maximum(correlation, _correlation(toned)), plain.inside & counted


def _correlation(laid: Overlap) -> Float:
    deviations = np.sqrt(laid.variance_one * laid.variance_other)
    result: Float = laid.covariance / (deviations + STABILISER)
    return result


def _laid(one: Bytes, other: Bytes, matrix: Matrix) -> _Laid | None:
    """Bring both pictures to the coarser one's pixels, cut to where they overlap."""
    right, bottom = one.shape[1] - 1, one.shape[0] - 1
    corners = apply(matrix, np.array([[0, 0], [right, 0], [right, bottom], [0, bottom]], np.float64))
    start = np.maximum(corners.min(axis=0), 0)
    end = np.minimum(corners.max(axis=0), np.array(other.shape[::-1]) - 1)
    back = np.linalg.inv(matrix)
    local = jacobian(back / back[2, 2], (start + end) / 2)
    if not np.isfinite(corners).all() or (end - start < SMALLEST).any() or local is None:
        return None
    finer = float(np.sqrt(abs(np.linalg.det(local))))
    scale = min(1.0, finer)
    size = tuple(max(SMALLEST, round(length * scale)) for length in (end - start + 1).tolist())
    shift = start + 0.5 / scale - 0.5
    to_other = np.array([[1 / scale, 0, shift[0]], [0, 1 / scale, shift[1]], [0, 0, 1]])
    to_one = back @ to_other
    over, inside_one = _brought(one, to_one, size, finer / scale)
    under, inside_other = _brought(other, to_other, size, 1 / scale)
    return _Laid(over, under, inside_one & inside_other, to_one, to_other)


def _brought(grey: Bytes, matrix: Matrix, size: tuple[int, ...], scale: float) -> tuple[Bytes, Mask]:
    """Sample a picture at (3, 3) from the wanted pixels to its own, shrunk first where it is much finer."""
    if scale > 1:
        small = tuple(max(1, round(length / scale)) for length in grey.shape[::-1])
        matrix = scaling((grey.shape[1], grey.shape[0]), small) @ matrix
        grey = np.asarray(cv2.resize(grey, small, interpolation=cv2.INTER_AREA), np.uint8)
    inside = np.ones(grey.shape, np.uint8)
    linear, nearest = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    sampled = cv2.warpPerspective(grey, matrix, size, flags=linear, borderMode=cv2.BORDER_REPLICATE)
    shown = cv2.warpPerspective(inside, matrix, size, flags=nearest)
    # A pixel at the very edge is made in part of what lies beyond it.
    whole = cv2.erode(shown, EDGE, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return np.asarray(sampled, np.uint8), np.asarray(whole, np.uint8) > 0


def _bent(laid: _Laid) -> tuple[Bytes, Mask] | None:
    """Bend one picture smoothly to fit the other, as a curved print or a lens does; None where it fits.

    By optical flow (DIS, Kroeger et al. 2016, "Fast optical flow using dense inverse search", ECCV).
    """
    height, width = laid.one.shape
    if min(height, width) < 4 * SMALLEST:
        return None
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST).calc(
        laid.other, laid.one, np.zeros((height, width, 2), np.float32)
    )
    across, down = _smooth(np.asarray(flow, np.float32), laid.inside)
    if max(np.abs(across).max(), np.abs(down).max()) < FITS:
        return None
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    place = x + across, y + down
    bent = cv2.remap(laid.one, *place, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    shown = cv2.remap(laid.inside.astype(np.uint8), *place, cv2.INTER_NEAREST)
    return np.asarray(bent, np.uint8), laid.inside & (shown > 0)


def _smooth(flow: npt.NDArray[np.float32], inside: Mask) -> tuple[Float, Float]:
    """Smooth a displacement (h, w, 2) where both pictures are, and keep it within `REACH`."""
    height, width = inside.shape
    coarse = max(1, width // COARSE), max(1, height // COARSE)
    deviation = max(6.0, STIFFNESS * max(height, width)) / COARSE

    def spread(values: npt.NDArray[np.float32]) -> Float:
        small = np.asarray(cv2.resize(values, coarse, interpolation=cv2.INTER_AREA), np.float32)
        return blurred(small, deviation)

    weight = inside.astype(np.float32)
    mass = spread(weight) + 1e-3
    across, down = (
        np.asarray(
            cv2.resize((spread(flow[..., axis] * weight) / mass).clip(-REACH, REACH), (width, height)),
            np.float32,
        )
        for axis in (0, 1)
    )
    return across, down


def _gathered(correlation: Float, texture: Float, counted: Mask, laid: _Laid) -> Cells:
    """Take the means of pixels (h, w) in cells."""
    height, width = correlation.shape
    side = max(SMALLEST, max(height, width) / CELLS)
    down, across = max(1, round(height / side)), max(1, round(width / side))
    cell = (np.arange(height) * down // height)[:, None] * across + np.arange(width) * across // width

    def total(values: npt.NDArray[np.float32] | None, where: Mask) -> npt.NDArray[np.float64]:
        weights = None if values is None else values[where]
        return np.bincount(cell[where], weights, down * across).reshape(down, across).astype(np.float64)

    level = cell * LEVELS + (laid.other.astype(np.int64) * LEVELS) // 256
    pixels = total(None, counted)
    mass = np.maximum(pixels, 1)
    return Cells(
        agreement=total(correlation, counted) / mass,
        texture=total(texture, counted) / mass,
        counted=pixels >= TEXTURED * (height / down) * (width / across),
        levels=np.bincount(level[laid.inside], None, down * across * LEVELS).reshape(down, across, LEVELS),
        size=(width / across, height / down),
        to_one=laid.to_one,
        to_other=laid.to_other,
    )
