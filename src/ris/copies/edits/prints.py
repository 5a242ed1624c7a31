"""Photographs of prints: a picture on paper, lying on something else, seen by a camera."""

from io import BytesIO

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from ris.copies.edits.edit import Edited, Images, Matrix, Rng, borders, from_array, homography

SIDE = 640
"""Longer side of the photograph, pixels."""
PAPER = 0.04
"""Margin of paper around the picture, in its longer sides."""
Levels = npt.NDArray[np.float32]


def photographed(image: Image.Image, rng: Rng, tilt: float, others: Images) -> Edited:
    """Print it, lay it on another picture, out of focus, and photograph it.

    Args:
        image: RGB.
        rng: whence the view, the light and the noise are drawn.
        tilt: how far a corner of the print may be off a rectangle's, in its sides.
        others: the first is what it lies on.
    """
    return _photographed(image, rng, tilt, others, curve=0.0)


def photographed_curved(image: Image.Image, rng: Rng, tilt: float, others: Images) -> Edited:
    """As `photographed`, the paper curved as a page of a book; the matrix is that of flat paper."""
    return _photographed(image, rng, tilt, others, curve=float(rng.uniform(0.03, 0.06)))


def _photographed(image: Image.Image, rng: Rng, tilt: float, others: Images, curve: float) -> Edited:
    landscape = image.width >= image.height
    size = (SIDE, SIDE * 3 // 4) if landscape else (SIDE * 3 // 4, SIDE)
    margin = max(1, round(PAPER * max(image.size)))
    matrix = homography(borders(*image.size), _corners(rng, image.size, size, tilt))
    paper = np.full((image.height + 2 * margin, image.width + 2 * margin, 3), 243, np.float32)
    paper[margin:-margin, margin:-margin] = _printed(image, rng)
    on_paper = matrix @ np.array([[1, 0, -margin], [0, 1, -margin], [0, 0, 1]])
    seen = cv2.warpPerspective(_curved(paper, curve), on_paper, size, flags=cv2.INTER_AREA)
    mask = cv2.warpPerspective(np.ones(paper.shape[:2], np.float32), on_paper, size)[..., None]
    table = others[0].resize(size).filter(ImageFilter.GaussianBlur(float(rng.uniform(2, 6))))
    scene = mask * seen + (1 - mask) * np.asarray(table, np.float32) * 0.8
    return _taken(scene * _light(rng, size), rng), matrix


def _printed(image: Image.Image, rng: Rng) -> Levels:
    """Return the levels of a print: duller than the screen, of another tone."""
    levels = np.asarray(image, np.float32)
    return np.float32(rng.uniform(15, 40)) + levels * rng.uniform(0.7, 0.85, 3).astype(np.float32)


def _corners(rng: Rng, picture: tuple[int, int], size: tuple[int, int], tilt: float) -> Matrix:
    """Return where the picture's corners are seen: inside, turned, and none where a rectangle has it."""
    scale = rng.uniform(0.6, 0.85) * min(to / of for to, of in zip(size, picture, strict=True))
    corners = (borders(*picture) - borders(*picture).mean(axis=0)) * scale
    corners += rng.uniform(-tilt, tilt, (4, 2)) * np.array(picture) * scale
    angle = np.deg2rad(rng.uniform(-20, 20))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    corners = corners @ turn.T
    low, high = corners.min(axis=0), corners.max(axis=0)
    corners *= min(1.0, float((0.96 * np.array(size) / (high - low)).min()))
    low, high = corners.min(axis=0), corners.max(axis=0)
    room = np.maximum(np.array(size) - (high - low), 0)
    return np.asarray(corners - low + room * rng.uniform(0.2, 0.8, 2), np.float64)


def _curved(paper: Levels, curve: float) -> Levels:
    """Bend paper upwards in the middle, by a share of its height."""
    height, width = paper.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    bow = np.float32(curve * height) * np.sin(np.pi * x / width)
    below = (y + bow).astype(np.float32)
    bent = cv2.remap(paper, x, below, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(bent, np.float32)


def _light(rng: Rng, size: tuple[int, int]) -> Levels:
    """Return a factor (h, w, 3): brighter towards one side, a glare, a tint, and the stripes of moire."""
    y, x = np.mgrid[: size[1], : size[0]].astype(np.float32) / SIDE
    angle, stripes = rng.uniform(0, 2 * np.pi, 2)
    slope = 1 + rng.uniform(0.1, 0.3) * ((x - 0.5) * np.cos(angle) + (y - 0.5) * np.sin(angle))
    spot = (x - rng.random()) ** 2 + (y - rng.random()) ** 2
    glare = rng.uniform(0.2, 0.7) * np.exp(-spot / 0.02)
    frequency = rng.uniform(60, 160)
    moire = 0.05 * np.sin(2 * np.pi * frequency * (x * np.cos(stripes) + y * np.sin(stripes)))
    tint = rng.uniform(0.9, 1.05, 3)
    return np.asarray((slope + glare + moire)[..., None] * tint, np.float32)


def _taken(scene: Levels, rng: Rng) -> Image.Image:
    """Blur as a hand-held camera does, add the sensor's noise, and store as JPEG."""
    sharp = cv2.GaussianBlur(scene, (0, 0), float(rng.uniform(0.7, 1.4)))
    noisy = from_array(sharp + rng.normal(0, rng.uniform(3, 8), scene.shape))
    stream = BytesIO()
    noisy.save(stream, "JPEG", quality=int(rng.integers(60, 90)))
    return Image.open(stream).convert("RGB")
