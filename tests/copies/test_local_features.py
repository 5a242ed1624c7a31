"""What is stored comes back, and nothing damaged or foreign does."""

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from ris.artifacts import checksum
from ris.copies.local_features import (
    FILES,
    STEP,
    LocalFeatureStore,
    describe,
    pack,
    root_sift,
    thumbnail,
    unpack,
)
from ris.copies.perceptual_hash import fingerprint
from ris.errors import RisError

Draw = Callable[..., Image.Image]


def written(folder: Path, files: list[Path], workers: int = 1, n_features: int = 50) -> Path:
    LocalFeatureStore.write(
        folder, files, "sha256:1", n_features=n_features, side=320, max_pixels=10**6, workers=workers
    )
    return folder


@pytest.fixture
def files(tmp_path: Path, texture: Draw) -> list[Path]:
    pictures = [texture(1), Image.new("RGB", (60, 40), "grey"), texture(2, 600, 450), texture(3, 60, 45)]
    paths = [tmp_path / f"{number}.png" for number in range(len(pictures))]
    for path, picture in zip(paths, pictures, strict=True):
        picture.save(path)
    return paths


def test_descriptors_are_root_sift_of_the_strongest_points(texture: Draw) -> None:
    grey = np.asarray(texture(3).convert("L"))
    detector = cv2.SIFT_create(contrastThreshold=0.02, enable_precise_upscale=True)  # type: ignore[attr-defined]
    keypoints, sift = detector.detectAndCompute(grey, None)
    features = describe(texture(3), 50, 320)
    assert len(features.points) == 50
    response = np.array([keypoint.response for keypoint in keypoints])
    strongest = np.sort(response)[-50]
    for point, descriptor in zip(features.points, features.descriptors, strict=True):
        near = [
            number
            for number, keypoint in enumerate(keypoints)
            if np.allclose(keypoint.pt, point, atol=1e-3) and response[number] >= strongest
        ]
        expected = np.sqrt(sift[near] / sift[near].sum(axis=1, keepdims=True)) * 255
        assert np.abs(expected - descriptor).max(axis=1).min() <= 0.51


@pytest.mark.parametrize(("width", "scale"), [(240, 1.0), (640, 0.5), (64, 2.0)])
def test_points_are_in_the_pixels_of_the_picture(width: int, scale: float) -> None:
    """A round spot is found at its centre, whatever the size at which the picture is looked at."""
    y, x = np.mgrid[:width, :width]
    centre = np.array([0.4 * width, 0.6 * width])
    spot = 255 * np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / (2 * (0.05 * width) ** 2))
    features = describe(Image.fromarray(spot.astype(np.uint8)), 1, 320)
    assert features.size == (width, width)
    np.testing.assert_allclose(features.points[0], centre, atol=0.2 / scale)


def test_root_sift_by_hand() -> None:
    sift = np.zeros((2, 128), np.float32)
    sift[0, :2] = 9, 16
    assert root_sift(sift)[0, :3].tolist() == [153, 204, 0]  # 255 * 3/5, 255 * 4/5
    assert not root_sift(sift)[1].any()


def test_packing_rounds_to_levels_and_clips() -> None:
    values = np.arange(256, dtype=np.uint8).reshape(2, 128)
    expected = np.minimum(np.floor(values / STEP + 0.5), 15) * STEP
    np.testing.assert_array_equal(unpack(pack(values)), expected)
    assert pack(values).shape == (2, 64)


def test_the_store_holds_what_was_described(tmp_path: Path, files: list[Path]) -> None:
    store = LocalFeatureStore.open(written(tmp_path / "store", files), "sha256:1")
    assert (len(store), store.n_features, store.side) == (4, 50, 320)
    assert isinstance(store.descriptors, np.memmap)
    for row, path in enumerate(files):
        features, stored = describe(Image.open(path), 50, 320), store[row]
        assert stored.size == features.size
        np.testing.assert_allclose(stored.points, features.points, atol=0.006)  # 600 pixels / 2**16 / 2
        np.testing.assert_array_equal(stored.descriptors, unpack(pack(features.descriptors)))
        np.testing.assert_array_equal(stored.grey, thumbnail(features.grey))
        assert store.fingerprints[row] == fingerprint(stored.grey)
    assert store.counts.tolist()[:3] == [50, 0, 50]


def test_the_store_is_compact(tmp_path: Path, files: list[Path]) -> None:
    folder = written(tmp_path / "store", files * 3, n_features=400)
    arrays = sum((folder / name).stat().st_size for name in FILES)
    assert arrays == 6 * 128 + 12 * (400 * 68 + 12 + 96 * 96 + 8)  # six headers of .npy
    assert LocalFeatureStore.open(folder, "sha256:1").nbytes == arrays - 6 * 128


def test_the_number_of_workers_changes_no_byte(tmp_path: Path, files: list[Path]) -> None:
    one, three = written(tmp_path / "one", files, 1), written(tmp_path / "three", files, 3)
    for name in (*FILES, "local_features.json"):
        assert (one / name).read_bytes() == (three / name).read_bytes()


def test_a_file_that_cannot_be_read_leaves_no_store(tmp_path: Path, files: list[Path]) -> None:
    files[2].write_bytes(b"no picture")
    with pytest.raises(RisError, match=r"2\.png cannot be used as a picture"):
        written(tmp_path / "store", files)
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("name", FILES)
def test_damage_is_refused(tmp_path: Path, files: list[Path], name: str) -> None:
    folder = written(tmp_path / "store", files)
    data = bytearray((folder / name).read_bytes())
    data[-1] ^= 1
    (folder / name).write_bytes(data)
    with pytest.raises(RisError, match=f"{name} is missing or damaged"):
        LocalFeatureStore.open(folder, "sha256:1")
    (folder / name).unlink()
    with pytest.raises(RisError, match=f"{name} is missing or damaged"):
        LocalFeatureStore.open(folder, "sha256:1")


def test_what_is_foreign_is_refused(tmp_path: Path, files: list[Path]) -> None:
    folder = written(tmp_path / "store", files)
    with pytest.raises(RisError, match="another catalog than the present one"):
        LocalFeatureStore.open(folder, "sha256:2")
    manifest = folder / "local_features.json"
    content = json.loads(manifest.read_text())
    assert content["files"]["counts.npy"] == checksum(folder / "counts.npy")
    manifest.write_text(json.dumps({**content, "format": 99}))
    with pytest.raises(RisError, match="has format 99, not 2"):
        LocalFeatureStore.open(folder, "sha256:1")
    manifest.write_text(json.dumps({**content, "side": "wide"}))
    with pytest.raises(RisError, match="is damaged"):
        LocalFeatureStore.open(folder, "sha256:1")
    with pytest.raises(RisError, match="is missing"):
        LocalFeatureStore.open(tmp_path / "nowhere", "sha256:1")
