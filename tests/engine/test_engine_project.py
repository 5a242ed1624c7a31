"""What `dvc repro` made, opened as a store: it answers what the pipeline's own search answers."""

import json
import shutil
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from ris.cli.app import app
from ris.engine import Filter, ReadOnlyError, SearchEngine, is_store
from ris.errors import RisError
from ris.images.decoding import read_image
from ris.lab import layout
from ris.lab.config import Params, check
from ris.lab.inputs import Catalog, read_index, read_space
from ris.lab.layout import Tree
from ris.lab.reranked import reranked
from ris.lab.same_picture import open_search

STAGES = ("fetch", "clean", "finetune", "extract", "pca", "index_knn", "index_annoy", "same_picture", "tsne")
Draw = Callable[..., Image.Image]
SMALL = {
    "backbone": {"model": "test_resnet", "dimension": 96, "resize": 32, "crop": 32},
    "finetune": {"epochs": 0},
    "extract": {"workers": 0, "batch_size": 8},
    "same_picture": {"n_components": 16, "queries": 2, "absent": 2, "workers": 1},
    "tsne": {"n_components": 4, "perplexity": 5, "max_iter": 250, "thumbnails": 4},
    "evaluate": {"bootstrap": 10},
}


@pytest.fixture(scope="module")
def params(small_params: str, tmp_path_factory: pytest.TempPathFactory, texture: Draw) -> Params:
    pictures = tmp_path_factory.mktemp("pictures")
    for number in range(36):
        (pictures / f"class{number % 3}").mkdir(exist_ok=True)
        texture(number, 100, 80).save(pictures / f"class{number % 3}" / f"{number:02d}.png")
    (pictures / "class0" / "bad.png").write_text("bad")
    raw = yaml.safe_load(small_params)
    raw["data"]["source"] = str(pictures)
    for section, values in SMALL.items():
        raw[section].update(values)
    return check(raw)


@pytest.fixture(scope="module")
def project(params: Params, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("project")
    (root / "params.yaml").write_text(yaml.safe_dump(params.model_dump(mode="json")))
    tree = Tree(root, root)
    for name in STAGES:
        module = import_module(f"ris.lab.stages.{name}")
        vars(module)["train" if name == "finetune" else name](params, tree)
    return root


@pytest.fixture(scope="module")
def engine(project: Path) -> SearchEngine:
    return SearchEngine.open(project)


@pytest.fixture(scope="module")
def catalog(project: Path) -> Catalog:
    return Catalog.read(Tree(project, project))


def test_the_gallery_is_what_is_searched(engine: SearchEngine, catalog: Catalog, project: Path) -> None:
    assert is_store(project)
    assert [picture.row for picture in engine.pictures()] == catalog.gallery.tolist()
    for picture in engine.pictures():
        line = catalog.table.iloc[picture.row]
        assert (picture.path, picture.label, picture.sha256) == (line["path"], line["label"], line["sha256"])
        assert (picture.width, picture.height) == (100, 80)
        assert picture.bytes == engine.file(picture.row).stat().st_size
    assert [one.path for one in engine.rejected()] == ["class0/bad.png"]
    info = engine.info()
    assert (info.read_only, info.local_features, info.regions, info.format) == (True, True, True, 0)
    assert info.dimension == 96
    assert info.bytes > 0


@pytest.mark.parametrize("name", layout.INDEXES)
def test_indexes_answer_as_the_project_does(
    engine: SearchEngine, project: Path, params: Params, catalog: Catalog, name: str
) -> None:
    tree = Tree(project, project)
    space = read_space(params, tree, catalog, "finetuned", layout.projected(name))
    index = read_index(tree, catalog, name, "finetuned", space.shape[1])
    for row in catalog.queries[:5]:
        distances, rows = index.search(space[[row]], 6)
        hits = engine.search(catalog.files(np.array([row]))[0], 6, index=name)
        assert [hit.row for hit in hits] == rows[0].tolist()
        np.testing.assert_allclose([hit.distance for hit in hits], distances[0], atol=1e-3)


def test_re_ranking_answers_as_the_project_does(
    engine: SearchEngine, project: Path, params: Params, catalog: Catalog
) -> None:
    search, vectors = reranked(params, Tree(project, project), catalog, "finetuned")
    for row in catalog.queries[:5]:
        distances, rows = search.search(vectors[[row]], 6)
        hits = engine.search(catalog.files(np.array([row]))[0], 6, index="reranked")
        np.testing.assert_allclose([hit.distance for hit in hits], distances[0], atol=1e-3)
        assert hits[0].row == rows[0, 0]


def test_find_answers_as_the_project_does(
    engine: SearchEngine, project: Path, params: Params, catalog: Catalog
) -> None:
    search = open_search(params, Tree(project, project), catalog)
    for row in (*catalog.gallery[:4], *catalog.queries[:3]):
        image = read_image(catalog.files(np.array([row]))[0], 10**6).crop((10, 10, 90, 70))
        answer = search.search(image)
        finding = engine.find(image, len(catalog.gallery))
        proven = [(proof.row, proof.inliers) for proof in answer.verified]
        assert [(hit.row, hit.inliers) for hit in finding.hits][: len(proven)] == proven
        assert {hit.row for hit in finding.hits} == set(answer.candidates.tolist())
        assert finding.here is (row in catalog.gallery)


def test_regions_and_whitened_vectors_rank_as_the_project_does(
    engine: SearchEngine, project: Path, params: Params, catalog: Catalog
) -> None:
    search = open_search(params, Tree(project, project), catalog)
    candidates = engine._snapshot.candidates
    assert candidates is not None
    image = read_image(catalog.files(catalog.queries[:1])[0], 10**6)
    query = search.look(image)
    rankings = search.rankings(search.embed(query.pixels), query.features)
    assert engine._networks.views is not None
    views = engine._embedding.embed(engine._networks.views, query.pixels)
    everything = np.ones(len(catalog.gallery), bool)
    cosines = candidates.whole.cosines(views)
    distances, rows = rankings["whitened"]
    assert distances is not None
    np.testing.assert_allclose(np.sqrt(np.sort(2 - 2 * cosines[:, 0])), distances, atol=1e-3)
    assert catalog.gallery[np.argsort(-cosines[:, 0])].tolist() == rows.tolist()
    assert candidates.regions is not None
    of_regions = candidates.regions.cosines(views[:1]).reshape(len(everything), 5).max(axis=1)
    assert catalog.gallery[np.argsort(-of_regions)].tolist() == rankings["regions"][1].tolist()
    best = cosines.max(axis=1)
    assert catalog.gallery[np.argsort(-best)].tolist() == rankings["views"][1].tolist()


def test_filters_and_rows_work_as_in_a_store(engine: SearchEngine) -> None:
    first = engine.pictures()[0]
    hits = engine.search(first.row, 50, where=Filter(labels=("class1",)))
    assert {hit.label for hit in hits} == {"class1"}
    assert first.row not in {hit.row for hit in engine.search(first.row, 50)}
    assert len(engine.duplicates()) == 0


def test_the_map_is_the_projects(engine: SearchEngine, project: Path) -> None:
    table = pd.read_csv(project / layout.TSNE).set_index("path")
    rows, places = engine.map()
    for row, place in zip(rows.tolist(), places, strict=True):
        np.testing.assert_allclose(
            place, table.loc[engine.picture(row).path, ["x", "y"]].to_numpy(float), rtol=1e-5
        )
    x, y = engine.place(engine.pictures()[3].row)
    assert table["x"].min() <= x <= table["x"].max()
    assert table["y"].min() <= y <= table["y"].max()


def test_a_project_is_not_written(engine: SearchEngine, project: Path) -> None:
    before = {file: file.stat().st_mtime_ns for file in project.rglob("*")}
    for write in (
        engine.sync,
        lambda: engine.remove(["class0"]),
        lambda: engine.add([engine.folder]),
        lambda: engine.set_columns(pd.DataFrame({"path": ["a"]})),
        lambda: next(engine.watch()),
    ):
        with pytest.raises(ReadOnlyError, match="is a project, which `dvc repro` makes; it is only read"):
            write()
    assert not engine.refresh()
    assert {file: file.stat().st_mtime_ns for file in project.rglob("*")} == before


def test_verify_tells_what_is_damaged(project: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(project, tmp_path / "copy", symlinks=True)
    with SearchEngine.open(copy) as engine:
        assert engine.verify() == []
        for name in (
            "indexes/annoy/finetuned/trees.ann",
            "data/features_pca/finetuned.npy",
            "data/local_features/points.npy",
            "models/same_picture/space.npz",
        ):
            data = bytearray((copy / name).read_bytes())
            data[-9] ^= 1
            (copy / name).write_bytes(data)
        assert len(engine.verify()) == 4


@pytest.mark.parametrize(
    "name",
    [
        "data/features/finetuned.npy",
        "models/encoder/weights.safetensors",
        "data/catalog.parquet",
        "params.yaml",
    ],
)
def test_what_is_damaged_or_missing_is_refused(project: Path, tmp_path: Path, name: str) -> None:
    copy = shutil.copytree(project, tmp_path / "copy", symlinks=True)
    data = (copy / name).read_bytes()
    (copy / name).write_bytes(data[: len(data) // 2])
    with pytest.raises(RisError) as caught:
        SearchEngine.open(copy)
    assert "\n" not in str(caught.value)
    (copy / name).unlink()
    with pytest.raises(RisError) as caught:
        SearchEngine.open(copy)
    assert "\n" not in str(caught.value)


def test_the_command_searches_a_project_and_does_not_change_it(
    engine: SearchEngine, project: Path, catalog: Catalog
) -> None:
    query = catalog.files(catalog.queries[:1])[0]
    ended = CliRunner().invoke(app, ["search", str(project), str(query), "-k", "5", "--json"])
    (answer,) = json.loads(ended.stdout)
    hits = engine.search(query, 5)
    assert [hit["picture"]["path"] for hit in answer["hits"]] == [hit.path for hit in hits]
    refused = CliRunner().invoke(app, ["sync", str(project)])
    assert refused.exit_code == 1
    assert "which `dvc repro` makes; it is only read" in " ".join(refused.stderr.split())
    judged = CliRunner().invoke(app, ["evaluate", str(project)])
    assert judged.exit_code == 1
    assert "have learnt from these labels; read what its queries found" in " ".join(judged.stderr.split())


def test_vectors_of_another_catalog_are_refused(project: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(project, tmp_path / "copy", symlinks=True)
    table = pd.read_parquet(copy / layout.CATALOG)
    table.assign(label="other").to_parquet(copy / layout.CATALOG, index=False)
    with pytest.raises(RisError, match="another catalog"):
        SearchEngine.open(copy)


def test_a_project_without_the_same_picture_is_searched_all_the_same(project: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(project, tmp_path / "copy", symlinks=True)
    shutil.rmtree(copy / layout.SAME_PICTURE_MODEL)
    with SearchEngine.open(copy) as engine:
        assert engine.info().local_features is False
        row = engine.pictures()[0].row
        assert engine.search(row, 1)[0].same_picture is None
        assert engine.find(row).here is None
