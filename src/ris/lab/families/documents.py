"""Printed matter of one form, filled in otherwise."""

import calendar
from types import MappingProxyType

from PIL import Image

from ris.lab.families.sheet import (
    ITEMS,
    Photographs,
    Rng,
    Sheet,
    company,
    date,
    digits,
    font,
    paragraph,
    person,
    pick,
    sentence,
)


def invoices(rng: Rng, _: Photographs) -> Image.Image:
    """Invoices of one company: the same head, columns and foot."""
    sheet = Sheet(560, 760)
    sheet.box((40, 36), (60, 60), "#16537e")
    sheet.centred((70, 66), "N", 40, "white", "bold")
    sheet.text((116, 44), "Nimbus Works Ltd.", 24, "#16537e", "bold")
    sheet.text((116, 76), "12 Harbour Street, 4051 Westport", 13, "#555555")
    sheet.text((400, 40), "INVOICE", 26, face="bold")
    sheet.text((40, 130), f"Bill to:\n{person(rng)}\n{rng.integers(1, 99)} {company(rng)} Road", 15)
    sheet.text((380, 130), f"No. {digits(rng, 6)}\nDate {date(rng)}\nDue in 30 days", 15)
    sheet.box((40, 220), (480, 26), "#16537e")
    for x, name in ((50, "Description"), (290, "Qty"), (350, "Price"), (440, "Amount")):
        sheet.text((x, 225), name, 14, "white", "bold")
    total = 0.0
    for line in range(int(rng.integers(4, 10))):
        count, price = int(rng.integers(1, 20)), float(rng.uniform(1, 300))
        total += count * price
        y = 256 + 30 * line
        for x, text in (
            (50, pick(rng, ITEMS)),
            (290, count),
            (350, f"{price:.2f}"),
            (440, f"{count * price:.2f}"),
        ):
            sheet.text((x, y), str(text), 14)
        sheet.line([(40, y + 24), (520, y + 24)], "#cccccc")
    sheet.text((330, 590), f"Total  {total:,.2f} EUR", 18, face="bold")
    sheet.text(
        (40, 690), "Nimbus Works Ltd.  IBAN WP12 3456 7890 1234\nThank you for your business.", 13, "#555555"
    )
    return sheet.image


def letters(rng: Rng, _: Photographs) -> Image.Image:
    """Letters on one letterhead: the same head and foot, other text."""
    sheet = Sheet(560, 760, "#fdfcf7")
    sheet.disc((280, 62), 30, "#7b241c")
    sheet.centred((280, 62), "R", 34, "white", "serif")
    sheet.centred((280, 112), "ROSSI & QUIST ATTORNEYS", 20, "#7b241c", "serif")
    sheet.line([(60, 134), (500, 134)], "#7b241c", 2)
    sheet.text(
        (60, 160), f"{person(rng)}\n{rng.integers(1, 99)} {pick(rng, ITEMS).title()} Lane", 14, face="serif"
    )
    sheet.text((400, 160), date(rng), 14, face="serif")
    sheet.text((60, 230), f"Dear {person(rng)},", 15, face="serif")
    for block in range(3):
        lines = int(rng.integers(3, 6))
        sheet.text((60, 264 + 120 * block), paragraph(rng, 430, lines, "serif", 14), 14, face="serif")
    sheet.text((60, 640), f"Yours sincerely,\n{person(rng)}", 14, face="serif")
    sheet.line([(60, 710), (500, 710)], "#7b241c", 1)
    sheet.centred((280, 728), "8 Court Square - Westport - rossi-quist.example", 12, "#7b241c")
    return sheet.image


def receipts(rng: Rng, _: Photographs) -> Image.Image:
    """Receipts of one shop: the same head, foot and columns."""
    sheet = Sheet(320, 640, "#f7f6f2")
    sheet.centred((160, 36), "GREEN CORNER", 26, face="bold")
    sheet.centred((160, 66), "5 Mill Road, Westport", 13, face="mono")
    sheet.text((20, 90), "-" * 34, 13, face="mono")
    total = 0.0
    for line in range(int(rng.integers(5, 14))):
        price = float(rng.uniform(0.5, 30))
        total += price
        sheet.text((20, 112 + 24 * line), f"{pick(rng, ITEMS).upper():<22}{price:>10.2f}", 14, face="mono")
    sheet.text((20, 460), "-" * 34, 13, face="mono")
    sheet.text((20, 480), f"{'TOTAL':<16}{total:>9.2f}", 18, face="mono")
    sheet.text(
        (20, 520),
        f"{date(rng)}  {rng.integers(8, 20):02d}:{rng.integers(60):02d}  TILL {digits(rng, 2)}",
        13,
        face="mono",
    )
    sheet.centred((160, 570), "THANK YOU - COME AGAIN", 14, face="mono")
    _bar_code(sheet, rng, (40, 590), 34)
    return sheet.image


def identity_cards(rng: Rng, photographs: Photographs) -> Image.Image:
    """Identity cards of one state: the same pattern and fields, another face and name."""
    sheet = Sheet(600, 380, "#dfe9f3")
    for line in range(0, 900, 18):
        sheet.line([(line, 0), (line - 300, 380)], "#c9d8e8")
    sheet.box((0, 0), (600, 60), "#274b73")
    sheet.text((20, 14), "REPUBLIC OF WESTLAND", 24, "white", "bold")
    sheet.text((400, 20), "IDENTITY CARD", 18, "#ffd966", "bold")
    sheet.paste(photographs[1], (24, 84), (170, 220))
    fields = ("Name", person(rng)), ("Born", date(rng)), ("Number", digits(rng, 9)), ("Expires", date(rng))
    for place, (name, value) in enumerate(fields):
        sheet.text((220, 84 + 54 * place), name, 12, "#555555")
        sheet.text((220, 100 + 54 * place), value, 20, face="bold")
    sheet.disc((530, 270), 40, "#b7c9dc", "#274b73")
    sheet.centred((530, 270), "W", 44, "#274b73", "serif")
    sheet.text((20, 330), f"IDWST{digits(rng, 9)}<<<<<<<<<<<<<<<<<<", 22, face="mono")
    return sheet.image


def boarding_passes(rng: Rng, _: Photographs) -> Image.Image:
    """Boarding passes of one airline: the same fields and colours."""
    sheet = Sheet(680, 280)
    sheet.box((0, 0), (680, 54), "#b03a2e")
    sheet.text((20, 12), "FALCON AIR    BOARDING PASS", 24, "white", "bold")
    towns = ("OSL", "LIS", "ROM", "PRG", "ATH", "DUB", "HEL", "VIE", "BRN", "RIX", "TLL", "SOF")
    sheet.text((20, 76), f"{pick(rng, towns)} > {pick(rng, towns)}", 46, face="bold")
    fields = (
        *(("PASSENGER", person(rng).upper()), ("FLIGHT", f"FA {digits(rng, 4)}"), ("DATE", date(rng))),
        *(
            ("GATE", f"{pick(rng, 'ABCDEF')}{rng.integers(1, 40)}"),
            ("SEAT", f"{rng.integers(1, 40)}{pick(rng, 'ABCDEF')}"),
        ),
    )
    for place, (name, value) in enumerate(fields):
        x, y = 20 + (place % 3) * 165, 150 + (place // 3) * 58
        sheet.text((x, y), name, 12, "#777777")
        sheet.text((x, y + 16), value, 18)
    sheet.line([(520, 60), (520, 275)], "#bbbbbb", 2)
    _bar_code(sheet, rng, (540, 90), 150)
    return sheet.image


def book_pages(rng: Rng, _: Photographs) -> Image.Image:
    """Pages of one book: the same type and running head, other text."""
    sheet = Sheet(480, 700, "#f5f0e1")
    sheet.centred((240, 40), "THE LONG WAY TO THE SHORE", 13, face="serif")
    for block in range(3):
        sheet.text((50, 70 + 190 * block), "   " + paragraph(rng, 370, 7, "book", 17), 17, "#222222", "book")
    sheet.centred((240, 668), str(rng.integers(5, 400)), 14, face="serif")
    return sheet.image


def newspaper_pages(rng: Rng, photographs: Photographs) -> Image.Image:
    """Front pages of one newspaper: the same title, other news and photograph."""
    sheet = Sheet(560, 760, "#f2f0ea")
    sheet.centred((280, 50), "The Westport Herald", 42, face="serif")
    sheet.line([(30, 88), (530, 88)], width=2)
    sheet.centred((280, 102), f"{date(rng)}      No. {digits(rng, 5)}      2.50 EUR", 13, face="serif")
    sheet.line([(30, 116), (530, 116)], width=2)
    sheet.text((30, 130), sentence(rng, 5)[:-1], 28, face="serif")
    sheet.image.paste(photographs[1].convert("L").convert("RGB").resize((330, 230)), (30, 180))
    sheet.text((374, 180), paragraph(rng, 140, 15, "book", 14), 14, face="book")
    for column in range(3):
        sheet.text((30 + 172 * column, 430), paragraph(rng, 150, 19, "book", 14), 14, face="book")
    return sheet.image


def calendar_months(rng: Rng, _: Photographs) -> Image.Image:
    """Months of one calendar: the same grid and days of the week."""
    sheet = Sheet(560, 460)
    year, month = int(rng.integers(1990, 2060)), int(rng.integers(1, 13))
    sheet.box((0, 0), (560, 70), "#c0392b")
    sheet.centred((280, 36), f"{calendar.month_name[month]} {year}", 32, "white", "bold")
    for day, name in enumerate(calendar.day_abbr):
        sheet.centred((40 + 80 * day, 92), name, 16, "#555555", "bold")
    for week, days in enumerate(calendar.monthcalendar(year, month)):
        for day, number in enumerate(days):
            sheet.box((80 * day, 112 + 58 * week), (80, 58), "white", "#bbbbbb")
            if number:
                sheet.text(
                    (8 + 80 * day, 118 + 58 * week), str(number), 20, "#c0392b" if day == 6 else "black"
                )
    return sheet.image


def sheet_music(rng: Rng, _: Photographs) -> Image.Image:
    """Pages of one songbook: the same staves and clefs, other notes."""
    sheet = Sheet(560, 720, "#fffdf5")
    sheet.centred((280, 40), sentence(rng, 3)[:-1].title(), 26, face="serif")
    for stave in range(7):
        top = 90 + 88 * stave
        for line in range(5):
            sheet.line([(40, top + 10 * line), (520, top + 10 * line)])
        sheet.draw.text((46, top - 8), "\u266f", "black", font("sans", 40))
        for bar in (160, 280, 400, 520):
            sheet.line([(bar, top), (bar, top + 40)])
        for x in range(80, 512, 24):
            y = top + 5 * int(rng.integers(-1, 10))
            sheet.draw.ellipse(
                (x, y - 4, x + 11, y + 5), "black" if rng.random() < 0.8 else "#fffdf5", "black"
            )
            sheet.line([(x + 11, y), (x + 11, y - 30)] if y > top + 20 else [(x, y), (x, y + 30)])
    return sheet.image


def crosswords(rng: Rng, _: Photographs) -> Image.Image:
    """Crosswords: the same grid of squares, others of them black."""
    sheet = Sheet(480, 560)
    sheet.text((30, 16), "CROSSWORD", 28, face="bold")
    number = 0
    black = rng.random((13, 13)) < 0.2
    black |= black[::-1, ::-1]
    for row in range(13):
        for column in range(13):
            place = 30 + 32 * column, 66 + 32 * row
            sheet.box(place, (32, 32), "black" if black[row, column] else "white", "black")
            if not black[row, column] and (
                row == 0 or column == 0 or black[row - 1, column] or black[row, column - 1]
            ):
                number += 1
                sheet.text((place[0] + 2, place[1] + 1), str(number), 9)
    sheet.text((30, 500), f"1. {sentence(rng, 6)}\n2. {sentence(rng, 6)}", 14)
    return sheet.image


def _bar_code(sheet: Sheet, rng: Rng, place: tuple[int, int], height: int) -> None:
    """Draw a bar code 120 pixels wide."""
    x, end = place[0], place[0] + 120
    while x < end:
        width, gap = rng.integers(1, 4, 2).tolist()
        sheet.box((x, place[1]), (width - 1, height), "black")
        x += width + gap


FAMILIES = MappingProxyType(
    {
        "invoices": invoices,
        "letters": letters,
        "receipts": receipts,
        "identity_cards": identity_cards,
        "boarding_passes": boarding_passes,
        "book_pages": book_pages,
        "newspaper_pages": newspaper_pages,
        "calendar_months": calendar_months,
        "sheet_music": sheet_music,
        "crosswords": crosswords,
    }
)
