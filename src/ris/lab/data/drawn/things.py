"""Made things: each function draws a fresh specimen of its class, no two alike."""

import itertools

import numpy as np

from ris.lab.data.drawn.pen import (
    Colour,
    Decoration,
    Pen,
    Rng,
    blob,
    box,
    curve,
    ellipse,
    hsv,
    line,
    loop,
    near,
    pattern,
    shade,
    tube,
    vivid,
)


def balloon(pen: Pen, rng: Rng) -> None:
    """A hot-air balloon with striped gores and a basket."""
    wide, waist, foot = rng.uniform(0.6, 0.85), rng.uniform(-0.55, -0.3), rng.uniform(0.3, 0.5)
    down = np.linspace(0, 1, 24)
    belly = np.where(
        down < 0.45,
        np.sqrt(np.clip(1 - ((down - 0.45) / 0.45) ** 2, 0, 1)),
        1 - 0.8 * (np.clip(down - 0.45, 0, None) / 0.55) ** rng.uniform(1.4, 2.4),
    )
    y = -1 + (1 + foot) * down
    colours = [vivid(rng) for _ in range(rng.integers(2, 5))]
    edges = np.sin(np.linspace(-0.5, 0.5, rng.integers(6, 12)) * np.pi)
    envelope = np.vstack([np.stack([wide * belly, y], 1), np.stack([-wide * belly, y], 1)[::-1]])
    band = pattern(rng, colours[0]) if rng.random() < 0.4 else None

    def gores(brush: Pen) -> None:
        for i, (left, right) in enumerate(itertools.pairwise(edges)):
            gore = np.vstack(
                [np.stack([wide * left * belly, y], 1), np.stack([wide * right * belly, y], 1)[::-1]]
            )
            brush.fill(gore, shade(colours[i % len(colours)], rng.uniform(0.85, 1.15)))
        if band:
            brush.fill(box(-1, waist, 1, waist + 0.35), colours[-1], band)

    for x in (-0.13, 0.13):
        pen.stroke(line(x * wide * 1.4, foot - 0.03, x, 0.78), 0.02, (70, 55, 45))
    pen.fill(envelope, colours[0], gores)
    basket = near(rng, 0.08, 0.55, 0.6)
    pen.fill(np.array([[-0.17, 0.74], [0.17, 0.74], [0.14, 1.0], [-0.14, 1.0]]), basket)
    for row in (0.82, 0.9):
        pen.stroke(line(-0.15, row, 0.15, row), 0.02, shade(basket, 0.6))


def house(pen: Pen, rng: Rng) -> None:
    """A house front with a roof, a door, windows, perhaps a chimney."""
    wall = hsv(rng.random(), rng.uniform(0.1, 0.6), rng.uniform(0.7, 1))
    roof = near(rng, rng.choice([0.02, 0.06, 0.6]), 0.6, 0.6) if rng.random() < 0.7 else vivid(rng)
    wide, eaves, top = rng.uniform(0.5, 0.85), rng.uniform(-0.3, 0.15), rng.uniform(-1, -0.7)
    trim = shade(wall, 1.8) if rng.random() < 0.6 else shade(roof, 0.8)
    if rng.random() < 0.7:
        x = rng.choice([-1, 1]) * wide * rng.uniform(0.4, 0.7)
        pen.fill(box(x - 0.1, top + 0.05, x + 0.1, eaves), near(rng, 0.03, 0.5, 0.5))
        for puff in range(rng.integers(0, 4)):
            pen.fill(
                blob(rng, x + 0.1 * puff, top - 0.02 - 0.12 * puff, 0.09 + 0.03 * puff, 0.08), (225, 225, 230)
            )
    courses = np.arange(eaves, 1, rng.uniform(0.09, 0.16))

    def planks(brush: Pen) -> None:
        for y in courses:
            brush.stroke(
                line(-1, y + rng.normal(0, 0.01), 1, y + rng.normal(0, 0.01)),
                0.015,
                shade(wall, 0.85),
            )

    def tiles(brush: Pen) -> None:
        for row, y in enumerate(np.arange(top, eaves + 0.1, 0.1)):
            for x in np.arange(-1.1, 1.1, 0.14) + 0.07 * (row % 2):
                brush.fill(ellipse(x, y, 0.075, 0.09, 0, 0.5), shade(roof, rng.uniform(0.7, 1.25)))

    pen.fill(box(-wide, eaves, wide, 1), wall, planks if rng.random() < 0.7 else None)
    ridge = rng.choice([0.0, 0.3, 0.6]) * wide
    slope = np.array([[-wide - 0.13, eaves + 0.05], [-ridge, top], [ridge, top], [wide + 0.13, eaves + 0.05]])
    pen.fill(slope, roof, tiles if rng.random() < 0.7 else pattern(rng, roof))
    door_x, door = rng.uniform(-0.5, 0.5) * wide, vivid(rng)
    pen.fill(box(door_x - 0.13, rng.uniform(0.4, 0.6), door_x + 0.13, 1), door)
    pen.fill(ellipse(door_x + 0.07, 0.78, 0.025, 0.025), shade(door, 2))
    glass = near(rng, rng.choice([0.14, 0.55]), 0.4, 0.85)
    columns = np.linspace(-0.68, 0.68, rng.integers(2, 5)) * wide
    for y in np.arange(eaves + 0.2, 0.85, rng.uniform(0.38, 0.5)):
        for x in columns:
            if y < 0.3 or abs(x - door_x) > 0.26:
                _window(pen, x, y, rng.uniform(0.09, 0.11), glass, trim)


def mug(pen: Pen, rng: Rng) -> None:
    """A mug or cup with one handle, decorated, with or without steam."""
    glaze = vivid(rng) if rng.random() < 0.7 else hsv(0.1, 0.08, 0.95)
    wide, foot, top = rng.uniform(0.45, 0.62), rng.uniform(0.6, 1.05), rng.uniform(-0.75, -0.35)
    lip = rng.uniform(0.06, 0.18)
    big = rng.uniform(0.28, 0.42)
    grip = ellipse(wide * (1 + foot) / 2, (top + 0.85) / 2, big, big * rng.uniform(1, 1.4), -0.3, 0.3)
    pen.fill(tube(grip, rng.uniform(0.1, 0.17)), shade(glaze, 0.85))
    round_foot = ellipse(0, 0.85, wide * foot, lip * 0.8, 0, 0.5)
    bulge = wide * rng.uniform(0.9, 1.12) * (1 + foot) / 2
    sides = curve((-wide * foot, 0.85), (-bulge, 0.25), (-wide, top))
    body = np.vstack([round_foot, sides, sides[::-1] * [-1, 1]])
    pen.fill(body, glaze, pattern(rng, glaze) if rng.random() < 0.75 else None)
    pen.fill(ellipse(0, top, wide, lip), shade(glaze, 1.3))
    drink = near(rng, rng.choice([0.07, 0.1, 0.25]), 0.6, rng.uniform(0.25, 0.6))
    pen.fill(ellipse(0, top + lip * 0.25, wide * 0.86, lip * 0.7), drink)
    _steam(pen, rng, 0, top)


def teapot(pen: Pen, rng: Rng) -> None:
    """A round pot with spout, handle and lid."""
    glaze = vivid(rng) if rng.random() < 0.7 else hsv(0.1, 0.08, 0.95)
    wide, tall = rng.uniform(0.48, 0.62), rng.uniform(0.45, 0.68)
    y = 0.9 - tall
    handle = ellipse(-wide, y, 0.33, rng.uniform(0.3, 0.45), 0.2, 0.8)
    if rng.random() < 0.3:
        handle = ellipse(0, y - tall * 0.6, wide * 0.9, rng.uniform(0.5, 0.65), 0.5, 1)
    pen.fill(tube(handle, rng.uniform(0.08, 0.13)), shade(glaze, 0.8))
    rise = rng.uniform(-0.6, -0.3)
    spout = curve(
        (wide * 0.6, y + 0.25), (wide + 0.12, y), (wide + 0.2, y + rise * 0.6), (wide + 0.38, y + rise)
    )
    pen.fill(tube(spout, [0.36, 0.16, 0.12]), shade(glaze, 0.92))
    pen.fill(box(-wide * 0.55, 0.8, wide * 0.55, 0.96), shade(glaze, 0.7))
    belly = loop(
        (0, y - tall),
        (wide * 0.75, y - tall * 0.75),
        (wide, y),
        (wide * 0.75, y + tall * 0.8),
        (0, y + tall),
        (-wide * 0.75, y + tall * 0.8),
        (-wide, y),
        (-wide * 0.75, y - tall * 0.75),
    )
    pen.fill(belly, glaze, pattern(rng, glaze) if rng.random() < 0.75 else None)
    lid = y - tall * 0.8
    pen.fill(ellipse(0, lid, wide * 0.55, 0.2, 0.5, 1), shade(glaze, 1.15))
    pen.fill(ellipse(0, lid, wide * 0.55, 0.05), shade(glaze, 0.75))
    pen.fill(ellipse(0, lid - 0.24, 0.08, 0.08), vivid(rng))
    if rng.random() < 0.4:
        _steam(pen, rng, wide + 0.4, y + rise)


def sailboat(pen: Pen, rng: Rng) -> None:
    """A hull with a mast and one to three sails."""
    hull = vivid(rng)
    sail = hsv(rng.random(), rng.uniform(0, 0.35), 0.97) if rng.random() < 0.6 else vivid(rng)
    mast, top, deck = rng.uniform(-0.2, 0.25), rng.uniform(-1, -0.8), rng.uniform(0.4, 0.55)
    pen.fill(box(mast - 0.025, top, mast + 0.025, deck), near(rng, 0.08, 0.5, 0.45))
    boom, sag = deck - rng.uniform(0.08, 0.2), rng.uniform(0.05, 0.2)
    aft = rng.uniform(-0.9, -0.6)
    main = np.vstack(
        [
            [[mast - 0.04, top + 0.06]],
            curve((mast - 0.04, boom), ((mast + aft) / 2, boom + 0.05), (aft, boom)),
            curve((aft, boom), ((mast + aft) / 2 - sag, (top + boom) / 2 - sag), (mast - 0.04, top + 0.06)),
        ]
    )
    pen.fill(main, sail, pattern(rng, sail) if rng.random() < 0.5 else _seams(rng, sail))
    if rng.random() < 0.8:
        fore, high = rng.uniform(0.7, 0.95), top + rng.uniform(0.1, 0.4)
        jib = curve((mast + 0.05, high), ((mast + fore) / 2 + sag, (high + boom) / 2), (fore, boom))
        colour = sail if rng.random() < 0.6 else vivid(rng)
        pen.fill(np.vstack([jib, [[mast + 0.07, boom - 0.05]]]), shade(colour, 0.9), _seams(rng, colour))
    if rng.random() < 0.7:
        pen.fill(
            loop((mast, top - 0.02), (mast - 0.15, top - 0.08), (mast - 0.3, top), (mast - 0.14, top + 0.04)),
            vivid(rng),
        )
    stern, keel = rng.uniform(-0.95, -0.75), rng.uniform(0.8, 0.98)
    boat = np.vstack(
        [
            [[stern, deck]],
            curve((0.98, deck - 0.06), (0.65, keel - 0.08), (0.3, keel), (stern + 0.2, keel)),
        ]
    )
    stripe = shade(vivid(rng), 1.3)
    pen.fill(boat, hull, lambda brush: brush.fill(box(-1, deck + 0.1, 1, deck + 0.17), stripe))
    for x in np.linspace(-0.5, 0.5, rng.integers(0, 6)):
        pen.fill(ellipse(x, deck + 0.26, 0.045, 0.045), shade(stripe, 0.8))


def umbrella(pen: Pen, rng: Rng) -> None:
    """An open umbrella from the side."""
    cloth, other = vivid(rng), vivid(rng)
    high, rim, panels = rng.uniform(0.5, 0.85), rng.uniform(-0.1, 0.15), int(rng.integers(4, 9))
    pen.stroke(line(0, rim - high - 0.12, 0, 0.8), 0.05, (75, 60, 55))
    hook = rng.choice([-1, 1]) * rng.uniform(0.1, 0.16)
    pen.stroke(ellipse(hook, 0.8, abs(hook), 0.17, 0, 0.5), 0.08, near(rng, 0.07, 0.6, 0.45))
    edges = np.sin(np.linspace(-0.5, 0.5, panels + 1) * np.pi) * 0.95
    sag = rng.uniform(0.04, 0.14)
    scallops = [ellipse((a + b) / 2, rim, (b - a) / 2, sag, 1, 0.5) for a, b in itertools.pairwise(edges)]
    canopy = np.vstack([ellipse(0, rim, 0.95, high, 0.5, 1), *[arch[::-1] for arch in scallops][::-1]])
    twotone, marks = rng.random() < 0.5, pattern(rng, cloth) if rng.random() < 0.5 else None
    swell = np.linspace(0, np.pi / 2, 12)

    def cloths(brush: Pen) -> None:
        for i, (a, b) in enumerate(itertools.pairwise(edges)):
            left, right = (np.stack([edge * np.sin(swell), rim - high * np.cos(swell)], 1) for edge in (a, b))
            tone = other if twotone and i % 2 else cloth
            brush.fill(np.vstack([left, [[a, 1], [b, 1]], right[::-1]]), shade(tone, rng.uniform(0.85, 1.12)))
        if marks:
            marks(brush)
        for edge in edges[1:-1]:
            brush.stroke(
                np.stack([edge * np.sin(swell), rim - high * np.cos(swell)], 1), 0.018, shade(cloth, 0.5)
            )

    pen.fill(canopy, cloth, cloths)


def kite(pen: Pen, rng: Rng) -> None:
    """A diamond with a tail of bows."""
    colours = [vivid(rng) for _ in range(4)]
    corners = np.array([[0, -0.9], [0.55, -0.25], [0, 0.5], [-0.55, -0.25]])
    tail = curve((0, 0.5), (0.2, 0.65), (-0.1, 0.8), (0.15, 1.0))
    pen.stroke(tail, 0.025, (80, 70, 70))
    for x, y in tail[5::6]:
        pen.fill(
            np.array([[x - 0.1, y - 0.06], [x + 0.1, y + 0.06], [x + 0.1, y - 0.06], [x - 0.1, y + 0.06]]),
            colours[0],
        )
    for i, colour in enumerate(colours):
        pen.fill(np.array([corners[i], corners[(i + 1) % 4], [0, -0.25]]), colour, pattern(rng, colour))


def _seams(rng: Rng, cloth: Colour) -> Decoration:
    heights = np.cumsum(rng.uniform(0.12, 0.3, 12)) - 1

    def seams(brush: Pen) -> None:
        for y in heights:
            brush.stroke(line(-1, y, 1, y + 0.1), 0.015, shade(cloth, 0.8))

    return seams


def _window(pen: Pen, x: float, y: float, half: float, glass: Colour, frame: Colour) -> None:
    pen.fill(box(x - half - 0.03, y - half - 0.03, x + half + 0.03, y + half + 0.03), frame)
    pen.fill(box(x - half, y - half, x + half, y + half), glass)
    pen.stroke(line(x, y - half, x, y + half), 0.02, frame)
    pen.stroke(line(x - half, y, x + half, y), 0.02, frame)


def _steam(pen: Pen, rng: Rng, x: float, y: float) -> None:
    for shift in rng.uniform(-0.2, 0.2, rng.integers(0, 4)):
        curl = [(x + shift + 0.06 * (-1) ** i, y - 0.05 - 0.09 * i) for i in range(rng.integers(3, 6))]
        pen.stroke(curve(*curl), 0.03, (240, 240, 240))
