"""Samples of more than 8 bits: where their white lies, and the picture of 8 bits that they make."""

import struct
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from ris.images.strips import strips

DEPTHS = (8, 10, 12, 14, 16, 24, 31)
"""Bits that samples have, in files with room for more that do not say how many."""
FULL = 2**16 - 1

_SWAPPED = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}
_MAX_SAMPLE_VALUE, _BITS_PER_SAMPLE = 281, 258


def stated_white(image: Image.Image, data: bytes) -> int | None:
    """Return the sample value that a file states to be white; None where it states none.

    PNG says it by `sBIT`, TIFF by MaxSampleValue or a BitsPerSample below 16; what Pillow reads of the other
    formats is scaled to 16 bits.

    Args:
        image: opened, not loaded.
        data: the file's bytes.
    """
    if image.format == "PNG":
        bits = _significant_bits(data)
        return None if bits is None else 2**bits - 1
    if not isinstance(image, TiffImageFile):
        return FULL
    highest, bits = (_largest(image.tag_v2.get(tag)) for tag in (_MAX_SAMPLE_VALUE, _BITS_PER_SAMPLE))
    if highest:
        return highest
    return 2**bits - 1 if bits is not None and 8 < bits < 16 else None


def white(peak: int, stated: int | None) -> int:
    """Return the value that becomes 255.

    It is the stated one, unless a sample exceeds it. Otherwise it is the largest value of the fewest bits of
    `DEPTHS` that hold the largest sample.
    """
    if stated is not None and stated > 0 and peak <= stated:
        return stated
    return next((2**bits - 1 for bits in DEPTHS if peak < 2**bits), peak)


def grey_white(image: Image.Image, stated: int | None) -> int:
    """Return the value that becomes 255 of a grey picture of integers (mode I or I;16), see `white`."""
    return white(_peak(np.asarray(strip) for _, strip in strips(image)), stated)


def eight_bits(image: Image.Image, top: int) -> Image.Image:
    """Bring a grey picture of integers (mode I or I;16) to mode L: `top` is white, what is below 0 black."""
    return Image.fromarray(_scaled(np.asarray(image), top))


def low_bytes(image: Image.Image) -> Callable[[Image.Image], None] | None:
    """Return what makes Pillow read the lower bytes of colours of 16 bits, of which it reads the upper ones.

    Args:
        image: opened, not loaded.

    Returns:
        To be called with the same picture, opened anew; None where the colours have 8 bits.
    """
    tiles = getattr(image, "tile", ())
    if not tiles:
        return None
    args = tiles[0].args
    raw, rest = (args, None) if isinstance(args, str) else (args[0], args[1:])
    if not isinstance(raw, str) or raw[:-1] not in ("RGB;16", "RGBX;16", "RGBA;16"):
        return None
    lower = raw[:-1] + _SWAPPED[raw[-1]]

    def change(fresh: Image.Image) -> None:
        swapped = lower if rest is None else (lower, *rest)
        fresh.tile = [tile._replace(args=swapped) for tile in fresh.tile]  # type: ignore[attr-defined]

    return change


def eight_bit_colours(
    upper: Image.Image, stated: int | None, lower: Callable[[], Image.Image]
) -> Image.Image:
    """Bring colours of 16 bits to 8, by their own white.

    Args:
        upper: RGB or RGBA, the upper bytes.
        stated: see `stated_white`.
        lower: reads the picture of the lower bytes; it is not called where the upper ones are enough.
    """
    if stated == FULL or (
        stated is None and _peak(_colours(strip) for _, strip in strips(upper)) >= 2 ** (14 - 8)
    ):
        return upper
    below = lower()
    level = white(_peak(samples for _, samples in _joined(upper, below)), stated)
    if level == FULL:
        return upper
    colours = Image.new("RGB", upper.size)
    for top, samples in _joined(upper, below):
        colours.paste(Image.fromarray(_scaled(samples, level)), (0, top))
    if upper.mode == "RGBA":
        colours.putalpha(upper.getchannel("A"))
    colours.info = upper.info
    return colours


def _joined(upper: Image.Image, lower: Image.Image) -> Iterator[tuple[int, npt.NDArray[np.uint16]]]:
    """Yield the samples (h, w, 3) whose bytes two pictures hold, each strip with its upper edge."""
    for (top, high), (_, low) in zip(strips(upper), strips(lower), strict=True):
        yield top, 256 * _colours(high).astype(np.uint16) + _colours(low)


def _colours(image: Image.Image) -> npt.NDArray[np.uint8]:
    colours: npt.NDArray[np.uint8] = np.asarray(image)[..., :3]
    return colours


def _peak(parts: Iterable[npt.NDArray[np.integer[Any]]]) -> int:
    return max(int(part.max()) for part in parts)


def _scaled(samples: npt.NDArray[np.integer[Any]], top: int) -> npt.NDArray[np.uint8]:
    levels = np.clip(samples, 0, top).astype(np.float32) * np.float32(255 / top)
    whole: npt.NDArray[np.uint8] = np.rint(levels).astype(np.uint8)
    return whole


def _significant_bits(data: bytes) -> int | None:
    """Return the largest number in a PNG's `sBIT` chunk, which stands before the pixels."""
    place = 8
    while place + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, place)
        if name == b"sBIT" and 1 <= length <= 4:
            bits = max(data[place + 8 : place + 8 + length], default=0)
            return bits if 0 < bits <= 16 else None
        if name == b"IDAT":
            return None
        place += 12 + length
    return None


def _largest(values: object) -> int | None:
    several = values if isinstance(values, tuple) else (values,)
    return max((one for one in several if isinstance(one, int)), default=None)
