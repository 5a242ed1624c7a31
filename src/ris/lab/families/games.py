"""Boards, cards, codes and dials: the same parts in other places."""

from types import MappingProxyType

import numpy as np
from PIL import Image, ImageDraw

from ris.lab.families.sheet import PALETTE, Photographs, Rng, Sheet, digits, font, pick

_SUITS = (("\u2660", "black"), ("\u2665", "#c0182b"), ("\u2666", "#c0182b"), ("\u2663", "black"))
_PIPS = {
    **{1: [(1, 3)], 2: [(1, 0), (1, 6)], 3: [(1, 0), (1, 3), (1, 6)]},
    **{4: [(0, 0), (2, 0), (0, 6), (2, 6)], 5: [(0, 0), (2, 0), (1, 3), (0, 6), (2, 6)]},
}
"""Places of pips in 3 columns and 7 rows."""


def chess_positions(rng: Rng, _: Photographs) -> Image.Image:
    """Positions on one board: the same squares and men, elsewhere."""
    sheet = Sheet(480, 480)
    squares = rng.permutation(64)[: int(rng.integers(8, 26))].tolist()
    men = [
        "\u2654",
        "\u265a",
        *(
            pick(rng, "\u2655\u2656\u2657\u2658\u2659\u2659\u265b\u265c\u265d\u265e\u265f\u265f")
            for _ in squares[2:]
        ),
    ]
    for square in range(64):
        row, column = divmod(square, 8)
        sheet.box((60 * column, 60 * row), (60, 60), "#f0d9b5" if (row + column) % 2 == 0 else "#b58863")
    for square, man in zip(squares, men, strict=True):
        row, column = divmod(square, 8)
        sheet.centred((60 * column + 30, 60 * row + 30), man, 50)
    return sheet.image


def playing_cards(rng: Rng, _: Photographs) -> Image.Image:
    """Two cards of one deck side by side."""
    sheet = Sheet(480, 340, "#1e6b3a")
    for place, card in enumerate(rng.permutation(52)[:2].tolist()):
        rank, (suit, ink) = card % 13 + 1, _SUITS[card // 13]
        left = 20 + 230 * place
        sheet.round((left, 20), (210, 300), "white", 14)
        name = {1: "A", 11: "J", 12: "Q", 13: "K"}.get(rank, str(rank))
        corner = Image.new("RGB", (44, 76), "white")
        draw = ImageDraw.Draw(corner)
        draw.text((22, 20), name, ink, font("serif", 30), anchor="mm")
        draw.text((22, 56), suit, ink, font("sans", 30), anchor="mm")
        sheet.image.paste(corner, (left + 6, 28))
        sheet.image.paste(corner.rotate(180), (left + 160, 236))
        if rank > 10:
            sheet.box((left + 55, 60), (100, 220), "#f7e8b0", ink)
            sheet.centred((left + 105, 170), name, 90, ink, "serif")
            continue
        for column, row in _pips(rank):
            sheet.centred((left + 65 + 40 * column, 62 + 36 * row), suit, 42, ink)
    return sheet.image


def sudokus(rng: Rng, _: Photographs) -> Image.Image:
    """Sudokus of one page: the same grid, other digits."""
    sheet = Sheet(460, 520)
    sheet.text((32, 16), "SUDOKU  medium", 24, face="bold")
    rows, columns = (
        np.concatenate([3 * band + rng.permutation(3) for band in rng.permutation(3)]) for _ in range(2)
    )
    names = rng.permutation(9) + 1
    for row in range(9):
        for column in range(9):
            place = 32 + 44 * column, 70 + 44 * row
            sheet.box(place, (44, 44), "white", "#888888")
            if rng.random() < 0.4:
                value = names[(3 * (rows[row] % 3) + rows[row] // 3 + columns[column]) % 9]
                sheet.centred((place[0] + 22, place[1] + 22), str(value), 26)
    for line in range(0, 10, 3):
        sheet.line([(32 + 44 * line, 70), (32 + 44 * line, 466)], width=3)
        sheet.line([(32, 70 + 44 * line), (428, 70 + 44 * line)], width=3)
    return sheet.image


def qr_codes(rng: Rng, _: Photographs) -> Image.Image:
    """Square codes: the same three finders and timing lines, other modules."""
    modules = rng.random((29, 29)) < 0.5
    modules[6, ::2] = modules[::2, 6] = True
    modules[6, 1::2] = modules[1::2, 6] = False
    finder = np.zeros((8, 8), bool)
    finder[:7, :7] = True
    finder[1:6, 1:6] = False
    finder[2:5, 2:5] = True
    modules[:8, :8], modules[:8, -8:], modules[-8:, :8] = finder, finder[:, ::-1], finder[::-1]
    code = Image.fromarray(np.where(np.pad(modules, 3), 0, 255).astype(np.uint8))
    return code.resize((420, 420), Image.Resampling.NEAREST).convert("RGB")


def clock_faces(rng: Rng, _: Photographs) -> Image.Image:
    """One clock at other times."""
    sheet = Sheet(420, 420, "#efe6d8")
    sheet.disc((210, 210), 190, "#3b2f2f")
    sheet.disc((210, 210), 176, "#fffef8")
    for minute in range(60):
        inner = 150 if minute % 5 == 0 else 162
        sheet.line([_on_dial(minute, inner), _on_dial(minute, 170)], "black", 5 if minute % 5 == 0 else 2)
    for hour in range(1, 13):
        sheet.centred(_on_dial(5 * hour, 128), str(hour), 30, face="serif")
    sheet.centred((210, 280), "WESTPORT", 14, "#777777", "serif")
    hour, minute = int(rng.integers(12)), 5 * int(rng.integers(12))
    sheet.line([(210, 210), _on_dial(5 * hour + minute / 12, 90)], "black", 10)
    sheet.line([(210, 210), _on_dial(minute, 140)], "black", 6)
    sheet.line([(210, 210), _on_dial(int(rng.integers(60)), 150)], "#c0392b", 2)
    sheet.disc((210, 210), 9, "black")
    return sheet.image


def number_plates(rng: Rng, _: Photographs) -> Image.Image:
    """Number plates of one state: the same border, stars and seal."""
    sheet = Sheet(560, 150, "#4a4a4a")
    sheet.round((10, 10), (540, 130), "white", 12)
    sheet.round((10, 10), (56, 130), "#003399", 12)
    for star in range(12):
        x, y = _on_dial(5 * star, 18)
        sheet.disc((38 + x - 210, 48 + y - 210), 3, "#ffcc00")
    sheet.centred((38, 110), "W", 32, "white", "bold")
    letters = "".join(pick(rng, "ABCDEFGHJKLMNPRSTUVWXYZ") for _ in range(3))
    sheet.centred((300, 76), f"{letters[0]} {letters[1:]} {digits(rng, 4)}", 72, face="bold")
    return sheet.image


def dominoes(rng: Rng, _: Photographs) -> Image.Image:
    """Rows of dominoes on one table: the same tiles and pips, other numbers."""
    sheet = Sheet(560, 360, "#7a5230")
    for tile in range(8):
        left, top = 24 + 132 * (tile % 4), 24 + 164 * (tile // 4)
        sheet.round((left, top), (112, 148), "#fbf7ea", 12)
        sheet.line([(left + 10, top + 74), (left + 102, top + 74)], "#333333", 3)
        for half, count in enumerate(rng.integers(0, 6, 2).tolist()):
            for column, row in _PIPS.get(count, []):
                sheet.disc((left + 30 + 26 * column, top + 14 + 74 * half + 8 * row), 7, "#222222")
    return sheet.image


def road_signs(rng: Rng, _: Photographs) -> Image.Image:
    """Signs to towns of one make: the same frame and arrow, other towns."""
    sheet = Sheet(560, 300, "#9ec5e8")
    sheet.box((270, 200), (20, 100), "#808080")
    sheet.round((30, 20), (500, 200), "#0b6b3a", 18)
    sheet.draw.rounded_rectangle((38, 28, 522, 212), 14, outline="white", width=4)
    towns = ("Westport", "Oldham", "Kingsby", "Marlow", "Norton", "Elmfield", "Ashford", "Redhill", "Lynham")
    for row in range(3):
        sheet.text((70, 44 + 54 * row), pick(rng, towns), 36, "white", "bold")
        sheet.text((400, 44 + 54 * row), str(rng.integers(2, 300)), 36, "white", "bold")
    return sheet.image


def tile_games(rng: Rng, _: Photographs) -> Image.Image:
    """Tiles of one set, laid otherwise: the same coloured shapes in other squares."""
    sheet = Sheet(420, 420, "#f4f4f4")
    for square, kind in enumerate(rng.integers(0, 9, 36).tolist()):
        row, column = divmod(square, 6)
        x, y = 35 + 70 * column, 35 + 70 * row
        sheet.box((x - 35, y - 35), (70, 70), "#f4f4f4", "#999999")
        if kind % 3 == 0:
            sheet.disc((x, y), 24, PALETTE[kind])
        elif kind % 3 == 1:
            sheet.box((x - 22, y - 22), (44, 44), PALETTE[kind])
        else:
            sheet.draw.polygon([(x, y - 26), (x + 26, y + 22), (x - 26, y + 22)], PALETTE[kind])
    return sheet.image


def _pips(rank: int) -> list[tuple[int, int]]:
    """Return the places of a number card's pips."""
    if rank <= 5:
        return _PIPS[rank]
    sides = [(column, row) for column in (0, 2) for row in ((0, 3, 6) if rank < 9 else (0, 2, 4, 6))]
    middle = {6: [], 7: [(1, 1)], 8: [(1, 1), (1, 5)], 9: [(1, 3)], 10: [(1, 1), (1, 5)]}
    return sides + middle[rank]


def _on_dial(minute: float, radius: float) -> tuple[float, float]:
    """Return the place of a minute on a dial around (210, 210)."""
    angle = np.pi * minute / 30
    return float(210 + radius * np.sin(angle)), float(210 - radius * np.cos(angle))


FAMILIES = MappingProxyType(
    {
        "chess_positions": chess_positions,
        "playing_cards": playing_cards,
        "sudokus": sudokus,
        "qr_codes": qr_codes,
        "clock_faces": clock_faces,
        "number_plates": number_plates,
        "dominoes": dominoes,
        "road_signs": road_signs,
        "tile_games": tile_games,
    }
)
