import itertools
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from sklearn.manifold import trustworthiness

from ris.errors import RisError
from ris.lab.report.plots import save
from ris.lab.report.projection_map import THUMBNAILS_SIDE, compute_tsne, draw_map, draw_thumbnails


def blobs(each: int = 25) -> npt.NDArray[np.float32]:
    random = np.random.default_rng(0)
    centres = np.zeros((2, 12))
    centres[0, 0] = centres[1, 1] = 1.0
    return (np.repeat(centres, each, axis=0) + 0.05 * random.normal(size=(2 * each, 12))).astype(np.float32)


def test_two_blobs_come_apart_and_the_map_is_the_same_each_time() -> None:
    first = compute_tsne(blobs(), 5, 10.0, 300, 0)
    again = compute_tsne(blobs(), 5, 10.0, 300, 0)
    np.testing.assert_array_equal(first.coordinates, again.coordinates)
    assert first.summary() == again.summary()
    assert first.coordinates.shape == (50, 2)
    assert first.coordinates.dtype == np.float32
    left, right = first.coordinates[:25], first.coordinates[25:]
    gap = np.linalg.norm(left.mean(axis=0) - right.mean(axis=0))
    assert gap > 2 * max(np.linalg.norm(blob - blob.mean(axis=0), axis=1).max() for blob in (left, right))


def test_only_directions_matter() -> None:
    lengths = np.random.default_rng(1).uniform(0.5, 20.0, size=(50, 1)).astype(np.float32)
    plain, stretched = (compute_tsne(vectors, 5, 10.0, 300, 0) for vectors in (blobs(), blobs() * lengths))
    assert stretched.trustworthiness == pytest.approx(plain.trustworthiness, abs=0.02)
    left, right = stretched.coordinates[:25], stretched.coordinates[25:]
    assert (
        np.linalg.norm(left.mean(axis=0) - right.mean(axis=0))
        > np.linalg.norm(left - left.mean(axis=0), axis=1).max()
    )


def test_trustworthiness_is_that_of_the_normalised_vectors() -> None:
    vectors = blobs()
    projection = compute_tsne(vectors, 5, 10.0, 300, 0)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    assert projection.trustworthiness == pytest.approx(
        trustworthiness(unit, projection.coordinates), abs=1e-6
    )
    assert projection.summary()["trustworthiness_points"] == 50
    assert projection.kl_divergence > 0


def test_perplexity_is_lowered_for_few_points_and_the_used_one_is_told() -> None:
    assert compute_tsne(blobs(5), 50, 30.0, 250, 0).perplexity == 3.0
    assert compute_tsne(blobs(), 50, 10.0, 250, 0).perplexity == 10.0
    assert np.isfinite(compute_tsne(blobs(2)[:3], 50, 30.0, 250, 0).coordinates).all()


@pytest.mark.parametrize(
    ("vectors", "n_components", "message"),
    [
        (blobs()[:2], 5, "at least 3 pictures, got 2"),
        (np.where(np.eye(50, 12) > 0, np.nan, blobs()).astype(np.float32), 5, "NaN"),
        (np.ones((20, 4), dtype=np.float32), 2, "alike"),
        (blobs(), 1, "tsne.n_components"),
    ],
)
def test_what_has_no_map_says_so(vectors: npt.NDArray[np.float32], n_components: int, message: str) -> None:
    with pytest.raises(RisError, match=message):
        compute_tsne(vectors, n_components, 10.0, 250, 0)


def crowd(classes: int) -> tuple[npt.NDArray[np.float32], list[str]]:
    random = np.random.default_rng(2)
    coordinates = (random.uniform(0, 30, size=(classes, 1, 2)) + random.normal(size=(classes, 6, 2))).reshape(
        -1, 2
    )
    return coordinates.astype(np.float32), [f"class_{number // 6}" for number in range(6 * classes)]


def test_every_class_has_its_name_and_no_name_covers_another() -> None:
    coordinates, labels = crowd(60)
    texts = [text for text in draw_map(coordinates, labels).axes[0].texts if text.get_text()]
    assert sorted(text.get_text() for text in texts) == sorted(set(labels))
    boxes = [text.get_window_extent() for text in texts]
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))


def test_each_class_is_drawn_with_its_points_and_close_classes_differ_in_colour() -> None:
    coordinates, labels = crowd(8)
    drawn = draw_map(coordinates, labels).axes[0].collections
    assert sum(len(np.asarray(points.get_offsets())) for points in drawn) == 48
    assert len({tuple(np.ravel(points.get_facecolor())) for points in drawn}) == 8


def test_the_map_is_the_same_bytes_each_time(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        save(draw_map(*crowd(5)), tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_one_class_has_no_map() -> None:
    with pytest.raises(RisError, match="`ant`"):
        draw_map(np.zeros((5, 2), dtype=np.float32), ["ant"] * 5)


def test_thumbnails_stand_in_their_corners() -> None:
    shades = [(250, 0, 0), (0, 250, 0), (0, 0, 250)]
    corners = np.array([[0, 0], [0, 1], [1, 0]], dtype=np.float32)
    picture = draw_thumbnails(corners, lambda point: Image.new("RGB", (9, 5), shades[point]), 3)
    assert picture.width == picture.height <= THUMBNAILS_SIDE
    inset = 4
    far = picture.width - 1 - inset
    assert [picture.getpixel(place) for place in ((inset, far), (inset, inset), (far, far))] == shades
    assert picture.getpixel((far, inset)) == (255, 255, 255)


def test_no_more_thumbnails_than_asked_for_and_each_once() -> None:
    coordinates, _ = crowd(40)
    asked: list[int] = []

    def load(point: int) -> Image.Image:
        asked.append(point)
        return Image.new("L", (4, 4))

    draw_thumbnails(coordinates, load, 30)
    assert 15 <= len(asked) <= 30
    assert len(set(asked)) == len(asked)
