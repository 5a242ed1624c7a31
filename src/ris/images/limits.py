"""What a picture file may ask of its decoder, by a walk over its structure before any decoder sees it."""

import struct
from collections.abc import Callable

from ris.images.jpeg import BARE, END, MARKER, SCAN

MAX_BYTES = 500_000_000
"""Of a file, for it is read whole."""
SCANS = 100
"""Of a JPEG; each makes the decoder go over the whole picture. Progressive ones have some ten."""
SEGMENTS = 1_000
"""Of a JPEG, and chunks of a PNG before its pixels; Pillow copies all Exif again at each."""
FILL = 10_000
"""Bytes between a JPEG's segments, which Pillow skips one by one."""
BLOCKS = 5_000
"""Of at most 255 bytes each, before the first picture of a GIF, which Pillow walks one by one."""
CHUNK_BYTES = 64
"""Bytes that a PNG's chunks have on average at least, beyond the first `SEGMENTS` of them."""


def excess(data: bytes) -> str | None:
    """Say what a file has more of than a picture needs, as a clause; None where there is nothing.

    The work is bounded by the limits, not by the file's length, but for a search for markers in a JPEG.
    """
    if len(data) > MAX_BYTES:
        return f"it has more than the {MAX_BYTES} bytes allowed"
    return next((walk(data) for signature, walk in _WALKS if data.startswith(signature)), None)


def _jpeg(data: bytes) -> str | None:
    place, segments, scans, fill = 2, 0, 0, 0
    while found := MARKER.search(data, place):
        if found[1] == END[1:]:
            return None
        segments += 1
        scans += found[1][0] == SCAN
        fill += 0 if scans else found.start() - place
        if scans > SCANS:
            return f"it has more than the {SCANS} scans allowed"
        if segments > SEGMENTS:
            return f"it has more than the {SEGMENTS} segments allowed"
        if fill > FILL:
            break
        place = found.end()
        if found[1][0] not in BARE:
            place += max(2, int.from_bytes(data[place : place + 2]))
    if scans == 0 and fill + len(data) - place > FILL:
        return "its header holds bytes that are no part of it"
    return None


def _png(data: bytes) -> str | None:
    place, chunks, before = 8, 0, True
    while place + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, place)
        if name == b"IEND":
            return None
        chunks += 1
        before &= name != b"IDAT"
        place += 12 + length
        if chunks > SEGMENTS and (before or place < CHUNK_BYTES * (chunks - SEGMENTS)):
            return f"it has more than the {SEGMENTS} small chunks allowed"
    return None


def _gif(data: bytes) -> str | None:
    if len(data) < 13:
        return None
    place, blocks = 13 + (3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0), 0
    while place + 2 < len(data) and data[place] != ord(","):
        if data[place] != ord("!"):
            place, blocks = place + 1, blocks + 1
        else:
            place += 2
            while place < len(data) and data[place] and blocks <= BLOCKS:
                place, blocks = place + 1 + data[place], blocks + 1
            place += 1
        if blocks > BLOCKS:
            return f"it has more than the {BLOCKS} blocks allowed before its first picture"
    return None


_WALKS: tuple[tuple[bytes, Callable[[bytes], str | None]], ...] = (
    (b"\xff\xd8", _jpeg),
    (b"\x89PNG\r\n\x1a\n", _png),
    (b"GIF8", _gif),
)
