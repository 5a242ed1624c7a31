"""Small and large pictures of the store's pictures: pixels only, never the files themselves."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from io import BytesIO
from threading import Lock

from PIL import Image, ImageOps

from ris.engine import NoSuchPictureError, SearchEngine
from ris.images.decoding import UnreadableImage

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

    def get(self, key: Hashable, make: Callable[[], bytes]) -> bytes:
        """Return what is kept under `key`, or make and keep it."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        made = make()
        with self._lock:
            self._bytes += len(made) - len(self._kept.pop(key, b""))
            self._kept[key] = made
            while self._bytes > self._max_bytes:
                self._bytes -= len(self._kept.popitem(last=False)[1])
        return made


class Views:
    """Makes them, and keeps the small ones."""

    def __init__(self, engine: SearchEngine) -> None:
        self._engine = engine
        self._cache = Cache()

    def view(self, row: int, side: int) -> bytes:
        """Return a picture at most `side` pixels long, as JPEG."""
        return jpeg(self._engine.image(row, side), 90)

    def thumbnail(self, row: int, side: int) -> bytes:
        """Return the same, kept in memory."""
        sha256 = self._engine.picture(row).sha256
        return self._cache.get((sha256, side), lambda: jpeg(self._engine.image(row, side), 82))

    def sheet(self, rows: Sequence[int], side: int) -> bytes:
        """Return the middles of pictures as squares of `side` pixels, in rows of `SHEET_COLUMNS`, as JPEG."""
        lines = -(-len(rows) // SHEET_COLUMNS)
        sheet = Image.new("RGB", (SHEET_COLUMNS * side, lines * side), EMPTY)
        for place, row in enumerate(rows):
            try:
                square = self._square(row, side)
            except (NoSuchPictureError, UnreadableImage):
                continue
            sheet.paste(square, (place % SHEET_COLUMNS * side, place // SHEET_COLUMNS * side))
        return jpeg(sheet, 80)

    def _square(self, row: int, side: int) -> Image.Image:
        def make() -> bytes:
            return ImageOps.fit(self._engine.image(row, 2 * side), (side, side)).tobytes()

        key = self._engine.picture(row).sha256, side, "square"
        return Image.frombytes("RGB", (side, side), self._cache.get(key, make))
