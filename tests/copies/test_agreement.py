"""Pixels of copies agree, wherever one lies in the other; those of strangers do not."""

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageFilter

from ris.copies.agreement import CONTRAST, SMOOTHING, STABILISER, WINDOW, agreement

Draw = Callable[..., Image.Image]
HERE = np.eye(2, 3)


def grey(image: Image.Image) -> npt.NDArray[np.uint8]:
    return np.asarray(image.convert("L"))


def test_it_is_the_mean_correlation_of_windows(texture: Draw) -> None:
    """A plain loop over windows that lie inside, for two pictures on one another."""
    one, other = grey(texture(1, 60, 45)), grey(texture(2, 60, 45))
    smooth = [cv2.GaussianBlur(picture.astype(np.float32), (0, 0), SMOOTHING) for picture in (one, other)]
    found, half = [], WINDOW // 2
    for y in range(45):
        for x in range(60):
            top, left = max(0, y - half), max(0, x - half)
            a, b = (picture[top : y + half + 1, left : x + half + 1].astype(float) for picture in smooth)
            if b.var() > CONTRAST:
                covariance = ((a - a.mean()) * (b - b.mean())).mean()
                found.append((covariance + STABILISER) / (np.sqrt(a.var() * b.var()) + STABILISER))
    assert agreement(one, other, HERE) == pytest.approx(np.mean(found), abs=2e-3)


def test_brightness_contrast_noise_and_blur_hardly_move_it(texture: Draw) -> None:
    original = texture(1, 96, 72)
    darker = original.point([round(0.4 * value + 20) for value in range(256)] * 3)
    assert agreement(grey(darker), grey(original), HERE) > 0.98
    assert agreement(grey(original.filter(ImageFilter.GaussianBlur(1))), grey(original), HERE) > 0.9
    noise = np.random.default_rng(0).normal(0, 8, (72, 96))
    noisy = np.clip(grey(original) + noise, 0, 255).astype(np.uint8)
    assert agreement(noisy, grey(original), HERE) > 0.9


@pytest.mark.parametrize("scale", [0.25, 1.0, 3.0])
def test_a_crop_of_any_size_agrees_where_it_lies_and_nowhere_else(texture: Draw, scale: float) -> None:
    original = texture(4, 240, 180)
    crop = original.crop((60, 40, 180, 130))
    crop = crop.resize((round(120 * scale), round(90 * scale)), Image.Resampling.LANCZOS)
    shift = (1 / scale - 1) / 2
    there = np.array([[1 / scale, 0, 60 + shift], [0, 1 / scale, 40 + shift]])
    assert agreement(grey(crop), grey(original), there) > 0.95
    back = np.linalg.inv(np.vstack([there, [0, 0, 1]]))[:2]
    assert agreement(grey(original), grey(crop), back) == pytest.approx(
        agreement(grey(crop), grey(original), there), abs=0.05
    )
    assert agreement(grey(crop), grey(original), there + np.array([[0, 0, 12], [0, 0, 9]])) < 0.7


def test_strangers_agree_little(texture: Draw) -> None:
    assert abs(agreement(grey(texture(5, 96, 72)), grey(texture(6, 96, 72)), HERE)) < 0.4


def test_without_texture_or_overlap_nothing_is_said(texture: Draw) -> None:
    flat, textured = np.full((72, 96), 128, np.uint8), grey(texture(1, 96, 72))
    assert agreement(textured, flat, HERE) == 0
    assert agreement(textured, textured, HERE + np.array([[0, 0, 500], [0, 0, 0]])) == 0
    assert agreement(np.zeros((1, 1), np.uint8), textured, HERE) == 0
