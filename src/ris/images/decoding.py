"""The one way in which a picture file becomes an RGB picture."""

import struct
from collections.abc import Callable
from functools import partial
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import Blend, PngImageFile
from pillow_heif import register_heif_opener

from ris.errors import RisError
from ris.extras import installed
from ris.images import jpeg, limits, raw
from ris.images.colour import to_srgb
from ris.images.depth import eight_bit_colours, eight_bits, grey_white, low_bytes, stated_white
from ris.images.strips import converted

for _plugin in ("Avif", "Bmp", "Gif", "Jpeg", "Jpeg2K", "Png", "Ppm", "Tiff", "WebP"):
    import_module(f"PIL.{_plugin}ImagePlugin")  # else Pillow registers every decoder it has
register_heif_opener(thumbnails=False)
FORMATS: tuple[str, ...] = (
    "JPEG",
    "PNG",
    "GIF",
    "BMP",
    "DIB",
    "TIFF",
    "WEBP",
    "PPM",
    "AVIF",
    "HEIF",
    "JPEG2000",
)
"""What is decoded: raster formats with a signature, none that starts another program or draws vectors."""
if installed("formats"):
    from pillow_jxl import JpegXLImagePlugin

    JpegXLImagePlugin.DECODE_THREADS = 0
    FORMATS += ("JXL",)

Size: TypeAlias = tuple[int, int]
"""Width and height, pixels."""
Kind = Literal["not_an_image", "truncated", "empty", "too_large", "unreadable"]

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
    """Read a picture fully and bring it to RGB, 8 bits a channel, in sRGB, standing upright.

    The content decides what the file is, not its suffix. Of several frames the first counts; the picture
    that an APNG keeps for programs without animation is none of them. The orientation is applied that EXIF,
    XMP or the container states. Greyscale and palettes are expanded; transparency is composited on white.
    Samples of more than 8 bits are scaled so that the white that the file states becomes 255, see
    `ris.images.depth.white`. An embedded colour profile is applied, see `ris.images.colour.to_srgb`; without
    one, CMYK and the other colour spaces are converted as Pillow does it, Adobe's inverted CMYK included.
    A JPEG that lacks its end marker alone is read. With the extra `formats`, JPEG XL and raw camera files are
    read, too, see `ris.images.raw`. The returned picture's `format` is that of the file.

    This decodes in this process; `ris.images.decoders` does it in others, which a file cannot hang or fill.

    Args:
        source: a file's path, its bytes, or an open binary stream.
        max_pixels: refuse pictures of more pixels, by their header, before anything is decoded; Pillow's
            own limit against decompression bombs holds as well, and those of `ris.images.limits`.
        draft: the shorter side, in pixels, that the caller needs at least. The picture is then read at 1/2,
            1/4 or 1/8 of its size where its shorter side stays at least this long: a JPEG is decoded so,
            which is several times faster, of every other the pixels are averaged.

    Raises:
        UnreadableImage: with the kind of the problem and its reason.
    """
    return read_sized(source, max_pixels, draft)[0]


def read_sized(
    source: Path | bytes | BinaryIO, max_pixels: int, draft: int | None = None
) -> tuple[Image.Image, Size]:
    """Read a picture as `read_image` does, and return with it the size that it has without `draft`."""
    name, data = content(source)
    if raw.is_raw(data):
        return _developed(name, data, max_pixels, draft)
    image = _open(name, data, max_pixels)
    try:
        try:
            return _decoded(image, data, draft)
        except OSError as error:
            if not isinstance(image, JpegImageFile) or "truncated" not in str(error):
                raise
        data = jpeg.ended(data)
        lacking = jpeg.missing(data, _jpeg_pixels)
        if lacking is not None:
            raise UnreadableImage("truncated", lacking, name)
        return _decoded(_open(name, data, max_pixels), data, draft)
    except UnreadableImage:
        raise
    except _DECODER_ERRORS as error:
        if "truncated" in str(error).lower():
            raise UnreadableImage("truncated", "the file is cut short", name) from error
        raise UnreadableImage("unreadable", f"its content does not decode ({error})", name) from error


def header(source: Path | bytes | BinaryIO, max_pixels: int) -> Image.Image:
    """Open a picture by its header; nothing of it is decoded yet.

    Raises:
        UnreadableImage: the header is not that of a picture, or names more than `max_pixels` pixels.
    """
    return _open(*content(source), max_pixels)


def stored_mode(source: Path | bytes | BinaryIO, max_pixels: int) -> str:
    """Return the mode in which a picture is stored ("RGB", "L", "P", "CMYK", ...), see `header`."""
    return header(source, max_pixels).mode


def content(source: Path | bytes | BinaryIO) -> tuple[str, bytes]:
    """Return what a picture file is called in a sentence, and its bytes, at most one more than are allowed.

    Raises:
        UnreadableImage: the file cannot be read.
    """
    if isinstance(source, bytes):
        return "This file", source
    if not isinstance(source, Path):
        return "This file", source.read()
    try:
        with source.open("rb") as stream:
            return str(source), stream.read(limits.MAX_BYTES + 1)
    except OSError as error:
        raise UnreadableImage(
            "unreadable", f"the file cannot be read ({error.strerror})", str(source)
        ) from error


def _open(name: str, data: bytes, max_pixels: int) -> Image.Image:
    if not data:
        raise UnreadableImage("empty", "the file is empty", name)
    too_much = limits.excess(data)
    if too_much is not None:
        raise UnreadableImage("too_large", too_much, name)
    try:
        image = Image.open(BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise UnreadableImage("not_an_image", "its content is no picture in a known format", name) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UnreadableImage("too_large", "it has more pixels than Pillow's safety limit", name) from error
    except _DECODER_ERRORS as error:
        if "truncated" in str(error).lower():
            raise UnreadableImage("truncated", "the file is cut short", name) from error
        raise UnreadableImage("unreadable", f"its header is damaged ({error})", name) from error
    _check_pixels(image.size, max_pixels, name)
    return image


def _check_pixels(size: Size, max_pixels: int, name: str) -> None:
    if size[0] * size[1] > max_pixels:
        reason = f"it has {size[0]} x {size[1]} pixels, more than the {max_pixels} allowed"
        raise UnreadableImage("too_large", reason, name)


def _developed(name: str, data: bytes, max_pixels: int, draft: int | None) -> tuple[Image.Image, Size]:
    """Develop a raw camera file; return it as `read_image` does, with its size without `draft`."""
    if len(data) > limits.MAX_BYTES:
        raise UnreadableImage("too_large", f"it has more than the {limits.MAX_BYTES} bytes allowed", name)
    if not installed("formats"):
        reason = "it is a raw camera file, and to read those, pip install 'ris[formats]'"
        raise UnreadableImage("not_an_image", reason, name)
    try:
        size = raw.size(data)
        _check_pixels(size, max_pixels, name)
        shrink = 1 if draft is None else _shrink(size, draft)
        image = raw.developed(data, half=shrink > 1)
    except ValueError as error:
        raise UnreadableImage("unreadable", f"its content does not decode ({error})", name) from error
    return (image if shrink <= 2 else image.reduce(shrink // 2)), size


def to_rgb(image: Image.Image, white: int | None = None, shrink: int = 1) -> Image.Image:
    """Bring a decoded picture of any mode to RGB, see `read_image`.

    Args:
        image: decoded.
        white: the value of samples of more than 8 bits that is stated to be white; None where none is.
        shrink: as many pixels along both sides become one, their mean.
    """
    profile = image.info.get("icc_profile")
    if image.mode == "RGB" and "transparency" not in image.info and profile is None:
        return image.reduce(shrink) if shrink > 1 else image
    if image.mode == "F":
        raise ValueError("floating-point pixels have no defined white")
    if image.mode.startswith("I"):
        top = grey_white(image, white)
        return converted(image, lambda strip: to_srgb(eight_bits(strip, top), profile), shrink)
    return converted(image, lambda strip: _eight_bits_to_rgb(strip, profile), shrink)


def _eight_bits_to_rgb(image: Image.Image, profile: object) -> Image.Image:
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        colours = to_srgb(image.convert("L") if image.mode == "LA" else layer.convert("RGB"), profile)
        colours.putalpha(layer.getchannel("A"))
        paper = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(paper, colours).convert("RGB")
    return to_srgb(image if image.mode in ("L", "CMYK") else image.convert("RGB"), profile)


def _decoded(image: Image.Image, data: bytes, draft: int | None) -> tuple[Image.Image, Size]:
    """Decode an opened picture; return it as `read_image` does, with its size without `draft`."""
    form, size = image.format, image.size
    drafted = draft is not None and image.draft(None, (draft, draft)) is not None
    white = stated_white(image, data)
    if isinstance(image, PngImageFile) and image.default_image and image.is_animated:
        image = _first_frame(image)
    elif (lower := low_bytes(image)) is not None:
        image.load()
        image = eight_bit_colours(image, white, partial(_read_again, data, lower))
    image.load()
    if form == "JXL" and not getattr(image, "jpeg", False):
        image.info.pop("exif", None)  # libjxl has turned it upright
    lying = image.getexif().get(ExifTags.Base.Orientation) in (5, 6, 7, 8)
    ImageOps.exif_transpose(image, in_place=True)
    if not drafted:
        size = image.size
    elif lying:
        size = size[::-1]
    image = to_rgb(image, white, 1 if draft is None or drafted else _shrink(image.size, draft))
    image.info = {}  # it is all applied, and must not be applied again
    image.format = form
    return image, size


def _shrink(size: Size, draft: int) -> int:
    """Return by how much a picture may be shrunk so that its shorter side stays at least `draft` long."""
    return next((by for by in (8, 4, 2) if min(size) // by >= draft), 1)


def _first_frame(image: PngImageFile) -> Image.Image:
    """Decode the first frame of an APNG whose default picture is none of its frames."""
    image.seek(1)
    image.blend_op = Blend.OP_SOURCE  # below it is nothing, and not the default picture
    image.load()
    left, top, right, bottom = map(int, image.dispose_extent)
    if (left, top, right, bottom) == (0, 0, *image.size):
        return image
    canvas = Image.new("RGBA", image.size)
    canvas.paste(image.crop((left, top, right, bottom)).convert("RGBA"), (left, top))
    canvas.info = image.info
    return canvas


def _read_again(data: bytes, change: Callable[[Image.Image], None]) -> Image.Image:
    image = Image.open(BytesIO(data), formats=FORMATS)
    change(image)
    image.load()
    return image


def _jpeg_pixels(data: bytes) -> npt.NDArray[np.uint8]:
    return np.asarray(Image.open(BytesIO(data), formats=("JPEG",)))
