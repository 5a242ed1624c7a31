"""Which of two copies of a picture to keep: the one with more of the real picture.

Both are laid over each other by what proves that they are one. An edit then shows: in what surrounds the
picture (a frame, a screenshot), in tones and colours that are gone, in fine detail that is not there, and in
fine detail that was added without being the picture's.

Detail is measured in octaves of the frequency, as the energy of differences of Gaussians in the pixels of the
finer of the two pictures.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

Pixels: TypeAlias = npt.NDArray[Any]
Matrix: TypeAlias = npt.NDArray[np.floating[Any]]
Map: TypeAlias = npt.NDArray[Any]
Verdict: TypeAlias = tuple[float, str] | None
"""Above 0 where the first is better, below where the second is, and why; None where it is open."""

SIDE = 640
"""Pixels of a side of what is compared, at most: of the middle in full size, and of the whole, shrunk."""
COVERED = 0.93
"""Share of a picture from which on the other shows all of it."""
STEP = 5
"""Pixels beside the edge of a picture in another at which it is compared with what surrounds it."""
JUMP, FLAT = 1.8, 0.35
"""Times the picture's own change over the same way: how far it jumps at the edge of a surrounding that is not
its own; how little that changes by itself."""
MIDDLE, NO_MIDDLE = 0.4, 0.1
"""Share of the pixels of a photograph that are neither black nor white, and of a dithered one."""
TONAL, TONES = 90.0, 0.6
"""Tones of a photograph, and the share of them below which some are gone."""
COLOURFUL, COLOURS = 4.0, 0.4
"""Least deviation that counts as coloured, and the share of it below which colours are gone."""
FINER = 1.1
"""Scale from which on one picture counts as larger."""
REAL, BLURRED = 1.5, 3.5
"""Times the fine detail: of a larger picture, from which on it was not enlarged; of one as large, from which
on the other was blurred. In between, the finer one was sharpened or the other one compressed."""
ADDED = 1.25
"""Times the fine detail from which on some was added to a picture of the same size."""
NATURAL = 0.6
"""Energy of the finest octave to that of the next, of a picture that has no more pixels than detail."""
BLOCKY = 1.25
"""Step over the edges of blocks of 8 pixels to that within them, from which on a JPEG was compressed hard."""
NOISE = 1.5
"""Grey levels of noise that the flattest parts of one have more than the other's."""
OVERLAY = 1.5
"""Times the detail, where two pictures differ, of the one that something was put over."""


@dataclass(frozen=True, eq=False)
class _Overlaid:
    """Two pictures (h, w, 3) in the same pixels, and where (h, w) both are."""

    one: Pixels
    other: Pixels
    both: npt.NDArray[np.bool_]


def better(one: Pixels, other: Pixels, matrix: Matrix) -> Verdict:
    """Say which of two pictures has more of what they show, and why, a clause.

    Args:
        one: (h, w, 3) RGB and upright.
        other: likewise.
        matrix: (2, 3) from the pixels of the one to those of the other.
    """
    whole = np.vstack([matrix, [0, 0, 1]])
    scale = float(abs(np.linalg.det(whole[:2, :2])) ** 0.5)
    close = _overlaid(one, other, whole, scale, shrunk=False)
    if close.both.sum() < STEP * STEP:
        return None
    detail = _detail(one, other, whole, close, scale)
    framed = _framed(one, other, whole)
    if framed is not None:
        much_finer = detail is not None and framed[0] * detail[0] < 0 and max(scale, 1 / scale) > REAL
        return detail if much_finer else framed
    overview = _overlaid(one, other, whole, scale, shrunk=True)
    return (
        _black_and_white(overview) or _colours(overview) or detail or _tones(overview) or _overlay(overview)
    )


def _overlaid(one: Pixels, other: Pixels, matrix: Matrix, scale: float, shrunk: bool) -> _Overlaid:
    """Bring two pictures to the pixels of the finer: the middle of what both show, or all of it, shrunk."""
    if scale < 1:
        turned = _overlaid(other, one, np.linalg.inv(matrix), 1 / scale, shrunk)
        return _Overlaid(turned.other, turned.one, turned.both)
    low, high = _bounds(one.shape, other.shape, matrix)
    factor = min(1.0, SIDE / max(1.0, float((high - low).max()))) if shrunk else 1.0
    size = np.maximum(1, np.floor(np.minimum(SIDE, (high - low) * factor))).astype(int)
    there = _frame(low, high, factor)
    here = there @ matrix
    mask = _warped(np.ones(one.shape[:2], np.uint8), here, size) & _warped(
        np.ones(other.shape[:2], np.uint8), there, size
    )
    inner = cv2.erode(np.pad(mask, 1), np.ones((9, 9), np.uint8))[1:-1, 1:-1]
    return _Overlaid(_warped(one, here, size), _warped(other, there, size), np.asarray(inner > 0))


def _bounds(one: tuple[int, ...], other: tuple[int, ...], matrix: Matrix) -> tuple[Matrix, Matrix]:
    """Return the top left and the bottom right of what two pictures share, in the other's pixels."""
    corners = _corners(one) @ matrix[:2].T
    edge = np.array([other[1] - 1, other[0] - 1], np.float64)
    low, high = np.clip(corners.min(axis=0), 0, edge), np.clip(corners.max(axis=0), 0, edge)
    return low, high


def _frame(low: Matrix, high: Matrix, factor: float) -> Matrix:
    """Return the (3, 3) matrix to the middle of a rectangle, shrunk by a factor."""
    half = np.minimum(SIDE / 2 / factor, (high - low) / 2)
    x, y = np.floor((low + high) / 2 - half)
    return np.array([[factor, 0, -factor * x], [0, factor, -factor * y], [0, 0, 1.0]])


def _corners(shape: tuple[int, ...]) -> Matrix:
    right, bottom = shape[1] - 1, shape[0] - 1
    return np.array([[0, 0, 1], [right, 0, 1], [right, bottom, 1], [0, bottom, 1]], np.float64)


def _warped(image: Pixels, matrix: Matrix, size: npt.NDArray[np.int_]) -> Pixels:
    smooth = cv2.INTER_NEAREST if image.ndim == 2 else cv2.INTER_CUBIC
    shrinks = abs(np.linalg.det(matrix[:2, :2])) < 0.5
    found = cv2.warpAffine(
        image, matrix[:2], (int(size[0]), int(size[1])), flags=cv2.INTER_AREA if shrinks else smooth
    )
    return np.asarray(found, np.uint8)


# What surrounds a picture


def _framed(one: Pixels, other: Pixels, matrix: Matrix) -> Verdict:
    """Where one shows all of the other and more: whether that is the picture's own, or was put around it."""
    of_other = _covered(one.shape, other.shape, matrix)
    of_one = _covered(other.shape, one.shape, np.linalg.inv(matrix))
    if of_one >= COVERED > of_other:
        sign, inner, outer, there = 1.0, one, other, matrix
    elif of_other >= COVERED > of_one:
        sign, inner, outer, there = -1.0, other, one, np.linalg.inv(matrix)
    else:
        return None
    if _put_around(_corners(inner.shape) @ there[:2].T, outer):
        return sign, "it has nothing put around it"
    return -sign, "it shows more of the picture"


def _covered(one: tuple[int, ...], other: tuple[int, ...], matrix: Matrix) -> float:
    """Return the share of the other that the one covers."""
    corners = (_corners(one) @ matrix[:2].T).astype(np.float32)
    area, _ = cv2.intersectConvexConvex(corners, _corners(other)[:, :2].astype(np.float32))
    return float(area) / max(1, (other[0] - 1) * (other[1] - 1))


def _put_around(corners: Matrix, outer: Pixels) -> bool:
    """Tell whether a picture jumps at its edge in another, or is surrounded by what has no detail."""
    grey = cv2.cvtColor(outer, cv2.COLOR_RGB2GRAY).astype(np.float32)
    centre = corners.mean(axis=0)
    across, inside, outside = [], [], []
    for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        points = start + np.linspace(0.05, 0.95, 200)[:, None] * (end - start)
        normal = np.array([end[1] - start[1], start[0] - end[0]]) / max(1e-9, np.linalg.norm(end - start))
        normal *= np.sign(normal @ (start - centre)) or 1.0
        values = [_sampled(grey, points + step * STEP * normal) for step in (-3, -1, 1, 3)]
        known = ~np.isnan(values).any(axis=0)
        if known.sum() < len(points) / 4:
            continue
        deep, near, beyond, far = (value[known] for value in values)
        across.append(np.abs(beyond - near).mean())
        inside.append(np.abs(near - deep).mean())
        outside.append(np.abs(far - beyond).mean())
    if not across:
        return False
    own = max(float(np.mean(inside)), 1.0)
    return bool(np.mean(across) > JUMP * own or np.mean(outside) < FLAT * own)


def _sampled(grey: Map, points: Matrix) -> Map:
    """Return the values (n,) at points (n, 2); NaN outside."""
    places = np.rint(points).astype(int)
    known = (places >= 0).all(axis=1) & (places < grey.shape[::-1]).all(axis=1)
    values = np.full(len(points), np.nan, np.float32)
    values[known] = grey[places[known, 1], places[known, 0]]
    return values


# Tones and colours


def _black_and_white(pair: _Overlaid) -> Verdict:
    """Whether one is dithered, or has no tones but black and white."""
    one, other = (_middle(levels) for levels in _levels(pair))
    if max(one, other) < MIDDLE or min(one, other) > NO_MIDDLE:
        return None
    return one - other, "it has tones between black and white"


def _colours(pair: _Overlaid) -> Verdict:
    """Whether one is grey or of one tint."""
    smooth = (cv2.GaussianBlur(image, (0, 0), 3) for image in (pair.one, pair.other))
    one, other = (_colourful(cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb)[pair.both]) for image in smooth)
    if max(one, other) < COLOURFUL or min(one, other) > COLOURS * max(one, other):
        return None
    return one - other, "it has more colours"


def _tones(pair: _Overlaid) -> Verdict:
    """Whether one has lost tones."""
    one, other = (_count(levels) for levels in _levels(pair))
    if max(one, other) < TONAL or min(one, other) > TONES * max(one, other):
        return None
    return one - other, "it has more tones"


def _levels(pair: _Overlaid) -> list[Pixels]:
    return [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[pair.both] for image in (pair.one, pair.other)]


def _middle(levels: Pixels) -> float:
    """Return the share of levels (n,) that are neither near the darkest nor near the lightest."""
    dark, light = np.percentile(levels, (1, 99))
    margin = 0.15 * (light - dark)
    return float(((levels > dark + margin) & (levels < light - margin)).mean())


def _colourful(ycc: Pixels) -> float:
    """Return the deviation of the colours (n, 3) of equal brightness: 0 of one tint."""
    counts = np.maximum(1, np.bincount(ycc[:, 0], minlength=256))
    variance = 0.0
    for channel in ycc[:, 1:].astype(np.float64).T:
        mean = np.bincount(ycc[:, 0], channel, minlength=256) / counts
        variance += float(((channel - mean[ycc[:, 0]]) ** 2).mean())
    return float(variance**0.5)


def _count(levels: Pixels) -> float:
    """Return how many levels a picture has in effect: the exponential of their entropy."""
    shares = np.bincount(levels, minlength=256) / len(levels)
    shares = shares[shares > 0]
    return float(np.exp(-(shares * np.log(shares)).sum()))


# Detail


def _detail(one: Pixels, other: Pixels, matrix: Matrix, pair: _Overlaid, scale: float) -> Verdict:
    """Which has more detail that is the picture's own."""
    alike = max(scale, 1 / scale) < FINER
    if alike:
        # As they are: laying one over the other would blur it.
        fine, coarse = _octaves_there(one, other, matrix, pair.both.shape)
    else:
        fine, coarse = _octaves(pair.one), _octaves(pair.other)
    (here, base), (there, other_base) = (
        (float(octaves[0][pair.both].mean()) + 0.1, float(octaves[2][pair.both].mean()) + 0.1)
        for octaves in (fine, coarse)
    )
    gain = here / there * other_base / base
    sign, more = (1.0, gain) if gain >= 1 else (-1.0, 1 / gain)
    follows = _follows(fine, coarse, pair.both, sign)
    if not alike:
        larger = 1.0 if scale < 1 else -1.0
        repeated = _repeated(one if scale < 1 else other)
        if sign == larger and more > REAL and follows and not repeated:
            return larger, "it has more pixels of the picture"
        # A smaller one that is smooth itself says nothing of what it was made from.
        fine_grained = _fall(other if scale < 1 else one) > NATURAL
        return (-larger, "the other was enlarged") if fine_grained else None
    noise = _noise(fine, pair.both) - _noise(coarse, pair.both)
    if abs(noise) > NOISE and noise * sign > 0 and not follows:
        return -noise, "it has less noise"
    if more > BLURRED and follows:
        return sign, "it has more detail"
    if more > ADDED:
        compressed = _blockiness(other if sign > 0 else one) > BLOCKY
        return (sign, "it is less compressed") if compressed else (-sign, "the other was sharpened")
    return None


def _fall(image: Pixels) -> float:
    """Return how much energy the finest octave of a picture's middle has, as a share of the next one's."""
    top, left = (max(0, (length - SIDE) // 2) for length in image.shape[:2])
    fine, coarse, *_ = _octaves(image[top : top + SIDE, left : left + SIDE])
    return float(fine.mean() / (coarse.mean() + 1e-3))


def _octaves(image: Pixels) -> list[Map]:
    """Return the squares (h, w) of what differs between ever coarser versions, the finest octave first."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    steps = [grey, *(cv2.GaussianBlur(grey, (0, 0), 0.8 * 2**octave) for octave in range(3))]
    return [np.square(finer - coarser) for finer, coarser in pairwise(steps)]


def _octaves_there(
    one: Pixels, other: Pixels, matrix: Matrix, shape: tuple[int, ...]
) -> tuple[list[Map], list[Map]]:
    """Return the octaves of two pictures of one scale, each from its own pixels, in those that they share."""
    if abs(np.linalg.det(matrix[:2, :2])) < 1:
        second, first = _octaves_there(other, one, np.linalg.inv(matrix), shape)
        return first, second
    frame = _frame(*_bounds(one.shape, other.shape, matrix), 1.0)
    return _octaves_in(one, frame @ matrix, shape), _octaves_in(other, frame, shape)


def _octaves_in(image: Pixels, frame: Matrix, shape: tuple[int, ...]) -> list[Map]:
    """Return the octaves of a part of a picture, by the matrix to the pixels (h, w) of that part."""
    corners = _corners(shape) @ np.linalg.inv(frame)[:2].T
    left, top = np.floor(corners.min(axis=0) - 2 * STEP).clip(0).astype(int)
    right, bottom = np.ceil(corners.max(axis=0) + 2 * STEP).astype(int)
    there = frame @ np.array([[1, 0, left], [0, 1, top], [0, 0, 1.0]])
    size = (shape[1], shape[0])
    octaves = _octaves(image[top:bottom, left:right])
    return [
        np.asarray(cv2.warpAffine(octave, there[:2], size, flags=cv2.INTER_NEAREST), np.float32)
        for octave in octaves
    ]


def _follows(fine: list[Map], coarse: list[Map], both: npt.NDArray[np.bool_], sign: float) -> bool:
    """Tell whether what one has of detail beyond the other lies where the picture has detail."""
    ample, poor = (fine, coarse) if sign > 0 else (coarse, fine)
    excess = np.sqrt(_near(ample[0])[both]) - np.sqrt(_near(poor[0])[both])
    own = np.sqrt(_near(poor[2])[both])
    if excess.std() < 1e-3 or own.std() < 1e-3:
        return False
    return bool(np.corrcoef(excess, own)[0, 1] > 0.15)


def _near(energy: Map) -> Map:
    return np.asarray(cv2.GaussianBlur(energy, (0, 0), 6), np.float32).clip(0)


def _noise(octaves: list[Map], both: npt.NDArray[np.bool_]) -> float:
    """Return the deviation of the finest detail in the flattest tenth of a picture, grey levels."""
    return float(np.sqrt(np.percentile(_near(octaves[0])[both], 10)))


def _middle_part(image: Pixels) -> Map:
    """Return the middle of a picture in grey, from a place on at which blocks of 2, 3, 4 and 8 begin."""
    top, left = (max(0, (length - SIDE) // 2) // 24 * 24 for length in image.shape[:2])
    part = np.ascontiguousarray(image[top : top + SIDE, left : left + SIDE])
    return np.asarray(cv2.cvtColor(part, cv2.COLOR_RGB2GRAY), np.float32)


def _repeated(image: Pixels) -> bool:
    """Tell whether a picture was enlarged by repeating its pixels."""
    grey = _middle_part(image)
    steps = np.abs(np.diff(grey, axis=1)).mean(axis=0)
    for times in (2, 3, 4):
        by_place = [float(steps[place::times].mean()) for place in range(times)]
        if max(by_place) > 3 * (float(np.median(sorted(by_place)[:-1])) + 0.1):
            return True
    return False


def _blockiness(image: Pixels) -> float:
    """Return how much larger steps are over the edges of JPEG's blocks than elsewhere."""
    grey = _middle_part(image)
    ratios = []
    for steps in (np.abs(np.diff(grey, axis=1)).mean(axis=0), np.abs(np.diff(grey, axis=0)).mean(axis=1)):
        if len(steps) < 16:
            return 1.0
        by_place = [float(steps[place::8].mean()) for place in range(8)]
        ratios.append(max(by_place) / (float(np.median(by_place)) + 0.1))
    return float(np.mean(ratios))


# What was put over a picture


def _overlay(pair: _Overlaid) -> Verdict:
    """Whether something was put over one of two pictures: where they differ, it has the more detail."""
    here, there = (
        cv2.GaussianBlur(cv2.cvtColor(one, cv2.COLOR_RGB2GRAY).astype(np.float32), (0, 0), 2)
        for one in (pair.one, pair.other)
    )
    difference = np.abs(here - _as_bright(there, here, pair.both))
    apart = pair.both & (difference > 4 * np.median(difference[pair.both]) + 4)
    apart = cv2.dilate(apart.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    if not STEP * STEP < apart.sum() < pair.both.sum() / 2:
        return None
    shares = []
    for one in (pair.one, pair.other):
        energy = np.sum(_octaves(one), axis=0)
        shares.append(float(energy[apart].mean()) / (float(energy[pair.both & ~apart].mean()) + 1))
    if max(shares) < OVERLAY * min(shares):
        return None
    return shares[1] - shares[0], "nothing was put over it"


def _as_bright(grey: Map, other: Map, both: npt.NDArray[np.bool_]) -> Map:
    """Give each level of a picture (h, w) the mean of those that the other has there."""
    levels = np.rint(grey / 4).astype(int).clip(0, 63)
    counts = np.bincount(levels[both], minlength=64)
    means = np.bincount(levels[both], other[both], minlength=64) / np.maximum(1, counts)
    return np.asarray(means[levels], np.float32)
