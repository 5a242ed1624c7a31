"""Edits that move pixels: turned, mirrored, stretched, seen from a side, through a lens, and printed."""

from collections.abc import Mapping
from types import MappingProxyType

import cv2
import numpy as np
from PIL import Image

from ris.copies.edits.edit import Edit, Edited, Images, Rng, borders, homography, resized, scaling, unmoved
from ris.copies.edits.prints import photographed, photographed_curved


def rotate(image: Image.Image, rng: Rng, degrees: float, _: Images) -> Edited:
    """Turn it by degrees to either side, on black."""
    angle = np.deg2rad(degrees) * rng.choice((-1, 1))
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    size = np.ceil(np.abs(turn) @ image.size - 1e-6).astype(int)
    centre, new_centre = (np.array(image.size) - 1) / 2, (size - 1) / 2
    matrix = np.column_stack([turn, new_centre - turn @ centre])
    turned = cv2.warpAffine(np.asarray(image), matrix, (int(size[0]), int(size[1])), flags=cv2.INTER_CUBIC)
    return Image.fromarray(turned), matrix


def quarter_turn(image: Image.Image, _rng: Rng, degrees: float, _: Images) -> Edited:
    """Turn it counterclockwise by degrees, a multiple of 90."""
    right, bottom = image.width - 1.0, image.height - 1.0
    matrix = unmoved()
    for _quarter in range(round(degrees / 90) % 4):
        image = image.transpose(Image.Transpose.ROTATE_90)
        matrix = np.array([[0, 1, 0], [-1, 0, right]]) @ np.vstack([matrix, [0, 0, 1]])
        right, bottom = bottom, right
    return image, matrix


def mirror(image: Image.Image, _rng: Rng, _strength: float, _: Images) -> Edited:
    """Swap left and right; it has no strength."""
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), np.array([[-1, 0, image.width - 1.0], [0, 1, 0]])


def stretch(image: Image.Image, rng: Rng, factor: float, _: Images) -> Edited:
    """Make one side, either of the two, a factor of what it was."""
    across, down = (factor, 1.0) if rng.random() < 0.5 else (1.0, factor)
    stretched = resized(image, image.width * across, image.height * down)
    return stretched, scaling(stretched.width / image.width, stretched.height / image.height)


def perspective(image: Image.Image, rng: Rng, share: float, _: Images) -> Edited:
    """See it from one of its sides, on black: the far side is shorter by about that share at either end."""
    corners = borders(*image.size)
    seen, far = corners.copy(), int(rng.integers(4))
    one, other, away = far, (far + 1) % 4, (corners[far - 1] - corners[far]) * share
    along = corners[other] - corners[one]
    seen[one] += along * share * rng.uniform(0.8, 1.2) + away
    seen[other] -= along * share * rng.uniform(0.8, 1.2) - away
    matrix = homography(corners, seen)
    warped = cv2.warpPerspective(np.asarray(image), matrix, image.size, flags=cv2.INTER_AREA)
    return Image.fromarray(warped), matrix


def fisheye(image: Image.Image, _rng: Rng, strength: float, _: Images) -> Edited:
    """See it through a lens that magnifies the middle, `1 + strength` times what it does at the corners.

    No matrix tells where every pixel goes; this one is true in the middle.
    """
    centre = (np.array(image.size) - 1) / 2
    y, x = np.mgrid[: image.height, : image.width].astype(np.float32)
    from_centre = np.stack([x - centre[0], y - centre[1]])
    squared = (from_centre**2).sum(axis=0) / max(float((centre**2).sum()), 1.0)
    source = from_centre * (1 + strength * squared) / (1 + strength)
    horizontal, vertical = (source + centre[:, None, None]).astype(np.float32)
    bent = cv2.remap(np.asarray(image), horizontal, vertical, cv2.INTER_LINEAR)
    scale = 1 + strength
    return Image.fromarray(bent), np.column_stack([scale * np.eye(2), (1 - scale) * centre])


EDITS: Mapping[str, Edit] = MappingProxyType(
    {
        "rot15": Edit(rotate, 15, "turned by 15°"),
        "rot90": Edit(quarter_turn, 90, "turned by 90°"),
        "mirror": Edit(mirror, 1, "mirrored"),
        "stretch22": Edit(stretch, 2.2, "stretched 2.2 times"),
        "stretch30": Edit(stretch, 3, "stretched 3 times"),
        "squash04": Edit(stretch, 0.4, "squashed to 0.4"),
        "perspective": Edit(perspective, 0.25, "seen from a side"),
        "fisheye": Edit(fisheye, 0.8, "through a fisheye"),
        "print": Edit(photographed, 0.1, "photograph of a print", others=1),
        "print_curved": Edit(photographed_curved, 0.1, "photograph of a curved print", others=1),
    }
)
