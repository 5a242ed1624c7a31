"""What `extract` keeps of a catalog comes back, and nothing damaged or foreign does."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ris.artifacts import checksum
from ris.copies.local_features import describe, pack, thumbnail, unpack
from ris.copies.perceptual_hash import fingerprint
from ris.errors import RisError
from ris.lab.local_features import FILES, CatalogFeatures

Draw = Callable[..., Image.Image]


def written(folder: Path, files: list[Path], workers: int = 1, n_features: int = 50) -> Path:
    CatalogFeatures.write(
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


def test_the_store_holds_what_was_described(tmp_path: Path, files: list[Path]) -> None:
    store = CatalogFeatures.open(written(tmp_path / "store", files), "sha256:1")
    assert (len(store), store.side) == (4, 320)
    assert isinstance(store.packed, np.memmap)
    for row, path in enumerate(files):
        features, stored = describe(Image.open(path), 50, 320), store[row]
        assert stored.size == features.size
        np.testing.assert_allclose(stored.points, features.points, atol=0.006)  # 600 pixels / 2**16 / 2
        np.testing.assert_array_equal(stored.descriptors, unpack(pack(features.descriptors)))
        np.testing.assert_array_equal(stored.grey, thumbnail(features.grey))
        assert store.hashes[row] == fingerprint(stored.grey)
    assert [len(store[row].points) for row in range(3)] == [50, 0, 50]


def test_the_store_is_compact(tmp_path: Path, files: list[Path]) -> None:
    folder = written(tmp_path / "store", files * 3, n_features=400)
    assert (folder / "features.bin").stat().st_size <= 12 * (400 * 68 + 16 + 96 * 96)
    assert CatalogFeatures.open(folder, "sha256:1").nbytes <= 12 * (400 * 68 + 16 + 96 * 96 + 16)


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
        CatalogFeatures.open(folder, "sha256:1")
    (folder / name).unlink()
    with pytest.raises(RisError, match=f"{name} is missing or damaged"):
        CatalogFeatures.open(folder, "sha256:1")


def test_what_is_foreign_is_refused(tmp_path: Path, files: list[Path]) -> None:
    folder = written(tmp_path / "store", files)
    with pytest.raises(RisError, match="another catalog than the present one"):
        CatalogFeatures.open(folder, "sha256:2")
    manifest = folder / "local_features.json"
    content = json.loads(manifest.read_text())
    assert content["files"]["ends.npy"] == checksum(folder / "ends.npy")
    manifest.write_text(json.dumps({**content, "format": 99}))
    with pytest.raises(RisError, match="has format 99, not 3"):
        CatalogFeatures.open(folder, "sha256:1")
    manifest.write_text(json.dumps({**content, "side": "wide"}))
    with pytest.raises(RisError, match="is damaged"):
        CatalogFeatures.open(folder, "sha256:1")
    with pytest.raises(RisError, match="is missing"):
        CatalogFeatures.open(tmp_path / "nowhere", "sha256:1")
