"""The one way in which a picture file becomes an RGB picture."""

import struct
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from pillow_heif import register_heif_opener

from ris.errors import RisError

register_heif_opener(thumbnails=False)

Kind = Literal["not_an_image", "truncated", "empty", "too_large", "unreadable"]

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "DIB", "TIFF", "WEBP", "PPM", "AVIF", "HEIF", "JPEG2000")
"""What is decoded: raster formats with a signature, none that starts another program or draws vectors."""

_DECODER_ERRORS = (
    OSError,
    RuntimeError,
    SyntaxError,
    ValueError,
    LookupError,
    EOFError,
    TypeError,
    struct.error,
)


class UnreadableImage(RisError):  # noqa: N818
    """A file that does not become a picture: `kind` says in one word why, `reason` in a sentence."""

    def __init__(self, kind: Kind, reason: str, name: str) -> None:
        super().__init__(f"{name} cannot be used as a picture: {reason}.")
        self.kind: Kind = kind
        self.reason = reason


def read_image(source: Path | bytes | BinaryIO, max_pixels: int, draft: int | None = None) -> Image.Image:
    """Read a picture fully and bring it to RGB, 8 bits a channel, standing upright.

    The content decides what the file is, not its suffix. Of several frames the first counts. EXIF
    orientation is applied. Greyscale and palettes are expanded; 16-bit greyscale is scaled to 8 bits
    (32-bit integers are taken as 16-bit values and clipped); transparency is composited on white; CMYK
    and the other colour spaces are converted as Pillow does it, Adobe's inverted CMYK included.
    Embedded colour profiles are not applied.

    Args:
        source: a file's path, its bytes, or an open binary stream.
        max_pixels: refuse pictures of more pixels, by their header, before anything is decoded; Pillow's
            own limit against decompression bombs holds as well.
        draft: the shorter side, in pixels, that the caller needs at least. A JPEG is then decoded at 1/2,
            1/4 or 1/8 of its size where its shorter side stays at least this long, which is several
            times faster; every other picture is read at its own size.

    Raises:
        UnreadableImage: with the kind of the problem and its reason.
    """
    name, data = _content(source)
    image = _open(name, data, max_pixels)
    try:
        if draft is not None:
            image.draft(None, (draft, draft))
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
        return to_rgb(image)
    except UnreadableImage:
        raise
    except _DECODER_ERRORS as error:
        if "truncated" in str(error).lower():
            raise UnreadableImage("truncated", "the file is cut short", name) from error
        raise UnreadableImage("unreadable", f"its content does not decode ({error})", name) from error


def stored_mode(source: Path | bytes | BinaryIO, max_pixels: int) -> str:
    """Return the mode in which a picture is stored ("RGB", "L", "P", "CMYK", ...), by its header.

    Raises:
        UnreadableImage: the header is not that of a picture, or names more than `max_pixels` pixels.
    """
    return _open(*_content(source), max_pixels).mode


def _content(source: Path | bytes | BinaryIO) -> tuple[str, bytes]:
    if isinstance(source, bytes):
        return "This file", source
    if not isinstance(source, Path):
        return "This file", source.read()
    try:
        return str(source), source.read_bytes()
    except OSError as error:
        raise UnreadableImage(
            "unreadable", f"the file cannot be read ({error.strerror})", str(source)
        ) from error


def _open(name: str, data: bytes, max_pixels: int) -> Image.Image:
    if not data:
        raise UnreadableImage("empty", "the file is empty", name)
    try:
        image = Image.open(BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise UnreadableImage("not_an_image", "its content is no picture in a known format", name) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UnreadableImage("too_large", "it has more pixels than Pillow's safety limit", name) from error
    except _DECODER_ERRORS as error:
        raise UnreadableImage("unreadable", f"its header is damaged ({error})", name) from error
    pixels = image.width * image.height
    if pixels > max_pixels:
        reason = f"it has {image.width} x {image.height} pixels, more than the {max_pixels} allowed"
        raise UnreadableImage("too_large", reason, name)
    return image


def to_rgb(image: Image.Image) -> Image.Image:
    """Bring a decoded picture of any mode to RGB, see `read_image`."""
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode == "F":
        raise ValueError("floating-point pixels have no defined white")
    if image.mode.startswith("I"):
        wide = np.clip(np.asarray(image), 0, 65535).astype(np.float64)
        return Image.fromarray(np.rint(wide / 257).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(white, layer).convert("RGB")
    return image.convert("RGB")
