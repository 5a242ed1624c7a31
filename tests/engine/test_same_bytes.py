"""Files of the same bytes are the same picture, whatever they show and wherever they come from."""

import hashlib
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ris.engine import Filter, SearchEngine

Draw = Callable[..., Image.Image]


def stars() -> Image.Image:
    pixels = np.zeros((90, 120), np.uint8)
    pixels[np.arange(5, 85, 20), np.arange(10, 50, 10)] = 255
    return Image.fromarray(pixels)


PLAIN = {
    "blue.png": Image.new("RGB", (100, 80), (20, 60, 200)),
    "white.jpg": Image.new("RGB", (64, 64), "white"),
    "sky.png": Image.linear_gradient("L").resize((120, 90)),
    "stars.webp": stars(),
    "art.png": Image.new("RGBA", (90, 90), (255, 255, 255, 128)),
    "pixel.gif": Image.new("L", (1, 1)),
}


@pytest.fixture(scope="module", params=[True, False], ids=["proven", "not proven"])
def engine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, encoder: Path, texture: Draw
) -> Iterator[SearchEngine]:
    home = tmp_path_factory.mktemp("same_bytes")
    for number in range(12):
        (home / "photos/others").mkdir(parents=True, exist_ok=True)
        texture(number, 120, 90).save(home / f"photos/others/{number:02d}.png")
    for name, image in PLAIN.items():
        image.save(home / "photos" / name)
    (home / "photos/twin.png").write_bytes((home / "photos/blue.png").read_bytes())
    with SearchEngine.build(
        home / "photos", home / "store", encoder=encoder, same_picture=request.param, threads=2
    ) as opened:
        yield opened


@pytest.mark.parametrize("name", PLAIN)
def test_the_very_file_is_here_by_its_path_its_bytes_and_as_opened(engine: SearchEngine, name: str) -> None:
    file = engine.folder / name
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    for query in (file, str(file), file.read_bytes(), engine.open_query(file)):
        finding = engine.find(query, 3)
        assert finding.here is True
        assert (finding.hits[0].picture.sha256, finding.hits[0].distance) == (digest, 0)
        assert finding.hits[0].same_picture is True
        width, height = PLAIN[name].size
        right, bottom = width - 1, height - 1
        assert finding.hits[0].outline == [(0, 0), (right, 0), (right, bottom), (0, bottom)]
        assert {hit.path for hit in engine.search(query, 3) if hit.same_picture} >= {name}


def test_all_of_the_same_bytes_come_first_within_what_is_wanted_and_allowed(engine: SearchEngine) -> None:
    file = engine.folder / "blue.png"
    assert {hit.path for hit in engine.find(file, 5).hits if hit.same_picture} == {"blue.png", "twin.png"}
    assert len(engine.find(file, 1).hits) == 1
    elsewhere = engine.find(file, 5, where=Filter(folders=("others",)))
    assert not elsewhere.here
    assert not any(hit.same_picture for hit in elsewhere.hits)


def test_a_row_finds_its_twin_and_not_itself(engine: SearchEngine) -> None:
    rows = {picture.path: picture.row for picture in engine.pictures()}
    assert [hit.path for hit in engine.find(rows["blue.png"], 1).hits if hit.same_picture] == ["twin.png"]
    assert not engine.find(rows["sky.png"], 3).here
    ((hit,),) = engine.search_many([rows["twin.png"]], 1)
    assert (hit.path, hit.same_picture) == ("blue.png", True)


def test_what_is_no_whole_file_is_not_here_by_its_bytes(engine: SearchEngine) -> None:
    file = engine.folder / "blue.png"
    anew = BytesIO()
    PLAIN["blue.png"].save(anew, "bmp")
    pixels = np.asarray(engine.read(file))
    for query, box in ((file, (0, 0, 0.5, 1.0)), (anew.getvalue(), None), (pixels, None)):
        finding = engine.find(query, 3, box=box)
        assert not finding.here
        assert not any(hit.same_picture for hit in finding.hits)


def test_without_verifying_nothing_is_said(engine: SearchEngine) -> None:
    hits = engine.search(engine.folder / "blue.png", 3, verify=False)
    assert {hit.same_picture for hit in hits} == {None}
