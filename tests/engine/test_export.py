"""What is exported is read by other programs as it was, picture by picture."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ris.errors import RisError
from ris.store import export as module
from ris.store.export import export
from ris.types import Picture

PATHS = [
    "a.jpg",
    "with space/\N{CAT FACE}.png",
    "tab\there/new\nline.png",
    "\N{HEBREW LETTER ALEF}\N{HEBREW LETTER BET}.gif",
    "return\r.bmp",
]
COLOURS = [(250, 0, 0), (0, 250, 0), (0, 0, 250), (250, 250, 0), (0, 250, 250)]


@pytest.fixture
def pictures() -> list[Picture]:
    return [
        Picture(7 * i, path, Path(path).parent.name, 40 + i, 30, 1000 + i, 1.5e9 + i / 4, f"{i:064x}")
        for i, path in enumerate(PATHS)
    ]


@pytest.fixture
def vectors() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(len(PATHS), 12)).astype(np.float32)


def painted(position: int) -> Image.Image:
    """A picture of one colour with black ends, which the middle square does not show."""
    image = Image.new("RGB", (300, 100), COLOURS[position % len(COLOURS)])
    image.paste((0, 0, 0), (0, 0, 90, 100))
    image.paste((0, 0, 0), (210, 0, 300, 100))
    return image


def test_the_table_and_the_array(tmp_path: Path, pictures: list[Picture], vectors: np.ndarray) -> None:
    export(tmp_path / "out", pictures, vectors, painted, workers=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]
    table = pd.read_parquet(tmp_path / "out/pictures.parquet")
    assert table.to_dict("records") == [asdict(picture) for picture in pictures]
    read = np.load(tmp_path / "out/vectors.npy", allow_pickle=False)
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, vectors)


def test_what_tensorboard_reads(tmp_path: Path, pictures: list[Picture], vectors: np.ndarray) -> None:
    export(tmp_path / "out", pictures, vectors, painted, workers=2)
    board = tmp_path / "out/tensorboard"
    tensor = [
        [float(value) for value in line.split("\t")]
        for line in (board / "vectors.tsv").read_text().splitlines()
    ]
    np.testing.assert_allclose(tensor, vectors, rtol=1e-5)
    head, *lines = (board / "metadata.tsv").read_bytes().decode().removesuffix("\n").split("\n")
    assert head.split("\t") == ["path", "label", "width", "height", "bytes", "modified"]
    rows = [line.split("\t") for line in lines]
    assert [len(row) for row in rows] == [6] * len(PATHS)
    assert [row[0] for row in rows] == [
        path.replace("\t", " ").replace("\n", " ").replace("\r", " ") for path in PATHS
    ]
    assert rows[1] == ["with space/\N{CAT FACE}.png", "with space", "41", "30", "1001", "1500000000.25"]
    with Image.open(board / "sprite.png") as sheet:
        assert sheet.size == (3 * 64, 3 * 64)
        for position in range(9):
            line, column = divmod(position, 3)
            place = sheet.crop((64 * column + 4, 64 * line + 4, 64 * column + 60, 64 * line + 60))
            expected = COLOURS[position] if position < len(PATHS) else (255, 255, 255)
            assert place.getcolors() == [(56 * 56, expected)]


def test_the_configuration_names_what_lies_beside_it(
    tmp_path: Path, pictures: list[Picture], vectors: np.ndarray
) -> None:
    export(tmp_path / "out", pictures, vectors, painted, workers=1)
    board = tmp_path / "out/tensorboard"
    text = (board / "projector_config.pbtxt").read_text()
    for line in (
        'tensor_path: "vectors.tsv"',
        'metadata_path: "metadata.tsv"',
        'image_path: "sprite.png"',
        "tensor_shape: 5",
        "tensor_shape: 12",
    ):
        assert text.count(line) == 1
    assert text.count("single_image_dim: 64") == 2
    assert sorted(path.name for path in board.iterdir()) == [
        "metadata.tsv",
        "projector_config.pbtxt",
        "sprite.png",
        "vectors.tsv",
    ]


@pytest.mark.parametrize(
    ("count", "columns", "side"),
    [(1, 1, 64), (2, 2, 64), (4, 2, 64), (5, 3, 64), (9, 3, 64), (10, 4, 50), (82, 10, 20)],
)
def test_the_sprite_is_square_and_not_too_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, columns: int, side: int
) -> None:
    monkeypatch.setattr(module, "SPRITE", 200)
    assert module.sprite(tmp_path / "sprite.png", count, painted, workers=1) == side
    with Image.open(tmp_path / "sprite.png") as sheet:
        assert sheet.size == (columns * side, columns * side)
        last, column = divmod(count - 1, columns)
        middle = (column * side + side // 2, last * side + side // 2)
        assert sheet.getpixel(middle) == COLOURS[(count - 1) % len(COLOURS)]


def test_a_picture_that_is_gone_leaves_its_place_blank(tmp_path: Path) -> None:
    def read(position: int) -> Image.Image:
        if position == 1:
            raise RisError("gone")
        return painted(position)

    told: list[tuple[str, int, int]] = []
    module.sprite(tmp_path / "sprite.png", 3, read, 2, lambda *what: told.append(what))
    with Image.open(tmp_path / "sprite.png") as sheet:
        assert [sheet.getpixel(place) for place in ((32, 32), (96, 32), (32, 96))] == [
            COLOURS[0],
            (255, 255, 255),
            COLOURS[2],
        ]
    assert told == [("drawing thumbnails", done, 3) for done in (1, 2, 3)]


def test_an_empty_folder_is_filled_and_any_other_left_alone(
    tmp_path: Path, pictures: list[Picture], vectors: np.ndarray
) -> None:
    (tmp_path / "empty").mkdir()
    export(tmp_path / "empty", pictures, vectors, painted, workers=1)
    assert (tmp_path / "empty/vectors.npy").is_file()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/letter.txt").write_text("dear")
    (tmp_path / "file").write_text("mine")
    for name in ("mine", "file"):
        with pytest.raises(RisError, match=f"{name} is there already"):
            export(tmp_path / name, pictures, vectors, painted, workers=1)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["letter.txt"]
    assert (tmp_path / "file").read_text() == "mine"


def test_nothing_to_export(tmp_path: Path) -> None:
    with pytest.raises(RisError, match="no picture to export"):
        export(tmp_path / "out", [], np.zeros((0, 4), np.float32), painted, workers=1)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_nothing_behind(
    tmp_path: Path,
    pictures: list[Picture],
    vectors: np.ndarray,
    full_disk: Callable[[], AbstractContextManager[None]],
) -> None:
    many = np.repeat(vectors, 1000, axis=1)
    with full_disk(), pytest.raises(RisError, match="out cannot be written"):
        export(tmp_path / "out", pictures, many, painted, workers=1)
    assert not list(tmp_path.iterdir())
