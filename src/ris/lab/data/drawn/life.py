"""Living things: each function draws a fresh specimen of its class, no two alike."""

import numpy as np

from ris.lab.data.drawn.pen import (
    Colour,
    Decoration,
    Pen,
    Points,
    Rng,
    blob,
    box,
    curve,
    ellipse,
    line,
    loop,
    near,
    pattern,
    shade,
    tube,
    vivid,
)


def butterfly(pen: Pen, rng: Rng) -> None:
    """A butterfly seen from above, wings in mirror image."""
    colour, trim = vivid(rng), vivid(rng)
    dark = shade(colour, rng.uniform(0.2, 0.6))
    lean = rng.uniform(-0.25, 0.15)
    tip = (rng.uniform(0.75, 1.0), rng.uniform(-0.95, -0.55))
    tail = (rng.uniform(0.4, 0.8), rng.uniform(0.5, 1.0))
    upper = loop((0.03, -0.2), (0.3, -0.6 + lean), tip, (tip[0], lean), (0.5, 0.12), (0.03, 0.1))
    lower = loop((0.03, 0.0), (0.55, 0.08), (tail[0] + 0.1, 0.35), tail, (0.2, 0.55), (0.03, 0.3))
    spots = [
        (rng.uniform(0.3, 0.8), rng.uniform(-0.55, 0.6), rng.uniform(0.04, 0.13))
        for _ in range(rng.integers(4, 12))
    ]
    for wing in (lower, upper):
        middle = wing.mean(axis=0)
        inner = middle + (wing - middle) * rng.uniform(0.65, 0.85)
        tone = shade(colour, rng.uniform(0.8, 1.3))
        for side in np.array([[1.0, 1.0], [-1.0, 1.0]]):

            def marks(brush: Pen, side: Points = side, inner: Points = inner, tone: Colour = tone) -> None:
                brush.fill(inner * side, tone)
                for x, y, r in spots:
                    brush.fill(ellipse(side[0] * x, y, r, r), trim)
                    brush.fill(ellipse(side[0] * x, y, r / 2, r / 2), dark)
                for slope in (-0.9, -0.5, -0.1, 0.4, 0.8):
                    brush.stroke(line(0, 0, side[0], slope), 0.015, dark)

            pen.fill(wing * side, dark, marks)
    pen.fill(ellipse(0, 0.1, 0.06, 0.45), (50, 40, 40))
    pen.fill(ellipse(0, -0.38, 0.08, 0.08), (50, 40, 40))
    for reach in (-1, 1):
        pen.stroke(curve((0, -0.42), (reach * 0.1, -0.7), (reach * 0.28, -0.85)), 0.025, (50, 40, 40))


def cactus(pen: Pen, rng: Rng) -> None:
    """A column with arms and spines, in a pot or not."""
    green = near(rng, rng.uniform(0.28, 0.44), 0.5, 0.6)
    potted, thick, top = rng.random() < 0.5, rng.uniform(0.3, 0.6), rng.uniform(-0.95, -0.55)
    bottom = 0.5 if potted else 1.0
    limbs: list[tuple[Points, float]] = []
    for side in rng.permutation([-1, 1])[: rng.integers(0, 3)]:
        start, reach, height = rng.uniform(-0.2, 0.35), rng.uniform(0.45, 0.75), rng.uniform(0.3, 0.75)
        elbow = [
            (0, start),
            (side * reach * 0.8, start),
            (side * reach, start - 0.15),
            (side * reach, start - height),
        ]
        limbs.append((curve(*elbow), thick * rng.uniform(0.45, 0.7)))
    limbs.append((np.stack([np.zeros(24), np.linspace(bottom, top, 24)], 1), thick))
    for path, width in limbs:
        end = path[-1]
        right, left = np.split(tube(path, width), 2)
        pen.fill(np.vstack([right, ellipse(end[0], end[1], width / 2, width / 2, 0, -0.5), left]), green)
        for rib in np.linspace(-0.3, 0.3, 3):
            groove = path[3:] + np.array([rib * width, 0])
            pen.stroke(groove, 0.025, shade(green, 0.7))
            for x, y in groove[:: rng.integers(2, 4)]:
                pen.stroke(line(x - 0.04, y - 0.03, x + 0.04, y + 0.03), 0.012, (245, 240, 215))
                pen.stroke(line(x - 0.04, y + 0.03, x + 0.04, y - 0.03), 0.012, (245, 240, 215))
        if rng.random() < 0.5:
            bloom = near(rng, rng.choice([0.92, 0.12, 0.0]), 0.6, 0.95)
            for turn in (-0.7, 0, 0.7):
                pen.fill(ellipse(end[0] + 0.1 * turn, end[1] - width / 2, 0.06, 0.13, turn=turn), bloom)
    if potted:
        clay = near(rng, 0.05, 0.6, 0.75) if rng.random() < 0.6 else vivid(rng)
        pen.fill(np.array([[-0.5, 0.5], [0.5, 0.5], [0.38, 1.0], [-0.38, 1.0]]), clay, pattern(rng, clay))
        pen.fill(box(-0.56, 0.4, 0.56, 0.56), shade(clay, 1.15))


def fish(pen: Pen, rng: Rng) -> None:
    """A fish from the side: body, fins, scales, stripes or spots."""
    colour, fin = vivid(rng), vivid(rng)
    tall, nose = rng.uniform(0.28, 0.62), rng.uniform(0.75, 0.95)
    spread = rng.uniform(0.3, 0.65)
    tail = loop(
        (-0.5, 0), (-0.75, -0.15), (-1, -spread), (rng.uniform(-0.95, -0.7), 0), (-1, spread), (-0.75, 0.15)
    )
    body = loop(
        (nose, 0.02),
        (0.5, -tall * 0.8),
        (0, -tall),
        (-0.45, -tall * 0.5),
        (-0.68, 0),
        (-0.45, tall * 0.5),
        (0, tall),
        (0.5, tall * 0.75),
    )
    crest = loop(
        (0.4, -tall * 0.7),
        (rng.uniform(-0.1, 0.3), -tall - rng.uniform(0.15, 0.4)),
        (-0.45, -tall * 0.8),
        (-0.4, -tall * 0.4),
    )
    for shape in (tail, crest, crest * [0.6, -0.75] - [0.1, 0]):
        pen.fill(shape, fin, _rays(rng, fin))
    marks = pattern(rng, colour)
    scale = rng.uniform(0.09, 0.16)

    def skin(brush: Pen) -> None:
        brush.fill(ellipse(0, tall, 1, tall * 0.7), shade(colour, 1.5))
        marks(brush)
        for row, y in enumerate(np.arange(-0.7, 0.7, scale)):
            for x in np.arange(-0.8, 0.35, scale * 1.2) + scale * 0.6 * (row % 2):
                lip = ellipse(x, y, scale * 0.7, scale * 0.7, -0.25, 0.25, turn=np.pi)
                brush.stroke(lip + rng.normal(0, 0.008, 2), 0.016, shade(colour, rng.uniform(0.45, 0.85)))
        brush.fill(ellipse(0.8, 0, 0.4, 0.8), shade(colour, 0.92))
        brush.stroke(ellipse(0.8, 0, 0.4, tall, 0.3, 0.7), 0.03, shade(colour, 0.5))

    pen.fill(body, colour, skin)
    pen.fill(loop((0.22, 0.08), (-0.05, 0.02), (-0.22, 0.2), (0.0, 0.3)), shade(fin, 1.1), _rays(rng, fin))
    eye = rng.uniform(0.06, 0.12)
    for radius, tone in ((eye, (250, 250, 245)), (eye * 0.6, (25, 25, 35)), (eye * 0.2, (255, 255, 255))):
        pen.fill(ellipse(nose - 0.27, -0.1, radius, radius), tone)
    pen.stroke(ellipse(nose - 0.06, 0.1, 0.1, 0.05, 0.25, 0.5), 0.025, shade(colour, 0.4))


def flower(pen: Pen, rng: Rng) -> None:
    """A bloom of one or two rings of petals on a stem with leaves."""
    green, petal = near(rng, 0.3, 0.55, 0.5), vivid(rng)
    x, y = rng.uniform(-0.15, 0.15), rng.uniform(-0.4, -0.1)
    size = rng.uniform(0.5, 0.65)
    stem = curve((x, y), (rng.uniform(-0.2, 0.2), 0.5), (0, 1.05))
    pen.fill(tube(stem, [0.06, 0.1]), green)
    for side in (-1, 1):
        if rng.random() < 0.8:
            low, reach = rng.uniform(0.4, 0.9), side * rng.uniform(0.3, 0.6)
            leaf = loop((0, low), (reach * 0.5, low - 0.25), (reach, low - 0.3), (reach * 0.6, low - 0.02))
            pen.fill(leaf, shade(green, rng.uniform(0.8, 1.3)))
            pen.stroke(line(0, low, reach * 0.9, low - 0.27), 0.02, shade(green, 0.6))
    count, slim, point = rng.integers(5, 14), rng.uniform(0.7, 1.3), rng.uniform(0, 0.12)
    for ring in range(rng.integers(1, 3)):
        reach = size * (1 - 0.35 * ring)
        for i in range(count):
            turn = 2 * np.pi * (i + 0.5 * ring) / count + rng.normal(0, 0.06)
            half = slim * reach * np.pi / count * 0.75
            outline = loop(
                (0.05, 0),
                (reach * 0.55, -half),
                (reach * 0.9, -half * 0.5),
                (reach * (1 + point), 0),
                (reach * 0.9, half * 0.5),
                (reach * 0.55, half),
            )
            turned = outline @ line(np.cos(turn), np.sin(turn), -np.sin(turn), np.cos(turn)) + [
                x,
                y,
            ]
            pen.fill(turned, shade(petal, rng.uniform(0.85, 1.2) + 0.3 * ring))
            vein = line(x, y, x + 0.7 * reach * np.cos(turn), y + 0.7 * reach * np.sin(turn))
            pen.stroke(vein, 0.02, shade(petal, 0.7))
    heart = near(rng, rng.choice([0.13, 0.08, 0.25]), 0.7, rng.uniform(0.4, 0.95))
    radius = size * rng.uniform(0.2, 0.4)
    pen.fill(ellipse(x, y, radius, radius), heart)
    for turn, far in rng.uniform(0, 1, (26, 2)):
        angle, r = 2 * np.pi * turn, radius * np.sqrt(far) * 0.85
        pen.fill(
            ellipse(x + r * np.cos(angle), y + r * np.sin(angle), 0.02, 0.02),
            shade(heart, rng.uniform(0.5, 1.7)),
        )


def mushroom(pen: Pen, rng: Rng) -> None:
    """One to three toadstools with spotted caps and gills."""
    cap = near(rng, rng.choice([0.0, 0.04, 0.08]), 0.75, 0.8) if rng.random() < 0.6 else vivid(rng)
    flesh = near(rng, 0.11, 0.15, 0.93)
    beside = [(rng.uniform(-0.6, -0.4), 0.5), (rng.uniform(0.4, 0.6), 0.42)][: rng.integers(0, 3)]
    for x, size in [*beside, (0.0, rng.uniform(0.85, 1.05))]:
        wide, high = size * rng.uniform(0.55, 0.85), size * rng.uniform(0.55, 1.0)
        brow, lean = 1 - size * rng.uniform(0.85, 1.15), rng.uniform(-0.15, 0.15)
        stem = curve((x, 1.0), (x + lean / 2, (1 + brow) / 2), (x + lean, brow))
        pen.fill(tube(stem, [wide * 0.6, wide * 0.35, wide * 0.3]), flesh)
        pen.fill(ellipse(x + lean, brow, wide * 0.95, wide * 0.2), shade(flesh, 0.75))
        for gill in np.linspace(-0.9, 0.9, 11) * wide:
            pen.stroke(
                line(x + lean + gill, brow, x + lean + gill * 0.3, brow + 0.12 * wide),
                0.015,
                shade(flesh, 0.5),
            )
        marks = [
            (rng.uniform(-wide, wide), rng.uniform(-high, 0), rng.uniform(0.05, 0.14) * size)
            for _ in range(18)
        ]

        def dots(
            brush: Pen, x: float = x + lean, y: float = brow, marks: list[tuple[float, float, float]] = marks
        ) -> None:
            for across, down, r in marks:
                brush.fill(blob(rng, x + across, y + down, r, r * 0.8), shade(flesh, rng.uniform(0.9, 1.3)))

        dome = np.vstack(
            [ellipse(x + lean, brow, wide, high, 0.5, 1), ellipse(x + lean, brow, wide, wide * 0.12, 0, 0.5)]
        )
        pen.fill(dome, shade(cap, rng.uniform(0.85, 1.1)), dots if rng.random() < 0.75 else None)


def _rays(rng: Rng, fin: Colour) -> Decoration:
    slopes = np.sort(rng.uniform(-1.4, 1.4, 14))

    def rays(brush: Pen) -> None:
        for slope in slopes:
            brush.stroke(line(0, 0, -2, 2 * slope), 0.02, shade(fin, 0.65))
            brush.stroke(line(0, -2, slope, 2), 0.015, shade(fin, 0.75))

    return rays
