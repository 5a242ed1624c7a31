import io
import re

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from ris.cli import terminal


def printed(text: object, width: int = 80) -> str:
    stream = io.StringIO()
    Console(file=stream, force_terminal=True, color_system="truecolor", width=width).print(text, end="")
    return stream.getvalue()


def decoded(text: str) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """Read the pixels back from escape sequences: (h, w, 3)."""
    lines = []
    for line in text.strip("\n").split("\n"):
        upper, lower = [], []
        for colours, run in re.findall(r"\x1b\[([\d;]+)m(▀+)", line):
            numbers = [int(number) for number in colours.split(";")]
            assert (numbers[:2], numbers[5:7]) == ([38, 2], [48, 2])
            upper += [numbers[2:5]] * len(run)
            lower += [numbers[7:10]] * len(run)
        lines += [upper, lower]
    return np.array(lines)


@pytest.mark.parametrize("size", [(6, 4), (4, 6), (1, 1), (5, 3)])
def test_each_character_shows_two_pixels(size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    seen = decoded(printed(terminal.blocks(Image.fromarray(pixels))))
    assert (seen[: size[1]] == pixels).all()
    assert seen.shape[0] == size[1] + size[1] % 2


def test_a_large_picture_is_shrunk() -> None:
    text = terminal.blocks(Image.new("RGB", (900, 300), "red"))
    assert text.plain.split("\n") == ["▀" * terminal.SIDE] * 4


def test_pictures_stand_side_by_side_as_far_as_they_fit() -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, color_system="truecolor", width=50)
    pictures = [(f"{n} \x1b[31mname\n" + "long " * 20, Image.new("RGB", (40, 40), "red")) for n in range(3)]
    terminal.show(console, pictures)
    plain = re.sub(r"\x1b\[[\d;]*m", "", stream.getvalue())
    assert "\x1b" not in plain
    assert all(len(line) <= 50 for line in plain.split("\n"))
    assert sum(line.count("▀") > terminal.SIDE for line in plain.split("\n")) == 10
    assert "0 \\x1b[31mname\\n" in plain


def test_only_a_terminal_of_all_colours_shows_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    for colours, shown in (("truecolor", True), ("256", False), (None, False)):
        console = Console(force_terminal=True, color_system=colours)  # type: ignore[arg-type]
        assert terminal.shows_pictures(console) is shown
    assert not terminal.shows_pictures(Console(file=io.StringIO()))
    monkeypatch.setenv("NO_COLOR", "1")
    assert not terminal.shows_pictures(Console(force_terminal=True, color_system="truecolor"))
