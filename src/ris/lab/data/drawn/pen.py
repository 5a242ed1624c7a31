"""Shapes, colours, patterns, and the pen that lays them on a picture."""

import colorsys
import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Rng = np.random.Generator
Points = NDArray[np.float64]
"""(n, 2): x to the right, y downwards; an object fills about [-1, 1] in both."""
Colour = tuple[int, int, int]
Decoration = Callable[["Pen"], None]
Pixels = NDArray[np.float32]
"""(height, width, 3): RGB in [0, 1]."""

_HUES = np.array([0.0, 0.03, 0.07, 0.1, 0.14, 0.3, 0.46, 0.54, 0.6, 0.65, 0.77, 0.9, 0.97])
_TURN = 2 * np.pi * np.linspace(0, 1, 25)
_CIRCLE = np.array([np.cos(_TURN), np.sin(_TURN)])


class Pen:
    """Draws in an object's own coordinates on a layer that sees them through a pose.

    Args:
        layer: RGB or RGBA picture that is drawn on.
        pose: (2, 3) affine map from object coordinates to pixels.
        ink: width of the outlines in object units; 0 draws none.
    """

    def __init__(self, layer: Image.Image, pose: NDArray[np.float64], ink: float) -> None:
        self.layer, self.pose, self.ink = layer, pose, ink
        self._draw = ImageDraw.Draw(layer)
        self._unit = float(np.sqrt(abs(np.linalg.det(pose[:, :2]))))

    def fill(self, shape: Points, colour: Colour, decoration: Decoration | None = None) -> None:
        """Fill a closed shape, outlined in a darker tone; what the decoration draws is cut to the shape."""
        corners = self._pixels(shape)
        self._draw.polygon(corners, fill=colour)
        if decoration:
            decorated, mask = self.layer.copy(), Image.new("L", self.layer.size)
            decoration(Pen(decorated, self.pose, ink=0))
            ImageDraw.Draw(mask).polygon(corners, fill=255)
            self.layer.paste(decorated, mask=mask)
        if self.ink:
            self.stroke(np.vstack([shape, shape[:2]]), self.ink, shade(colour, 0.4))

    def stroke(self, path: Points, width: float, colour: Colour) -> None:
        """Draw an open line of a width in object units, at least one pixel wide."""
        self._draw.line(
            self._pixels(path), fill=colour, width=max(1, round(width * self._unit)), joint="curve"
        )

    def _pixels(self, points: Points) -> list[float]:
        flat: list[float] = (points @ self.pose[:, :2].T + self.pose[:, 2]).ravel().tolist()
        return flat


def hsv(hue: float, saturation: float, value: float) -> Colour:
    """Return an RGB colour; the hue wraps around, saturation and value are cut to [0, 1]."""
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, min(max(saturation, 0), 1), min(max(value, 0), 1))
    return round(255 * red), round(255 * green), round(255 * blue)


def shade(colour: Colour, factor: float) -> Colour:
    """Return a colour darkened by a factor below 1, or brought towards white by one above 1."""
    if factor <= 1:
        return tuple(round(c * factor) for c in colour)  # type: ignore[return-value]
    return tuple(round(255 - (255 - c) / factor) for c in colour)  # type: ignore[return-value]


def vivid(rng: Rng) -> Colour:
    """Return a random colour fit for the main body of an object."""
    return near(rng, rng.choice(_HUES), rng.uniform(0.45, 0.9), rng.uniform(0.6, 1))


def near(rng: Rng, hue: float, saturation: float, value: float) -> Colour:
    """Return a colour at random near the given one."""
    return hsv(hue + rng.normal(0, 0.025), saturation + rng.normal(0, 0.1), value + rng.normal(0, 0.08))


def ellipse(
    x: float, y: float, rx: float, ry: float, start: float = 0, stop: float = 1, turn: float = 0
) -> Points:
    """Return an ellipse, or its part between two shares of a clockwise turn that begins on the right."""
    angle = 2 * np.pi * start + (stop - start) * _TURN
    across, down = rx * np.cos(angle), ry * np.sin(angle)
    cos, sin = math.cos(turn), math.sin(turn)
    return np.array([x + across * cos - down * sin, y + across * sin + down * cos]).T


def box(left: float, top: float, right: float, bottom: float) -> Points:
    """Return an upright rectangle."""
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]])


def line(x0: float, y0: float, x1: float, y1: float) -> Points:
    """Return a straight line."""
    return np.array([[x0, y0], [x1, y1]])


def curve(*knots: tuple[float, float]) -> Points:
    """Return an open smooth line through the knots, from the first to the last."""
    return _catmull_rom(np.array([knots[0], *knots, knots[-1]], dtype=np.float64))


def loop(*knots: tuple[float, float]) -> Points:
    """Return a closed smooth line through the knots."""
    return _catmull_rom(np.array([knots[-1], *knots, *knots[:2]], dtype=np.float64))


def tube(path: Points, widths: float | Sequence[float]) -> Points:
    """Return the outline of a band along a path; several widths are spread evenly from end to end."""
    along = np.gradient(path, axis=0)
    normal = np.stack([-along[:, 1], along[:, 0]], axis=1) / np.maximum(np.hypot(*along.T), 1e-9)[:, None]
    steps = np.linspace(0, 1, len(path))
    half = np.interp(steps, np.linspace(0, 1, np.size(widths)), np.atleast_1d(widths))[:, None] / 2
    return np.vstack([path + half * normal, (path - half * normal)[::-1]])


def blob(rng: Rng, x: float, y: float, rx: float, ry: float, unrest: float = 0.12) -> Points:
    """Return an uneven round shape."""
    first, second = rng.uniform(0, 2 * np.pi, 2)
    radius = 1 + unrest * (np.sin(2 * _TURN + first) + np.sin(3 * _TURN + second))
    return np.array([x + rx * radius * _CIRCLE[0], y + ry * radius * _CIRCLE[1]]).T


def pattern(rng: Rng, ground: Colour) -> Decoration:
    """Return one of a few hand-made looking patterns in colours that stand out from the ground."""
    if sum(ground) < 330:
        ink = shade(vivid(rng), 1.6)
    else:
        ink = shade(ground, 0.6) if rng.random() < 0.4 else vivid(rng)
    marks = _PATTERNS[rng.integers(len(_PATTERNS))](rng, ink)

    def decorate(pen: Pen) -> None:
        for shape, colour in marks:
            pen.fill(shape, colour)

    return decorate


def _stripes(rng: Rng, ink: Colour) -> list[tuple[Points, Colour]]:
    turn = rng.uniform(0, np.pi)
    way, side = np.array([np.cos(turn), np.sin(turn)]), np.array([-np.sin(turn), np.cos(turn)])
    places = np.cumsum(rng.uniform(0.12, 0.4, 16)) - 1.8
    ends = [np.stack([place * side - 2 * way, place * side + 2 * way]) for place in places]
    return [(tube(end, rng.uniform(0.04, 0.16)), shade(ink, rng.uniform(0.8, 1.3))) for end in ends]


def _spots(rng: Rng, ink: Colour) -> list[tuple[Points, Colour]]:
    count, size = rng.integers(25, 70), rng.uniform(0.04, 0.14)
    return [
        (blob(rng, x, y, r, r * rng.uniform(0.7, 1.3)), shade(ink, rng.uniform(0.75, 1.5)))
        for x, y, r in zip(*rng.uniform(-1, 1, (2, count)), size * rng.uniform(0.5, 1.4, count), strict=True)
    ]


def _checks(rng: Rng, ink: Colour) -> list[tuple[Points, Colour]]:
    step, shift = rng.uniform(0.16, 0.36), rng.uniform(0, 0.3)
    cells = [(x, y) for x in range(-9, 9) for y in range(-9, 9) if (x + y) % 2]
    corners = [(step * x + shift, step * y + shift) for x, y in cells]
    return [
        (box(x, y, x + step, y + step) + rng.normal(0, 0.015, (4, 2)), shade(ink, rng.uniform(0.7, 1.4)))
        for x, y in corners
        if abs(x) < 1.3 and abs(y) < 1.3
    ]


def _waves(rng: Rng, ink: Colour) -> list[tuple[Points, Colour]]:
    x = np.linspace(-1.3, 1.3, 60)
    places = np.cumsum(rng.uniform(0.14, 0.32, 12)) - 1.3
    wave = rng.uniform(0.03, 0.1) * np.sin(rng.uniform(8, 22) * x + rng.uniform(0, 6))
    bands = [tube(np.stack([x, y + wave], axis=1), rng.uniform(0.03, 0.1)) for y in places]
    return [(band, shade(ink, rng.uniform(0.8, 1.3))) for band in bands]


def _flecks(rng: Rng, ink: Colour) -> list[tuple[Points, Colour]]:
    places, turns = rng.uniform(-1, 1, (90, 2)), rng.uniform(0, np.pi, 90)
    return [
        (ellipse(x, y, rng.uniform(0.04, 0.09), 0.02, turn=turn), shade(ink, rng.uniform(0.6, 1.6)))
        for (x, y), turn in zip(places, turns, strict=True)
    ]


def _catmull_rom(knots: Points) -> Points:
    """Return the curve from the second knot to the last but one."""
    t = np.linspace(0, 1, 9)[:-1, None, None]
    a, b, c, d = knots[:-3], knots[1:-2], knots[2:-1], knots[3:]
    pieces = b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
    return np.vstack([pieces.transpose(1, 0, 2).reshape(-1, 2), knots[-2:-1]])


_PATTERNS = (_stripes, _spots, _checks, _waves, _flecks)
