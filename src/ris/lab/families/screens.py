"""Screens of one program, with other contents."""

from types import MappingProxyType

import numpy as np
from PIL import Image

from ris.lab.families.sheet import (
    ITEMS,
    PALETTE,
    Photographs,
    Rng,
    Sheet,
    date,
    digits,
    font,
    paragraph,
    person,
    pick,
    sentence,
)

_INK = ("#569cd6", "#ce9178", "#9cdcfe", "#dcdcaa", "#6a9955", "#c586c0", "#d4d4d4")


def code_editors(rng: Rng, _: Photographs) -> Image.Image:
    """Code in one editor: the same window, tree of files and colours; another file."""
    sheet = Sheet(760, 480, "#1e1e1e")
    sheet.box((0, 0), (760, 28), "#3c3c3c")
    for button, shade in enumerate(("#ff5f57", "#febc2e", "#28c840")):
        sheet.disc((16 + 20 * button, 14), 6, shade)
    sheet.box((0, 28), (150, 430), "#252526")
    for row, name in enumerate(("src", "main.py", "store.py", "index.py", "page.py", "tests", "README.md")):
        sheet.text((16 + 12 * (name[-1] != "s"), 42 + 24 * row), name, 13, "#cccccc")
    for row in range(21):
        sheet.text((160, 38 + 20 * row), f"{row + 1:>2}", 13, "#858585", "mono")
        x = 195.0 + 28 * int(rng.integers(0, 4))
        for _word in range(int(rng.integers(1, 6))):
            word = pick(rng, ITEMS) + pick(rng, ("", "(", ")", " =", ":", ".", "[0]", "_id", " in", " +"))
            sheet.text((x, 38 + 20 * row), word, 13, pick(rng, _INK), "mono")
            x += font("mono", 13).getlength(word + " ")
    sheet.box((0, 458), (760, 22), "#007acc")
    sheet.text((12, 461), "main*   0 errors   Python 3.12   UTF-8", 12, "white")
    return sheet.image


def terminals(rng: Rng, _: Photographs) -> Image.Image:
    """A terminal that shows a log: the same window and prompt, other lines."""
    sheet = Sheet(640, 420, "#0c0c0c")
    sheet.box((0, 0), (640, 26), "#2d2d2d")
    sheet.centred((320, 13), "user@host: ~/work", 13, "#cccccc")
    sheet.text((10, 36), "user@host:~/work$ tail -f service.log", 13, "#33d17a", "mono")
    for row in range(19):
        level = pick(rng, ("INFO ", "WARN ", "DEBUG", "ERROR"))
        clock = ":".join(f"{rng.integers(end):02d}" for end in (24, 60, 60))
        line = f"{clock} {level} {pick(rng, ITEMS)} {digits(rng, 5)} {pick(rng, ITEMS)} {digits(rng, 3)} ms"
        sheet.text((10, 56 + 19 * row), line, 13, "#d0d0d0", "mono")
    return sheet.image


def mail_screenshots(rng: Rng, _: Photographs) -> Image.Image:
    """A mail program: the same folders and buttons, other mails."""
    sheet = Sheet(760, 480)
    sheet.box((0, 0), (760, 48), "#d93025")
    sheet.text((16, 12), "Mail", 22, "white", "bold")
    sheet.round((180, 10), (400, 28), "#f6d4d1", 8)
    sheet.text((192, 15), "Search in mail", 14, "#8a4a45")
    sheet.box((0, 48), (150, 432), "#f2f2f2")
    for row, name in enumerate(("Inbox", "Starred", "Sent", "Drafts", "Spam", "Bin")):
        sheet.text((20, 66 + 34 * row), name, 15, face="bold" if row == 0 else "sans")
    for row in range(12):
        y = 56 + 35 * row
        sheet.line([(150, y + 30), (760, y + 30)], "#dddddd")
        sheet.text((166, y + 6), person(rng), 14, face="bold")
        sheet.text((310, y + 6), sentence(rng, 6)[:44], 14)
        sheet.text((690, y + 6), date(rng)[:5], 13, "#666666")
    return sheet.image


def chats(rng: Rng, _: Photographs) -> Image.Image:
    """A chat: the same background and head, other bubbles."""
    sheet = Sheet(360, 640, "#e5ddd5")
    sheet.box((0, 0), (360, 56), "#075e54")
    sheet.disc((32, 28), 18, pick(rng, PALETTE))
    sheet.text((60, 17), person(rng), 18, "white", "bold")
    y = 70
    while y < 560:
        lines, mine = int(rng.integers(1, 4)), rng.random() < 0.5
        height = 16 + 19 * lines
        sheet.round((130 if mine else 14, y), (216, height), "#dcf8c6" if mine else "white")
        sheet.text((142 if mine else 26, y + 7), paragraph(rng, 190, lines, "sans", 14), 14)
        y += height + 12
    sheet.round((10, 592), (290, 38), "white", 18)
    sheet.disc((330, 611), 19, "#075e54")
    return sheet.image


def map_tiles(rng: Rng, _: Photographs) -> Image.Image:
    """Tiles of one map: the same colours and signs, other streets."""
    sheet = Sheet(512, 512, "#f2efe9")
    for _area in range(6):
        x, y, width, height = rng.uniform((-50, -50, 60, 60), (480, 480, 220, 220))
        sheet.box((x, y), (width, height), pick(rng, ("#c8facc", "#aad3df", "#e0dfdf", "#cdebb0")))
    for width, shade, count in ((4, "white", 22), (9, "#fcd6a4", 5), (13, "#e892a2", 2)):
        for _street in range(count):
            start, angle = rng.uniform(0, 512, 2), rng.uniform(0, np.pi)
            along = np.array([np.cos(angle), np.sin(angle)])
            bend = rng.normal(0, 25, (7, 2)).cumsum(axis=0)
            points = start + np.linspace(-600, 600, 7)[:, None] * along + bend
            sheet.line([(x, y) for x, y in points.tolist()], "#b0a89e", width + 2)
            sheet.line([(x, y) for x, y in points.tolist()], shade, width)
    for _name in range(6):
        x, y = rng.uniform(20, 420, 2)
        sheet.text((x, y), f"{pick(rng, ITEMS).title()} Street", 13, "#555555")
    return sheet.image


def web_shops(rng: Rng, photographs: Photographs) -> Image.Image:
    """Pages of one shop: the same head and buttons, another article."""
    sheet = Sheet(640, 460)
    sheet.box((0, 0), (640, 50), "#232f3e")
    sheet.text((16, 12), "maple.shop", 22, "#ffb84d", "bold")
    sheet.round((170, 11), (380, 28), "white", 5)
    sheet.text((180, 16), "Search all articles", 14, "#777777")
    sheet.paste(photographs[1], (24, 74), (280, 320))
    sheet.text((330, 78), f"{pick(rng, ITEMS).title()} of {pick(rng, ITEMS)}", 22, face="bold")
    sheet.text((330, 116), "\u2605" * int(rng.integers(1, 6)), 20, "#f39c12")
    sheet.text((330, 150), f"{rng.uniform(2, 900):.2f} EUR", 28, "#b12704")
    sheet.text((330, 200), paragraph(rng, 270, 6, "sans", 14), 14)
    sheet.round((330, 340), (270, 38), "#ffd814", 18)
    sheet.centred((465, 359), "Add to basket", 16)
    sheet.text((24, 420), "Free returns within 30 days      Delivered tomorrow", 14, "#555555")
    return sheet.image


def news_bars(rng: Rng, photographs: Photographs) -> Image.Image:
    """Stills of one channel: the same bar and clock, another scene and headline."""
    sheet = Sheet(640, 360)
    sheet.paste(photographs[1], (0, 0), (640, 360))
    sheet.box((0, 290), (640, 44), "#b71c1c")
    sheet.text((14, 298), "BREAKING", 24, "white", "bold")
    sheet.box((170, 290), (470, 44), "#ffffff")
    sheet.text((182, 300), sentence(rng, 5)[:42], 20, face="bold")
    sheet.box((0, 334), (640, 26), "#111111")
    sheet.text((14, 338), sentence(rng, 12), 14, "white")
    sheet.box((560, 16), (64, 34), "#b71c1c")
    sheet.centred((592, 33), "WTV", 20, "white", "bold")
    return sheet.image


FAMILIES = MappingProxyType(
    {
        "code_editors": code_editors,
        "terminals": terminals,
        "mail_screenshots": mail_screenshots,
        "chats": chats,
        "map_tiles": map_tiles,
        "web_shops": web_shops,
        "news_bars": news_bars,
    }
)
