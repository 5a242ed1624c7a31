"""A store's own threshold: chosen over its pictures, counted by pictures, and kept."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from ris.engine import BadQueryError, SearchEngine
from ris.errors import RisError
from ris.gallery.calibrating import most_above, pictures_needed

Draw = Callable[..., Image.Image]
EDITS = ("crop50", "jpeg10", "collage")


@pytest.fixture
def many(tmp_path: Path, texture: Draw) -> Path:
    """Twenty-four pictures, and a crop of the first."""
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(24):
        texture(number, 160, 120).save(folder / f"{number:02d}.png")
    texture(0, 160, 120).crop((10, 10, 150, 115)).save(folder / "crop.png")
    return folder


@pytest.fixture
def store(many: Path, tmp_path: Path, encoder: Path) -> Path:
    place = tmp_path / "many.ris"
    SearchEngine.build(many, place, encoder=encoder, threads=2).close()
    return place


def test_a_threshold_is_chosen_kept_and_used(store: Path) -> None:
    with SearchEngine.open(store, threads=2) as engine:
        before = engine.info()
        assert before.threshold == 5.0
        assert before.threshold_over == "the package's, chosen over 0 queries with strangers"
        found = engine.calibrate(0.25, pictures=4, strangers=40, edits=EDITS)
        assert found.threshold is not None
        assert found.thresholds[0.25] == found.threshold
        assert (found.thresholds[0.01], found.thresholds[0.001]) == (None, None)
        assert (found.chosen_on, found.reported_on) == (13, 12)  # of 25 pictures, asked twice each
        assert found.claimed <= 3
        assert set(found.recall) == set(EDITS)
        assert found.recall["jpeg10"] == 1.0
        info = engine.info()
        assert (info.threshold, info.false_positive_rate) == (found.threshold, 0.25)
        assert info.threshold_over == "this store's, chosen over 13 of its pictures when it had 25"
        assert info.generation == before.generation + 1
    with SearchEngine.open(store) as again:
        assert again.info().threshold == found.threshold
        assert again.find(again.folder / "03.png").false_positive_rate == 0.25


@pytest.mark.parametrize("rate", [0.25, 0.05, 0.01])
def test_a_rate_is_told_with_confidence_by_counting_every_outcome(rate: float) -> None:
    """However many may lie above, so few would by chance alone in at most one of twenty worse stores."""
    needed = pictures_needed(rate)
    assert (most_above(rate, needed - 1), most_above(rate, needed)) == (-1, 0)
    assert abs(needed - 3 / rate) < 5
    for strangers in (needed, 2 * needed, 700):
        chances = [
            math.comb(strangers, above) * rate**above * (1 - rate) ** (strangers - above)
            for above in range(most_above(rate, strangers) + 2)
        ]
        assert sum(chances[:-1]) <= 0.05 < sum(chances)


def test_the_same_seed_chooses_the_same(store: Path) -> None:
    with SearchEngine.open(store, threads=2) as engine:
        once = engine.calibrate(0.001, pictures=2, strangers=12, edits=EDITS, seed=3)
        assert once.threshold is None
        assert once == engine.calibrate(0.001, pictures=2, strangers=12, edits=EDITS, seed=3)


def test_a_copy_is_no_stranger_unless_a_person_says_so(store: Path) -> None:
    with SearchEngine.open(store, threads=2) as engine:
        found = engine.calibrate(0.001, pictures=1, strangers=40, edits=["jpeg10"])
        assert {(one.query.path, one.found.path) for one in found.copies} <= {
            ("00.png", "crop.png"),
            ("crop.png", "00.png"),
        }
        assert found.copies
        assert all(one.match_score <= 5.0 for one in found.strangers if one.edit == "unedited")
        said = engine.calibrate(
            0.001, pictures=1, strangers=40, edits=["jpeg10"], verdicts={("crop.png", "00.png"): False}
        )
        assert not said.copies
        assert {said.strangers[0].query.path, said.strangers[0].found.path} == {"00.png", "crop.png"}
        assert said.strangers[0].match_score > 5.0


def test_too_few_pictures_leave_the_threshold_as_it_was(store: Path) -> None:
    with SearchEngine.open(store, threads=2) as engine:
        before = engine.info()
        found = engine.calibrate(0.01, pictures=2, strangers=40, edits=["jpeg10"])
        assert found.threshold is None
        assert found.chosen_on == 13
        assert engine.info() == before


def test_refusals(store: Path, many: Path, tmp_path: Path, encoder: Path) -> None:
    with SearchEngine.open(store) as engine:
        with pytest.raises(BadQueryError, match="There is no edit sepia; there are jpeg10,"):
            engine.calibrate(edits=["sepia"])
        with pytest.raises(BadQueryError, match="No edit was named"):
            engine.calibrate(edits=[])
        for rate in (0.0, 1.0):
            with pytest.raises(BadQueryError, match="must be between 0 and 1"):
                engine.calibrate(rate)
        with pytest.raises(BadQueryError, match="pictures"):
            engine.calibrate(pictures=0)
    for file in sorted(many.iterdir())[3:]:
        file.unlink()
    with (
        SearchEngine.build(many, tmp_path / "few.ris", encoder=encoder) as few,
        pytest.raises(RisError, match="has 3 different pictures; these edits need 4"),
    ):
        few.calibrate(edits=["collage"])
    with (
        SearchEngine.build(many, tmp_path / "none.ris", encoder=encoder, same_picture=False) as blind,
        pytest.raises(RisError, match="keeps no local features"),
    ):
        blind.calibrate()
