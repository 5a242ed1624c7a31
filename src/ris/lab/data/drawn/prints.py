"""Light and printing: functions from pixels to pixels."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ris.lab.data.drawn.pen import Pixels, Rng, hsv, shade, vivid


def cloud(rng: Rng, shape: tuple[int, int], cells: int) -> NDArray[np.float32]:
    """Return smooth noise of zero mean, (height, width)."""
    coarse = Image.fromarray(rng.standard_normal((cells, cells)).astype(np.float32))
    return np.asarray(coarse.resize(shape[::-1], Image.Resampling.BICUBIC))


def light(pixels: Pixels, rng: Rng) -> Pixels:
    """Uneven light, a cast of colour, now and then dusk."""
    high, wide = pixels.shape[:2]
    uneven = 1 + 0.12 * cloud(rng, (high, wide), 3)[..., None]
    cast = 1 + rng.normal(0, 0.05, 3).astype(np.float32)
    dusk = np.float32(rng.uniform(1.5, 2.2)) if rng.random() < 0.12 else np.float32(rng.uniform(0.8, 1.2))
    lit: Pixels = np.clip(pixels * uneven * cast, 0, 1) ** dusk
    return lit


def _grey(pixels: Pixels) -> Pixels:
    """Return luma, (height, width)."""
    luma: Pixels = np.einsum("ijk,k->ij", pixels, np.array([0.299, 0.587, 0.114], dtype=np.float32))
    return luma


def _edges(pixels: Pixels) -> Pixels:
    down, across = np.gradient(_grey(pixels))
    strength: Pixels = np.clip(4 * np.hypot(down, across), 0, 1)[..., None]
    return strength


def gouache(pixels: Pixels, rng: Rng) -> Pixels:
    """Body colour on rough paper."""
    grain = rng.normal(0, rng.uniform(0.005, 0.035), pixels.shape[:2]).astype(np.float32)
    rough: Pixels = pixels + grain[..., None]
    return rough


def _watercolour(pixels: Pixels, rng: Rng) -> Pixels:
    """Wandering edges and pale washes."""
    high, wide = pixels.shape[:2]
    wander = [np.rint(1.1 * cloud(rng, (high, wide), 26)).astype(int) for _ in range(2)]
    rows = np.clip(np.arange(high)[:, None] + wander[0], 0, high - 1)
    columns = np.clip(np.arange(wide)[None, :] + wander[1], 0, wide - 1)
    washed = pixels[rows, columns]
    washes: Pixels = (
        0.25 + 0.75 * washed + 0.05 * cloud(rng, (high, wide), 40)[..., None] - 0.25 * _edges(washed)
    )
    return washes


def _ink(pixels: Pixels, rng: Rng) -> Pixels:
    """Dark lines on tinted paper with a hint of colour."""
    paper = np.array(hsv(rng.uniform(0.05, 0.16), rng.uniform(0, 0.2), 0.96), dtype=np.float32) / 255
    hint = np.float32(rng.uniform(0.0, 0.4))
    drawing: Pixels = paper * (1 - hint + hint * pixels) * (1 - 0.9 * _edges(pixels))
    return drawing


def _chalk(pixels: Pixels, rng: Rng) -> Pixels:
    """Light lines on a dark board."""
    board = np.array(hsv(rng.choice([0.35, 0.6, 0.0]), rng.uniform(0.1, 0.6), 0.25), dtype=np.float32) / 255
    dust = (rng.random(pixels.shape[:2]).astype(np.float32) ** 0.5)[..., None]
    drawing: Pixels = board + 0.25 * pixels * dust + _edges(pixels) * dust * (0.4 + 0.6 * pixels)
    return drawing


def _sepia(pixels: Pixels, rng: Rng) -> Pixels:
    """An old photograph."""
    tone = np.array([[0.25, 0.15, 0.1], [1.0, 0.93, 0.8]], dtype=np.float32)
    grey = _grey(pixels)[..., None] + rng.normal(0, 0.03, (*pixels.shape[:2], 1)).astype(np.float32)
    toned: Pixels = tone[0] + (tone[1] - tone[0]) * grey
    return toned


def _duotone(pixels: Pixels, rng: Rng) -> Pixels:
    """A print in two inks."""
    dark, pale = np.array(shade(vivid(rng), 0.5)), np.array(shade(vivid(rng), 2.5))
    steps = np.floor(_grey(pixels)[..., None] * 5.99) / 5
    inks: Pixels = ((dark + (pale - dark) * steps) / 255).astype(np.float32)
    return inks


def _mosaic(pixels: Pixels, rng: Rng) -> Pixels:
    """Square tiles with joints."""
    tile = int(rng.integers(3, 6))
    high, wide = pixels.shape[:2]
    corners = pixels[::tile, ::tile]
    uneven = corners * rng.uniform(0.88, 1.08, (*corners.shape[:2], 1)).astype(np.float32)
    tiles = uneven.repeat(tile, 0).repeat(tile, 1)[:high, :wide]
    tiles[::tile] *= 0.75
    tiles[:, ::tile] *= 0.75
    return tiles


def _halftone(pixels: Pixels, rng: Rng) -> Pixels:
    """Newspaper dots over flat colour."""
    turn, pitch = rng.uniform(0, np.pi / 2), rng.uniform(1.2, 1.8)
    y, x = np.mgrid[: pixels.shape[0], : pixels.shape[1]].astype(np.float32)
    across, down = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    screen = np.sin(pitch * across) * np.sin(pitch * down)
    return np.where((_grey(pixels) + 0.35 * screen > 0.5)[..., None], 0.25 + 0.75 * pixels, 0.45 * pixels)


Style = Callable[[Pixels, Rng], Pixels]

STYLES: dict[Style, float] = {
    gouache: 0.6,
    _watercolour: 0.1,
    _ink: 0.07,
    _chalk: 0.05,
    _sepia: 0.05,
    _duotone: 0.04,
    _mosaic: 0.045,
    _halftone: 0.045,
}
"""Ways of printing, each with the share of pictures that it gets."""
