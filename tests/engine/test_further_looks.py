"""What is found when a picture is looked at again: halftones, mosaics, what was squashed; and what is not."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from ris.copies import edits
from ris.copies.local_features import LocalFeatures, describe
from ris.copies.looks import further_looks
from ris.copies.verification import verify
from ris.engine import SearchEngine
from ris.gallery.proofs import Proofs, Prover
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
        poster(number).save(folder / f"photos/poster_{number}.png")
    with SearchEngine.build(folder / "photos", folder / "photos.ris", threads=1) as engine:
        yield engine


def poster(number: int) -> Image.Image:
    """Draw a poster of large shapes in few even tones, with a number of its own in small print."""
    rng = np.random.default_rng(99)
    picture = Image.new("RGB", (480, 640), "white")
    draw = ImageDraw.Draw(picture)
    for _ in range(25):
        x, y, w, h = (int(value) for value in rng.integers((0, 0, 40, 40), (400, 560, 160, 160)))
        draw.rectangle((x, y, x + w, y + h), fill=("black", "red", "blue", "yellow")[rng.integers(4)])
    for line in range(8):
        number_of_line = np.random.default_rng((number, line)).integers(10_000_000, 99_999_999)
        draw.text((180, 80 * line + 20), str(number_of_line), "white", font_size=14)
    return picture


@pytest.mark.parametrize("name", ["halftone", "pixelated32", "squash04", "stretch30"])
def test_a_photograph_is_found(engine: SearchEngine, texture: Draw, name: str) -> None:
    found = []
    for seed in range(6):
        query = edits.apply(name, texture(seed, 480, 360), edits.generator(name, seed, 0), None, [])[0]
        finding = engine.find(query, 1)
        found.append(bool(finding.here) and Path(finding.hits[0].path).stem == str(seed))
    assert sum(found) >= 5


@pytest.mark.parametrize("edit", ["pixelated32", "halftone"])
def test_small_print_that_a_soft_look_loses_is_not_taken_for_the_same(
    engine: SearchEngine, edit: str
) -> None:
    for number in range(4, 8):
        query = edits.apply(edit, poster(number), edits.generator(edit, number, 0), None, [])[0]
        hits = engine.find(query, 4).hits
        assert not any(hit.relation is Relation.SAME_PICTURE for hit in hits)


def test_what_shares_no_more_than_a_template_is_not_looked_at_again(
    engine: SearchEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[Proofs] = []
    prove = Prover.proofs

    def noted(prover: Prover, contents: Sequence[int]) -> Proofs:
        looks.append(prove(prover, contents))
        return looks[-1]

    monkeypatch.setattr(Prover, "proofs", noted)
    assert not engine.find(poster(9), 4).here
    plain, further = looks[0] | looks[1], looks[2:]
    templates = {one for one, (_, found) in plain.items() if found.relation is Relation.SAME_TEMPLATE}
    assert len(templates) == 4
    assert len(further) == 4
    assert not any(templates & set(look) for look in further)


def test_points_of_a_look_lie_in_the_picture_s_own_pixels(texture: Draw) -> None:
    features = describe(texture(0, 480, 360), 1000, 640)
    looks = list(further_looks(features, 640))
    assert [look.soft for look in looks] == [True, False, False]
    corners = [[0, 0], [479, 0], [479, 359], [0, 359]]
    for look in looks:
        (proof,) = verify(look.features, [0], Only(features))
        assert look.features.size == (480, 360)
        assert np.abs(proof.outline - corners).max() < 3
