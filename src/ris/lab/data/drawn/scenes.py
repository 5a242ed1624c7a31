"""One picture: a backdrop, clutter, an object in a pose with its shadow, light, and a way of printing it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from ris.lab.data.drawn.backdrops import BACKDROPS, FOREGROUNDS
from ris.lab.data.drawn.pen import Pen, Rng
from ris.lab.data.drawn.prints import STYLES, gouache, light

Painter = Callable[[Pen, Rng], None]

OVERSAMPLING = 2


@dataclass(frozen=True)
class Subject:
    """What a class looks like: its painter, the backdrops it is at home in, and how it is framed."""

    painter: Painter
    habitat: tuple[Callable[[Pen, Rng], None], ...]
    scale: tuple[float, float] = (0.62, 0.98)
    """Share of the picture's shorter side that the object takes."""
    tilt: float = 0.2
    """Standard deviation of the object's rotation, radians."""


def scene(
    rng: Rng, subject: Subject | None, others: tuple[Painter, ...], stylish: bool = True
) -> Image.Image:
    """Draw one picture.

    Args:
        rng: where every choice comes from.
        subject: what is shown; None leaves the scene empty.
        others: painters of other classes, for things that stand about in the background.
        stylish: whether the picture may be printed in one of the strong styles that hide detail.

    Returns:
        An RGB picture of 160 to 224 pixels on its longer side.
    """
    long = int(rng.integers(160, 225))
    short = round(long * rng.uniform(0.68, 1))
    size = (long, short) if rng.random() < 0.6 else (short, long)
    canvas = Image.new("RGB", (OVERSAMPLING * size[0], OVERSAMPLING * size[1]))
    at_home = subject is not None and rng.random() < 0.5
    backdrops = subject.habitat if subject and at_home else BACKDROPS
    backdrops[rng.integers(len(backdrops))](_world(canvas), rng)
    picture = canvas.reduce(OVERSAMPLING)
    for _ in range(rng.integers(1, 3) if rng.random() < 0.3 else 0):
        _place(picture, rng, Subject(others[rng.integers(len(others))], (), scale=(0.16, 0.3)), spread=0.42)
    if rng.random() < 0.4:
        picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.5, 2)))
    if subject:
        _place(picture, rng, subject, spread=0.12)
    if rng.random() < 0.3:
        front = Image.new("RGBA", canvas.size)
        FOREGROUNDS[rng.integers(len(FOREGROUNDS))](_world(front), rng)
        front = _reduced(front)
        picture.paste(front, mask=front.getchannel("A"))
    pixels = light(np.asarray(picture, dtype=np.float32) / np.float32(255), rng)
    style = list(STYLES)[rng.choice(len(STYLES), p=list(STYLES.values()))] if stylish else gouache
    finished = np.clip(style(pixels, rng), 0, 1)
    return Image.fromarray((finished * 255 + 0.5).astype(np.uint8))


def specimen(rng: Rng, painter: Painter) -> Image.Image:
    """Draw one object alone on a transparent RGBA picture."""
    layer = Image.new("RGBA", (400, 400))
    painter(Pen(layer, np.array([[150.0, 0, 200], [0, 150.0, 200]]), ink=0.03), rng)
    return _reduced(layer)


def _world(canvas: Image.Image) -> Pen:
    """Return a pen for the whole canvas: x in [-1, 1], y in [-1, 1], whatever its proportions."""
    wide, high = canvas.size
    return Pen(canvas, np.array([[wide / 2, 0, wide / 2], [0, high / 2, high / 2]]), ink=0)


def _reduced(layer: Image.Image) -> Image.Image:
    """Bring an oversampled RGBA layer to its final size without darkening its edges."""
    return layer.convert("RGBa").reduce(OVERSAMPLING).convert("RGBA")


def _place(picture: Image.Image, rng: Rng, subject: Subject, spread: float) -> None:
    """Draw an object in a random pose onto a picture, with its shadow."""
    half = min(picture.size) / 2 * rng.uniform(*subject.scale)
    centre = np.array(picture.size) * (0.5 + rng.uniform(-spread, spread, 2))
    first = np.maximum(centre - 1.7 * half, 0).astype(int)
    last = np.minimum(centre + 1.7 * half, picture.size).astype(int)
    turn, squeeze, lean = rng.normal(0, subject.tilt), rng.uniform(0.8, 1.2), rng.normal(0, 0.08)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    warp = rotation @ np.array([[rng.choice([-1, 1]) * squeeze, lean], [0, 1 / squeeze]])
    pose = OVERSAMPLING * np.column_stack([half * warp, centre - first])
    wide, high = (OVERSAMPLING * (last - first)).tolist()
    layer = Image.new("RGBA", (wide, high))
    subject.painter(Pen(layer, pose, ink=rng.choice([0, 0.02, 0.035])), rng)
    body = _reduced(layer)
    alpha = body.getchannel("A")
    blur = ImageFilter.GaussianBlur(half / 4 * rng.uniform(0.03, 0.12))
    shadow = alpha.reduce(4).filter(blur).point(lambda v: v * 0.45).resize(alpha.size)
    offset = first + half * rng.uniform(-0.12, 0.12, 2) + [0, half * 0.08]
    picture.paste((20, 20, 35), (int(offset[0]), int(offset[1])), shadow)
    picture.paste(_rounded(body, rng), (int(first[0]), int(first[1])), alpha)


def _rounded(body: Image.Image, rng: Rng) -> Image.Image:
    """Give a flat object some volume: lighter towards the light, darker away from it."""
    alpha = body.getchannel("A")
    height = np.asarray(alpha.reduce(4).filter(ImageFilter.GaussianBlur(3)), dtype=np.float32) / 255
    down, across = np.gradient(height)
    angle, strength = rng.uniform(-2.6, -0.5), rng.uniform(0.5, 2.5)
    relief = -(np.cos(angle) * across + np.sin(angle) * down) * strength
    fine = Image.fromarray(relief.astype(np.float32)).resize(alpha.size, Image.Resampling.BILINEAR)
    lit = np.asarray(body.convert("RGB")) * (1 - np.asarray(fine)[..., None])
    return Image.fromarray(np.clip(lit, 0, 255).astype(np.uint8))
