"""Local features of pictures, and how they are packed.

RootSIFT: Lowe 2004, "Distinctive image features from scale-invariant keypoints", IJCV, and Arandjelović and
Zisserman 2012, "Three things everyone should know to improve object retrieval", CVPR.
"""

import struct
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from ris.copies.perceptual_hash import fingerprint
from ris.errors import RisError

Bytes: TypeAlias = npt.NDArray[np.uint8]

CONTRAST = 0.02
"""SIFT's contrast threshold: half of OpenCV's, for what is dark or blurred."""
SMALLEST = 128
"""A thumbnail of 64 pixels shows some 25 points at its own size and five times as many at this one."""
STEP = 5
"""Width of one of the 16 levels to which packing rounds a descriptor's values; they seldom exceed 75."""
THUMBNAIL = 96
"""Longer side of the grey picture that is kept to compare pixels."""


@dataclass(frozen=True, eq=False)
class LocalFeatures:
    """The strongest points of a picture and what they look like."""

    points: npt.NDArray[np.float32]
    """(m, 2) x and y in the picture's pixels, whole numbers being the centres of pixels."""
    descriptors: Bytes
    """(m, 128) RootSIFT, of length 255 up to rounding."""
    size: tuple[int, int]
    """Width and height of the picture."""
    grey: Bytes
    """(h, w) the picture in grey, as it was described or smaller."""

    @property
    def fingerprint(self) -> int:
        """See `ris.copies.perceptual_hash`; of the thumbnail, so that the store's is no other."""
        return fingerprint(thumbnail(self.grey))


def described_scale(size: tuple[int, int], side: int) -> float:
    """Return the scale at which `describe` looks at a picture of a width and height."""
    longer = max(size)
    return min(1.0, side / longer) if longer >= SMALLEST else SMALLEST / longer


def _described_size(size: tuple[int, int], side: int) -> tuple[int, int]:
    scale = described_scale(size, side)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def describe(image: Image.Image, n_features: int, side: int) -> LocalFeatures:
    """Find the local features of a picture; one without texture has none.

    Args:
        image: any mode; its brightness counts.
        n_features: how many of the strongest to keep, at most.
        side: a picture whose longer side is longer is looked at in this size, in pixels; one whose longer
            side is shorter than `SMALLEST` is enlarged to that.
    """
    grey = in_grey(image, side)
    size = grey.shape[1], grey.shape[0]
    # Without the precise upscaling, OpenCV's points lie a quarter of a pixel off.
    detector = cv2.SIFT_create(  # type: ignore[attr-defined]
        nfeatures=n_features, contrastThreshold=CONTRAST, enable_precise_upscale=True
    )
    keypoints, sift = detector.detectAndCompute(grey, None)
    if sift is None:
        return LocalFeatures(np.zeros((0, 2), np.float32), np.zeros((0, 128), np.uint8), image.size, grey)
    # OpenCV returns more than it was asked for where several are equally strong.
    strongest = np.argsort([-keypoint.response for keypoint in keypoints], kind="stable")[:n_features]
    points = np.array([keypoint.pt for keypoint in keypoints])[strongest]
    points = (points + 0.5) * image.size / size - 0.5
    return LocalFeatures(points.astype(np.float32), root_sift(sift[strongest]), image.size, grey)


def in_grey(image: Image.Image, side: int) -> Bytes:
    """Return a picture's brightness (h, w), in the size in which it is described, see `describe`."""
    size = _described_size(image.size, side)
    grey: Bytes = np.asarray(image.convert("L").resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0))
    return grey


def thumbnail(grey: Bytes) -> Bytes:
    """Shrink a grey picture (h, w) to a longer side of `THUMBNAIL` pixels; a smaller one stays as it is."""
    size = _thumbnail_size(grey.shape[1], grey.shape[0])
    if size == grey.shape[::-1]:
        return grey
    small: Bytes = cv2.resize(grey, size, interpolation=cv2.INTER_AREA).astype(np.uint8)
    return small


def _thumbnail_size(width: int, height: int) -> tuple[int, int]:
    scale = min(1.0, THUMBNAIL / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def root_sift(sift: npt.NDArray[np.float32]) -> Bytes:
    """Turn SIFT (m, 128) into RootSIFT of length 255: the square roots of what sums to 1."""
    shares = sift / np.maximum(sift.sum(axis=1, keepdims=True), 1e-9)
    root: Bytes = np.rint(255 * np.sqrt(shares)).astype(np.uint8)
    return root


def mirrored_descriptors(descriptors: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return what SIFT's or RootSIFT's descriptors (m, 128) would be, were the picture mirrored.

    A descriptor counts gradients in 4 x 4 fields by 8 directions, relative to the point's own direction.
    Mirrored, the fields lie in reverse order across that direction, and the directions run the other way
    round. (Guo and Cao 2012, "MIFT: A framework for feature descriptors to be mirror reflection invariant",
    IVC, section 3.)
    """
    fields = descriptors.reshape(-1, 4, 4, 8)
    return fields[:, ::-1, :, -np.arange(8)].reshape(-1, 128)


def negative(features: LocalFeatures) -> LocalFeatures:
    """Return what the local features of a picture would be, were its brightness inverted.

    Every gradient points the other way, the point's own direction among them: the fields of a descriptor lie
    in reverse order in both directions, and its directions, relative to the point's, stay.
    """
    fields = features.descriptors.reshape(-1, 4, 4, 8)[:, ::-1, ::-1]
    return replace(features, descriptors=fields.reshape(-1, 128), grey=255 - features.grey)


def pack(descriptors: Bytes) -> Bytes:
    """Round descriptors (m, 128) to 16 levels and put two values in a byte: (m, 64)."""
    levels = np.rint(np.minimum(descriptors / STEP, 15)).astype(np.uint8)
    packed: Bytes = levels[:, :64] | levels[:, 64:] << np.uint8(4)
    return packed


def unpack(packed: Bytes) -> Bytes:
    """Undo `pack`, up to its rounding: (m, 64) -> (m, 128)."""
    return np.concatenate([packed & 15, packed >> 4], axis=1) * np.uint8(STEP)


_HEADER = struct.Struct("<3I2H")
"""Features, the picture's width and height, its thumbnail's width and height."""
_POINT, _DESCRIPTOR = 4, 64
"""Bytes of a feature."""


def encode(features: LocalFeatures) -> bytes:
    """Pack local features for a store, points and descriptors rounded, the grey picture shrunk.

    68 bytes a feature, and 9 kB more.
    """
    small = thumbnail(features.grey)
    header = _HEADER.pack(len(features.points), *features.size, *small.shape[::-1])
    places = ((features.points + 0.5) / features.size).clip(0, 1) * 65535
    parts = (np.rint(places).astype("<u2"), pack(features.descriptors), small)
    return b"".join([header, *(part.tobytes() for part in parts)])


def decode(data: bytes) -> LocalFeatures:
    """Undo `encode`, up to its rounding.

    Raises:
        RisError: it is not what `encode` made.
    """
    try:
        count, width, height, across, down = _HEADER.unpack_from(data)
        ends = np.cumsum([_HEADER.size, count * _POINT, count * _DESCRIPTOR, down * across])
        points, packed, grey = (data[start:end] for start, end in pairwise(ends))
        places = np.frombuffer(points, "<u2").reshape(count, 2) / np.float32(65535)
        return LocalFeatures(
            (places * (width, height) - 0.5).astype(np.float32),
            unpack(np.frombuffer(packed, np.uint8).reshape(count, _DESCRIPTOR)),
            (width, height),
            np.frombuffer(grey, np.uint8).reshape(down, across),
        )
    except (ValueError, struct.error) as error:
        raise RisError(f"Local features are damaged ({error}).") from error
