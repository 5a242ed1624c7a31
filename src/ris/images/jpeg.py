"""JPEG files that end too early: whether only the end marker is missing, or how much of the picture."""

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

END = b"\xff\xd9"
MARKER = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])", re.DOTALL)
"""A marker but those that stand within a scan: stuffed bytes, restarts, fill."""
_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
SCAN = 0xDA
BARE = frozenset({0x01, 0xC8, 0xD8, *range(0xF0, 0xFE)})
"""Markers that no length follows."""
_PADDING = 64
"""Zeros in a row, at the end, that are no picture but what a broken download leaves."""

Decode = Callable[[bytes], npt.NDArray[np.uint8]]


@dataclass(frozen=True)
class _Scan:
    first: int
    """Lowest of the 64 frequencies that it brings."""
    earlier: int
    """How many of their lower bits were missing before it; 0 where it brings the first bits."""

    @property
    def coarse(self) -> bool:
        """Whether there is nothing to see without it."""
        return self.first == 0 and self.earlier == 0


@dataclass(frozen=True)
class _Structure:
    scans: list[_Scan]
    """Those whose headers are there."""
    complete: bool
    """Whether they bring every frequency in every bit."""
    length: int
    """Bytes up to the first segment that is not whole, or to the end marker."""


def ended(data: bytes) -> bytes:
    """Return a JPEG that lacks its end marker with one, behind the last segment that is whole."""
    whole = data.rstrip(b"\0")
    if len(data) - len(whole) < _PADDING:
        whole = data
    if whole.endswith(b"\xff"):
        whole += b"\0"  # It is the first half of the end marker, or of a stuffed byte: right for both.
    return whole[: _structure(whole).length] + END


def missing(data: bytes, decode: Decode) -> str | None:
    """Say what a JPEG without an end marker lacks; None where every pixel is there.

    The bits that follow the file's last one change no pixel of a picture that is there. Those that are not
    there are decoded from whatever follows.

    Args:
        data: of the file, as `ended` returns it.
        decode: returns the pixels (h, w, ...) of a JPEG.

    Returns:
        A clause, such as "the lower 40 % of the picture is missing".
    """
    body, structure = data.removesuffix(END), _structure(data)
    if not structure.scans:
        return "all of the picture is missing"
    random = np.random.default_rng(0).integers(0, 255, len(body) + 1024, dtype=np.uint8).tobytes()
    shown = decode(data)
    apart = np.zeros(len(shown), bool)
    for tail in (b"\xff\x00" * 16, random):
        apart |= (decode(body + tail + END) != shown).reshape(len(shown), -1).any(axis=1)
    share = 1 - int(apart.argmax()) / len(shown) if apart.any() else 0.0
    part = "all of the picture" if share == 1 else f"the lower {max(100 * share, 1):.0f} % of the picture"
    if share and structure.scans[-1].coarse:
        return f"{part} is missing"
    if not structure.complete:
        return "detail of all of the picture is missing"
    return f"detail of {part} is missing" if share else None


def _structure(data: bytes) -> _Structure:
    lacking: dict[int, npt.NDArray[np.int64]] = {}
    scans: list[_Scan] = []
    progressive, place, length = False, 2, len(data)
    while found := MARKER.search(data, place):
        marker, place = found[1][0], found.end()
        size = int.from_bytes(data[place : place + 2])
        if marker == END[1] or place + size > len(data):
            length = found.start()
            break
        segment = data[place + 2 : place + size]
        if marker in _FRAMES and len(segment) >= 6:
            progressive = marker in _PROGRESSIVE
            lacking = {one: np.full(64, -1, np.int64) for one in segment[6::3]}
        if marker == SCAN and segment and len(segment) == 4 + 2 * segment[0]:
            first, last, bits = segment[-3:] if progressive else (0, 63, 0)
            scans.append(_Scan(first, bits >> 4))
            for component in segment[1:-3:2]:
                if component in lacking:
                    lacking[component][first : last + 1] = bits & 15
        place += max(size, 2)
    complete = bool(lacking) and not any(bits.any() for bits in lacking.values())
    return _Structure(scans, complete, length)
