"""Photographs that share what is around or over them, drawn scenes, and what has next to no content."""

from itertools import pairwise
from types import MappingProxyType

import numpy as np
from PIL import Image, ImageFilter

from ris.lab.families.sheet import Photographs, Rng, Sheet, colour, filling, font, paragraph, pick, sentence


def meme_panels(rng: Rng, photographs: Photographs) -> Image.Image:
    """Two panels of one photograph, each with other words beside it."""
    sheet = Sheet(560, 480)
    left = filling(photographs[0], (280, 480))
    for panel, part in enumerate((left.crop((0, 0, 280, 238)), left.crop((0, 242, 280, 480)))):
        sheet.image.paste(part, (0, 242 * panel))
        sheet.text((300, 40 + 242 * panel), paragraph(rng, 230, 3, "bold", 26), 26, face="bold")
    sheet.box((0, 238), (560, 4), "black")
    sheet.box((280, 0), (4, 480), "black")
    return sheet.image


def captions_on_one_photograph(rng: Rng, photographs: Photographs) -> Image.Image:
    """One photograph with other words over its top and its bottom."""
    sheet = Sheet.on(filling(photographs[0], (520, 400)))
    for y in (12, 330):
        words = sentence(rng, 3)[:-1].upper()
        sheet.draw.text((260, y), words, "white", font("bold", 42), "ma", stroke_width=3, stroke_fill="black")
    return sheet.image


def bursts(rng: Rng, photographs: Photographs) -> Image.Image:
    """One place a moment later: the camera moved a little, and other people walk through."""
    place = filling(photographs[0], (600, 440))
    left, top = rng.integers(0, 30, 2).tolist()
    sheet = Sheet.on(place.crop((left, top, left + 560, top + 400)))
    for _person in range(int(rng.integers(3, 7))):
        x, y, tall = rng.uniform((40, 130, 90), (520, 220, 170))
        coat, step = colour(rng), float(rng.uniform(-0.2, 0.2)) * tall
        sheet.disc((x, y), 0.1 * tall, "#d7a97f")
        sheet.round((x - 0.14 * tall, y + 0.11 * tall), (0.28 * tall, 0.45 * tall), coat, 8)
        for leg in (step, -step):
            sheet.line([(x, y + 0.55 * tall), (x + leg, y + tall)], "#222222", max(3, round(0.08 * tall)))
    noisy = np.asarray(sheet.image) + rng.normal(0, 4, (400, 560, 3)) + rng.uniform(-8, 8)
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def frames(_rng: Rng, photographs: Photographs) -> Image.Image:
    """Other photographs in one carved frame."""
    sheet = Sheet(560, 460, "#6e4b1f")
    for inset in range(0, 48, 6):
        shade = "#8a6430" if inset % 12 else "#5a3c16"
        sheet.draw.rectangle((inset, inset, 559 - inset, 459 - inset), outline=shade, width=4)
    for x in range(24, 560, 32):
        for y in (24, 436):
            sheet.disc((x, y), 9, "#d4a847", "#5a3c16")
    for y in range(56, 420, 32):
        for x in (24, 536):
            sheet.disc((x, y), 9, "#d4a847", "#5a3c16")
    sheet.paste(photographs[1], (50, 50), (460, 360))
    return sheet.image


def stock_watermarks(_rng: Rng, photographs: Photographs) -> Image.Image:
    """Other photographs under one agency's watermark."""
    picture, layer = filling(photographs[1], (560, 400)), Sheet(800, 800, "black")
    for line, y in enumerate(range(0, 800, 90)):
        for x in range(-(line % 2) * 130, 800, 260):
            layer.text((x, y), "stockpile \u00a9", 34, "#8c8c8c", "bold")
    mask = layer.image.convert("L").rotate(30).crop((120, 200, 680, 600))
    sheet = Sheet.on(Image.composite(Image.new("RGB", picture.size, "white"), picture, mask))
    sheet.box((0, 370), (560, 30), "#141414")
    sheet.text((12, 375), "stockpile.example   preview only", 15, "white")
    return sheet.image


def polaroids(rng: Rng, photographs: Photographs) -> Image.Image:
    """Other photographs on one board, each in the same paper and with a pin."""
    sheet = Sheet(460, 520, "#b98b5e")
    for _grain in range(900):
        x, y = rng.uniform(0, 520, 2)
        sheet.disc((x, y), 2, pick(rng, ("#a87a4e", "#c99a6c", "#8f6440")))
    sheet.box((60, 50), (340, 420), "#fbfbf6", "#cfcfc4")
    sheet.paste(photographs[1], (82, 72), (296, 300))
    sheet.centred((230, 420), sentence(rng, 2)[:-1], 26, "#333366", "book")
    sheet.disc((230, 54), 11, "#c0392b", "#7b241c")
    return sheet.image


def thumbnails(rng: Rng, photographs: Photographs) -> Image.Image:
    """Covers of one film channel: the same title bar, arrow and length, another photograph."""
    sheet = Sheet(480, 270)
    sheet.paste(photographs[1], (0, 0), (480, 270))
    sheet.box((0, 0), (14, 270), "#ffd400")
    sheet.box((14, 186), (466, 60), "#111111")
    sheet.text((28, 196), sentence(rng, 3)[:-1].upper(), 32, "#ffd400", "bold")
    sheet.disc((240, 100), 38, "#cc0000")
    sheet.draw.polygon([(228, 80), (228, 120), (262, 100)], "white")
    sheet.box((420, 246), (60, 24), "black")
    sheet.text((428, 249), f"{rng.integers(1, 60)}:{rng.integers(60):02d}", 16, "white")
    return sheet.image


def manga_pages(rng: Rng, _: Photographs) -> Image.Image:
    """Pages of one comic: black ink, panels, bubbles and speed lines; another story."""
    sheet = Sheet(460, 640)
    tops = [12, *sorted(rng.integers(150, 480, 2).tolist()), 628]
    for top, bottom in pairwise(tops):
        split = int(rng.integers(150, 320))
        for left, right in ((12, split - 5), (split + 5, 448)):
            _panel(sheet, rng, (left, top), (right - left, max(20, bottom - top - 8)))
    return sheet.image


def plain(rng: Rng, _: Photographs) -> Image.Image:
    """One colour, with hardly any noise."""
    pixels = np.array(colour(rng)) + rng.normal(0, 1.5, (300, 400, 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def gradients(rng: Rng, _: Photographs) -> Image.Image:
    """From one colour to another, along a direction."""
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[:300, :400] / 400
    along = x * np.cos(angle) + y * np.sin(angle)
    share = ((along - along.min()) / np.ptp(along))[..., None]
    pixels = (1 - share) * np.array(colour(rng)) + share * np.array(colour(rng))
    return Image.fromarray(pixels.astype(np.uint8))


def night_skies(rng: Rng, _: Photographs) -> Image.Image:
    """Stars over the same hills."""
    sheet = Sheet(560, 400, "#070b1a")
    for x, y, size in rng.uniform((0, 0, 0.3), (560, 330, 2.0), (220, 3)):
        sheet.disc((x, y), size, pick(rng, ("white", "#cfd8ff", "#ffe9c4")))
    hills = [(x, 345 + 22 * np.sin(x / 70) + 9 * np.sin(x / 23)) for x in range(0, 561, 8)]
    sheet.draw.polygon([(0, 400), *hills, (560, 400)], "#020306")
    return sheet.image.filter(ImageFilter.GaussianBlur(0.6))


def brick_walls(rng: Rng, _: Photographs) -> Image.Image:
    """Walls of the same bricks, each brick of another red."""
    sheet = Sheet(480, 360, "#c9c2b8")
    for row in range(12):
        for column in range(-1, 8):
            red = int(rng.integers(120, 200))
            place = 64 * column + 32 * (row % 2), 30 * row
            sheet.box((place[0] + 2, place[1] + 2), (60, 26), (red, red // 2 - 10, red // 3))
    return Image.fromarray(
        (np.asarray(sheet.image) + rng.normal(0, 6, (360, 480, 3))).clip(0, 255).astype(np.uint8)
    )


def windows(rng: Rng, _: Photographs) -> Image.Image:
    """Fronts of one house type at night, other windows lit."""
    sheet = Sheet(480, 480, "#10162b")
    sheet.box((40, 40), (400, 440), "#5c5148")
    for row in range(8):
        for column in range(8):
            lit = rng.random() < 0.45
            place = 60 + 46 * column, 60 + 50 * row
            sheet.box(place, (30, 36), "#ffdf8a" if lit else "#20263a", "#2c2620")
            sheet.line([(place[0] + 15, place[1]), (place[0] + 15, place[1] + 36)], "#2c2620", 2)
    return sheet.image


def _panel(sheet: Sheet, rng: Rng, place: tuple[int, int], size: tuple[int, int]) -> None:
    """Draw one panel of a comic: lines towards a point, a head, and a bubble."""
    panel = Sheet(*size)
    focus = rng.uniform((0, 0), size)
    for angle in rng.uniform(0, 2 * np.pi, 40):
        start, end = rng.uniform(60, 120), 700
        way = np.array([np.cos(angle), np.sin(angle)])
        points = [(float(x), float(y)) for x, y in (focus + start * way, focus + end * way)]
        panel.line(points, width=int(rng.integers(1, 4)))
    head = float(rng.uniform(22, 46))
    x, y = rng.uniform((20, 20), (size[0], size[1]))
    panel.disc((x, y), head, "white", "black")
    for hair in rng.uniform(np.pi, 2 * np.pi, 14):
        tip = x + 1.5 * head * np.cos(hair), y + 1.5 * head * np.sin(hair)
        panel.draw.polygon([(x - head / 3, y - head / 2), tip, (x + head / 3, y - head / 2)], "black")
    for eye in (-0.4, 0.4):
        panel.disc((x + eye * head, y + 0.1 * head), head / 6, "black")
    left, top = rng.uniform((0, 0), (max(1, size[0] - 110), max(1, size[1] - 60)))
    panel.draw.ellipse((left, top, left + 110, top + 56), "white", "black", 2)
    panel.centred((left + 55, top + 28), sentence(rng, 2), 12)
    sheet.image.paste(panel.image, place)
    sheet.draw.rectangle((*place, place[0] + size[0], place[1] + size[1]), outline="black", width=3)


FAMILIES = MappingProxyType(
    {
        "meme_panels": meme_panels,
        "captions_on_one_photograph": captions_on_one_photograph,
        "bursts": bursts,
        "frames": frames,
        "stock_watermarks": stock_watermarks,
        "polaroids": polaroids,
        "thumbnails": thumbnails,
        "manga_pages": manga_pages,
        "plain": plain,
        "gradients": gradients,
        "night_skies": night_skies,
        "brick_walls": brick_walls,
        "windows": windows,
    }
)
