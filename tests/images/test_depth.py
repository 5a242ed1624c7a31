"""Samples of more than 8 bits, by the white that the file states or that its largest sample needs."""

import struct
import zlib
from io import BytesIO
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from ris.images.decoding import read_image
from ris.images.queries import read_query

LIMIT = 1_000_000
Samples = npt.NDArray[np.uint16]


def stored(image: Image.Image, form: str, **options: Any) -> bytes:
    stream = BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def samples(bits: int, channels: int = 1, seed: int = 0) -> Samples:
    """Draw (20, 30) or (20, 30, channels) samples that use all of the bits."""
    shape = (20, 30) if channels == 1 else (20, 30, channels)
    drawn = np.random.default_rng(seed).integers(0, 2**bits, shape).astype(np.uint16)
    drawn[0, 0] = 2**bits - 1
    return drawn


def levels(drawn: npt.NDArray[Any], white: int) -> npt.NDArray[np.float64]:
    """Return what 8-bit RGB (h, w, 3) samples mean."""
    wanted = np.rint(np.minimum(drawn.astype(np.float64), white) * 255 / white)
    return np.repeat(wanted[..., None], 3, axis=2) if wanted.ndim == 2 else wanted[..., :3]


def pixels(data: bytes) -> npt.NDArray[np.float64]:
    return np.asarray(read_image(data, LIMIT), np.float64)


def encoded(drawn: Samples, suffix: str) -> bytes:
    # OpenCV takes blue first, and transparency last.
    swapped = drawn if drawn.ndim == 2 else drawn[..., [2, 1, 0, 3][: drawn.shape[2]]]
    data: npt.NDArray[np.uint8] = cv2.imencode(suffix, swapped)[1]
    return data.tobytes()


def significant(data: bytes, bits: bytes) -> bytes:
    """Put an `sBIT` chunk behind the header of a PNG."""
    chunk = b"sBIT" + bits
    return data[:33] + struct.pack(">I", len(bits)) + chunk + struct.pack(">I", zlib.crc32(chunk)) + data[33:]


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize(("bits", "taken"), [(8, 8), (9, 10), (10, 10), (12, 12), (13, 14), (14, 14)])
def test_white_is_that_of_the_bits_that_the_largest_sample_needs(
    bits: int, taken: int, channels: int, suffix: str
) -> None:
    drawn = samples(bits, channels)
    if channels == 4:
        drawn[..., 3] = 65535
    np.testing.assert_array_equal(pixels(encoded(drawn, suffix)), levels(drawn, 2**taken - 1))


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bits_are_sixteen_bits(channels: int, suffix: str) -> None:
    drawn = samples(16, channels)
    # Of colours Pillow takes the upper byte, which is at most one level beside.
    close = 0 if channels == 1 else 1
    assert np.abs(pixels(encoded(drawn, suffix)) - levels(drawn, 65535)).max() <= close


@pytest.mark.parametrize("order", ["<u2", ">u2"])
def test_a_tiff_without_compression_in_both_byte_orders(order: str) -> None:
    drawn = samples(12)
    data = stored(Image.fromarray(drawn.astype(order)), "TIFF")
    np.testing.assert_array_equal(pixels(data), levels(drawn, 4095))


@pytest.mark.parametrize(("channels", "bits"), [(1, b"\x0c"), (3, b"\x0c\x0c\x0c")])
def test_png_states_its_bits(channels: int, bits: bytes) -> None:
    dark = samples(9, channels)
    np.testing.assert_array_equal(pixels(significant(encoded(dark, ".png"), bits)), levels(dark, 4095))
    # As the standard wants it, the samples are scaled up already: they exceed the stated bits.
    scaled = samples(12, channels) * np.uint16(16)
    apart = pixels(significant(encoded(scaled, ".png"), bits)) - levels(scaled, 65535)
    assert np.abs(apart).max() <= (0 if channels == 1 else 1)


@pytest.mark.parametrize(("channels", "bits"), [(1, b"\x10"), (3, b"\x10\x10\x10")])
def test_png_may_state_that_it_is_dark(channels: int, bits: bytes) -> None:
    dark = samples(9, channels)
    apart = pixels(significant(encoded(dark, ".png"), bits)) - levels(dark, 65535)
    assert np.abs(apart).max() <= (0 if channels == 1 else 1)


@pytest.mark.parametrize("stated", [4095, 3000, 65535])
def test_tiff_states_its_largest_value(stated: int) -> None:
    drawn = np.minimum(samples(11), 2000).astype(np.uint16)
    tags = ImageFileDirectory_v2()
    tags[281] = stated
    data = stored(Image.fromarray(drawn), "TIFF", tiffinfo=tags)
    np.testing.assert_array_equal(pixels(data), levels(drawn, stated))


def test_a_statement_that_the_samples_belie_is_not_believed() -> None:
    drawn = samples(12)
    tags = ImageFileDirectory_v2()
    tags[281] = 1000
    data = stored(Image.fromarray(drawn), "TIFF", tiffinfo=tags)
    np.testing.assert_array_equal(pixels(data), levels(drawn, 4095))


def test_twelve_bits_packed_in_a_tiff() -> None:
    drawn = samples(9)[:, :30]
    pairs = drawn.reshape(-1, 2).astype(np.uint32)
    whole = pairs[:, 0] << 12 | pairs[:, 1]
    packed = np.stack([whole >> 16, whole >> 8 & 255, whole & 255], axis=1).astype(np.uint8).tobytes()
    entries = [
        (256, 3, 1, 30), (257, 3, 1, 20), (258, 3, 1, 12), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 8),
        (277, 3, 1, 1), (278, 3, 1, 20), (279, 4, 1, len(packed)),
    ]  # fmt: skip
    table = (
        struct.pack("<H", len(entries))
        + b"".join(struct.pack("<HHII", *entry) for entry in entries)
        + bytes(4)
    )
    data = b"II*\0" + struct.pack("<I", 8 + len(packed)) + packed + table
    np.testing.assert_array_equal(pixels(data), levels(drawn, 4095))


def test_integers_of_32_bits() -> None:
    for bits, white in ((11, 4095), (16, 65535), (20, 2**24 - 1), (30, 2**31 - 1)):
        drawn = np.random.default_rng(0).integers(0, 2**bits, (20, 30), dtype=np.int32)
        drawn[0, 0] = 2**bits - 1
        assert np.abs(pixels(stored(Image.fromarray(drawn), "TIFF")) - levels(drawn, white)).max() <= 1
    below = np.array([[-5, 4095]], np.int32)
    assert pixels(stored(Image.fromarray(below), "TIFF"))[0, :, 0].tolist() == [0, 255]


def test_ppm_and_jpeg_2000_have_a_white_of_their_own() -> None:
    drawn = samples(9)
    header = b"P5 30 20 4095\n"
    apart = pixels(header + drawn.astype(">u2").tobytes()) - levels(drawn, 4095)
    assert np.abs(apart).max() <= 1
    data = stored(Image.fromarray(drawn), "JPEG2000", irreversible=False)
    np.testing.assert_array_equal(pixels(data), levels(drawn, 65535))


def test_an_open_picture_and_a_black_one() -> None:
    drawn = samples(12)
    image = read_query(Image.fromarray(drawn), LIMIT, None, False).image
    np.testing.assert_array_equal(np.asarray(image), levels(drawn, 4095))
    assert pixels(encoded(np.zeros((4, 4), np.uint16), ".png")).max() == 0
