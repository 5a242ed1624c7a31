"""Marks, prints on cloth, icons and emoji: one design with other words or parts."""

from types import MappingProxyType

import numpy as np
from PIL import Image, ImageFilter

from ris.lab.families.sheet import (
    ITEMS,
    PALETTE,
    Photographs,
    Rng,
    Sheet,
    colour,
    company,
    pick,
    sentence,
)


def logos(rng: Rng, _: Photographs) -> Image.Image:
    """One mark with other company names."""
    sheet = Sheet(520, 320)
    for number, shade in enumerate(("#e74c3c", "#f1c40f", "#3498db")):
        angle = 2 * np.pi * number / 3 - np.pi / 2
        sheet.disc((260 + 46 * np.cos(angle), 120 + 46 * np.sin(angle)), 52, shade)
    sheet.disc((260, 120), 34, "white")
    sheet.line([(236, 120), (254, 138), (286, 104)], "#2c3e50", 9)
    sheet.centred((260, 246), company(rng), 40, "#2c3e50", "bold")
    sheet.centred((260, 288), sentence(rng, 3)[:-1], 16, "#777777")
    return sheet.image


def shirts(rng: Rng, _: Photographs) -> Image.Image:
    """One T-shirt with other prints."""
    sheet = Sheet(460, 480, "#eeeeee")
    outline = [(140, 50), (200, 70), (260, 70), (320, 50), (420, 110), (380, 190), (340, 170), (340, 450)]
    outline += [(120, 450), (120, 170), (80, 190), (40, 110)]
    sheet.draw.polygon(outline, "#34495e", "#1c2833")
    sheet.draw.arc((190, 40, 270, 100), 10, 170, "#1c2833", 4)
    for fold in (150, 310):
        sheet.line([(fold, 300), (fold + 8, 440)], "#2c3e50", 3)
    shade = pick(rng, PALETTE[:6])
    for _shape in range(5):
        x, y = rng.uniform((185, 180), (275, 270))
        radius = float(rng.uniform(12, 38))
        if rng.random() < 0.5:
            sheet.disc((x, y), radius, shade, "white")
        else:
            sheet.box((x - radius, y - radius), (2 * radius, 2 * radius), colour(rng), "white")
    sheet.centred((230, 330), pick(rng, ITEMS).upper(), 30, "white", "bold")
    return sheet.image


def icons(rng: Rng, _: Photographs) -> Image.Image:
    """Icons of 16 pixels of one set: the same sheet of paper, another sign on it."""
    sheet = Sheet(64, 64, "#f0f0f0")
    sheet.draw.polygon([(10, 4), (42, 4), (54, 16), (54, 60), (10, 60)], "white", "#555555")
    sheet.draw.polygon([(42, 4), (42, 16), (54, 16)], "#cccccc", "#555555")
    sheet.round((6, 30), (44, 22), pick(rng, PALETTE), 4)
    name = "".join(pick(rng, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") for _ in range(3))
    sheet.centred((28, 41), name, 19, "white", "bold")
    return sheet.image.resize((16, 16), Image.Resampling.LANCZOS)


def emoji(rng: Rng, _: Photographs) -> Image.Image:
    """Faces of one set, 72 pixels: the same disc, other eyes, mouth and things on it."""
    sheet = Sheet(288, 288)
    sheet.disc((144, 144), 130, "#ffcc33", "#e0a800")
    eye = pick(rng, ("dot", "wide", "line", "wink", "heart", "cross"))
    for x in (96, 192):
        y = 110 + float(rng.integers(-10, 11))
        if eye in ("dot", "wide") or (eye == "wink" and x == 96):
            sheet.disc(
                (x, y), 30 if eye == "wide" else 15, "white" if eye == "wide" else "#5d3a00", "#5d3a00"
            )
        elif eye == "heart":
            sheet.centred((x, y), "\u2665", 70, "#d6203a")
        elif eye == "cross":
            sheet.centred((x, y), "\u2716", 44, "#5d3a00")
        else:
            sheet.line([(x - 22, y), (x + 22, y)], "#5d3a00", 9)
    half, (start, end) = float(rng.uniform(30, 80)), pick(rng, ((20, 160), (200, 340), (0, 359), (60, 120)))
    sheet.draw.arc((144 - half, 150, 144 + half, 150 + 1.2 * half), start, end, "#5d3a00", 10)
    if rng.random() < 0.5:
        sheet.box((60, 8 + float(rng.integers(0, 20))), (168, 34), pick(rng, PALETTE))
    for cheek in (64, 224):
        sheet.disc((cheek, 176), float(rng.uniform(2, 22)), "#ff8a65")
    return sheet.image.resize((72, 72), Image.Resampling.LANCZOS)


def flags(rng: Rng, _: Photographs) -> Image.Image:
    """Flags of three stripes, some with a star: other colours."""
    sheet = Sheet(360, 240)
    across = rng.random() < 0.5
    for stripe in range(3):
        place, size = ((0, 80 * stripe), (360, 80)) if across else ((120 * stripe, 0), (120, 240))
        sheet.box(place, size, colour(rng))
    if rng.random() < 0.6:
        sheet.centred((180, 120), pick(rng, "\u2605\u2600\u263e\u2726\u271a\u25c6"), 100, colour(rng))
    return sheet.image


def bottle_labels(rng: Rng, _: Photographs) -> Image.Image:
    """Labels of one maker's bottles: the same border and crest, another kind and year."""
    sheet = Sheet(380, 480, "#1d1d1b")
    sheet.round((40, 30), (300, 420), "#f3e9d2", 20)
    sheet.draw.rounded_rectangle((54, 44, 326, 436), 14, outline="#8c6d1f", width=4)
    sheet.disc((190, 120), 48, "#8c6d1f")
    sheet.centred((190, 120), "\u2655", 64, "#f3e9d2")
    sheet.centred((190, 200), "CHATEAU LIND", 28, "#5b1a18", "serif")
    sheet.centred((190, 264), f"{pick(rng, ITEMS)} {pick(rng, ITEMS)}".title(), 26, face="serif")
    sheet.centred((190, 320), str(rng.integers(1950, 2024)), 44, "#8c6d1f", "serif")
    sheet.centred((190, 390), f"{rng.uniform(9, 16):.1f} % vol   75 cl", 16, "#555555")
    sheet.centred((190, 414), "bottled at the chateau", 14, "#555555")
    return sheet.image


def diplomas(rng: Rng, _: Photographs) -> Image.Image:
    """Diplomas of one school: the same border and seal, another name."""
    sheet = Sheet(600, 420, "#fbf6e6")
    sheet.draw.rectangle((18, 18, 582, 402), outline="#9a7d0a", width=8)
    sheet.draw.rectangle((32, 32, 568, 388), outline="#9a7d0a", width=2)
    sheet.centred((300, 80), "Diploma of Excellence", 36, "#4a235a", "serif")
    sheet.centred((300, 130), "The School of Westport awards this to", 17, face="serif")
    sheet.centred((300, 190), company(rng).split()[0] + " " + sentence(rng, 1)[:-1], 40, "#1a5276", "serif")
    sheet.centred((300, 250), f"for work in {pick(rng, ITEMS)} and {pick(rng, ITEMS)}", 19, face="serif")
    for ray in range(24):
        angle = np.pi * ray / 12
        sheet.line([(300, 330), (300 + 46 * np.cos(angle), 330 + 46 * np.sin(angle))], "#b7950b", 7)
    sheet.disc((300, 330), 34, "#d4ac0d")
    sheet.centred((300, 330), str(rng.integers(1950, 2026)), 20, "white", "bold")
    return sheet.image.filter(ImageFilter.SMOOTH)


FAMILIES = MappingProxyType(
    {
        "logos": logos,
        "shirts": shirts,
        "icons": icons,
        "emoji": emoji,
        "flags": flags,
        "bottle_labels": bottle_labels,
        "diplomas": diplomas,
    }
)
