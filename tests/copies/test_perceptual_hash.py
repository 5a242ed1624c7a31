"""Fingerprints against ImageHash's, and what they find."""

from collections.abc import Callable

import cv2
import numpy as np
from imagehash import phash
from PIL import Image, ImageFilter
from scipy.fft import dctn

from ris.copies.perceptual_hash import fingerprint, nearest

Draw = Callable[..., Image.Image]


def grey(image: Image.Image) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.asarray(image.convert("L"))


def bits(one: int, other: int) -> int:
    return (one ^ other).bit_count()


def test_bits_are_low_frequencies_above_their_median(texture: Draw) -> None:
    picture = grey(texture(1))
    square = cv2.resize(picture, (32, 32), interpolation=cv2.INTER_AREA).astype(float)
    low = dctn(square, norm="ortho")[:8, :8].ravel()
    expected = "".join("1" if value > np.median(low) else "0" for value in low)
    assert f"{fingerprint(picture):064b}" == expected


def test_it_is_imagehash_s_up_to_the_resizing(texture: Draw) -> None:
    for seed in range(10):
        theirs = int(str(phash(texture(seed))), 16)
        assert bits(fingerprint(grey(texture(seed))), theirs) <= 6


def test_the_nearest_are_those_of_fewest_other_bits_in_order(texture: Draw) -> None:
    gallery = np.array([fingerprint(grey(texture(seed))) for seed in range(12)], np.uint64)
    rows = np.arange(100, 112)
    query = fingerprint(grey(texture(7).filter(ImageFilter.GaussianBlur(6))))
    order = sorted(range(12), key=lambda place: (bits(query, int(gallery[place])), place))
    assert nearest(query, gallery, rows, 5).tolist() == [100 + place for place in order[:5]]
    assert nearest(query, gallery, rows, 5)[0] == 107
    assert nearest(query, gallery, rows, 99).shape == (12,)


def test_a_flat_picture_has_one_too() -> None:
    assert 0 <= fingerprint(np.full((9, 7), 200, np.uint8)) < 2**64
