"""Of a picture and an edited copy, the one with more of the real picture is kept, whichever comes first."""

from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageDraw, ImageFilter

from ris.gallery.keeping import Verdict, better

Draw = Callable[..., Image.Image]
Matrix = npt.NDArray[np.floating[Any]]
Edited = tuple[Image.Image, Matrix]
HERE = np.eye(3)


@pytest.fixture(scope="module")
def photo(texture: Draw) -> Image.Image:
    """Shapes with soft shades and fine grain, of many tones and colours, as a camera has them."""
    rng = np.random.default_rng(5)
    drawn = np.asarray(texture(21, 420, 320), np.float64)
    shade = np.asarray(
        Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8)).resize((420, 320), 3), np.float64
    )
    leaves = np.zeros((320, 420))
    for step in (1, 2, 4, 8):
        cells = rng.normal(0, 128, (320 // step, 420 // step)).clip(-127, 127) + 128
        leaves += np.asarray(Image.fromarray(cells.astype(np.uint8)).resize((420, 320), 3), np.float64) - 128
    where = np.asarray(Image.fromarray(rng.integers(0, 256, (5, 6), np.uint8)).resize((420, 320), 3)) / 255
    mixed = (0.4 * drawn + 0.4 * shade + (0.25 * leaves * where**2)[..., None] + 25).clip(0, 255)
    return Image.fromarray(mixed.astype(np.uint8))


def scaled(x: float, y: float) -> Matrix:
    return np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2], [0, 0, 1.0]])


def moved(x: float, y: float) -> Matrix:
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1.0]])


def resized(image: Image.Image, by: float, how: int = Image.Resampling.BICUBIC) -> Edited:
    size = round(by * image.width), round(by * image.height)
    return image.resize(size, how), scaled(size[0] / image.width, size[1] / image.height)


def as_jpeg(image: Image.Image, quality: int) -> Image.Image:
    stream = BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return Image.open(stream).convert("RGB")


def noisy(image: Image.Image, deviation: float) -> Image.Image:
    pixels = np.asarray(image) + np.random.default_rng(1).normal(0, deviation, (image.height, image.width, 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def put_on(image: Image.Image, size: tuple[int, int], at: tuple[int, int], colour: str) -> Image.Image:
    sheet = Image.new("RGB", size, colour)
    sheet.paste(image, at)
    return sheet


def screenshot(image: Image.Image) -> Edited:
    small, matrix = resized(image, 0.9)
    screen = put_on(small, (small.width, 800), (0, 200), "white")
    draw = ImageDraw.Draw(screen)
    draw.rectangle((0, 0, small.width, 40), fill="black")
    for line in range(12):
        draw.text((10, 520 + 20 * line), "a caption, comments and buttons", fill="black")
    return screen, moved(0, 200) @ matrix


def watermarked(image: Image.Image) -> Image.Image:
    over = image.copy()
    ImageDraw.Draw(over).text(
        (image.width - 130, image.height - 40), "(c) Somebody", fill="white", font_size=20
    )
    return over


def of_screen(image: Image.Image) -> Edited:
    large, matrix = resized(image, 1.4)
    seen = put_on(large, (large.width + 140, large.height + 140), (70, 70), "#202020")
    y, x = np.mgrid[: seen.height, : seen.width]
    ripple = 1 + 0.08 * np.sin(2.1 * x) + 0.08 * np.sin(1.9 * y + 0.3 * x)
    pixels = (np.asarray(seen) * ripple[..., None] * 0.85 + 12).clip(0, 255).astype(np.uint8)
    return noisy(Image.fromarray(pixels), 5), moved(70, 70) @ matrix


WORSE: dict[str, Callable[[Image.Image], Edited]] = {
    "twice the size": lambda image: resized(image, 2),
    "half as large again": lambda image: resized(image, 1.5, Image.Resampling.LANCZOS),
    "pixels repeated": lambda image: resized(image, 2, Image.Resampling.NEAREST),
    "half the size": lambda image: resized(image, 0.5),
    "letterboxed": lambda image: (put_on(image, (420, 480), (0, 80), "black"), moved(0, 80)),
    "framed": lambda image: (put_on(image, (480, 380), (30, 30), "#c8b478"), moved(30, 30)),
    "screenshot": screenshot,
    "photo of a screen": of_screen,
    "dithered": lambda image: (image.convert("1").convert("RGB"), HERE),
    "scanned in black and white": lambda image: (
        image.convert("L").point(lambda level: 255 * (level > 128)).convert("RGB"),
        HERE,
    ),
    "noise": lambda image: (noisy(image, 20), HERE),
    "little noise": lambda image: (noisy(image, 8), HERE),
    "sharpened": lambda image: (image.filter(ImageFilter.UnsharpMask(2, 150, 0)), HERE),
    "blurred": lambda image: (image.filter(ImageFilter.GaussianBlur(1.5)), HERE),
    "compressed": lambda image: (as_jpeg(image, 5), HERE),
    "grey": lambda image: (image.convert("L").convert("RGB"), HERE),
    "watermark": lambda image: (watermarked(image), HERE),
    "cropped": lambda image: (image.crop((50, 40, 380, 290)), moved(-50, -40)),
}


@pytest.mark.parametrize("edit", WORSE)
def test_the_original_is_better_than(photo: Image.Image, edit: str) -> None:
    copy, matrix = WORSE[edit](photo)
    if edit not in ("dithered", "scanned in black and white"):
        copy = as_jpeg(copy, 92)
    one, other = np.asarray(photo), np.asarray(copy)
    first = better(one, other, matrix[:2])
    second = better(other, one, np.linalg.inv(matrix)[:2])
    assert first is not None
    assert first[0] > 0, first
    assert second is not None
    assert second[0] < 0, second
    assert first[1] == second[1]


@pytest.mark.parametrize("transpose", Image.Transpose)
def test_none_is_better_of_a_picture_turned_or_mirrored(
    photo: Image.Image, transpose: Image.Transpose
) -> None:
    turned = np.asarray(photo.transpose(transpose))
    corners = np.array([[0, 0], [photo.width - 1, 0], [0, photo.height - 1]])
    marks = np.arange(photo.width * photo.height, dtype=np.int32).reshape(photo.height, photo.width)
    there = np.asarray(Image.fromarray(marks, "I").transpose(transpose))
    places = np.array([np.argwhere(there == marks[y, x])[0][::-1] for x, y in corners], np.float64)
    matrix = np.linalg.solve(np.c_[corners, np.ones(3)], places).T
    assert better(np.asarray(photo), turned, matrix) is None
    assert better(turned, turned, HERE[:2]) is None


def test_what_does_not_overlap_is_left_open(photo: Image.Image) -> None:
    far: Verdict = better(np.asarray(photo), np.asarray(photo), moved(5000, 0)[:2])
    assert far is None
