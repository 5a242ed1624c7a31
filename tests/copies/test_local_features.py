"""Points and descriptors are those of RootSIFT, and packing loses no more than it says."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from PIL import Image

from ris.copies.local_features import STEP, decode, describe, encode, pack, root_sift, thumbnail, unpack
from ris.errors import RisError

Draw = Callable[..., Image.Image]


def test_descriptors_are_root_sift_of_the_strongest_points(texture: Draw) -> None:
    grey = np.asarray(texture(3).convert("L"))
    detector = cv2.SIFT_create(contrastThreshold=0.02, enable_precise_upscale=True)  # type: ignore[attr-defined]
    keypoints, sift = detector.detectAndCompute(grey, None)
    features = describe(texture(3), 50, 320)
    assert len(features.points) == 50
    response = np.array([keypoint.response for keypoint in keypoints])
    strongest = np.sort(response)[-50]
    for point, descriptor in zip(features.points, features.descriptors, strict=True):
        near = [
            number
            for number, keypoint in enumerate(keypoints)
            if np.allclose(keypoint.pt, point, atol=1e-3) and response[number] >= strongest
        ]
        expected = np.sqrt(sift[near] / sift[near].sum(axis=1, keepdims=True)) * 255
        assert np.abs(expected - descriptor).max(axis=1).min() <= 0.51


@pytest.mark.parametrize(("width", "scale"), [(240, 1.0), (640, 0.5), (64, 2.0)])
def test_points_are_in_the_pixels_of_the_picture(width: int, scale: float) -> None:
    """A round spot is found at its centre, whatever the size at which the picture is looked at."""
    y, x = np.mgrid[:width, :width]
    centre = np.array([0.4 * width, 0.6 * width])
    spot = 255 * np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / (2 * (0.05 * width) ** 2))
    features = describe(Image.fromarray(spot.astype(np.uint8)), 1, 320)
    assert features.size == (width, width)
    np.testing.assert_allclose(features.points[0], centre, atol=0.2 / scale)


def test_root_sift_by_hand() -> None:
    sift = np.zeros((2, 128), np.float32)
    sift[0, :2] = 9, 16
    assert root_sift(sift)[0, :3].tolist() == [153, 204, 0]  # 255 * 3/5, 255 * 4/5
    assert not root_sift(sift)[1].any()


def test_packing_rounds_to_levels_and_clips() -> None:
    values = np.arange(256, dtype=np.uint8).reshape(2, 128)
    expected = np.minimum(np.floor(values / STEP + 0.5), 15) * STEP
    np.testing.assert_array_equal(unpack(pack(values)), expected)
    assert pack(values).shape == (2, 64)


@pytest.mark.parametrize(("seed", "width", "height"), [(1, 240, 180), (2, 600, 450), (3, 60, 45)])
def test_what_was_packed_comes_back_rounded(texture: Draw, seed: int, width: int, height: int) -> None:
    features = describe(texture(seed, width, height), 400, 640)
    packed = encode(features)
    assert len(packed) <= 400 * 68 + 96 * 96 + 16
    kept = decode(packed)
    assert kept.size == features.size
    np.testing.assert_allclose(kept.points, features.points, atol=width / 2**16)
    np.testing.assert_array_equal(kept.descriptors, unpack(pack(features.descriptors)))
    np.testing.assert_array_equal(kept.grey, thumbnail(features.grey))


@pytest.mark.parametrize("length", [0, 5, 15, 100, -1])
def test_what_is_cut_short_is_refused(texture: Draw, length: int) -> None:
    with pytest.raises(RisError, match="Local features are damaged"):
        decode(encode(describe(texture(1), 50, 320))[:length])
