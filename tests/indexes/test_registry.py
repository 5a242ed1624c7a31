import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ris.errors import RisError
from ris.indexes.annoy import AnnoyIndex
from ris.indexes.exact import ExactIndex
from ris.indexes.index import Index, tuned
from ris.indexes.ivf import IvfIndex
from ris.indexes.registry import KINDS, REGISTRY, SEARCHABLE, exact_of, open_index

CLASSES: tuple[type[Index], ...] = (ExactIndex, AnnoyIndex, IvfIndex)
INDEXES = {index.kind: index for index in CLASSES}
PARAMETERS: dict[str, Mapping[str, int]] = {
    "exact": {},
    "annoy": {"n_trees": 4, "search_k": 60},
    "ivf": {"n_probes": 3},
}
THOROUGH: dict[str, Mapping[str, int]] = {
    "exact": {},
    "annoy": {"search_k": 10**6},
    "ivf": {"n_probes": 10**6},
}
"""Values of the tunable parameters with which an index looks at every vector."""
CATALOG = "sha256:" + "ab" * 32
VECTORS = np.random.default_rng(0).standard_normal((300, 12), dtype=np.float32)

every_kind = pytest.mark.parametrize("kind", sorted(INDEXES))


def built(kind: str) -> Index:
    return INDEXES[kind].build(VECTORS, PARAMETERS[kind], seed=5)


def opened(folder: Path, kind: str) -> Index:
    return open_index(folder, kind=INDEXES[kind], dimension=12, made_for=CATALOG)


def edit(folder: Path, **changes: Any) -> None:
    path = folder / "index.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_every_kind_is_of_a_class_that_is_tested_here() -> None:
    assert {kind.index for kind in KINDS} == set(CLASSES)
    assert list(SEARCHABLE) == [*REGISTRY, "reranked"]
    texts = [text for one in SEARCHABLE.values() for text in (one.label, one.note)]
    assert all(texts)
    assert len(set(texts)) == len(texts)


def test_each_kind_is_measured_against_the_exact_one_of_its_space() -> None:
    assert [exact_of(projected) for projected in (False, True)] == ["knn", "knn_pca"]
    for kind in KINDS:
        assert (kind.approximates is None) == kind.exact
        if kind.approximates:
            assert REGISTRY[kind.approximates].exact
            assert REGISTRY[kind.approximates].projected == kind.projected


@every_kind
def test_the_parameters_are_those_of_the_section(kind: str) -> None:
    index = INDEXES[kind]
    assert set(index.section.model_fields) == set(PARAMETERS[kind])
    assert set(index.tunable) == set(THOROUGH[kind]) <= set(PARAMETERS[kind])
    assert index.section.model_validate(PARAMETERS[kind]).model_dump() == PARAMETERS[kind]


def test_what_a_store_builds_a_kind_with_fits_its_section() -> None:
    for kind in KINDS:
        if kind.stage:
            assert kind.index.section.model_validate(kind.defaults).model_dump() == kind.defaults


@every_kind
def test_tuned_it_answers_otherwise_and_the_index_as_before(kind: str) -> None:
    index, queries = built(kind), VECTORS[:20] + np.float32(0.1)
    before = index.search(queries, 8)[1]
    thorough = tuned(index, THOROUGH[kind])
    assert thorough.parameters == {**index.parameters, **THOROUGH[kind]}
    exact = ExactIndex(VECTORS).search(queries, 8)[1]
    np.testing.assert_array_equal(thorough.search(queries, 8)[1], exact)
    np.testing.assert_array_equal(index.search(queries, 8)[1], before)
    assert (before != exact).any() or kind == "exact"


@every_kind
@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 1.0])
@pytest.mark.parametrize("k", [1, 10, 400])
def test_of_some_that_are_allowed_it_equals_brute_force(kind: str, share: float, k: int) -> None:
    rng = np.random.default_rng(3)
    queries = rng.standard_normal((9, 12), dtype=np.float32)
    allowed = rng.random(300) < share
    distances, positions = tuned(built(kind), THOROUGH[kind]).search(queries, k, allowed)
    far = np.linalg.norm(VECTORS[None].astype(np.float64) - queries[:, None], axis=2)
    far[:, ~allowed] = np.inf
    expected = np.argsort(far, axis=1)[:, : min(k, int(allowed.sum()))]
    np.testing.assert_array_equal(positions, expected)
    np.testing.assert_allclose(distances, np.take_along_axis(far, expected, axis=1), rtol=1e-5)
    assert distances.dtype == np.float32
    assert positions.dtype == np.int64


@every_kind
def test_as_many_as_are_allowed_come_back_however_little_is_looked_at(kind: str) -> None:
    allowed = np.arange(300) % 40 == 0
    distances, positions = built(kind).search(VECTORS[:30], 50, allowed)
    np.testing.assert_array_equal(np.sort(positions), np.tile(np.flatnonzero(allowed), (30, 1)))
    assert (np.diff(distances, axis=1) >= 0).all()


@every_kind
def test_an_opened_index_answers_like_the_built_one(kind: str, tmp_path: Path) -> None:
    index = built(kind)
    expected = index.search(VECTORS[:20] + np.float32(0.1), 8)
    index.save(tmp_path / "index", CATALOG)
    for again in (index, opened(tmp_path / "index", kind)):
        distances, positions = again.search(VECTORS[:20] + np.float32(0.1), 8)
        np.testing.assert_array_equal(distances, expected[0])
        np.testing.assert_array_equal(positions, expected[1])
        assert (again.kind, again.dimension, again.count) == (kind, 12, 300)
        assert again.parameters == index.parameters


@every_kind
def test_the_same_input_gives_the_same_bytes(kind: str, tmp_path: Path) -> None:
    for name in ("first", "second"):
        built(kind).save(tmp_path / name, CATALOG)
    opened(tmp_path / "first", kind).save(tmp_path / "third", CATALOG)
    first, second, third = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
        for name in ("first", "second", "third")
    )
    assert set(first) == {"index.json", *INDEXES[kind].files}
    assert first == second == third


@every_kind
def test_saving_replaces_an_index_that_is_open(kind: str, tmp_path: Path) -> None:
    built(kind).save(tmp_path, CATALOG)
    before = opened(tmp_path, kind)
    expected = before.search(VECTORS[:5], 4)[1]
    INDEXES[kind].build(VECTORS[:50], PARAMETERS[kind], seed=5).save(tmp_path, CATALOG)
    np.testing.assert_array_equal(before.search(VECTORS[:5], 4)[1], expected)
    assert opened(tmp_path, kind).count == 50


@every_kind
def test_what_was_asked_for_must_be_what_is_there(kind: str, tmp_path: Path) -> None:
    other = next(name for name in INDEXES if name != kind)
    built(kind).save(tmp_path, CATALOG)
    with pytest.raises(RisError, match=f"has kind {kind}, not {other}; remake it"):
        open_index(tmp_path, kind=INDEXES[other], dimension=12, made_for=CATALOG)
    with pytest.raises(RisError, match="has dimension 12, not 13; remake it"):
        open_index(tmp_path, kind=INDEXES[kind], dimension=13, made_for=CATALOG)
    with pytest.raises(RisError, match="built over other vectors"):
        open_index(tmp_path, kind=INDEXES[kind], dimension=12, made_for="sha256:" + "cd" * 32)
    edit(tmp_path, metric="angular")
    with pytest.raises(RisError, match="has metric angular, not euclidean; remake it"):
        opened(tmp_path, kind)


@every_kind
def test_damaged_data_is_refused_before_it_is_read(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built(kind).save(tmp_path / "whole", CATALOG)

    def unreachable(*_: object) -> Index:
        raise AssertionError("the data was read")

    monkeypatch.setattr(INDEXES[kind], "load", unreachable)
    for name in INDEXES[kind].files:
        folder = tmp_path / name
        shutil.copytree(tmp_path / "whole", folder)
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[:-1])
        with pytest.raises(RisError, match=rf"{name} has {len(data) - 1} bytes, not {len(data)}; remake it"):
            opened(folder, kind)
        middle = len(data) // 2
        (folder / name).write_bytes(data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])
        with pytest.raises(RisError, match=f"{name} has changed since it was written; remake it"):
            opened(folder, kind)
        (folder / name).unlink()
        with pytest.raises(RisError, match=f"{name} is missing; remake it"):
            opened(folder, kind)


@every_kind
def test_a_damaged_manifest_is_refused(kind: str, tmp_path: Path) -> None:
    with pytest.raises(RisError, match=r"index\.json is missing"):
        opened(tmp_path, kind)
    built(kind).save(tmp_path, CATALOG)
    manifest = tmp_path / "index.json"
    whole = manifest.read_text()
    for text in (whole[:-20], "", "\x00"):
        manifest.write_text(text)
        with pytest.raises(RisError, match=r"index\.json is not valid JSON"):
            opened(tmp_path, kind)
    for text in ("[]", "{}", whole.replace('"kind"', '"sort"'), whole.replace("12,", '"12",')):
        manifest.write_text(text)
        with pytest.raises(RisError, match=r"index\.json is damaged"):
            opened(tmp_path, kind)
    manifest.write_text(whole)
    edit(tmp_path, count=301)
    with pytest.raises(RisError, match="tells of 301 vectors, but its data holds 300"):
        opened(tmp_path, kind)
    edit(tmp_path, count=300, files={"../vectors.npy": {"bytes": 1, "checksum": ""}})
    with pytest.raises(RisError, match="does not list just"):
        opened(tmp_path, kind)


@every_kind
def test_an_interrupted_save_leaves_the_old_index(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "index"
    built(kind).save(folder, CATALOG)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ris.indexes.manifest.write_json", full)
    with pytest.raises(OSError, match="No space left"):
        INDEXES[kind].build(VECTORS[:50], PARAMETERS[kind], seed=5).save(folder, CATALOG)
    assert opened(folder, kind).count == 300
    assert list(tmp_path.iterdir()) == [folder]
