"""Copies are the same picture, covered ones a changed version; what shares a layout is no more than that."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from ris.copies.cells import compare_cells
from ris.copies.fitting import fit, plausible
from ris.copies.local_features import LocalFeatures, describe, negative
from ris.copies.relations import Related, relate
from ris.copies.tone import tone_curve
from ris.copies.transformations import apply, jacobian
from ris.copies.verification import verify
from ris.lab.families import draw
from ris.types import Relation

Draw = Callable[..., Image.Image]
THRESHOLD = 5.0


class Described(list[LocalFeatures]):
    """Local features with pictures in grey as large as they were described."""

    side = 640


def related(one: Image.Image, other: Image.Image) -> Related:
    """Look for one picture in another."""
    query, candidate = describe(one, 1000, 640), describe(other, 400, 640)
    (proof,) = verify(query, [0], Described([candidate]))
    return relate(query, candidate, proof, THRESHOLD)


def caption(image: Image.Image, box: tuple[int, int, int, int]) -> Image.Image:
    covered = image.copy()
    ImageDraw.Draw(covered).rectangle(box, "white", "black", 4)
    ImageDraw.Draw(covered).text((box[0] + 12, box[1] + 8), "seen today", "black")
    return covered


@pytest.mark.parametrize(
    "edit",
    [
        lambda one: one.crop((40, 30, 320, 250)),
        lambda one: one.resize((200, 150)),
        lambda one: one.filter(ImageFilter.GaussianBlur(2)),
        lambda one: one.point(lambda level: 255 * (level / 255) ** 2.5),
        lambda one: ImageOps.autocontrast(one).rotate(90, expand=True),
        lambda one: one.resize((400, 170)),
    ],
    ids=["crop", "small", "blur", "gamma", "turned", "stretched"],
)
def test_an_edit_that_touches_all_evenly_leaves_the_same_picture(
    texture: Draw, edit: Callable[[Image.Image], Image.Image]
) -> None:
    one = texture(3, 400, 300)
    found = related(edit(one), one)
    assert found.relation is Relation.SAME_PICTURE
    assert found.difference is None


def test_a_covered_part_makes_a_changed_version_and_is_boxed_in_both_pictures(texture: Draw) -> None:
    one, box = texture(4, 400, 300), (60, 180, 340, 260)
    query = caption(one, box).resize((200, 150))
    found = related(query, one)
    assert found.relation is Relation.CHANGED_VERSION
    assert found.difference is not None
    area = (280 * 80) / (400 * 300)
    assert found.difference.share == pytest.approx(area, abs=0.1)
    np.testing.assert_allclose(found.difference.boxes[0], box, atol=16)
    np.testing.assert_allclose(found.difference.query_boxes[0], np.array(box) / 2, atol=8)


def test_half_of_a_picture_proves_it(texture: Draw) -> None:
    one = texture(5, 400, 300)
    half = one.copy()
    half.paste(texture(99, 400, 150), (0, 150))
    found = related(half, one)
    assert found.relation is Relation.CHANGED_VERSION
    assert found.difference is not None
    assert found.difference.share == pytest.approx(0.45, abs=0.1)


def test_a_board_that_agrees_with_another_one_shifted_is_no_more_than_a_template() -> None:
    """Two boards of one design whose common part is a corner; a crop of one is it all the same."""
    board = draw("tile_games", 1, seed=3)[0]
    width, height = board.size
    one = board.crop((0, 0, width * 6 // 10, height * 6 // 10))
    other = board.crop((width * 3 // 10, height * 3 // 10, width, height))
    assert related(one, other).relation is Relation.SAME_TEMPLATE
    assert related(one, board).relation is Relation.SAME_PICTURE
    assert related(board, other).relation is Relation.SAME_PICTURE


def test_where_photographs_overlap_but_in_part_few_points_do_not_prove_it(texture: Draw) -> None:
    whole = texture(9, 600, 300)
    one, other = whole.crop((0, 0, 360, 300)), whole.crop((160, 0, 600, 300))
    assert related(one, other).relation is Relation.SAME_PICTURE
    query, candidate = describe(one, 1000, 640), describe(other, 400, 640)
    (proof,) = verify(query, [0], Described([candidate]))
    few = replace(proof, inliers=11)
    assert relate(query, candidate, few, THRESHOLD).relation is Relation.NOT_PROVEN
    covered = one.crop((150, 0, 360, 300))
    query = describe(covered, 1000, 640)
    (proof,) = verify(query, [0], Described([candidate]))
    assert relate(query, candidate, replace(proof, inliers=11), THRESHOLD).relation is Relation.SAME_PICTURE


def test_a_small_part_of_a_picture_inside_another_proves_it(texture: Draw) -> None:
    one, host, box = texture(5, 400, 300), texture(98, 400, 300), (100, 80, 260, 205)
    host.paste(one.crop(box), (30, 120))
    found = related(host, one)
    assert found.relation is Relation.CHANGED_VERSION
    assert found.difference is not None
    assert found.difference.share > 0.4
    left, top, right, bottom = found.difference.boxes[0]
    assert right - left > box[2] - box[0]
    assert bottom - top > box[3] - box[1]


@pytest.mark.parametrize(
    "family",
    ["invoices", "tables", "clock_faces", "code_editors", "pie_charts", "line_charts", "scatter_plots"],
)
def test_members_of_a_family_are_never_the_same_nor_a_changed_version(family: str) -> None:
    one, other, third = draw(family, 3, seed=5)
    for query, candidate in ((one, other), (other, third)):
        assert related(query, candidate).relation in (Relation.SAME_TEMPLATE, Relation.NOT_PROVEN)
        assert related(query.resize((query.width * 3 // 4, query.height * 3 // 4)), query).relation is (
            Relation.SAME_PICTURE
        )


@pytest.mark.parametrize("family", ["captions_on_one_photograph", "icons"])
def test_other_words_on_one_picture_are_a_difference_though_they_lie_in_pieces(
    family: str, texture: Draw
) -> None:
    members = draw(family, 6, [texture(10 + number, 520, 400) for number in range(7)], seed=5)
    for query, candidate in pairwise(members):
        assert related(query, candidate).relation is not Relation.SAME_PICTURE


def test_the_margins_of_two_sheets_do_not_count_where_only_one_has_texture_there(texture: Draw) -> None:
    """What is white in one and dark in the other, and even in both, says nothing."""
    picture = texture(6, 240, 180)
    white, dark = Image.new("RGB", (400, 300), "white"), Image.new("RGB", (400, 300), "#223344")
    white.paste(picture, (80, 60))
    dark.paste(picture, (80, 60))
    assert related(dark, white).relation in (Relation.SAME_PICTURE, Relation.CHANGED_VERSION)


def test_a_negative_has_the_features_of_the_picture_turned_dark_for_light(texture: Draw) -> None:
    one = texture(7, 400, 300)
    inverted = negative(describe(ImageOps.invert(one.convert("L")).convert("RGB"), 1000, 640))
    candidate = describe(one, 400, 640)
    (proof,) = verify(inverted, [0], Described([candidate]))
    assert relate(inverted, candidate, proof, THRESHOLD).relation is Relation.SAME_PICTURE
    assert not verify(negative(inverted), [0], Described([candidate])) or proof.inliers > 50


def test_what_bends_little_agrees_and_what_is_shifted_does_not(texture: Draw) -> None:
    grey = np.asarray(texture(8, 400, 300).convert("L"))
    y, x = np.mgrid[:300, :400].astype(np.float32)
    bent = cv2.remap(grey, x + 2 * np.sin(y / 60), y + 2 * np.cos(x / 70), cv2.INTER_LINEAR)
    cells = compare_cells(np.asarray(bent, np.uint8), grey, np.eye(3))
    assert cells is not None
    assert cells.agreement[cells.counted].mean() > 0.9
    away = compare_cells(grey, grey, np.array([[1, 0, 25], [0, 1, 25], [0, 0, 1.0]]))
    assert away is not None
    assert away.agreement[away.counted].mean() < 0.5


def test_without_overlap_nothing_is_compared() -> None:
    grey = np.zeros((50, 50), np.uint8)
    assert compare_cells(grey, grey, np.array([[1, 0, 500], [0, 1, 0], [0, 0, 1.0]])) is None


def test_the_tone_curve_is_the_change_of_tone_whatever_a_minority_says() -> None:
    rng = np.random.default_rng(0)
    one = rng.uniform(0, 255, (100, 100)).astype(np.float32)
    other = 255 * (one / 255) ** 2
    other[:30] = 255
    curve = tone_curve(one, other.astype(np.float32), np.ones(one.shape, np.bool_))
    assert curve is not None
    levels = np.arange(20, 240)
    np.testing.assert_allclose(curve[levels], 255 * (levels / 255) ** 2, atol=8)
    assert (np.diff(curve) >= 0).all()


def points(count: int) -> npt.NDArray[np.float32]:
    return np.random.default_rng(1).uniform(0, 400, (count, 2)).astype(np.float32)


def test_a_projective_transformation_is_fitted_where_an_affine_one_is_not_enough() -> None:
    matrix = np.array([[1, 0.1, 5], [0.05, 0.9, 8], [6e-4, 4e-4, 1]])
    here = points(80)
    there = apply(matrix, here).astype(np.float32)
    there[:20] = points(100)[80:]
    found = fit(here, there)
    assert found is not None
    assert found.inliers >= 58
    np.testing.assert_allclose(apply(found.matrix, here[20:]), there[20:], atol=0.5)


def test_of_affine_points_the_affine_transformation_is_kept() -> None:
    matrix = np.array([[0.5, 0.1, 5], [-0.1, 0.5, 8], [0, 0, 1]])
    here = points(40)
    found = fit(here, apply(matrix, here).astype(np.float32))
    assert found is not None
    np.testing.assert_allclose(found.matrix, matrix, atol=1e-3)
    assert found.matrix[2].tolist() == [0, 0, 1]


def test_chance_does_not_make_a_transformation() -> None:
    rng = np.random.default_rng(3)
    here, there = (rng.uniform(0, 400, (30, 2)).astype(np.float32) for _ in range(2))
    found = fit(here, there)
    assert found is None or found.inliers < 10


@pytest.mark.parametrize(
    "matrix",
    [
        np.diag([1.0, -1, 1]),
        np.diag([4.0, 1, 1]),
        np.diag([20.0, 20, 1]),
        np.array([[1, 0, 0], [0, 1, 0], [0.02, 0, 1.0]]),
        np.array([[1, 0, 0], [0, 1, 0], [-0.01, 0, 1.0]]),
        np.full((3, 3), np.nan),
    ],
    ids=["mirrors", "stretches", "scales", "bends", "beyond the horizon", "not a number"],
)
def test_what_no_camera_does_is_not_plausible(matrix: npt.NDArray[np.float64]) -> None:
    box = np.array([[0, 0], [300, 200]], np.float32)
    assert not plausible(matrix, box)
    assert plausible(np.eye(3), box)


def test_the_jacobian_is_the_derivative() -> None:
    matrix = np.array([[1, 0.1, 5], [0.05, 0.9, 8], [6e-4, 4e-4, 1]])
    at, step = np.array([120.0, 80]), 1e-4
    local = jacobian(matrix, at)
    assert local is not None
    for axis in (0, 1):
        away = at + step * np.eye(2)[axis]
        slope = (apply(matrix, away[None]) - apply(matrix, at[None]))[0] / step
        np.testing.assert_allclose(local[:, axis], slope, rtol=1e-4)
