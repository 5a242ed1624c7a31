"""Small and large pictures of the store's pictures: pixels only, never the files themselves."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from io import BytesIO
from threading import Lock

from PIL import Image, ImageOps

from ris.engine import NoSuchPictureError, SearchEngine
from ris.images.decoders import read_image
from ris.images.decoding import UnreadableImage, content

CACHE_BYTES = 64_000_000
SHEET_COLUMNS = 8
EMPTY = (127, 127, 127)
"""Colour of a picture that cannot be read."""


def jpeg(image: Image.Image, quality: int) -> bytes:
    """Encode an RGB picture."""
    stream = BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return stream.getvalue()


class Cache:
    """Bytes by key; those not asked for longest are dropped."""

    def __init__(self, max_bytes: int = CACHE_BYTES) -> None:
        self._max_bytes, self._bytes = max_bytes, 0
        self._kept: OrderedDict[Hashable, bytes] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Hashable) -> bytes | None:
        """Return what is kept under `key`."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def keep(self, key: Hashable, made: bytes) -> None:
        """Keep it under `key`."""
        with self._lock:
            self._bytes += len(made) - len(self._kept.pop(key, b""))
            self._kept[key] = made
            while self._bytes > self._max_bytes:
                self._bytes -= len(self._kept.popitem(last=False)[1])


@dataclass(frozen=True)
class View:
    """Pixels that are shown."""

    content: bytes
    """JPEG, or raw RGB."""
    of_store: bool
    """Whether they are of what the store was made of; if not, its files have changed since."""


class Views:
    """Makes them, and keeps the small ones."""

    def __init__(self, engine: SearchEngine) -> None:
        self._engine = engine
        self._cache = Cache()

    def view(self, row: int, side: int) -> View:
        """Return a picture at most `side` pixels long, as JPEG."""
        return self._made(row, side, lambda image: jpeg(image, 90))

    def thumbnail(self, row: int, side: int) -> View:
        """Return the same, kept in memory."""
        return self._kept(row, side, "thumbnail", lambda image: jpeg(image, 82))

    def sheet(self, rows: Sequence[int], side: int) -> View:
        """Return the middles of pictures as squares of `side` pixels, in rows of `SHEET_COLUMNS`, as JPEG."""
        lines = -(-len(rows) // SHEET_COLUMNS)
        sheet, of_store = Image.new("RGB", (SHEET_COLUMNS * side, lines * side), EMPTY), True
        for place, row in enumerate(rows):
            try:
                square = self._kept(
                    row, 2 * side, "square", lambda image: ImageOps.fit(image, (side, side)).tobytes()
                )
            except (NoSuchPictureError, UnreadableImage):
                of_store = False
                continue
            of_store &= square.of_store
            drawn = Image.frombytes("RGB", (side, side), square.content)
            sheet.paste(drawn, (place % SHEET_COLUMNS * side, place // SHEET_COLUMNS * side))
        return View(jpeg(sheet, 80), of_store)

    def _kept(self, row: int, side: int, kind: str, draw: Callable[[Image.Image], bytes]) -> View:
        key = self._engine.picture(row).sha256, side, kind
        kept = self._cache.get(key)
        if kept is not None:
            return View(kept, of_store=True)
        made = self._made(row, side, draw)
        if made.of_store:
            self._cache.keep(key, made.content)
        return made

    def _made(self, row: int, side: int, draw: Callable[[Image.Image], bytes]) -> View:
        """Draw a picture at most `side` pixels long, and compare its checksum with the store's."""
        sha256 = self._engine.picture(row).sha256
        _, data = content(self._engine.file(row))
        image = read_image(data, self._engine.max_pixels, side)
        image.thumbnail((side, side))
        return View(draw(image), hashlib.sha256(data).hexdigest() == sha256)
