"""A picture a few rows at a time, so that what is made on the way from it takes little memory."""

from collections.abc import Callable, Iterator

from PIL import Image

PIXELS = 1 << 20
"""Of a strip, about."""


def strips(image: Image.Image, multiple: int = 1) -> Iterator[tuple[int, Image.Image]]:
    """Yield strips of a decoded picture, as wide as it is, each with its upper edge.

    Args:
        image: decoded.
        multiple: the upper edges are multiples of it.
    """
    rows = max(1, PIXELS // image.width // multiple) * multiple
    if rows >= image.height:
        yield 0, image
        return
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def converted(
    image: Image.Image, change: Callable[[Image.Image], Image.Image], shrink: int = 1
) -> Image.Image:
    """Return the RGB picture that a change of single pixels makes of a decoded one, shrunk.

    Args:
        image: decoded.
        change: returns an RGB picture of the same size.
        shrink: as many pixels along both sides become one, their mean.
    """
    whole = Image.new("RGB", (-(-image.width // shrink), -(-image.height // shrink)))
    for top, strip in strips(image, shrink):
        shrunk = change(strip).reduce(shrink) if shrink > 1 else change(strip)
        if shrunk.size == whole.size:
            return shrunk
        whole.paste(shrunk, (0, top // shrink))
    return whole
