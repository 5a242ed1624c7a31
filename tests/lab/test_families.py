"""Members of a family differ from each other, and the seed alone decides what they show."""

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from ris.errors import RisError
from ris.lab.families import FAMILIES, PHOTOGRAPHIC, draw, draw_all

Texture = Callable[..., Image.Image]
COUNT = 4


@pytest.fixture(scope="module")
def photographs(texture: Texture) -> list[Image.Image]:
    return [texture(seed, 320, 240) for seed in range(COUNT + 1)]


def test_there_are_many_families() -> None:
    assert len(FAMILIES) >= 28
    assert set(FAMILIES) > PHOTOGRAPHIC


@pytest.mark.parametrize("name", FAMILIES)
def test_members_differ_in_what_they_show(name: str, photographs: list[Image.Image]) -> None:
    members = draw(name, COUNT, photographs)
    assert [member.mode for member in members] == ["RGB"] * COUNT
    assert len({member.size for member in members}) == 1
    levels = [np.asarray(member, np.int64) for member in members]
    for place, one in enumerate(levels):
        for other in levels[:place]:
            assert (np.abs(one - other).max(axis=2) > 30).mean() > 0.004


@pytest.mark.parametrize("name", FAMILIES)
def test_the_seed_decides_however_many_are_drawn(name: str, photographs: list[Image.Image]) -> None:
    members, fewer = draw(name, 3, photographs, seed=5), draw(name, 2, photographs, seed=5)
    assert [one.tobytes() for one in members[:2]] == [one.tobytes() for one in fewer]
    without_chance = name in ("frames", "stock_watermarks")
    assert (draw(name, 1, photographs, seed=6)[0].tobytes() == members[0].tobytes()) == without_chance


def test_no_photograph_is_in_two_families(texture: Texture) -> None:
    photographs = [texture(seed, 64, 48) for seed in range(6)]
    drawn = dict(draw_all(["frames", "plain", "polaroids"], 2, photographs))
    assert [len(members) for members in drawn.values()] == [2, 2, 2]
    expected = draw("polaroids", 2, photographs[3:])
    assert [one.tobytes() for one in drawn["polaroids"]] == [one.tobytes() for one in expected]


def test_refusals(photographs: list[Image.Image]) -> None:
    with pytest.raises(RisError, match="There is no family 'cats'; there are bar_charts,"):
        draw("cats", 1)
    with pytest.raises(RisError, match="5 of frames need 6 photographs, but there are 5"):
        draw("frames", 5, photographs)
    with pytest.raises(RisError, match="The family frames has not 2 different members"):
        draw("frames", 2, [photographs[0], photographs[1], photographs[1]])
