"""Each edit's matrix is true: pixels of the original are where it says."""

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from ris.copies.edits import EDITS, FIFTEEN, GROUPS, STRENGTHS, Edited, apply, generator, group_of
from ris.errors import RisError
from ris.lab.config import Edits

Draw = Callable[..., Image.Image]
WITHOUT_CHANCE = {
    *("jpeg10", "jpeg3_half", "down64", "down32", "pixelated32", "blur", "blur4", "grey_dark", "gamma4"),
    *("palette16", "rot90", "mirror", "fisheye", "cut_out_on", "double_exposure", "negative", "halftone"),
    *("black_and_white", "pencil", "painted"),
}
HARD = [name for name in EDITS if name not in FIFTEEN]


def edited(draw: Draw, name: str, strength: float | None = None, seed: int = 0) -> Edited:
    others = [draw(seed) for seed in (11, 12, 13, 14)]
    return apply(name, draw(1), generator(name, 1, seed), strength, others)


def smooth(image: Image.Image) -> npt.NDArray[np.float32]:
    """(h, w) grey levels, blurred by three pixels."""
    return np.asarray(cv2.GaussianBlur(np.asarray(image.convert("L"), np.float32), (0, 0), 3))


def test_there_are_the_fifteen() -> None:
    names = "jpeg10 down64 crop50 crop25 crop12 rot15 rot90 mirror "
    names += "grey_dark blur noise caption frame collage colour"
    assert " ".join(FIFTEEN) == names


@pytest.mark.parametrize("name", FIFTEEN)
def test_the_original_moved_by_the_matrix_lies_on_the_edited_picture(texture: Draw, name: str) -> None:
    """Where it lies, it correlates with what is there, and less so when it is moved by three pixels."""
    original = np.asarray(texture(1).convert("L"), np.float32)
    image, matrix = edited(texture, name)
    assert image.mode == "RGB"
    target = np.asarray(image.convert("L"), np.float32)
    if name == "down64":  # compared at the original's size, so that three pixels are three pixels
        target = np.asarray(image.convert("L").resize((240, 180)), np.float32)
        matrix = np.array([[240 / 64, 0, 240 / 128 - 0.5], [0, 3.75, 1.375]]) @ np.vstack([matrix, [0, 0, 1]])
        np.testing.assert_allclose(matrix, np.eye(2, 3), atol=1e-9)

    def agreement(right: float, down: float) -> float:
        moved = matrix + np.array([[0, 0, right], [0, 0, down]])
        size = target.shape[1], target.shape[0]
        inside = cv2.warpAffine(np.ones_like(original), moved, size) > 0.99
        if name == "caption":
            inside[:36] = inside[-36:] = False
        return float(np.corrcoef(cv2.warpAffine(original, moved, size)[inside], target[inside])[0, 1])

    assert agreement(0, 0) > (0.5 if name == "colour" else 0.9)
    assert all(agreement(*away) < agreement(0, 0) - 0.02 for away in ((3, 0), (-3, 0), (0, 3), (0, -3)))


@pytest.mark.parametrize("name", [name for name in HARD if name != "part_inside"])
def test_a_hard_edit_is_where_its_matrix_says(texture: Draw, name: str) -> None:
    """Moved back and smoothed, what is in the middle correlates with the original, and less with another
    picture, or with the original some pixels beside it."""
    image, matrix = edited(texture, name)
    whole = np.vstack([matrix, [0, 0, 1]]) if matrix.shape == (2, 3) else matrix
    original, other = (smooth(texture(seed)) for seed in (1, 2))
    back, visible = (
        cv2.warpPerspective(levels, np.linalg.inv(whole), (240, 180))
        for levels in (np.asarray(image.convert("L"), np.float32), np.ones(image.size[::-1], np.float32))
    )
    inside = visible > 0.99
    if min(image.size) > 80:
        inside[:50] = inside[90:] = inside[:, :60] = inside[:, 180:] = False

    def correlation(levels: npt.NDArray[np.float32]) -> float:
        return abs(float(np.corrcoef(levels[inside], smooth(Image.fromarray(back))[inside])[0, 1]))

    assert correlation(original) > 0.6
    assert correlation(original) > correlation(other) + 0.2
    assert correlation(original) > correlation(np.roll(original, 12, axis=1)) + 0.1


def test_a_part_inside_another_picture_is_where_its_matrix_says(texture: Draw) -> None:
    image, matrix = edited(texture, "part_inside")
    moved = cv2.warpAffine(np.asarray(texture(1)), matrix, image.size)
    same = (moved == np.asarray(image)).all(axis=2)
    assert same.mean() == pytest.approx(1 / 6, abs=0.02)


def test_there_are_forty_in_five_groups() -> None:
    assert list(GROUPS) == ["recoded", "cut", "covered", "bent", "redrawn"]
    assert len(EDITS) == sum(map(len, GROUPS.values())) >= 40
    assert {group_of("print"), group_of("negative")} == {"bent", "redrawn"}


@pytest.mark.parametrize(
    ("name", "size", "corner"),
    [
        ("rot90", (180, 240), (0, 239)),  # counterclockwise: the top left goes to the bottom left
        ("mirror", (240, 180), (239, 0)),
        ("down64", (64, 48), (-0.5 + 0.5 * 64 / 240, -0.5 + 0.5 * 48 / 180)),
        ("jpeg10", (240, 180), (0, 0)),
    ],
)
def test_where_the_top_left_pixel_goes(
    texture: Draw, name: str, size: tuple[int, int], corner: tuple[float, float]
) -> None:
    image, matrix = edited(texture, name)
    assert image.size == size
    np.testing.assert_allclose(matrix @ (0, 0, 1), corner, atol=1e-9)


@pytest.mark.parametrize(("degrees", "transposed"), [(180, 3), (270, 4), (360, None)])
def test_further_quarter_turns(texture: Draw, degrees: float, transposed: int | None) -> None:
    image, matrix = edited(texture, "rot90", degrees)
    expected = texture(1) if transposed is None else texture(1).transpose(Image.Transpose(transposed))
    np.testing.assert_array_equal(np.asarray(image), np.asarray(expected))
    x, y = np.rint(matrix @ (7, 5, 1)).astype(int)
    assert image.getpixel((int(x), int(y))) == texture(1).getpixel((7, 5))


def test_sizes_and_strengths(texture: Draw) -> None:
    for name, share in (("crop50", 0.5), ("crop25", 0.25), ("crop12", 0.12)):
        image, _ = edited(texture, name)
        assert image.width * image.height == pytest.approx(share * 240 * 180, rel=0.02)
    assert edited(texture, "frame")[0].size == (384, 360)
    assert edited(texture, "frame", 1.0)[0].size == (240, 201)  # never smaller than the picture
    assert edited(texture, "collage")[0].size == (480, 360)
    assert edited(texture, "collage", 1.0)[0].size == (240, 180)
    assert edited(texture, "down64", 1000)[0].size == (240, 180)
    original = np.asarray(texture(1), float)
    noisy = np.asarray(edited(texture, "noise")[0], float) - original
    middle = (original > 80) & (original < 175)
    assert noisy[middle].std() == pytest.approx(25, rel=0.03)
    dark = np.asarray(edited(texture, "grey_dark")[0], float)
    assert (dark == dark[..., :1]).all()
    assert dark.mean() == pytest.approx(0.5 * np.asarray(texture(1).convert("L"), float).mean(), abs=1)
    assert (np.asarray(edited(texture, "caption")[0]) == 0).all(axis=2).mean() == pytest.approx(
        0.17, abs=0.03
    )


@pytest.mark.parametrize("name", STRENGTHS)
def test_the_seed_decides(texture: Draw, name: str) -> None:
    first, again = edited(texture, name), edited(texture, name)
    np.testing.assert_array_equal(np.asarray(first[0]), np.asarray(again[0]))
    np.testing.assert_array_equal(first[1], again[1])
    drawn = {edited(texture, name, seed=seed)[0].tobytes() for seed in range(8)}
    assert (len(drawn) > 1) == (name not in WITHOUT_CHANCE)


@pytest.mark.parametrize("name", STRENGTHS)
@pytest.mark.parametrize("size", [(1, 1), (8, 8), (700, 3)])
def test_small_and_thin_pictures(name: str, size: tuple[int, int]) -> None:
    image = Image.new("RGB", size, "teal")
    assert min(apply(name, image, generator(name, 0, 0), None, [image] * 3)[0].size) >= 1


def test_refusals(texture: Draw) -> None:
    with pytest.raises(RisError, match="There is no edit 'sepia'; there are jpeg10,"):
        apply("sepia", texture(1), generator("blur", 0, 0))
    with pytest.raises(RisError, match="The edit collage needs 3 other pictures, but there are 2"):
        apply("collage", texture(1), generator("collage", 0, 0), None, [texture(2), texture(3)])


def test_each_of_the_fifteen_has_a_strength_in_the_configuration() -> None:
    assert tuple(Edits.model_fields) == FIFTEEN
    strengths = {name: STRENGTHS[name] for name in FIFTEEN}
    assert dict(Edits(**strengths)) == strengths
