"""Every way in which a stored picture becomes RGB, against pixel values worked out by hand."""

import struct
import subprocess
import sys
import zlib
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ris.images.decoding import UnreadableImage, read_image, stored_mode

LIMIT = 1_000_000


def stored(image: Image.Image, form: str, **options: Any) -> bytes:
    stream = BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def pixel(data: bytes) -> tuple[int, ...]:
    image = read_image(data, LIMIT)
    assert image.mode == "RGB"
    value = image.getpixel((0, 0))
    assert isinstance(value, tuple)
    return tuple(int(channel) for channel in value)


def palette_image() -> Image.Image:
    image = Image.new("P", (2, 2), 1)
    image.putpalette([9, 9, 9, 10, 200, 30])
    return image


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (stored(Image.new("RGB", (2, 2), (1, 2, 3)), "PNG"), (1, 2, 3)),
        (stored(Image.new("L", (2, 2), 77), "PNG"), (77, 77, 77)),
        (stored(Image.new("1", (2, 2), 1), "PNG"), (255, 255, 255)),
        (stored(palette_image(), "PNG"), (10, 200, 30)),
        (stored(Image.fromarray(np.full((2, 2), 257 * 100, np.uint16)), "PNG"), (100, 100, 100)),
        (stored(Image.fromarray(np.full((2, 2), 65535, np.uint16)), "TIFF"), (255, 255, 255)),
        # Alpha a over white: c * a + 255 * (1 - a).
        (stored(Image.new("RGBA", (2, 2), (0, 100, 255, 51)), "PNG"), (204, 224, 255)),
        (stored(Image.new("LA", (2, 2), (0, 51)), "PNG"), (204, 204, 204)),
        (stored(palette_image(), "PNG", transparency=1), (255, 255, 255)),
        (stored(Image.new("RGB", (2, 2), (5, 6, 7)), "PNG", transparency=(5, 6, 7)), (255, 255, 255)),
        (stored(palette_image(), "GIF", transparency=1), (255, 255, 255)),
        # Cyan ink c and black ink k leave (255 - c)(255 - k) / 255 of red.
        (stored(Image.new("CMYK", (2, 2), (255, 0, 0, 0)), "TIFF"), (0, 255, 255)),
        (stored(Image.new("CMYK", (2, 2), (0, 0, 0, 255)), "TIFF"), (0, 0, 0)),
    ],
    ids=lambda value: "" if isinstance(value, bytes) else None,
)
def test_modes(data: bytes, expected: tuple[int, ...]) -> None:
    assert pixel(data) == expected


def test_cmyk_jpeg_with_and_without_adobe_marker() -> None:
    adobe = stored(Image.new("CMYK", (16, 16), (255, 0, 0, 0)), "JPEG", quality=100)
    marker = adobe.index(b"Adobe") - 4
    length = struct.unpack(">H", adobe[marker + 2 : marker + 4])[0]
    plain = adobe[:marker] + adobe[marker + 2 + length :]
    # Pillow takes the inks of every CMYK JPEG as inverted, as Adobe's programs write them.
    for data in (adobe, plain):
        assert np.abs(np.subtract(pixel(data), (0, 255, 255))).max() <= 3
        assert stored_mode(data, LIMIT) == "CMYK"


def test_content_decides_and_every_source_is_equal(tmp_path: Path) -> None:
    picture = noise(8, 6)
    file = tmp_path / "png.jpg"
    file.write_bytes(stored(picture, "PNG"))
    for source in (file, file.read_bytes(), BytesIO(file.read_bytes())):
        np.testing.assert_array_equal(np.asarray(read_image(source, LIMIT)), np.asarray(picture))


def bomb() -> bytes:
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    body = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", "empty"),
        (b"This is a text about pictures.", "not_an_image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not_an_image"),
        (stored(noise(64, 64), "JPEG")[:-600], "truncated"),
        (stored(noise(64, 64), "PNG")[:-600], "truncated"),
        (bomb(), "too_large"),
        (stored(noise(1001, 1000), "BMP"), "too_large"),
        (stored(Image.fromarray(np.zeros((2, 2), np.float32)), "TIFF"), "unreadable"),
    ],
    ids=["empty", "text", "postscript", "cut_jpeg", "cut_png", "bomb", "large", "float"],
)
def test_refusals(data: bytes, kind: str) -> None:
    with pytest.raises(UnreadableImage) as caught:
        read_image(data, LIMIT)
    assert caught.value.kind == kind
    assert caught.value.reason in str(caught.value)


@pytest.mark.filterwarnings("ignore")
def test_damaged_bytes_end_as_unreadable_image_or_as_a_picture() -> None:
    rng = np.random.default_rng(0)
    forms = ("JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP", "PPM")
    for form in forms:
        sound = stored(noise(24, 24), form)
        for _ in range(60):
            damaged = bytearray(sound)
            for place in rng.integers(0, min(len(sound), 200), 4):
                damaged[place] = rng.integers(0, 256)
            with suppress(UnreadableImage):
                assert read_image(bytes(damaged), LIMIT).mode == "RGB"


def test_unreadable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImage, match=r"absent\.jpg") as caught:
        read_image(tmp_path / "absent.jpg", LIMIT)
    assert caught.value.kind == "unreadable"


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_exif_is_no_reason_to_lose_a_picture() -> None:
    data = stored(noise(8, 8), "JPEG", exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff")
    assert read_image(data, LIMIT).size == (8, 8)


@pytest.mark.parametrize(
    ("size", "draft", "expected"),
    [((640, 480), 240, (320, 240)), ((640, 480), 241, (640, 480)), ((640, 480), 100, (160, 120))],
)
def test_draft_keeps_the_shorter_side(size: tuple[int, int], draft: int, expected: tuple[int, int]) -> None:
    for form in ("JPEG", "PNG", "TIFF"):
        assert read_image(stored(noise(*size), form), LIMIT, draft=draft).size == expected


def test_only_the_decoders_of_the_documented_formats_are_there() -> None:
    script = """
from io import BytesIO
from PIL import Image
from ris.images.decoding import FORMATS, UnreadableImage, read_image
for form in ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "AVIF", "HEIF", "JPEG2000"):
    stream = BytesIO()
    Image.new("RGB", (16, 16)).save(stream, form)
    assert read_image(stream.getvalue(), 256).size == (16, 16)
for signature in (b"%!PS-Adobe-3.0 EPSF-3.0", b"8BPS", b"SIMPLE  =  T", b"\\x0a\\x05\\x01\\x08", b"qoif"):
    try:
        read_image(signature + bytes(100), 256)
    except UnreadableImage as error:
        assert error.kind == "not_an_image"
assert set(Image.OPEN) == set(FORMATS), set(Image.OPEN) ^ set(FORMATS)
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


def apng(default: Image.Image, *frames: Image.Image, **options: Any) -> bytes:
    return stored(default, "PNG", save_all=True, append_images=list(frames), default_image=True, **options)


def test_the_picture_that_an_apng_keeps_for_others_is_no_frame() -> None:
    hidden, first, second = noise(40, 30, 1), noise(40, 30, 2), noise(40, 30, 3)
    for frames in ([first], [first, second]):
        np.testing.assert_array_equal(np.asarray(read_image(apng(hidden, *frames), LIMIT)), np.asarray(first))
    shown = stored(first, "PNG", save_all=True, append_images=[second])
    np.testing.assert_array_equal(np.asarray(read_image(shown, LIMIT)), np.asarray(first))


def frame_at(data: bytes, left: int, top: int, frame: Image.Image, blend: int) -> bytes:
    """Put another first frame into an APNG of one frame and a hidden picture."""
    kept = []
    place = 8
    while place < len(data):
        length, name = struct.unpack_from(">I4s", data, place)
        if name not in (b"fcTL", b"fdAT", b"IEND"):
            kept.append((name, data[place + 8 : place + 8 + length]))
        place += 12 + length
    control = struct.pack(">5I2H2B", 0, frame.width, frame.height, left, top, 1, 10, 0, blend)
    lines = b"".join(b"\0" + frame.crop((0, y, frame.width, y + 1)).tobytes() for y in range(frame.height))
    fresh = [(b"fcTL", control), (b"fdAT", struct.pack(">I", 1) + zlib.compress(lines)), (b"IEND", b"")]
    return data[:8] + b"".join(
        struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        for name, content in kept + fresh
    )


@pytest.mark.parametrize("blend", [0, 1])
def test_nothing_of_the_hidden_picture_shows_through(blend: int) -> None:
    hidden = Image.new("RGBA", (20, 10), "red")
    frame = Image.new("RGBA", (8, 6), (0, 0, 255, 255))
    frame.paste((0, 0, 0, 0), (0, 0, 4, 6))
    data = frame_at(apng(hidden, hidden), 10, 2, frame, blend)
    expected = Image.new("RGB", (20, 10), "white")
    expected.paste((0, 0, 255), (14, 2, 18, 8))
    np.testing.assert_array_equal(np.asarray(read_image(data, LIMIT)), np.asarray(expected))
