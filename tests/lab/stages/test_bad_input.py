"""Bad input through the stages themselves: one sentence, exit code 1, and nothing half-written."""

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from ris.artifacts import checksum, read_array, read_table, write_table
from ris.lab import layout
from ris.lab.data.features import write_features
from ris.lab.stages.clean import clean
from ris.lab.stages.evaluate import evaluate
from ris.lab.stages.extract import extract
from ris.lab.stages.fetch import fetch
from ris.lab.stages.finetune import finetune
from ris.lab.stages.index import index
from ris.lab.stages.pca import pca
from ris.lab.stages.tsne import tsne

Invoke = Callable[..., CompletedProcess[str]]
Refused = Callable[..., str]
INDEXES = [index(name) for name in layout.INDEX_STAGES]


def files(tree: Path) -> dict[str, bytes]:
    """Content of every artefact of a tree."""
    artefacts = [
        path for folder in ("data", "models", "indexes", "reports") for path in (tree / folder).rglob("*")
    ]
    return {path.relative_to(tree).as_posix(): path.read_bytes() for path in artefacts if path.is_file()}


def picture(seed: int, side: int = 48) -> bytes:
    content = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


def pictures(folder: Path, **classes: int) -> Path:
    """Draw that many different pictures of each class."""
    for label, count in classes.items():
        (folder / label).mkdir(parents=True)
        for number in range(count):
            seed = len(list(folder.rglob("*.png")))
            (folder / label / f"{number}.png").write_bytes(picture(seed))
    return folder


# ---- fetch ----


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (["pca.pretrained.sharpness=8"], "has no classifier of one linear layer"),
        (["backbone.crop=50"], "`backbone.crop` is 50, but vit_small_patch14_dinov2 does not take"),
        (["backbone.dimension=100"], "`backbone.dimension` is 100, but vit_small_patch14_dinov2 gives 384"),
    ],
)
def test_a_backbone_that_cannot_do_what_is_asked_is_told_before_anything_is_fetched(
    tree: Path, refused: Refused, changes: list[str], told: str
) -> None:
    dinov2 = ["backbone.model=vit_small_patch14_dinov2", "backbone.dimension=384", "finetune.train_size=112"]
    assert told in refused(fetch, *dinov2, "backbone.crop=56", *changes)
    assert files(tree) == {}


def zipped(path: Path, member: str = "ant/1.png", content: bytes = b"1") -> Path:
    with zipfile.ZipFile(path, "w") as opened:
        opened.writestr("ant/0.png", os.urandom(2000))
        opened.writestr(member, content)
    return path


def tarred(path: Path, kind: bytes) -> Path:
    with tarfile.open(path, "w:gz") as opened:
        member = tarfile.TarInfo("ant/1.png")
        member.type, member.linkname = kind, "/etc/passwd"
        opened.addfile(member)
    return path


def cut_off(path: Path) -> Path:
    whole = zipped(path).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    return path


def empty(path: Path) -> Path:
    (path / "ant").mkdir(parents=True)
    return path


@pytest.mark.parametrize(
    ("make", "overrides", "said"),
    [
        (lambda path: path, [], "which is no URL, archive file or folder"),
        (zipped, [f"data.checksum=md5:{'0' * 32}"], "has the checksum md5:"),
        (cut_off, [], "source"),
        (lambda path: zipped(path, "../1.png"), [], "a place outside of its own folder"),
        (lambda path: zipped(path, "/1.png"), [], "a place outside of its own folder"),
        (lambda path: tarred(path, tarfile.SYMTYPE), [], "neither a file nor a folder"),
        (lambda path: tarred(path, tarfile.CHRTYPE), [], "neither a file nor a folder"),
        (zipped, ["data.max_files=1"], "raise data.max_files"),
        (zipped, ["data.max_bytes=100"], "data.max_bytes"),
        (zipped, ["data.root=flowers"], "flowers"),
        (lambda path: zipped(path, "1.png"), [], "outside of any class"),
        (empty, [], "holds no files"),
    ],
    ids=[
        "missing",
        "wrong checksum",
        "cut off",
        "parent folder",
        "absolute path",
        "symlink",
        "device",
        "too many files",
        "too many bytes",
        "no root",
        "no class",
        "empty folder",
    ],
)
@pytest.mark.parametrize("earlier", [False, True], ids=["first", "again"])
def test_pictures_that_are_not_fetched(
    make: Callable[[Path], Path],
    overrides: list[str],
    said: str,
    earlier: bool,
    tree: Path,
    refused: Refused,
) -> None:
    if earlier:
        pictures(tree / layout.IMAGES, ant=1)
    before = files(tree)
    make(tree.parent / "source")
    assert said in refused(fetch, "data.source=../source", *overrides)
    assert files(tree) == before
    assert not list(tree.rglob("*.partial"))


class Planted:
    """Unpickling this makes the folder ./ran."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("ran",)


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({"conv.weight": torch.ones(3, 3)}, "holds no weights for tf_efficientnet_lite0"),
        (Planted(), "was not run"),
        ({"conv.weight": Planted()}, "was not run"),
        ("text", "no plain state dict"),
    ],
    ids=["another backbone", "code", "code among tensors", "no tensors"],
)
def test_weights_that_are_none(state: object, said: str, tree: Path, refused: Refused) -> None:
    pictures(tree / "pictures", ant=1)
    torch.save(state, tree / "weights.pth")
    found = checksum(tree / "weights.pth")
    weights = ["backbone.weights.source=weights.pth", f"backbone.weights.checksum={found}"]
    assert said in refused(fetch, *weights)
    assert not (tree / "ran").exists()
    assert not (tree / layout.PRETRAINED).exists()
    wrong = ["backbone.weights.source=weights.pth", "backbone.weights.checksum=sha256:00000000"]
    assert "weights.pth has the checksum" in refused(fetch, *wrong)


def test_a_local_source_that_is_missing(
    tree: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RIS_DATA_SOURCE", "elsewhere.zip")
    assert "elsewhere.zip" in refused(fetch, "data.source=https://example.invalid/pictures.zip")
    assert files(tree) == {}


# ---- clean ----


def test_what_is_no_use_is_dropped_with_its_reason_and_the_run_goes_on(tree: Path, invoke: Invoke) -> None:
    images = pictures(tree / layout.IMAGES, ant=4, bee=5, cat=1)
    (images / "ant/text.jpg").write_text("Dear reader,")
    (images / "ant/large.png").write_bytes(picture(99, side=100))
    (images / "bee/half.png").write_bytes(picture(98)[:2000])
    (images / "bee/empty.png").touch()
    (images / "bee/copy.png").write_bytes((images / "ant/0.png").read_bytes())
    ended = invoke(clean, "clean.max_pixels=5000")
    assert (ended.returncode, ended.stderr) == (0, "")
    catalog, rejected = read_table(tree / layout.CATALOG), read_table(tree / layout.REJECTED)
    assert catalog["label"].value_counts().to_dict() == {"ant": 4, "bee": 5}
    assert dict(zip(rejected["path"], rejected["kind"], strict=True)) == {
        "ant/large.png": "too_large",
        "ant/text.jpg": "not_an_image",
        "bee/copy.png": "duplicate",
        "bee/empty.png": "empty",
        "bee/half.png": "truncated",
        "cat/0.png": "small_class",
    }
    assert rejected["reason"].str.len().min() > 10


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        ({"ant": 5}, "leaves 1 usable classes"),
        ({"ant": 5, "bee": 1}, "leaves 1 usable classes"),
        ({}, "images"),
    ],
    ids=["one class", "one class and one picture", "empty folder"],
)
def test_too_few_classes(classes: dict[str, int], said: str, tree: Path, refused: Refused) -> None:
    pictures(tree / layout.IMAGES, **classes).mkdir(parents=True, exist_ok=True)
    before = files(tree)
    assert said in refused(clean)
    assert files(tree) == before


def test_a_stage_before_its_time(tree: Path, refused: Refused) -> None:
    assert "data/raw/images" in refused(clean)
    for stage in (finetune, extract, pca, *INDEXES, tsne, evaluate):
        assert "catalog.parquet is missing; run the stage that makes it" in refused(stage)
    assert files(tree) == {}


# ---- from the features on ----


@pytest.fixture(scope="module")
def _searchable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("searchable")


@pytest.fixture
def searchable(tree: Path, invoke: Invoke, _searchable: Path) -> Path:
    """A tree with everything from the catalog to the indexes, over drawn vectors."""
    if not any(_searchable.iterdir()):
        count = 40
        table = pd.DataFrame(
            {
                "path": [f"{'ab'[i % 2]}/{i}.png" for i in range(count)],
                "label": ["ab"[i % 2] for i in range(count)],
                "group": np.arange(count, dtype=np.int32),
                "split": ["query" if i < 8 else "train" if i < 32 else "validation" for i in range(count)],
            }
        )
        write_table(tree / layout.CATALOG, table)
        rng = np.random.default_rng(0)
        for encoder in layout.ENCODERS:
            vectors = rng.standard_normal((count, 12), dtype=np.float32)
            write_features(tree / layout.features(encoder), vectors, checksum(tree / layout.CATALOG))
        for stage in (pca, *INDEXES):
            ended = invoke(stage)
            assert (ended.returncode, ended.stderr) == (0, "")
        shutil.copytree(tree, _searchable, dirs_exist_ok=True)
    shutil.copytree(_searchable, tree, dirs_exist_ok=True)
    return tree


def replant(tree: Path, vectors: np.ndarray[Any, Any]) -> None:
    write_features(tree / layout.features("finetuned"), vectors, checksum(tree / layout.CATALOG))


@pytest.mark.parametrize("stage", [pca, *INDEXES, tsne, evaluate])
def test_features_with_a_nan(stage: Any, searchable: Path, refused: Refused) -> None:
    vectors = read_array(searchable / layout.features("finetuned"))
    vectors[3, 5] = np.nan
    replant(searchable, vectors)
    before = files(searchable)
    assert "finetuned.npy holds no finite float32 vectors" in refused(stage)
    assert {name: text for name, text in files(searchable).items() if name in before} == before


def of_another_catalog(tree: Path) -> None:
    table = read_table(tree / layout.CATALOG)
    write_table(tree / layout.CATALOG, table.assign(label="c" + table["label"]))


def flipped(path: Path) -> None:
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 1
    path.write_bytes(whole)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (of_another_catalog, "finetuned.npy belongs to another catalog"),
        (lambda tree: flipped(tree / layout.features("finetuned")), "finetuned.npy is missing or damaged"),
        (lambda tree: (tree / layout.features("finetuned")).unlink(), "finetuned.npy is missing or damaged"),
        (lambda tree: replant(tree, np.ones((40, 12))), "no finite float32 vectors"),
        (lambda tree: (tree / layout.CATALOG).write_bytes(b"PAR1"), "catalog.parquet is no readable Parquet"),
    ],
    ids=["another catalog", "flipped byte", "missing", "float64", "catalog cut short"],
)
def test_features_that_do_not_fit(
    spoil: Callable[[Path], None], said: str, searchable: Path, refused: Refused
) -> None:
    spoil(searchable)
    before = files(searchable)
    for stage in (pca, index("index_knn")):
        assert said in refused(stage)
        assert files(searchable) == before


def edited(tree: Path, name: str = "annoy", **changes: Any) -> None:
    path = tree / layout.index(name, "finetuned") / "index.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def swapped(tree: Path, name: str, by: str) -> None:
    folder = tree / layout.index(name, "finetuned")
    shutil.rmtree(folder)
    shutil.copytree(tree / layout.index(by, "finetuned"), folder)


def data_file(tree: Path) -> Path:
    folder = tree / layout.index("annoy", "finetuned")
    return max(folder.iterdir(), key=lambda path: path.stat().st_size)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda tree: edited(tree, kind="exact"), "has kind exact, not annoy"),
        (lambda tree: swapped(tree, "annoy", "annoy_pca"), "has dimension 4, not 12"),
        (lambda tree: edited(tree, metric="angular"), "has metric angular, not euclidean"),
        (lambda tree: edited(tree, made_for="sha256:00"), "built over other vectors"),
        (lambda tree: edited(tree, count="many"), "index.json is damaged"),
        (lambda tree: os.truncate(data_file(tree), 100), "has 100 bytes"),
        (lambda tree: flipped(data_file(tree)), "has changed since it was written"),
        (lambda tree: data_file(tree).unlink(), "is missing"),
    ],
    ids=["kind", "dimension", "metric", "catalog", "manifest", "cut short", "flipped byte", "missing"],
)
def test_indexes_that_are_not_what_they_should_be(
    spoil: Callable[[Path], None], said: str, searchable: Path, refused: Refused
) -> None:
    spoil(searchable)
    before = files(searchable)
    sentence = refused(evaluate)
    assert said in sentence
    assert layout.index("annoy", "finetuned") in sentence
    assert files(searchable) == before


@pytest.mark.parametrize(
    "spoil",
    [
        lambda tree: swapped(tree, "knn", "annoy"),
        lambda tree: swapped(tree, "knn", "knn_pca"),
        lambda tree: edited(tree, "knn", normalise=False),
        lambda tree: edited(tree, "knn", vectors={}),
        lambda tree: edited(tree, "knn", catalog="sha256:00"),
        lambda tree: (tree / layout.index("knn", "finetuned") / "index.json").write_text("[]"),
        lambda tree: replant(tree, np.ones((40, 12), np.float32)),
    ],
    ids=["kind", "space", "normalised", "no vectors", "catalog", "no note", "other vectors"],
)
def test_an_exact_index_over_other_vectors(
    spoil: Callable[[Path], None], searchable: Path, refused: Refused
) -> None:
    spoil(searchable)
    before = files(searchable)
    sentence = refused(evaluate)
    assert f"{layout.index('knn', 'finetuned')} was built over other vectors" in sentence
    assert files(searchable) == before


def test_an_exact_index_keeps_no_copy_of_its_vectors(searchable: Path) -> None:
    for name in ("knn", "knn_pca"):
        for file in (searchable / "indexes" / name).rglob("*"):
            assert file.is_dir() or file.name == "index.json"


def test_a_group_on_two_sides_of_the_split(searchable: Path, refused: Refused) -> None:
    table = read_table(searchable / layout.CATALOG)
    table.loc[table.index[[0, 20]], "group"] = 7
    write_table(searchable / layout.CATALOG, table)
    before = files(searchable)
    assert "Near-duplicate group 7 stands on two sides of the split" in refused(evaluate)
    assert files(searchable) == before


# ---- as a process ----


@pytest.mark.parametrize(
    ("stage", "said"), [("clean", "leaves 1 usable classes"), ("pca", "catalog.parquet is missing")]
)
def test_a_process_says_one_sentence(stage: str, said: str, tree: Path) -> None:
    pictures(tree / layout.IMAGES, ant=3)
    before = files(tree)
    ended = subprocess.run(
        [sys.executable, "-m", f"ris.lab.stages.{stage}"],
        cwd=tree,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr.startswith("error: ")
    assert ended.stderr.count("\n") == 1
    assert said in ended.stderr
    assert files(tree) == before
