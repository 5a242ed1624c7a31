import html
import re
from base64 import b64decode
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ris.cli.contact_sheet import CELL, COLUMNS, EMPTY, Shown, Strip, empty, shrunk, write_sheet

Draw = Callable[..., Image.Image]
ODD = "ordner/<b>&\"'\n\x1b[31m תמונה 👩‍👧" + "x" * 200 + ".jpg"


@pytest.fixture
def strips(noise: Draw) -> list[Strip]:
    shown = [
        Shown(shrunk(noise(300, 200 + seed, seed)), f"{seed}.jpg", (f"{seed}: far",)) for seed in range(8)
    ]
    shown[3] = Shown(shown[3].picture, ODD, ("3: near", "the same picture"), marked=True)
    return [Strip(f"first <{ODD}>", shown), Strip("second", shown[:2])]


def test_a_page_needs_no_other_file_and_runs_nothing(strips: list[Strip], tmp_path: Path) -> None:
    page = tmp_path / "sheet.html"
    write_sheet(page, "Hits & more", strips)
    text = page.read_text()
    sources = re.findall(r'src="([^"]*)"', text)
    assert len(sources) == 10
    sizes = [
        Image.open(BytesIO(b64decode(one.removeprefix("data:image/jpeg;base64,")))).size for one in sources
    ]
    assert sizes == [one.picture.size for strip in strips for one in strip.shown]
    assert not re.search(r"<script|<b>|https?:|\x1b", text)
    assert "Hits &amp; more" in text
    assert "ordner/<b>&\"'\\n\\x1b[31m תמונה 👩‍👧" in html.unescape(text)
    assert text.count('class="marked"') == 1


def test_a_picture_has_a_place_for_each(strips: list[Strip], tmp_path: Path) -> None:
    file = tmp_path / "sheet.png"
    write_sheet(file, "Hits", strips)
    sheet = np.asarray(Image.open(file).convert("RGB"))
    assert sheet.shape[1] > COLUMNS * CELL
    frame = np.array([0x00, 0x72, 0xB2])
    framed = np.flatnonzero((sheet == frame).all(axis=2).sum(axis=1) > CELL)
    assert framed.size, "the marked one has a frame"
    empty_colour = np.array([0xF2, 0xF4, 0xF5])
    assert (sheet == empty_colour).all(axis=2).sum() > 8 * 50 * CELL / 2


def test_a_page_of_nothing_is_a_page(tmp_path: Path) -> None:
    for name in ("sheet.html", "sheet.png"):
        write_sheet(tmp_path / name, "Nothing", [])
        assert (tmp_path / name).stat().st_size > 100


def test_an_outline_is_drawn_where_it_is(noise: Draw) -> None:
    picture = Image.new("RGB", (800, 400), "white")
    corners = [(200.0, 100.0), (599.0, 100.0), (599.0, 299.0), (200.0, 299.0)]
    drawn = np.asarray(shrunk(picture.resize((400, 200)), corners, picture.size)).astype(int)
    blue = (np.abs(drawn - [0x00, 0x72, 0xB2]).sum(axis=2) < 60).nonzero()
    assert drawn.shape == (100, 200, 3)
    assert abs(blue[1].min() - 50) <= 6
    assert abs(blue[1].max() - 150) <= 3
    assert abs(blue[0].max() - 75) <= 3
    assert np.asarray(shrunk(picture)).min() == 255
    assert noise(10, 10, 0).size == shrunk(noise(10, 10, 0)).size


def test_a_missing_picture_is_an_empty_square() -> None:
    assert empty().size == (CELL, CELL)
    assert "#{:02x}{:02x}{:02x}".format(*np.asarray(empty())[0, 0]) == EMPTY
