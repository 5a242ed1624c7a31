import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ris.artifacts import checksum, write_array
from ris.errors import RisError
from ris.lab.data.features import read_features, write_features

CATALOG = "sha256:" + "ab" * 32
VECTORS = np.random.default_rng(0).standard_normal((6, 5), dtype=np.float32)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "features" / "finetuned.npy"
    write_features(path, VECTORS, CATALOG)
    return path


def identify(path: Path, **changes: object) -> None:
    """Change the .json beside the array, and let it know the array as it is now."""
    identity = path.with_suffix(".json")
    known = json.loads(identity.read_text()) | {"array": checksum(path)} | changes
    identity.write_text(json.dumps(known))


def refused(path: Path, said: str, catalog: str = CATALOG) -> None:
    with pytest.raises(RisError) as caught:
        read_features(path, catalog)
    assert said in str(caught.value)
    assert str(path.with_suffix("")) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_round_trip(path: Path) -> None:
    np.testing.assert_array_equal(read_features(path, CATALOG), VECTORS, strict=True)
    np.testing.assert_array_equal(np.load(path), VECTORS, strict=True)
    assert sorted(file.name for file in path.parent.iterdir()) == ["finetuned.json", "finetuned.npy"]


def test_equal_vectors_are_equal_bytes(path: Path, tmp_path: Path) -> None:
    write_features(tmp_path / "again.npy", np.asfortranarray(VECTORS), CATALOG)
    assert (tmp_path / "again.npy").read_bytes() == path.read_bytes()
    assert (tmp_path / "again.json").read_bytes() == path.with_suffix(".json").read_bytes()


def test_vectors_of_another_catalog(path: Path) -> None:
    refused(path, "belongs to another catalog", catalog="sha256:" + "cd" * 32)


def test_every_flipped_byte_is_noticed(path: Path) -> None:
    whole = path.read_bytes()
    for position in range(0, len(whole), 7):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        refused(path, "missing or damaged")


def test_vectors_that_are_cut_short_or_gone(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-4])
    refused(path, "missing or damaged")
    path.unlink()
    refused(path, "missing or damaged")
    path.with_suffix(".json").unlink()
    refused(path, "finetuned.json is missing")


@pytest.mark.parametrize("identity", ["[]", "1", "null", '"array"', "{}", "{", '{"array": 3}'])
def test_an_identity_that_is_none(identity: str, path: Path) -> None:
    path.with_suffix(".json").write_text(identity)
    refused(path, "finetuned")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_vectors_that_are_not_finite(bad: float, path: Path) -> None:
    vectors = VECTORS.copy()
    vectors[3, 2] = bad
    write_features(path, vectors, CATALOG)
    refused(path, "no finite float32 vectors")


@pytest.mark.parametrize(
    "array",
    [VECTORS.astype(np.float64), VECTORS.astype(np.int32), VECTORS[0], VECTORS[None], np.float32(1)],
    ids=["float64", "int32", "1-d", "3-d", "0-d"],
)
def test_arrays_that_are_no_vectors(array: np.ndarray[Any, Any], path: Path) -> None:
    write_array(path, array)
    identify(path)
    refused(path, "no finite float32 vectors")


def test_a_pickle_under_the_right_checksum_is_not_run(path: Path) -> None:
    np.save(path, np.array([{1: 2}], dtype=object), allow_pickle=True)
    identify(path)
    refused(path, "no readable .npy array")
