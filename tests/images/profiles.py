"""ICC profiles made by hand, and the colours that they mean, worked out without littleCMS."""

import struct
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

Colours = npt.NDArray[np.float64]

SRGB = np.array([[0.4360, 0.3851, 0.1431], [0.2225, 0.7169, 0.0606], [0.0139, 0.0971, 0.7141]])
"""XYZ (rows) of red, green and blue light of sRGB, adapted to D50 as ICC demands."""
ADOBE = np.array([[0.6097, 0.2053, 0.1492], [0.3111, 0.6257, 0.0632], [0.0195, 0.0609, 0.7446]])
"""The same of Adobe RGB (1998), whose green is more vivid than any of sRGB."""
WHITE = np.array([0.9642, 1.0, 0.8249])
INKS = np.array([[0.95, 0.25, 0.05], [0.15, 0.9, 0.3], [0.02, 0.1, 0.9], [1.0, 1.0, 1.0]])
"""What cyan, magenta, yellow and black take away of red, green and blue light."""
GRID = 17


def encoded(light: Colours) -> Colours:
    """Return sRGB levels (..., 3), 0 to 255, of red, green and blue light, 0 to 1."""
    light = np.clip(light, 0, 1)
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def rgb_profile(primaries: Colours, gamma: float) -> bytes:
    """Return the profile of a screen."""
    columns = {f"{name}XYZ": _xyz(primaries[:, place]) for place, name in enumerate("rgb")}
    return _profile("mntr", "RGB ", "XYZ ", columns | {f"{name}TRC": _curve(gamma) for name in "rgb"})


def rgb_meant(pixels: npt.NDArray[np.uint8], primaries: Colours, gamma: float) -> Colours:
    """Return the sRGB levels of pixels (..., 3) on that screen."""
    light = (pixels / 255) ** gamma @ primaries.T
    return encoded(light @ np.linalg.inv(SRGB).T)


def srgb_profile() -> bytes:
    """Return a profile of sRGB with the small inaccuracies that such profiles have."""
    levels = np.linspace(0, 255, 256) / 255
    light = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    curve = b"curv\0\0\0\0" + struct.pack(">I256H", 256, *np.rint(light * 65535).astype(int))
    columns = {f"{name}XYZ": _xyz(SRGB[:, place] + 0.0003) for place, name in enumerate("rgb")}
    return _profile("mntr", "RGB ", "XYZ ", columns | {f"{name}TRC": curve for name in "rgb"})


def grey_profile(gamma: float) -> bytes:
    """Return the profile of a grey screen."""
    return _profile("mntr", "GRAY", "XYZ ", {"kTRC": _curve(gamma)})


def cmyk_profile() -> bytes:
    """Return the profile of a printer with `INKS`."""
    steps = np.linspace(0, 1, GRID)
    inks = np.stack(np.meshgrid(*[steps] * 4, indexing="ij"), axis=-1).reshape(-1, 4)
    ratio = _light(inks) @ SRGB.T / WHITE
    root = np.where(ratio > 216 / 24389, np.cbrt(ratio), (24389 / 27 * ratio + 16) / 116)
    lab = np.stack(
        [
            (116 * root[:, 1] - 16) * 2.55,
            500 * (root[:, 0] - root[:, 1]) + 128,
            200 * (root[:, 1] - root[:, 2]) + 128,
        ],
        axis=1,
    )
    straight = bytes(range(256))
    table = (
        b"mft1\0\0\0\0"
        + bytes((4, 3, GRID, 0))
        + struct.pack(">9i", *(np.eye(3).ravel() * 65536).astype(int))
    )
    table += straight * 4 + np.rint(lab).clip(0, 255).astype(np.uint8).tobytes() + straight * 3
    return _profile("prtr", "CMYK", "Lab ", {"A2B0": table, "A2B1": table})


def cmyk_meant(inks: npt.NDArray[np.uint8]) -> Colours:
    """Return the sRGB levels of inks (..., 4), 0 to 255, on that printer."""
    return encoded(_light(inks / 255))


def _light(inks: Colours) -> Colours:
    left: Colours = np.prod(1 - inks[..., None] * INKS, axis=-2)
    return left


def _xyz(values: Colours) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *np.rint(values * 65536).astype(int))


def _curve(gamma: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"


def _profile(kind: str, space: str, connection: str, tags: Mapping[str, bytes]) -> bytes:
    tags = {"wtpt": _xyz(WHITE), **tags}
    table, body, place = b"", b"", 132 + 12 * len(tags)
    for name, content in tags.items():
        table += struct.pack(">4sII", name.encode(), place + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    head = struct.pack(">I4sI", place + len(body), b"test", 0x02400000)
    head += f"{kind}{space}{connection}".encode() + bytes(12) + b"acsp" + bytes(28) + _xyz(WHITE)[8:]
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body
