"""Embedded colour profiles, against colours worked out without littleCMS."""

from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageCms
from profiles import (
    ADOBE,
    SRGB,
    cmyk_meant,
    cmyk_profile,
    encoded,
    grey_profile,
    rgb_meant,
    rgb_profile,
    srgb_profile,
)

from ris.images.decoding import read_image
from ris.images.queries import read_query

LIMIT = 1_000_000
SCREEN = rgb_profile(ADOBE, 2.19921875)


def stored(image: Image.Image, form: str, **options: Any) -> bytes:
    stream = BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def smooth(channels: int, seed: int, low: int = 0, high: int = 255) -> npt.NDArray[np.uint8]:
    """Draw (48, 64, channels) without edges, which lossy formats would blur."""
    rng = np.random.default_rng(seed)
    layers = [
        Image.fromarray(rng.uniform(low, high, (3, 4)).astype(np.uint8)).resize(
            (64, 48), Image.Resampling.BICUBIC
        )
        for _ in range(channels)
    ]
    return np.stack([np.asarray(layer) for layer in layers], axis=-1)


def pixels(data: bytes) -> npt.NDArray[np.float64]:
    return np.asarray(read_image(data, LIMIT), np.float64)


@pytest.mark.parametrize(
    ("form", "options", "close"),
    [
        ("PNG", {}, 0.5),
        ("TIFF", {}, 0.5),
        ("WEBP", {"lossless": True}, 0.5),
        ("JPEG", {"quality": 100, "subsampling": 0}, 1.5),
        ("AVIF", {"quality": 100, "subsampling": "4:4:4"}, 1.5),
        ("HEIF", {"quality": 100, "chroma": 444}, 1.5),
    ],
)
def test_a_wide_gamut_picture_becomes_what_it_means(form: str, options: dict[str, Any], close: float) -> None:
    wide = smooth(3, 1, 60, 200)
    meant = rgb_meant(wide, ADOBE, 2.19921875)
    with_profile = pixels(stored(Image.fromarray(wide), form, icc_profile=SCREEN, **options))
    assert np.abs(with_profile - meant).mean() <= close
    without = pixels(stored(Image.fromarray(wide), form, **options))
    assert np.abs(without - meant).mean() > 5


@pytest.mark.parametrize("form", ["TIFF", "JPEG"])
def test_inks_become_the_colours_that_their_profile_means(form: str) -> None:
    inks = smooth(4, 2)
    options = {"quality": 100} if form == "JPEG" else {}
    data = stored(Image.fromarray(inks, "CMYK"), form, icc_profile=cmyk_profile(), **options)
    apart = np.abs(pixels(data) - cmyk_meant(inks))
    assert apart.mean() < 2
    naive = np.abs(pixels(stored(Image.fromarray(inks, "CMYK"), form, **options)) - cmyk_meant(inks))
    assert naive.mean() > 8


def test_grey_has_a_profile_too() -> None:
    grey = smooth(1, 3)[..., 0]
    meant = encoded(np.repeat((grey / 255)[..., None], 3, axis=2) ** 1.8)
    profile = grey_profile(1.8)
    assert np.abs(pixels(stored(Image.fromarray(grey), "PNG", icc_profile=profile)) - meant).max() <= 1.5
    wide = Image.fromarray(grey.astype(np.uint16) * 257)
    assert np.abs(pixels(stored(wide, "PNG", icc_profile=profile)) - meant).max() <= 1.5


def test_a_grey_picture_lies_in_a_profile_of_colours() -> None:
    grey = smooth(1, 3)[..., 0]
    meant = rgb_meant(np.repeat(grey[..., None], 3, axis=2), SRGB, 1.0)
    data = stored(Image.fromarray(grey), "JPEG", quality=100, icc_profile=rgb_profile(SRGB, 1.0))
    assert np.abs(pixels(data) - meant).mean() < 2


def test_transparency_is_kept_beside_the_profile() -> None:
    wide = smooth(3, 4, 60, 200)
    image = Image.fromarray(wide)
    alpha = np.full((48, 64), 51, np.uint8)
    image.putalpha(Image.fromarray(alpha))
    meant = 0.2 * rgb_meant(wide, ADOBE, 2.19921875) + 0.8 * 255
    assert np.abs(pixels(stored(image, "PNG", icc_profile=SCREEN)) - meant).max() <= 1.6


def test_transparent_grey_has_a_profile_too() -> None:
    grey = smooth(1, 4)[..., 0]
    image = Image.fromarray(grey)
    image.putalpha(Image.fromarray(np.full((48, 64), 51, np.uint8)))
    meant = 0.2 * encoded(np.repeat((grey / 255)[..., None], 3, axis=2) ** 1.8) + 0.8 * 255
    assert np.abs(pixels(stored(image, "PNG", icc_profile=grey_profile(1.8))) - meant).max() <= 1.6


def test_a_palette_lies_in_its_profile() -> None:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([9, 9, 9, 90, 180, 70])
    meant = rgb_meant(np.array([90, 180, 70], np.uint8), ADOBE, 2.19921875)
    assert np.abs(pixels(stored(image, "PNG", icc_profile=SCREEN))[0, 0] - meant).max() <= 1.1


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P"])
def test_the_profile_of_srgb_changes_no_pixel(mode: str) -> None:
    image = Image.fromarray(smooth(4, 5), "RGBA").convert(mode)
    for profile in (srgb_profile(), ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()):
        np.testing.assert_array_equal(
            pixels(stored(image, "PNG", icc_profile=profile)), pixels(stored(image, "PNG"))
        )


@pytest.mark.parametrize(
    "profile",
    [b"", b"no profile", SCREEN[:200], SCREEN[:-30], bytes(3000), cmyk_profile(), grey_profile(2.2)],
    ids=["empty", "text", "cut", "cut_late", "zeros", "inks", "grey"],
)
def test_a_profile_that_is_broken_or_of_other_channels_is_ignored(profile: bytes) -> None:
    image = Image.fromarray(smooth(3, 6))
    expected = pixels(stored(image, "PNG"))
    np.testing.assert_array_equal(pixels(stored(image, "PNG", icc_profile=profile)), expected)


def test_damaged_profiles_do_no_harm() -> None:
    rng = np.random.default_rng(0)
    inks = Image.fromarray(smooth(4, 7), "CMYK")
    for sound, image in ((SCREEN, Image.fromarray(smooth(3, 7))), (cmyk_profile(), inks)):
        for _ in range(60):
            damaged = bytearray(sound)
            for place in rng.integers(0, min(len(sound), 400), 3):
                damaged[place] = rng.integers(0, 256)
            assert read_image(stored(image, "TIFF", icc_profile=bytes(damaged)), LIMIT).mode == "RGB"


def test_a_picture_that_was_read_is_not_converted_again() -> None:
    data = stored(Image.fromarray(smooth(3, 8, 60, 200)), "PNG", icc_profile=SCREEN)
    once = read_image(data, LIMIT)
    assert once.info == {}
    np.testing.assert_array_equal(np.asarray(read_query(once, LIMIT, None, False).image), np.asarray(once))


def test_an_open_picture_means_what_its_file_means() -> None:
    for data in (
        stored(Image.fromarray(smooth(3, 9, 60, 200)), "PNG", icc_profile=SCREEN),
        stored(Image.fromarray(smooth(4, 9), "CMYK"), "JPEG", icc_profile=cmyk_profile()),
    ):
        opened = read_query(Image.open(BytesIO(data)), LIMIT, None, False).image
        np.testing.assert_array_equal(np.asarray(opened), np.asarray(read_image(data, LIMIT)))
