"""The whole pipeline by `dvc repro`, with the mission's ResNet-50 on a handful of small pictures."""

import json
import os
import re
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from ris.copies.edits import FIFTEEN
from ris.engine import Hit, SearchEngine
from ris.images.decoding import read_image
from ris.lab import config, layout
from ris.lab.demo import grow
from ris.lab.gallery import read_gallery
from ris.lab.inputs import Catalog
from ris.lab.layout import Tree
from ris.lab.same_picture import open_finder

PROJECT = Path(__file__).parents[2]
CLASSES, PICTURES = 4, 12
TIMED = {"reports/timings", "reports/latency.json", "reports/recall_latency", "reports/index.html"}


def draw_pictures(folder: Path) -> None:
    rng = np.random.default_rng(0)
    for label in range(CLASSES):
        (folder / f"class{label}").mkdir(parents=True)
        for number in range(PICTURES):
            ramp = np.linspace(0, 6 * (label + 1) + rng.random(), 72)
            waves = 120 + 60 * np.sin(ramp[:, None] * (label % 2) + ramp[None, :])
            pixels = waves[..., None] + rng.normal(0, 25, (72, 72, 3))
            picture = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
            picture.save(folder / f"class{label}" / f"image_{number:04d}.png")


def dvc(tree: Path, *arguments: str) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=tree,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def ran(output: str) -> list[str]:
    return re.findall(r"Running stage '(\w+)'", output)


def made(tree: Path) -> dict[str, bytes]:
    """Every output that DVC knows of."""
    lock = yaml.safe_load((tree / "dvc.lock").read_text())
    outputs = [tree / out["path"] for stage in lock["stages"].values() for out in stage["outs"]]
    files = [file for out in outputs for file in (out, *out.rglob("*")) if file.is_file()]
    return {file.relative_to(tree).as_posix(): file.read_bytes() for file in files}


@pytest.fixture(scope="module")
def overrides(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("pictures") / "mine"
    draw_pictures(folder)
    return [
        "data=folder",
        f"data.source={folder}",
        "experiment=resnet50",
        "threads=1",
        "backbone.resize=72",
        "backbone.crop=64",
        "backbone.weights.source='random:'",
        "clean.near_duplicates.words=64",
        "finetune.epochs=1",
        "finetune.batch_size=8",
        "finetune.train_size=64",
        "finetune.workers=1",
        "extract.workers=1",
        "pca.n_components=16",
        "pca.pretrained.n_components=16",
        "pca.pretrained.sharpness=8",
        "index_annoy.n_trees=5",
        "unseen.classes=1",
        "unseen.draws=[0]",
        "same_picture.queries=6",
        "same_picture.absent=4",
        "same_picture.false_positive_rate=0.5",  # so few strangers there are
        "same_picture.store.photographs=8",
        "same_picture.store.instances=1",
        "same_picture.store.edits=[crop50,caption]",
        "same_picture.store.families=[plain]",
        "same_picture.local_features.gallery=100",
        "evaluate.bootstrap=50",
        "evaluate.k=[1,5]",
        "evaluate.latency_k=5",
        "evaluate.neighbours=5",
        "evaluate.latency_queries=4",
        "evaluate.curve_trees=[2]",
        "evaluate.curve_search_k=[10,20]",
        "evaluate.sample_queries=1",
        "tsne.max_iter=250",
        "tsne.thumbnails=10",
    ]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory, overrides: list[str]) -> Path:
    tree = tmp_path_factory.mktemp("first") / "tree"
    grow(tree, PROJECT, overrides)
    assert len(ran(dvc(tree, "repro"))) == 10
    return tree


def test_all_is_made_and_of_the_right_shape(tree: Path) -> None:
    questions = json.loads((tree / "reports/metrics.json").read_text())
    assert set(questions) == {"same_class", "classifiers", "unseen_class", "same_picture"}
    first = questions["classifiers"]["pretrained"]["first_hit"]
    assert first["micro"] == questions["same_class"]["pretrained"]["knn"]["precision@1"]["micro"]
    assert set(questions["classifiers"]["both"]) == {"first_hit", "nearest_class_mean", "linear_probe"}
    headline = json.loads((tree / "reports/headline.json").read_text())
    assert (
        headline["same_class"]["finetuned"]["knn_pca"]["mAP@R"]["macro"]
        == (questions["same_class"]["finetuned"]["knn_pca"]["mAP@R"]["macro"])
    )
    same_class = questions["same_class"]
    for question in (same_class, questions["unseen_class"]):
        assert set(question) == set(layout.ENCODERS)
        for encoder in question.values():
            assert set(encoder) == {*layout.INDEXES, layout.RERANKED}
            for metrics in encoder.values():
                low, high = metrics["precision@5"]["macro_ci95"]
                assert 0 <= low <= metrics["precision@5"]["macro"] <= high <= 1
    same_picture = questions["same_picture"]
    assert set(same_picture["finetuned"]) == set(layout.INDEXES)
    several = {"words", "whitened", "regions", "views", "fingerprint", "candidates", "verified"}
    assert set(same_picture["pretrained"]) == {*layout.INDEXES, *several}
    store = same_picture.pop("store")
    assert list(store["per_edit"]) == list(store["per_edit_n"]) == ["crop50", "caption"]
    assert list(store["strangers"]) == list(store["strangers_ci95"]) == ["plain"]
    for encoder in same_picture.values():
        for metrics in encoder.values():
            assert metrics["recall@1"]["n"] == 6 * 15
            assert list(metrics["recall@1"]["per_edit"]) == list(FIFTEEN)
    verified = same_picture["pretrained"]["verified"]["recall@1"]
    assert verified["per_edit"]["caption"] == verified["per_edit"]["colour"] == 1.0
    assert json.loads((tree / "models/same_picture/evidence.json").read_text())["threshold"] >= 0
    assert np.load(tree / "data/features/finetuned.npy").shape == (CLASSES * PICTURES, 2048)
    assert np.load(tree / "data/features_pca/pretrained.npy").shape == (CLASSES * PICTURES, 16)
    assert np.load(tree / "models/pca/pretrained.npz")["classifier"].shape == (1000, 2048)
    assert pd.read_csv(tree / "reports/same_picture.csv")["distance"].between(0, 1.99).mean() > 0.9
    assert list((tree / ".ris/finetune").iterdir()) == []  # no checkpoint of a finished training
    page = (tree / "reports/index.html").read_text()
    assert f"{same_class['finetuned']['knn_pca']['mAP@R']['macro']:.3f}" in page


def test_a_second_run_does_nothing(tree: Path) -> None:
    assert ran(dvc(tree, "repro")) == []


def test_a_colleague_pulls_instead_of_training(tree: Path, tmp_path: Path) -> None:
    """What git would hold is copied; the rest comes from a remote."""
    remote, clone = tmp_path / "remote", tmp_path / "clone"
    dvc(tree, "remote", "add", "--default", "--force", "team", str(remote))
    dvc(tree, "push")
    ignored = {f"{tree}/data", f"{tree}/models", f"{tree}/indexes", f"{tree}/.dvc/cache", f"{tree}/.dvc/tmp"}
    shutil.copytree(
        tree, clone, ignore=lambda folder, names: [name for name in names if f"{folder}/{name}" in ignored]
    )
    dvc(clone, "pull")
    assert made(clone) == made(tree)
    assert ran(dvc(clone, "repro")) == []


def test_two_runs_from_nothing_give_the_same_bytes(tree: Path, tmp_path: Path, overrides: list[str]) -> None:
    again = tmp_path / "tree"
    grow(again, PROJECT, overrides)
    dvc(again, "repro")
    # Lance names its files at random: what they hold must be the same.
    first, second = (
        {name: data for name, data in made(one).items() if not name.startswith(layout.STORE)}
        for one in (tree, again)
    )
    assert set(first) == set(second)
    assert len(first) > 40
    differing = {name for name in first if first[name] != second[name]}
    with SearchEngine.open(tree / layout.STORE) as one, SearchEngine.open(again / layout.STORE) as other:
        assert one.verify() == other.verify() == []
        assert [picture.path for picture in one.pictures()] == [picture.path for picture in other.pictures()]
        assert one.vectors()[1].tobytes() == other.vectors()[1].tobytes()
        query = one.vectors()[1][:1]
        for index in one.indexes:
            np.testing.assert_array_equal(one.nearest(query, 5, index), other.nearest(query, 5, index))
        catalog = Catalog.read(Tree(tree, tree))
        assert len(one) == len(catalog.gallery)
        judged = read_gallery(config.load(tree / "params.yaml"), Tree(tree, tree), catalog, "finetuned")
        names = judged.catalogue.paths(judged.nearest("knn_pca", query[0], 5)[1])
        assert [one.picture(int(row)).path for row in one.nearest(query, 5, "knn_pca")[1][0]] == names
    assert {name for name in differing if not any(name.startswith(timed) for timed in TIMED)} == set()


def test_the_published_store_finds_what_the_judged_gallery_finds(tree: Path) -> None:
    place = Tree(tree, tree)
    params, catalog = config.load(tree / "params.yaml"), Catalog.read(place)
    finder = open_finder(params, place, catalog)
    originals = [read_image(file, params.clean.max_pixels) for file in catalog.files(catalog.gallery[::9])]
    strangers = [read_image(file, params.clean.max_pixels) for file in catalog.files(catalog.queries[:2])]
    cropped = [image.crop((10, 6, 62, 54)) for image in originals]
    turned = [image.transpose(Image.Transpose.ROTATE_90) for image in originals]
    with SearchEngine.open(tree / layout.STORE, threads=1) as engine:
        gallery = engine._gallery
        shipped, judged = gallery.candidates, finder.gallery.candidates
        assert shipped is not None
        assert judged is not None
        assert shipped.regions is not None
        assert judged.regions is not None
        assert gallery.networks[1] == finder.spaces.network
        assert gallery.threshold.evidence == finder.gallery.threshold.evidence
        order = gallery.shown  # the pictures of either are in the catalog's order
        np.testing.assert_allclose(shipped.whole.vectors[order], judged.whole.vectors, atol=1e-6)
        found_here = 0
        for image in [*originals, *cropped, *turned, *strangers]:
            expected, found = finder.find(image, 5), engine.find(image, 5)
            assert (found.here, found.false_positive_rate) == (expected.here, expected.false_positive_rate)
            assert [answer(hit) for hit in found.hits] == [answer(hit) for hit in expected.hits]
            far, expected_far = ([hit.distance for hit in one.hits] for one in (found, expected))
            np.testing.assert_allclose(far, expected_far, atol=1e-4)
            found_here += bool(found.here)
        assert found_here >= len(originals)


def answer(hit: Hit) -> tuple[Any, ...]:
    return hit.path, hit.relation, round(hit.evidence, 6), hit.inliers, hit.mirrored


def change(tree: Path, section: str, key: str, value: Any) -> None:
    params = yaml.safe_load((tree / "params.yaml").read_text())
    params[section][key] = value
    (tree / "params.yaml").write_text(yaml.safe_dump(params))


def test_the_number_of_trees_runs_only_what_follows_from_it(tree: Path) -> None:
    before = (tree / "params.yaml").read_text()
    change(tree, "index_annoy", "n_trees", 3)
    assert ran(dvc(tree, "repro")) == ["index_annoy", "same_picture", "evaluate"]
    (tree / "params.yaml").write_text(before)
    dvc(tree, "repro")


def test_a_sweep_keeps_what_each_job_ran_with_and_ends_in_one_table(tree: Path) -> None:
    command = [sys.executable, "-m", "ris.lab.sweep", "--multirun", "pca.n_components=4,8"]
    environment = {**os.environ, "PYTHONPATH": str(tree / "src")}
    run = partial(subprocess.run, cwd=tree, env=environment, capture_output=True, text=True, check=False)
    done = run(command)
    assert done.returncode == 0, done.stderr
    (folder,) = (tree / "multirun").iterdir()
    table = pd.read_csv(folder / "jobs.csv")
    assert table["pca.n_components"].tolist() == [4] * 5 + [8] * 5
    assert list(table["index"][:5]) == [*layout.INDEXES, layout.RERANKED]
    for job, n_components in (("0", 4), ("1", 8)):
        assert config.load(folder / job / "params.yaml").pca.n_components == n_components
        found = json.loads((folder / job / "reports/metrics.json").read_text())["same_class"]["finetuned"]
        row = table[(table["job"] == int(job)) & (table["index"] == "knn_pca")].iloc[0]
        assert row["mAP@R macro"] == found["knn_pca"]["mAP@R"]["macro"]
    assert done.stdout.splitlines()[0].split() == [
        "job",
        "pca.n_components",
        "index",
        "mAP@R",
        "macro",
        "p50_ms",
    ]
    refused = run([*command[:-1], "finetune.learning_rate=0.01,0.1"])
    assert refused.returncode == 1
    assert refused.stderr.startswith(
        "error: `finetune.learning_rate` changes nothing here: sweep reads seed, "
    )


def test_k_of_the_report_trains_nothing(tree: Path) -> None:
    before = (tree / "params.yaml").read_text()
    change(tree, "evaluate", "k", [1, 3, 5])
    assert set(json.loads(dvc(tree, "status", "--json"))) == {"evaluate"}
    (tree / "params.yaml").write_text(before)
