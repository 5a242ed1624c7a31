"""Edited pictures are found where they truly lie; strangers and pictures without texture are not."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ris.copies.agreement import evidence
from ris.copies.edits import FIFTEEN, apply, generator
from ris.copies.local_features import describe, mirrored_descriptors
from ris.copies.verification import outline, verify
from ris.lab.local_features import CatalogFeatures

Draw = Callable[..., Image.Image]
TRUE = 3
"""The row that the queries are made of."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, texture: Draw) -> CatalogFeatures:
    folder = tmp_path_factory.mktemp("store")
    files = [folder / f"{number}.png" for number in range(7)]
    Image.new("RGB", (240, 180), "grey").save(files[0])
    for number, file in enumerate(files[1:], 1):
        texture(number).save(file)
    CatalogFeatures.write(
        folder / "store", files, "sha256:1", n_features=400, side=640, max_pixels=10**6, workers=1
    )
    return CatalogFeatures.open(folder / "store", "sha256:1")


@pytest.mark.parametrize("name", FIFTEEN)
def test_an_edited_picture_is_found_where_it_lies(store: CatalogFeatures, texture: Draw, name: str) -> None:
    others = [texture(seed) for seed in (21, 22, 23)]
    edited, matrix = apply(name, texture(TRUE), generator(name, TRUE, 0), None, others)
    found = verify(describe(edited, 1000, 640), range(len(store)), store)
    assert found[0].row == TRUE
    assert found[0].inliers >= 10
    assert found[0].agreement > (0.6 if name in ("caption", "colour") else 0.8)
    assert found[0].mirrored == (name == "mirror")
    truth = outline(np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))[:2], edited.size)
    error = np.linalg.norm(found[0].outline - truth, axis=1).max()
    assert error < (4.0 if name in ("down64", "blur") else 1.5)
    np.testing.assert_allclose(outline(found[0].matrix, edited.size), found[0].outline)


def test_a_mirrored_and_turned_crop(store: CatalogFeatures, texture: Draw) -> None:
    query = texture(TRUE).crop((60, 30, 200, 150)).transpose(Image.Transpose.TRANSPOSE)
    best = verify(describe(query, 400, 640), [TRUE], store)[0]
    assert best.mirrored
    # Transposed, the query's top right is the crop's bottom left.
    expected = [(60, 30), (60, 149), (199, 149), (199, 30)]
    np.testing.assert_allclose(best.outline, expected, atol=1.0)


def test_most_evidence_comes_first_and_what_is_not_found_is_not_there(
    store: CatalogFeatures, texture: Draw
) -> None:
    query = texture(5)
    query.paste(texture(2).crop((0, 0, 90, 180)), (0, 0))
    found = verify(describe(query, 400, 640), [0, 6, 2, 5, 1], store)
    assert [one.row for one in found[:2]] == [5, 2]
    assert found[0].inliers > found[1].inliers >= 10
    assert [one.evidence for one in found] == sorted((one.evidence for one in found), reverse=True)
    assert max((one.inliers for one in found[2:]), default=0) < 8


def test_the_answer_is_repeatable(store: CatalogFeatures, texture: Draw) -> None:
    query = describe(texture(TRUE).resize((120, 90)), 400, 640)
    one, other = (verify(query, [0, TRUE], store)[0] for _ in range(2))
    assert one.inliers == other.inliers
    np.testing.assert_array_equal(one.matrix, other.matrix)


@pytest.mark.parametrize(
    "query",
    [
        Image.new("RGB", (300, 200), "white"),
        Image.linear_gradient("L").convert("RGB"),
        Image.new("RGB", (1, 1)),
        Image.new("RGB", (8, 8), "red"),
        Image.new("RGB", (20_000, 50), "red"),
    ],
    ids=["one colour", "gradient", "one pixel", "eight pixels", "very wide"],
)
def test_without_texture_nothing_is_found(store: CatalogFeatures, query: Image.Image) -> None:
    assert verify(describe(query, 400, 640), range(len(store)), store) == []


@pytest.mark.parametrize("size", [(8, 8), (20_000, 50)])
def test_textured_but_of_a_useless_size(store: CatalogFeatures, texture: Draw, size: tuple[int, int]) -> None:
    found = verify(describe(texture(TRUE).resize(size), 400, 640), range(len(store)), store)
    assert all(one.inliers < 8 for one in found)


def test_no_candidates(store: CatalogFeatures, texture: Draw) -> None:
    assert verify(describe(texture(TRUE), 400, 640), [], store) == []
    assert verify(describe(texture(6), 400, 640), [-1, -1], store) == []


@pytest.mark.parametrize("width", [20, 800])
def test_an_absurd_stretch_is_refused(store: CatalogFeatures, texture: Draw, width: int) -> None:
    """The same features, told to lie in a picture squeezed or stretched to another width."""
    query = describe(texture(TRUE), 400, 640)
    query.points[:, 0] *= width / 240
    assert verify(query, [TRUE], store) == []


@pytest.mark.parametrize("size", [(3000, 2250), (64, 48)])
def test_a_gallery_picture_of_any_size(tmp_path: Path, texture: Draw, size: tuple[int, int]) -> None:
    """A tiny query of a huge picture is found in it, and the tolerance does not grow with a tiny one."""
    files = [tmp_path / "one.png", tmp_path / "other.png"]
    original = texture(TRUE, 1200, 900).resize(size, Image.Resampling.LANCZOS)
    original.save(files[0])
    Image.effect_noise((16, 16), 90).convert("RGB").save(files[1])
    CatalogFeatures.write(
        tmp_path / "store", files, "sha256:1", n_features=400, side=640, max_pixels=10**7, workers=1
    )
    store = CatalogFeatures.open(tmp_path / "store", "sha256:1")
    query = original.resize((96, 72), Image.Resampling.LANCZOS)
    best = verify(describe(query, 1000, 640), [1, 0], store)
    assert [one.row for one in best] == [0]
    corners = [(0, 0), (size[0], 0), size, (0, size[1])]
    np.testing.assert_allclose(best[0].outline, corners, atol=0.03 * size[0])
    for seed in range(10, 20):
        assert all(one.inliers < 8 for one in verify(describe(texture(seed), 400, 640), [1], store))


def test_enough_ends_the_search_after_ten_candidates(store: CatalogFeatures, texture: Draw) -> None:
    query = describe(texture(TRUE), 400, 640)
    rows = [TRUE, *[0] * 9, TRUE, *[0] * 9, TRUE]
    evidence = verify(query, [TRUE], store)[0].evidence
    assert len(verify(query, rows, store)) == 3
    assert len(verify(query, rows, store, enough=evidence + 1)) == 3
    assert len(verify(query, rows, store, enough=evidence)) == 1
    assert len(verify(query, [0, *rows], store, enough=evidence)) == 1


def test_strangers_are_not_found(store: CatalogFeatures, texture: Draw) -> None:
    for seed in range(100, 110):
        assert all(one.inliers < 8 for one in verify(describe(texture(seed), 400, 640), range(7), store))


def test_descriptors_of_a_mirrored_picture(texture: Draw) -> None:
    """Points found in the mirrored pixels as well have there the descriptors that were computed without."""
    upright = describe(texture(1), 200, 640)
    turned = describe(texture(1).transpose(Image.Transpose.FLIP_LEFT_RIGHT), 200, 640)
    places = np.array([239, 0]) + upright.points * [-1, 1]
    same_place = np.linalg.norm(places[:, None] - turned.points[None], axis=2) < 0.5
    one, other = mirrored_descriptors(upright.descriptors).astype(float), turned.descriptors.astype(float)
    distances = np.linalg.norm(one[:, None] - other[None], axis=2)
    nearest = np.where(same_place, distances, np.inf).min(axis=1)[same_place.any(axis=1)]
    assert len(nearest) > 180
    assert np.median(nearest) < 5  # of a length of 255
    assert np.mean(nearest < 80) > 0.95


def test_evidence_by_hand() -> None:
    assert evidence(20, 1.0) == pytest.approx(np.log(20 / 0.02**1.5))
    assert evidence(20, 0.92) == pytest.approx(np.log(20 / 0.1**1.5))
    assert evidence(20, -0.5) == evidence(20, 0.0) == pytest.approx(np.log(20 / 1.02**1.5))


def test_outline_by_hand() -> None:
    matrix = np.array([[2.0, 0, 5], [0, 3, 7]])
    assert outline(matrix, (11, 5)).tolist() == [[5, 7], [25, 7], [25, 19], [5, 19]]


def test_the_store_stays_as_it_is(store: CatalogFeatures) -> None:
    assert isinstance(store.packed, np.memmap)
    assert Path(str(store.packed.filename)).is_file()
