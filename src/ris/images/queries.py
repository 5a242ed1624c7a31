"""A query, in whatever form it comes, as the picture that is searched with."""

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TypeGuard

import numpy as np
from PIL import Image, ImageOps

from ris.arguments import number
from ris.images.decoders import read_image
from ris.images.decoding import UnreadableImage, content, to_rgb
from ris.images.fetching import fetch
from ris.types import BadQueryError, Box, Opened, Query

MAX_BYTES = 50_000_000
SECONDS = 20.0
"""Of what is fetched from the web."""


def read_query(query: Query, max_pixels: int, draft: int | None, urls: bool) -> Opened:
    """Return a query as a picture, RGB and upright, and which file it is.

    Args:
        query: see `ris.types.Query`.
        max_pixels: see `read_image`.
        draft: see `read_image`.
        urls: whether it may be an address.

    Raises:
        UnreadableImage: it is no picture.
        BadQueryError: it is of another type, or an address where none is allowed.
        RisError: it cannot be fetched.
    """
    if isinstance(query, Opened):
        return query
    if isinstance(query, Image.Image):
        return Opened(_upright(query, max_pixels), None)
    if isinstance(query, np.ndarray):
        if query.dtype != np.uint8 or query.ndim != 3 or query.shape[2] != 3 or 0 in query.shape:
            raise BadQueryError(
                f"The query is an array of {query.dtype} {query.shape}; "
                "give uint8 pixels (height, width, 3), red first."
            )
        return Opened(_upright(Image.fromarray(query), max_pixels), None)
    if isinstance(query, str) and query.lower().startswith(("http://", "https://")):
        if not urls:
            raise BadQueryError(
                f"{query} is not fetched, as addresses are switched off; save it and give its file."
            )
        query = fetch(query, MAX_BYTES, SECONDS)
    if isinstance(query, str):
        query = Path(query)
    if not isinstance(query, Path | bytes):
        raise BadQueryError(
            f"A query is a file, bytes, a picture, pixels or a row, not {type(query).__name__}."
        )
    return read_file(query, max_pixels, draft)


def read_file(file: Path | bytes, max_pixels: int, draft: int | None) -> Opened:
    """Read a picture file and its SHA-256 in one; see `read_image`.

    Raises:
        UnreadableImage: it is no picture.
        BadQueryError: no file can have such a name.
    """
    try:
        name, data = content(file)
    except ValueError as error:  # a null byte in the name
        raise BadQueryError("The query's name is no name of a file.") from error
    try:
        return Opened(read_image(data, max_pixels, draft), hashlib.sha256(data).digest())
    except UnreadableImage as error:
        raise UnreadableImage(error.kind, error.reason, name) from error


def is_row(query: object) -> TypeGuard[int]:
    """Tell whether a query is the row of one of the store's own pictures."""
    return isinstance(query, int | np.integer) and not isinstance(query, bool)


def checked_box(box: Box) -> Box:
    """Return a box that has an area, and lies within 0 to 1.

    Raises:
        BadQueryError: it does not, or is no box.
    """
    if not isinstance(box, Sequence | np.ndarray) or isinstance(box, str | bytes) or len(box) != 4:
        raise BadQueryError("A box is four numbers: left, top, right and bottom, from 0 to 1.")
    left, top, right, bottom = (number("one of box", share) for share in box)
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        raise BadQueryError(
            f"The box {left:g}, {top:g}, {right:g}, {bottom:g} is not left, top, right, bottom from 0 to 1."
        )
    return left, top, right, bottom


def whole_side(side: int, box: Box | None) -> int:
    """Return the shorter side that a picture needs so that a part of it still has `side` pixels."""
    if box is None:
        return side
    left, top, right, bottom = checked_box(box)
    return math.ceil(side / min(right - left, bottom - top))


def part(image: Image.Image, box: Box | None) -> Image.Image:
    """Cut out a part of a picture, of a pixel at least; all of it without a box.

    Raises:
        BadQueryError: see `checked_box`.
    """
    if box is None:
        return image
    left, top, right, bottom = checked_box(box)
    x, y = min(int(left * image.width), image.width - 1), min(int(top * image.height), image.height - 1)
    return image.crop(
        (x, y, max(x + 1, round(right * image.width)), max(y + 1, round(bottom * image.height)))
    )


def _upright(image: Image.Image, max_pixels: int) -> Image.Image:
    pixels = image.width * image.height
    if not 0 < pixels <= max_pixels:
        reason = f"it has {image.width} x {image.height} pixels, and from 1 to {max_pixels} are allowed"
        raise UnreadableImage("too_large" if pixels else "empty", reason, "The query")
    try:
        return to_rgb(ImageOps.exif_transpose(image))
    except (OSError, ValueError) as error:
        raise UnreadableImage("unreadable", f"its content does not decode ({error})", "The query") from error
