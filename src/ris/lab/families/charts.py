"""Charts and tables of one template, with other numbers."""

from types import MappingProxyType

import numpy as np
from PIL import Image

from ris.lab.families.sheet import ITEMS, PALETTE, Photographs, Rng, Sheet, pick, sentence

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_AREA = (70, 60, 610, 400)
"""Left, top, right and bottom of the axes."""


def bar_charts(rng: Rng, _: Photographs) -> Image.Image:
    """Monthly bars: the same axes, title and months."""
    sheet = _axes("Sales by month (thousands)")
    left, _top, _right, bottom = _AREA
    for month, value in enumerate(rng.uniform(0.05, 0.95, 12)):
        height = value * 320
        sheet.box((left + 8 + month * 45, bottom - height), (28, height), "#3b6ea5")
        sheet.centred((left + 22 + month * 45, bottom + 16), _MONTHS[month], 13)
    return sheet.image


def line_charts(rng: Rng, _: Photographs) -> Image.Image:
    """Three random walks: the same axes, title and legend."""
    sheet = _axes("Temperature, three stations")
    left, top, right, bottom = _AREA
    x = np.linspace(left, right, 60)
    for number, colour in enumerate(PALETTE[:3]):
        walk = np.cumsum(rng.normal(0, 1, 60))
        walk = (walk - walk.min()) / max(np.ptp(walk), 1e-6)
        y = bottom - (0.1 + 0.25 * rng.random() + 0.5 * walk) * (bottom - top)
        sheet.line(list(zip(x.tolist(), y.tolist(), strict=True)), colour, 2)
        sheet.box((right - 110, top + 10 + 20 * number), (14, 10), colour)
        sheet.text((right - 90, top + 6 + 20 * number), f"Station {number + 1}", 13)
    for month in range(12):
        sheet.centred((left + 22 + month * 45, bottom + 16), _MONTHS[month], 13)
    return sheet.image


def pie_charts(rng: Rng, _: Photographs) -> Image.Image:
    """Shares of a budget: the same title and legend."""
    sheet = Sheet(560, 420)
    sheet.centred((280, 30), "Budget by department", 20, face="bold")
    shares = rng.dirichlet(np.full(5, 1.5))
    ends = np.concatenate([[0], np.cumsum(shares)]) * 360
    names = ("Housing", "Schools", "Roads", "Culture", "Other")
    for number, (name, share) in enumerate(zip(names, shares, strict=True)):
        sheet.draw.pieslice((40, 70, 360, 390), ends[number], ends[number + 1], PALETTE[number], "white")
        sheet.box((390, 130 + 30 * number), (18, 18), PALETTE[number])
        sheet.text((416, 130 + 30 * number), f"{name} {share:.0%}", 15)
    return sheet.image


def scatter_plots(rng: Rng, _: Photographs) -> Image.Image:
    """Points in two groups: the same axes and title."""
    sheet = _axes("Height and weight of two groups")
    left, top, right, bottom = _AREA
    for colour in PALETTE[1:3]:
        centre = rng.uniform((left + 100, top + 80), (right - 100, bottom - 80))
        for x, y in rng.normal(centre, (60, 40), (60, 2)):
            if left < x < right and top < y < bottom:
                sheet.disc((x, y), 4, colour)
    return sheet.image


def tables(rng: Rng, _: Photographs) -> Image.Image:
    """A sheet of numbers: the same columns, rows and head."""
    sheet = Sheet(640, 440)
    sheet.box((0, 0), (640, 34), "#217346")
    sheet.text((12, 8), "Stock list - quarter report", 16, "white", "bold")
    for column, name in enumerate(("Item", "Q1", "Q2", "Q3", "Q4", "Total")):
        sheet.box((column * 106, 34), (106, 24), "#e6e6e6", "#b0b0b0")
        sheet.centred((column * 106 + 53, 46), name, 13, face="bold")
    for row in range(15):
        numbers = rng.integers(10, 9999, 4).tolist()
        for column, value in enumerate((ITEMS[row], *numbers, sum(numbers))):
            sheet.box((column * 106, 58 + row * 25), (106, 25), "white", "#c8c8c8")
            sheet.text((column * 106 + 8, 62 + row * 25), str(value), 14)
    return sheet.image


def slides(rng: Rng, _: Photographs) -> Image.Image:
    """Slides of one template: the same colours, logo and foot; other titles and points."""
    sheet = Sheet(720, 405)
    sheet.box((0, 0), (720, 70), "#1f3a5f")
    sheet.box((0, 70), (720, 6), "#e67e22")
    sheet.disc((675, 35), 22, "#e67e22")
    sheet.centred((675, 35), "KL", 20, "white", "bold")
    sheet.text((30, 20), sentence(rng, 4)[:-1], 26, "white", "bold")
    for point in range(int(rng.integers(3, 6))):
        sheet.disc((48, 118 + 48 * point), 5, "#e67e22")
        sheet.text((66, 106 + 48 * point), sentence(rng, int(rng.integers(5, 8))), 19, "#222222")
    sheet.box((0, 380), (720, 25), "#e8e8e8")
    sheet.text(
        (30, 384), f"Kestrel Labs   |   Yearly review   |   {pick(rng, [str(n) for n in range(2, 80)])}", 13
    )
    return sheet.image


def _axes(title: str) -> Sheet:
    """Return a page with axes, a grid and a title."""
    sheet = Sheet(640, 440)
    left, top, right, bottom = _AREA
    sheet.centred((340, 30), title, 18, face="bold")
    for tick in range(6):
        y = bottom - tick * 64
        sheet.line([(left, y), (right, y)], "#dddddd")
        sheet.text((30, y - 8), f"{tick * 20:>3}", 13)
    sheet.line([(left, top), (left, bottom), (right, bottom)], "black", 2)
    return sheet


FAMILIES = MappingProxyType(
    {
        "bar_charts": bar_charts,
        "line_charts": line_charts,
        "pie_charts": pie_charts,
        "scatter_plots": scatter_plots,
        "tables": tables,
        "slides": slides,
    }
)
