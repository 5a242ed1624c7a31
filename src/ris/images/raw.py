"""Raw camera files, developed by LibRaw; the extra `formats` brings it."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from typing import TYPE_CHECKING, TypeAlias

from PIL import Image

if TYPE_CHECKING:
    import rawpy

Size: TypeAlias = tuple[int, int]

FORMAT = "RAW"
_SIGNATURES = (
    b"FUJIFILMCCD-RAW",
    b"FOVb",
    b"IIU\0",
    b"IIRO",
    b"IIRS",
    b"MMOR",
)
"""Of Fujifilm, Sigma, Panasonic and Olympus."""
_CR3 = b"ftypcrx "
_REDUCED, _COMPRESSION, _MAKE, _DNG = 254, 259, 271, 50706
"""Tags of a TIFF: whether its first picture is a reduced one, how it is packed, who made the camera, and the
version of DNG, TIFF 6.0 and DNG 1.7."""
_PENTAX = 65535
"""How Pentax packs."""
_SHORT = 3
"""Type of a tag of two bytes."""
_MOST_TAGS = 200
_TURNED = 4
"""Bit of LibRaw's flip that swaps width and height."""


def is_raw(data: bytes) -> bool:
    """Tell whether a file's bytes begin as those of a raw camera file do.

    Most are TIFFs, whose first picture is a reduced one where it is no DNG; read as a TIFF, that alone would
    be seen.
    """
    if data.startswith(_SIGNATURES) or data[4:12] == _CR3:
        return True
    if data[:4] not in (b"II*\0", b"MM\0*"):
        return False
    if data[8:10] == b"CR":
        return True
    tags = _tags(data)
    by_camera = _MAKE in tags and (tags.get(_REDUCED, 0) & 1 == 1 or tags.get(_COMPRESSION) == _PENTAX)
    return _DNG in tags or by_camera


def size(data: bytes) -> Size:
    """Return the width and height that a raw file has when it is developed.

    Raises:
        ValueError: LibRaw does not know it.
    """
    with _opened(data) as raw:
        wide, high = raw.sizes.width, raw.sizes.height
        return (high, wide) if raw.sizes.flip & _TURNED else (wide, high)


def developed(data: bytes, half: bool) -> Image.Image:
    """Develop a raw file with its camera's white balance: upright, sRGB, 8 bits a channel.

    Args:
        data: of the file.
        half: make of each four sensors one pixel, several times faster.

    Raises:
        ValueError: LibRaw does not know it, or it is damaged.
    """
    import rawpy

    with _opened(data) as raw:
        linear = rawpy.DemosaicAlgorithm.LINEAR
        pixels = raw.postprocess(demosaic_algorithm=linear, half_size=half, use_camera_wb=True)
    image = Image.fromarray(pixels)
    image.format = FORMAT
    return image


@contextmanager
def _opened(data: bytes) -> Iterator["rawpy.RawPy"]:
    import rawpy

    try:
        with rawpy.RawPy() as raw:
            raw.open_buffer(BytesIO(data))
            yield raw
    except rawpy.LibRawError as error:
        raise ValueError(f"LibRaw says {error.args[0].decode(errors='replace')}") from error


def _tags(data: bytes) -> dict[int, int]:
    """Return the tags of a TIFF's first picture, and the first number of each that is a short or a long."""
    order = "<" if data[:2] == b"II" else ">"
    tags: dict[int, int] = {}
    with suppress(struct.error):
        (place,) = struct.unpack_from(f"{order}4xI", data)
        (count,) = struct.unpack_from(f"{order}H", data, place)
        for entry in range(place + 2, place + 2 + 12 * min(count, _MOST_TAGS), 12):
            tag, kind = struct.unpack_from(f"{order}HH", data, entry)
            (tags[tag],) = struct.unpack_from(order + ("H" if kind == _SHORT else "I"), data, entry + 8)
    return tags
