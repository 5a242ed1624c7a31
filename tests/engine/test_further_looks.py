"""What is found when a picture is looked at again: halftones, mosaics, what was squashed; and what is not."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from ris.copies import edits
from ris.copies.local_features import LocalFeatures, describe
from ris.copies.looks import further_looks
from ris.copies.verification import verify
from ris.engine import SearchEngine
from ris.types import Relation

Draw = Callable[..., Image.Image]


class Only:
    """One picture's features, as of a gallery."""

    side = 640

    def __init__(self, features: LocalFeatures) -> None:
        self.features = features

    def __getitem__(self, row: int) -> LocalFeatures:
        return self.features


@pytest.fixture(scope="module")
def engine(texture: Draw, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SearchEngine]:
    folder = tmp_path_factory.mktemp("looks")
    (folder / "photos").mkdir()
    for seed in range(12):
        texture(seed, 480, 360).save(folder / f"photos/{seed}.png")
    for number in range(4):
        form(number).save(folder / f"photos/form_{number}.png")
    with SearchEngine.build(folder / "photos", folder / "photos.ris", threads=1) as engine:
        yield engine


def form(number: int) -> Image.Image:
    """Draw a form in black on white, with numbers of its own."""
    rng = np.random.default_rng(number)
    picture = Image.new("RGB", (480, 640), "white")
    draw = ImageDraw.Draw(picture)
    draw.rectangle((30, 30, 220, 90), fill=(20, 60, 120))
    for line in range(12):
        y = 130 + 40 * line
        draw.line((30, y, 450, y), fill="black", width=2)
        draw.text((40, y + 8), f"item {line}", "black", font_size=20)
        draw.text((340, y + 8), str(rng.integers(10_000, 99_999)), "black", font_size=20)
    return picture


@pytest.mark.parametrize("name", ["halftone", "pixelated32", "squash04", "stretch30"])
def test_a_photograph_is_found(engine: SearchEngine, texture: Draw, name: str) -> None:
    found = []
    for seed in range(6):
        query = edits.apply(name, texture(seed, 480, 360), edits.generator(name, seed, 0), None, [])[0]
        finding = engine.find(query, 1)
        found.append(bool(finding.here) and Path(finding.hits[0].path).stem == str(seed))
    assert sum(found) >= 5


def test_a_form_with_other_numbers_is_not(engine: SearchEngine) -> None:
    for number in range(4, 8):
        query = edits.apply("pixelated32", form(number), edits.generator("pixelated32", number, 0), None, [])[
            0
        ]
        for picture in (form(number), query):
            hits = engine.find(picture, 4).hits
            assert not any(hit.relation is Relation.SAME_PICTURE for hit in hits)


def test_points_of_a_look_lie_in_the_picture_s_own_pixels(texture: Draw) -> None:
    features = describe(texture(0, 480, 360), 1000, 640)
    looks = list(further_looks(features, 640))
    assert [look.soft for look in looks] == [True, False, False]
    corners = [[0, 0], [479, 0], [479, 359], [0, 359]]
    for look in looks:
        (proof,) = verify(look.features, [0], Only(features))
        assert look.features.size == (480, 360)
        assert np.abs(proof.outline - corners).max() < 3
