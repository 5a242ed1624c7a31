"""Views and regions by hand, and the merged ranking against brute force."""

import numpy as np
import pytest
from PIL import Image

from ris.copies.views import (
    REGIONS,
    VIEWS,
    corner_and_middle_boxes,
    gallery_regions,
    in_turn,
    merged,
    query_views,
)


def test_boxes_by_hand() -> None:
    assert corner_and_middle_boxes((100, 50), 0.6) == [
        (0, 0, 60, 30),
        (40, 0, 100, 30),
        (0, 20, 60, 50),
        (40, 20, 100, 50),
        (20, 10, 80, 40),
    ]
    assert corner_and_middle_boxes((1, 1), 0.5) == [(0, 0, 1, 1)] * 5


@pytest.fixture
def quadrants() -> Image.Image:
    """Red, green over blue, white."""
    image = Image.new("RGB", (40, 20), "white")
    for colour, place in (("red", (0, 0)), ("green", (20, 0)), ("blue", (0, 10))):
        image.paste(colour, (*place, place[0] + 20, place[1] + 10))
    return image


def test_nine_views(quadrants: Image.Image) -> None:
    views = query_views(quadrants)
    assert len(views) == VIEWS
    assert [view.size for view in views] == [(40, 20), (20, 40), (40, 20), (20, 40)] + [(20, 10)] * 5
    red, green, blue, white = (quadrants.getpixel(place) for place in ((0, 0), (39, 0), (0, 19), (39, 19)))
    assert [view.getpixel((0, 0)) for view in views] == [
        red,
        green,
        white,
        blue,
        red,
        green,
        blue,
        white,
        red,
    ]
    for view, colour in zip(views[4:8], (red, green, blue, white), strict=True):
        assert view.getcolors() == [(200, colour)]


def test_five_regions(quadrants: Image.Image) -> None:
    regions = gallery_regions(quadrants)
    assert len(regions) == REGIONS
    assert {region.size for region in regions} == {(24, 12)}
    np.testing.assert_array_equal(np.asarray(regions[4]), np.asarray(quadrants)[4:16, 8:32])


@pytest.mark.parametrize("seed", range(5))
def test_merged_against_brute_force(seed: int) -> None:
    rng = np.random.default_rng(seed)
    distances = rng.integers(0, 30, (9, 20)).astype(np.float32)
    rows = rng.integers(-1, 40, (9, 20))
    best: dict[int, float] = {}
    for distance, row in zip(distances.ravel().tolist(), rows.ravel().tolist(), strict=True):
        if row >= 0:
            best[row] = min(distance, best.get(row, np.inf))
    expected = sorted((distance, row) for row, distance in best.items())[:15]
    found_distances, found_rows = merged(distances, rows, 15)
    assert list(zip(found_distances.tolist(), found_rows.tolist(), strict=True)) == expected


def test_merging_nothing() -> None:
    distances, rows = merged(np.zeros((2, 3), np.float32), np.full((2, 3), -1), 5)
    assert distances.shape == rows.shape == (0,)


def test_in_turn_by_hand() -> None:
    rankings = [np.array([5, 1, 2]), np.array([5, -1, 7, 8]), np.array([], np.int64), np.array([1, 9])]
    assert in_turn(rankings, 99).tolist() == [5, 1, 9, 2, 7, 8]
    assert in_turn(rankings, 3).tolist() == [5, 1, 9]
    assert in_turn([np.array([-1, -1])], 3).tolist() == []
