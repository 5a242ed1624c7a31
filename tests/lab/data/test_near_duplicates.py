"""Planted copies are found, strangers and lookalikes are not."""

from io import BytesIO

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageFilter

from ris.copies.grouping import group_ids, renumbered
from ris.lab.config import NearDuplicates
from ris.lab.data.near_duplicates import describe, find_pairs, similarity

SETTINGS = NearDuplicates(
    enabled=True,
    side=320,
    features=200,
    words=256,
    candidates=5,
    min_inliers=8,
    min_similarity=0.88,
    min_evidence=6.5,
)


def texture(seed: int, width: int = 240, height: int = 180) -> Image.Image:
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (15, 20, 3), dtype=np.uint8)).resize((width, height))
    for _ in range(40):
        x, y, w, h = (int(value) for value in rng.integers((0, 0, 5, 5), (width - 10, height - 10, 30, 30)))
        red, green, blue = (int(value) for value in rng.integers(0, 256, 3))
        coarse.paste((red, green, blue), (x, y, x + w, y + h))
    return coarse.filter(ImageFilter.GaussianBlur(1))


def recoded(image: Image.Image, quality: int) -> Image.Image:
    stream = BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return Image.open(stream).convert("RGB")


def gallery() -> tuple[list[Image.Image], set[tuple[int, int]]]:
    pictures = [texture(seed) for seed in range(12)]
    twins = [
        recoded(pictures[0], 30),
        pictures[1].resize((150, 112)),
        pictures[2].crop((40, 30, 200, 150)),
        pictures[3].rotate(20, resample=Image.Resampling.BICUBIC),
        pictures[4].point(lambda value: int(value * 0.7 + 40)),
        recoded(pictures[5].crop((0, 0, 160, 180)).resize((240, 270)), 50),
        pictures[6].transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        recoded(pictures[7].transpose(Image.Transpose.FLIP_TOP_BOTTOM).resize((180, 135)), 60),
    ]
    flat = [Image.new("RGB", (60, 60), "grey"), Image.new("RGB", (1, 1)), Image.new("RGB", (300, 2), "white")]
    return pictures + twins + flat, {(number, 12 + number) for number in range(8)}


def found(pictures: list[Image.Image], workers: int = 1) -> npt.NDArray[np.int64]:
    return find_pairs(
        [describe(picture, SETTINGS) for picture in pictures], SETTINGS, seed=0, workers=workers
    )


def test_planted_copies_and_nothing_else() -> None:
    pictures, planted = gallery()
    assert {(int(one), int(other)) for one, other in found(pictures)} == planted


def test_a_copy_that_lost_its_contrast_is_proven_by_evidence_alone() -> None:
    pictures = [texture(seed) for seed in range(12)]
    pale = pictures[0].point(lambda value: int(value * 0.3 + 90))
    described = [describe(one, SETTINGS) for one in (*pictures, pale)]
    assert similarity(described[0].thumbnail, described[12].thumbnail, np.eye(2, 3)) < SETTINGS.min_similarity
    without = SETTINGS.model_copy(update={"min_evidence": 99.0})
    assert find_pairs(described, SETTINGS, seed=0, workers=1).tolist() == [[0, 12]]
    assert find_pairs(described, without, seed=0, workers=1).tolist() == []


def test_one_object_before_two_backgrounds_is_no_copy() -> None:
    scene, other, thing = texture(100), texture(101), texture(102, 90, 90)
    scene.paste(thing, (20, 20))
    other.paste(thing, (120, 70))
    assert len(found([scene, other])) == 0


def test_a_shared_border_is_no_copy() -> None:
    strip = texture(7, 240, 30)
    framed = [texture(200), texture(201)]
    for picture in framed:
        picture.paste(strip, (0, 150))
    assert len(found(framed)) == 0


def test_worker_count_does_not_change_the_result() -> None:
    pictures, _ = gallery()
    np.testing.assert_array_equal(found(pictures, workers=1), found(pictures, workers=2))


def test_descriptors_are_root_sift_of_the_strongest_points() -> None:
    picture = texture(3)
    features = describe(picture, SETTINGS)
    grey = np.asarray(picture.convert("L"))
    keypoints, sift = cv2.SIFT_create(nfeatures=SETTINGS.features).detectAndCompute(grey, None)  # type: ignore[attr-defined]
    expected = np.sqrt(sift / sift.sum(axis=1, keepdims=True)) * 255
    assert np.abs(features.descriptors - expected[:200]).max() <= 0.51
    assert features.thumbnail.shape == (72, 96)
    # 240 pixels wide, 96 in the thumbnail: pixel centres move from x to (x + 0.5) * 0.4 - 0.5.
    np.testing.assert_allclose(features.points[0], (np.array(keypoints[0].pt) + 0.5) * 0.4 - 0.5, atol=1e-4)


@pytest.mark.parametrize("pictures", [[texture(1)], [Image.new("RGB", (50, 50))] * 3])
def test_nothing_to_compare(pictures: list[Image.Image]) -> None:
    assert found(pictures).shape == (0, 2)


def test_similarity_of_a_copy_an_inverse_and_a_stranger() -> None:
    one, other = (np.asarray(texture(seed, 96, 72).convert("L")) for seed in (1, 2))
    same = np.eye(2, 3)
    assert similarity(one, one, same) == pytest.approx(1.0)
    assert similarity(one, np.clip(one.astype(int) + 10, 0, 255).astype(np.uint8), same) > 0.97
    assert similarity(one, (255 - one).astype(np.uint8), same) < -0.9
    assert abs(similarity(one, other, same)) < 0.3
    assert similarity(one, one, np.array([[1.0, 0, 90], [0, 1, 0]])) == 0.0
    assert similarity(one[:1, :1], one[:1, :1], same) == 0.0


def test_similarity_is_the_same_from_either_side() -> None:
    large = np.asarray(texture(1, 96, 72).convert("L"))
    small = np.asarray(texture(1, 96, 72).convert("L").resize((48, 36)))
    down = np.array([[0.5, 0, -0.25], [0, 0.5, -0.25]])
    up = np.array([[2.0, 0, 0.5], [0, 2.0, 0.5]])
    assert similarity(large, small, down) == pytest.approx(similarity(small, large, up))


def test_groups_are_connected_components_numbered_by_appearance() -> None:
    groups = group_ids(np.array([[1, 4], [4, 5], [2, 3]]), 7)
    assert groups.dtype == np.int32
    assert groups.tolist() == [0, 1, 2, 2, 1, 1, 3]
    assert group_ids(np.zeros((0, 2), np.int64), 3).tolist() == [0, 1, 2]
    assert renumbered(np.array([9, 2, 9, 5])).tolist() == [0, 1, 0, 2]
