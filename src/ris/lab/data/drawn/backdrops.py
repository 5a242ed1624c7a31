"""What stands behind an object, and what stands before it."""

import numpy as np
from PIL import Image, ImageFilter

from ris.lab.data.drawn.pen import (
    Colour,
    Pen,
    Rng,
    blob,
    box,
    ellipse,
    hsv,
    line,
    near,
    pattern,
    shade,
    tube,
    vivid,
)
from ris.lab.data.drawn.prints import cloud


def _ramp(pen: Pen, top: Colour, bottom: Colour) -> None:
    share = np.linspace(0, 1, 32)[:, None]
    column = (np.array(top) * (1 - share) + np.array(bottom) * share).astype(np.uint8)[:, None, :]
    pen.layer.paste(Image.fromarray(column).resize(pen.layer.size, Image.Resampling.BILINEAR))


def _ridge(pen: Pen, rng: Rng, level: float, roughness: float, colour: Colour) -> None:
    x = np.linspace(-1, 1, 40)
    y = level + sum(
        roughness / k * np.sin(k * rng.uniform(1, 3) * x + rng.uniform(0, 6.3)) for k in (1, 2, 4)
    )
    pen.fill(np.vstack([np.stack([x, y], 1), [[1, 1], [-1, 1]]]), colour)


def sky(pen: Pen, rng: Rng) -> None:
    """Clouds and a sun over distant hills."""
    hue = rng.choice([0.52, 0.56, 0.6, 0.62, 0.1, 0.94])
    _ramp(pen, near(rng, hue, 0.5, 0.85), near(rng, hue, 0.2, 0.98))
    if rng.random() < 0.5:
        x, y = rng.uniform(-0.8, 0.8), rng.uniform(-0.9, -0.3)
        pen.fill(ellipse(x, y, 0.14, 0.16), (255, 240, 190))
    for _ in range(rng.integers(1, 6)):
        x, y, tone = rng.uniform(-1, 1), rng.uniform(-0.9, 0.3), shade((235, 238, 245), rng.uniform(0.9, 1.5))
        for _ in range(5):
            pen.fill(
                ellipse(x + rng.normal(0, 0.16), y + rng.normal(0, 0.04), rng.uniform(0.1, 0.2), 0.09), tone
            )
    hills = rng.random()
    for i in range(rng.integers(0, 4)):
        _ridge(pen, rng, 0.5 + 0.15 * i, 0.08, near(rng, hills, 0.3, 0.75 - 0.12 * i))


def sea(pen: Pen, rng: Rng) -> None:
    """Rows of waves up to a horizon."""
    sky(pen, rng)
    hue, horizon = rng.uniform(0.48, 0.62), rng.uniform(-0.2, 0.4)
    pen.fill(box(-1, horizon, 1, 1), near(rng, hue, 0.5, 0.7))
    for row, y in enumerate(np.arange(horizon + 0.08, 1, 0.1)):
        for x in rng.uniform(-1, 1, 7):
            crest = ellipse(x, y, 0.05 + 0.02 * row, 0.02 + 0.004 * row, 0.5, 1)
            pen.stroke(crest, 0.012, near(rng, hue, 0.3, rng.uniform(0.6, 0.95)))


def underwater(pen: Pen, rng: Rng) -> None:
    """Weeds, pebbles and bubbles."""
    hue = rng.uniform(0.42, 0.62)
    _ramp(pen, near(rng, hue, 0.4, 0.85), near(rng, hue, 0.75, 0.4))
    for x in rng.uniform(-1.2, 1, rng.integers(0, 5)):
        ray = np.array([[x, -1], [x + 0.1, -1], [x + 0.5, 1], [x + 0.2, 1]])
        pen.fill(ray, near(rng, hue, 0.4, 0.75))
    for x in rng.uniform(-1, 1, rng.integers(3, 14)):
        y = np.linspace(1, rng.uniform(-0.3, 0.8), 20)
        weed = np.stack([x + 0.06 * np.sin(7 * y + 9 * x), y], 1)
        pen.fill(tube(weed, [0.09, 0.02]), near(rng, rng.uniform(0.25, 0.45), 0.6, 0.5))
    _pebbles(pen, rng, 0.78)
    for x, y in rng.uniform(-1, 1, (rng.integers(3, 20), 2)):
        pen.stroke(ellipse(x, y, *rng.uniform(0.015, 0.05, 2)), 0.01, (225, 245, 250))


def desert(pen: Pen, rng: Rng) -> None:
    """Dunes and stones under a warm sky."""
    _ramp(pen, near(rng, rng.choice([0.55, 0.07, 0.95]), 0.4, 0.95), near(rng, 0.11, 0.35, 0.98))
    pen.fill(ellipse(rng.uniform(-0.8, 0.8), rng.uniform(-0.7, -0.1), 0.15, 0.17), near(rng, 0.12, 0.4, 1))
    for i in range(rng.integers(2, 5)):
        _ridge(pen, rng, 0.05 + 0.2 * i, 0.1, near(rng, 0.09, 0.45, 0.92 - 0.1 * i))
    _pebbles(pen, rng, 0.5)


def meadow(pen: Pen, rng: Rng) -> None:
    """Grass with small blossoms."""
    sky(pen, rng)
    _ridge(pen, rng, rng.uniform(-0.2, 0.4), 0.06, near(rng, 0.28, 0.5, 0.6))
    for x, y in rng.uniform([-1, 0.2], [1, 1.1], (rng.integers(60, 140), 2)):
        blade = line(x, y, x + rng.normal(0, 0.04), y - rng.uniform(0.08, 0.2))
        pen.stroke(blade, 0.014, near(rng, 0.28, 0.6, rng.uniform(0.35, 0.75)))
    for x, y in rng.uniform([-1, 0.3], [1, 1], (rng.integers(0, 25), 2)):
        pen.fill(ellipse(x, y, 0.02, 0.025), shade(vivid(rng), 1.3))


def wallpaper(pen: Pen, rng: Rng) -> None:
    """A patterned wall, perhaps above a table."""
    ground = shade(vivid(rng), rng.uniform(1.2, 3))
    _ramp(pen, ground, shade(ground, 0.9))
    pattern(rng, ground)(pen)
    if rng.random() < 0.6:
        table(pen, rng, rng.uniform(0.3, 0.7))


def table(pen: Pen, rng: Rng, edge: float = -1.0) -> None:
    """Wooden boards seen from above, from an edge downwards."""
    wood = near(rng, 0.08, 0.5, rng.uniform(0.45, 0.8))
    for y in np.arange(edge, 1, 0.22):
        pen.fill(box(-1, y, 1, y + 0.22), shade(wood, rng.uniform(0.85, 1.1)))
        for _ in range(4):
            x = np.sort(rng.uniform(-1, 1, 2))
            pen.stroke(np.stack([x, np.full(2, y + rng.uniform(0.02, 0.2))], 1), 0.008, shade(wood, 0.75))


def bricks(pen: Pen, rng: Rng) -> None:
    """A wall of uneven bricks."""
    clay, joint = near(rng, rng.choice([0.03, 0.09, 0.6]), rng.uniform(0.15, 0.6), 0.7), rng.uniform(0.3, 0.9)
    _ramp(pen, hsv(0.1, 0.1, joint), hsv(0.1, 0.1, joint))
    high, wide = rng.uniform(0.14, 0.26), rng.uniform(0.3, 0.55)
    for row, y in enumerate(np.arange(-1, 1, high)):
        for x in np.arange(-1.5, 1, wide) + wide / 2 * (row % 2):
            brick = box(x, y, x + wide - 0.03, y + high - 0.03) + rng.normal(0, 0.012, (4, 2))
            pen.fill(brick, shade(clay, rng.uniform(0.7, 1.25)))


def lights(pen: Pen, rng: Rng) -> None:
    """Round lights out of focus."""
    hue, dark = rng.random(), rng.uniform(0.15, 0.6)
    _ramp(pen, near(rng, hue, 0.5, dark), near(rng, hue + 0.1, 0.6, dark * 1.4))
    for x, y in rng.uniform(-1, 1, (rng.integers(10, 40), 2)):
        r = rng.uniform(0.04, 0.2)
        pen.fill(
            ellipse(x, y, r, r), near(rng, hue + rng.normal(0, 0.1), 0.45, dark + rng.uniform(0.05, 0.5))
        )
    pen.layer.paste(pen.layer.filter(ImageFilter.GaussianBlur(2)))


def marble(pen: Pen, rng: Rng) -> None:
    """Two colours that run into each other."""
    hue = rng.random()
    first, second = (
        np.array(near(rng, hue, 0.35, 0.8)),
        np.array(near(rng, hue + rng.normal(0, 0.1), 0.4, 0.6)),
    )
    wide, high = pen.layer.size
    grain = np.sin(cloud(rng, (high // 4, wide // 4), 5) * rng.uniform(3, 14))[..., None] * 0.5 + 0.5
    mixed = (first * grain + second * (1 - grain)).astype(np.uint8)
    pen.layer.paste(Image.fromarray(mixed).resize(pen.layer.size, Image.Resampling.BILINEAR))


def studio(pen: Pen, rng: Rng) -> None:
    """Plain paper with a soft edge between wall and floor."""
    tone = hsv(rng.random(), rng.uniform(0.02, 0.5), rng.uniform(0.55, 0.98))
    _ramp(pen, tone, shade(tone, rng.uniform(0.7, 1.3)))


def forest(pen: Pen, rng: Rng) -> None:
    """Trunks in the mist, leaves on the ground."""
    hue = rng.uniform(0.2, 0.45)
    _ramp(pen, near(rng, hue, 0.25, 0.85), near(rng, hue, 0.4, 0.5))
    for depth in range(3):
        for x in rng.uniform(-1, 1, rng.integers(2, 6)):
            trunk = line(x, -1.1, x + rng.normal(0, 0.06), 0.5 + 0.2 * depth)
            pen.fill(
                tube(trunk, [0.04 + 0.03 * depth, 0.06 + 0.05 * depth]),
                near(rng, 0.09, 0.3, 0.6 - 0.15 * depth),
            )
    _ridge(pen, rng, rng.uniform(0.4, 0.7), 0.05, near(rng, hue, 0.5, 0.4))
    for x, y in rng.uniform([-1, 0.5], [1, 1], (rng.integers(10, 50), 2)):
        pen.fill(
            ellipse(x, y, 0.04, 0.02, turn=rng.uniform(0, 3)), near(rng, rng.uniform(0.03, 0.3), 0.6, 0.6)
        )


def night(pen: Pen, rng: Rng) -> None:
    """A moon and stars above dark hills."""
    _ramp(pen, near(rng, 0.65, 0.7, 0.2), near(rng, rng.choice([0.6, 0.8]), 0.5, 0.5))
    for x, y in rng.uniform([-1, -1], [1, 0.6], (rng.integers(20, 70), 2)):
        pen.fill(ellipse(x, y, *rng.uniform(0.006, 0.018, 2)), (250, 245, 215))
    pen.fill(ellipse(rng.uniform(-0.8, 0.8), rng.uniform(-0.8, -0.3), 0.13, 0.16), (250, 240, 205))
    for i in range(rng.integers(1, 4)):
        _ridge(pen, rng, 0.5 + 0.15 * i, 0.1, near(rng, 0.62, 0.5, 0.28 - 0.06 * i))


def _pebbles(pen: Pen, rng: Rng, top: float) -> None:
    hue = rng.uniform(0.05, 0.14)
    for x, y in rng.uniform([-1, top], [1, 1.05], (rng.integers(8, 40), 2)):
        r = rng.uniform(0.02, 0.09)
        pen.fill(blob(rng, x, y, r, r * 0.7), near(rng, hue, 0.25, rng.uniform(0.4, 0.9)))


BACKDROPS = (
    sky,
    sea,
    underwater,
    desert,
    meadow,
    wallpaper,
    table,
    bricks,
    lights,
    marble,
    studio,
    forest,
    night,
)


def _grass(pen: Pen, rng: Rng) -> None:
    hue = rng.uniform(0.2, 0.4)
    for x in rng.uniform(-1, 1, rng.integers(12, 40)):
        blade = np.array(
            [[x, 1.1], [x + rng.normal(0, 0.05), 0.8], [x + rng.normal(0, 0.15), rng.uniform(0.3, 0.75)]]
        )
        pen.fill(tube(blade, [0.05, 0.005]), near(rng, hue, 0.6, rng.uniform(0.25, 0.6)))


def _leaves(pen: Pen, rng: Rng) -> None:
    hue, corner = rng.choice([0.3, 0.08, 0.9]), rng.choice([-1, 1], 2)
    for _ in range(rng.integers(5, 14)):
        x, y = corner * rng.uniform(0.45, 1.05, 2)
        pen.fill(
            ellipse(x, y, rng.uniform(0.15, 0.3), 0.08, turn=rng.uniform(0, 3)),
            near(rng, hue, 0.6, rng.uniform(0.3, 0.8)),
        )


def _snow(pen: Pen, rng: Rng) -> None:
    for x, y in rng.uniform(-1, 1, (rng.integers(30, 120), 2)):
        r = rng.uniform(0.008, 0.03)
        pen.fill(ellipse(x, y, r, r * 1.2), (245, 248, 252))


def _rain(pen: Pen, rng: Rng) -> None:
    lean = rng.normal(0, 0.08)
    for x, y in rng.uniform(-1, 1, (rng.integers(40, 110), 2)):
        pen.stroke(line(x, y, x + lean, y + 0.16), 0.006, (205, 215, 230))


def _fence(pen: Pen, rng: Rng) -> None:
    wood, top = shade(near(rng, 0.08, 0.3, 0.8), rng.uniform(0.6, 1.5)), rng.uniform(0.3, 0.6)
    pen.fill(box(-1, top + 0.18, 1, top + 0.26), shade(wood, 0.85))
    for x in np.arange(-1, 1, rng.uniform(0.2, 0.4)) + rng.uniform(-0.1, 0.1):
        pen.fill(
            np.array([[x, 1], [x, top + 0.08], [x + 0.05, top], [x + 0.1, top + 0.08], [x + 0.1, 1]]), wood
        )


FOREGROUNDS = (_grass, _leaves, _snow, _rain, _fence)
