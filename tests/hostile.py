"""Pictures that cost their reader far more than their bytes, each made anew."""

import struct
import zlib
from io import BytesIO

import numpy as np
from PIL import Image

SEGMENT = b"\xff\xe1" + struct.pack(">H", 18) + b"Exif\0\0" + bytes(10)


def stored(image: Image.Image, form: str, **options: object) -> bytes:
    """Return a picture as a file's bytes."""
    stream = BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def jpeg(**options: object) -> bytes:
    """A small JPEG."""
    return stored(Image.new("RGB", (64, 64), (200, 30, 30)), "JPEG", **options)


def exif_segments(count: int) -> bytes:
    """A JPEG of many tiny Exif segments."""
    return jpeg()[:2] + SEGMENT * count + jpeg()[2:]


def hidden_segments(count: int) -> bytes:
    """The same, behind a marker that has no length, but seems to."""
    return jpeg()[:2] + b"\xff\xd8\xff\xff" + SEGMENT * count + jpeg()[2:]


def filled(fill: bytes, count: int) -> bytes:
    """A JPEG with bytes before its first segment."""
    return jpeg()[:2] + fill * count + jpeg()[2:]


def scans(count: int) -> bytes:
    """A progressive JPEG that says its last scan again and again."""
    data = jpeg(progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * count + data[-2:]


def chunk(name: bytes, data: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(
    width: int, height: int, bits: int = 8, colours: int = 0, before: bytes = b"", piece: int = 0
) -> bytes:
    """A black PNG; its pixels in one chunk, or in pieces of so many bytes."""
    header = struct.pack(">IIBBBBB", width, height, bits, colours, 0, 0, 0)
    channels = {0: 1, 2: 3, 6: 4}[colours]
    pixels = zlib.compress(bytes((width * channels * bits // 8 + 1) * height), 9)
    piece = piece or len(pixels)
    chunks = [chunk(b"IDAT", pixels[start : start + piece]) for start in range(0, len(pixels), piece)]
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + before + b"".join(chunks) + chunk(b"IEND", b"")


def gif_comment(blocks: int) -> bytes:
    """A GIF whose comment is in blocks of one byte."""
    data = stored(Image.new("P", (8, 8)), "GIF")
    start = 13 + 3 * (2 << (data[10] & 7)) * bool(data[10] & 128)
    return data[:start] + b"!\xfe" + b"\x01x" * blocks + b"\0" + data[start:]


def black_jp2(side: int) -> bytes:
    """A JPEG 2000 of few bytes, which takes seconds and is decoded without letting other threads run."""
    return stored(Image.fromarray(np.zeros((side, side), np.uint8)), "JPEG2000")
