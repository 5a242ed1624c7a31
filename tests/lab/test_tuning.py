"""A sweep over the search: what it is judged by, what it keeps, and what it chooses."""

from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
import pytest

from ris.artifacts import write_table
from ris.indexes.projection import Projection
from ris.indexes.registry import REGISTRY
from ris.lab import layout, tuning
from ris.lab.config import Params, check, load
from ris.lab.data.features import write_features
from ris.lab.inputs import Catalog, read_space
from ris.lab.layout import Tree
from ris.lab.tuning import LATENCY, QUALITY, Tuning, choose, judged, tune
from ris.lab.unseen import held_out
from ris.metrics.judge import Question

PROJECT = Path(__file__).parents[2]
CLASSES, PICTURES = 6, 15
SPACE: dict[str, list[Any]] = {
    "index": ["knn", "knn_pca", "annoy", "reranked"],
    "pca.n_components": [2, 4],
    "index_annoy.n_trees": [5],
    "reranking.expanded": [3],
}
SETTINGS = Tuning(trials=6, encoder="finetuned", tolerance=0.01, space=SPACE)


@pytest.fixture(scope="module")
def params() -> Params:
    return load(PROJECT / "params.yaml")


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """A catalog and vectors of both encoders."""
    tree = Tree(tmp_path, tmp_path)
    labels = np.repeat(np.arange(CLASSES), PICTURES)
    split = ["query", "train", "train", "train", "validation"] * (len(labels) // 5)
    names = [f"class_{label}" for label in labels]
    table = pd.DataFrame({"path": names, "label": names, "group": np.arange(len(labels)), "split": split})
    write_table(tree.write(layout.CATALOG), table)
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((CLASSES, 12))[labels] + rng.standard_normal((len(labels), 12))
    for encoder in ("finetuned", "pretrained"):
        write_features(
            tree.write(layout.features(encoder)), vectors.astype(np.float32), Catalog.read(tree).sha256
        )
    return tree


def test_quality_is_that_of_validation_among_training_pictures(params: Params, tree: Tree) -> None:
    catalog = Catalog.read(tree)
    vectors = np.load(tree.read(layout.features("finetuned"))).astype(np.float64)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    by_class: dict[int, list[float]] = {}
    for query in catalog.rows("validation"):
        order = sorted(catalog.rows("train"), key=lambda row: np.linalg.norm(vectors[row] - vectors[query]))
        right = [catalog.labels[row] == catalog.labels[query] for row in order[: 3 * PICTURES // 5]]
        precisions = [np.mean(right[: rank + 1]) for rank, hit in enumerate(right) if hit]
        by_class.setdefault(int(catalog.labels[query]), []).append(sum(precisions) / len(right))
    expected = np.mean([np.mean(values) for values in by_class.values()])
    quality, p50_ms = judged(params, tree, catalog, "finetuned", "knn")
    assert quality == pytest.approx(expected, abs=1e-6)
    assert p50_ms > 0


@pytest.mark.parametrize("index", ["knn", "knn_pca", "annoy_pca", "reranked"])
def test_queries_decide_nothing(params: Params, tree: Tree, index: str) -> None:
    catalog = Catalog.read(tree)
    small = params.model_copy(update={"pca": params.pca.model_copy(update={"n_components": 4})})
    before = judged(small, tree, catalog, "finetuned", index)[0]
    path = tree.read(layout.features("finetuned"))
    vectors = np.load(path)
    vectors[catalog.queries] = np.random.default_rng(1).standard_normal((len(catalog.queries), 12))
    write_features(path, vectors, catalog.sha256)
    assert judged(small, tree, catalog, "finetuned", index)[0] == before


def small(params: Params, **pca: Any) -> Params:
    raw = params.model_dump()
    raw["pca"] |= {"n_components": 4} | pca
    raw["pca"]["pretrained"] |= {"n_components": 3, "shrinkage": 0.5}
    raw["unseen"]["classes"] = 2
    return check(raw)


def test_of_classes_that_are_unknown_these_alone_are_asked(
    params: Params, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog, few = Catalog.read(tree), small(params)
    hidden = held_out(few, catalog, 3).hidden
    fitted_to, asked = [], []
    fit, of = Projection.fit, Question.among

    def seen_fit(vectors: Any, *arguments: Any) -> Projection:
        fitted_to.append(vectors)
        return fit(vectors, *arguments)

    def seen_of(queries: Any, *arguments: Any) -> Question:
        asked.append(queries)
        return of(queries, *arguments)

    monkeypatch.setattr(Projection, "fit", seen_fit)
    monkeypatch.setattr(Question, "among", seen_of)
    judged(few, tree, catalog, "pretrained_unseen3", "knn_pca")
    train, validation = catalog.rows("train"), catalog.rows("validation")
    np.testing.assert_array_equal(asked[0], np.intersect1d(validation, hidden))
    vectors = read_space(few, tree, catalog, "pretrained", projected=False)
    np.testing.assert_array_equal(fitted_to[0], vectors[np.setdiff1d(train, hidden)])


@pytest.mark.parametrize(
    ("encoder", "dimensions"), [("finetuned", 4), ("pretrained", 3), ("both_unseen0", 4)]
)
def test_an_encoder_is_tuned_from_its_own_projection(
    params: Params, tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoder: str, dimensions: int
) -> None:
    space: dict[str, list[Any]] = {"index": ["knn_pca"], "pca.whiten": [0.0, 0.5]}
    settings = Tuning(trials=2, encoder=encoder, tolerance=0.01, space=space)
    tried = []

    def noted(params: Params, *_: Any) -> tuple[float, float]:
        tried.append(params.pca.n_components)
        return 0.5, 1.0

    monkeypatch.setattr(tuning, "judged", noted)
    monkeypatch.setattr(tuning, "checksum", lambda _: "")
    tune(small(params), settings, tree, tmp_path / "trials")
    assert tried == [dimensions] * 2


def test_what_is_not_tried_makes_another_sweep(
    params: Params, tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "judged", lambda *_: (0.5, 1.0))
    space: dict[str, list[Any]] = {"index": ["knn_pca"], "pca.whiten": [0.0, 0.5]}
    settings = Tuning(trials=2, encoder="finetuned", tolerance=0.01, space=space)
    for pca in ({}, {"whiten": 0.5}, {"shrinkage": 0.2}):
        tune(small(params, **pca), settings, tree, tmp_path / "trials")
    assert len(list((tmp_path / "trials").glob("*.db"))) == 2


def test_a_sweep_goes_on_where_it_was_killed(
    params: Params, tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []

    def killed_at_the_fourth(*arguments: Any) -> tuple[float, float]:
        tried.append(arguments)
        if len(tried) == 4:
            raise KeyboardInterrupt
        return judged(*arguments)

    monkeypatch.setattr(tuning, "judged", killed_at_the_fourth)
    with pytest.raises(KeyboardInterrupt):
        tune(params, SETTINGS, tree, tmp_path / "trials")
    table, front = tune(params, SETTINGS, tree, tmp_path / "trials")
    assert len(tried) == 7
    assert len(table) == 6
    assert table["trial"].tolist()[:3] == [0, 1, 2]
    again, _ = tune(params, SETTINGS, tree, tmp_path / "trials")
    assert len(tried) == 7
    pd.testing.assert_frame_equal(again, table)
    for one in front:
        better = (table[QUALITY] >= one[QUALITY]) & (table[LATENCY] < one[LATENCY])
        assert not better.any()


def test_the_settings_as_they_are_come_first(params: Params, tree: Tree, tmp_path: Path) -> None:
    n_trees = params.index_parameters(REGISTRY["annoy"])["n_trees"]
    space = SPACE | {"pca.n_components": [2, 4], "index_annoy.n_trees": [5, n_trees]}
    small = params.model_copy(update={"pca": params.pca.model_copy(update={"n_components": 4})})
    table, _ = tune(small, SETTINGS.model_copy(update={"space": space}), tree, tmp_path / "trials")
    # Not re-ranking, whose `expanded` is not among those to choose from.
    assert table["index"].tolist()[:3] == ["knn", "knn_pca", "annoy"]
    assert table["pca.n_components"][1] == 4
    assert table["index_annoy.n_trees"][2] == n_trees


def test_settings_that_do_not_matter_are_not_told(params: Params, tree: Tree, tmp_path: Path) -> None:
    table, _ = tune(params, SETTINGS.model_copy(update={"trials": 12}), tree, tmp_path / "trials")
    projected = table["index"].isin(["knn_pca", "reranked"])
    assert table["pca.n_components"].notna().equals(projected)
    assert table["index_annoy.n_trees"].notna().equals(table["index"] == "annoy")


def test_the_fastest_of_the_good_ones_is_chosen() -> None:
    table = pd.DataFrame(
        {QUALITY: [0.90, 0.899, 0.89, 0.95], LATENCY: [3.0, 0.5, 0.1, 9.0], "trial": range(4)}
    )
    assert choose(table.iloc[:3], 0.002)["trial"] == 1
    assert choose(table.iloc[:3], 0.0)["trial"] == 0
    assert choose(table, 0.002)["trial"] == 3


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("trials=0", "trials"),
        ("trails=3", "trails"),
        ("encoder=other", "`encoder` is other"),
        ("encoder=pretrained_unseen", "`encoder` is pretrained_unseen"),
        ("space={index: [knn], pca.pretrained.whiten: [0.5]}", "`space` has pca.pretrained.whiten"),
        ("space={index: [knn, hnsw]}", "`space` has the index hnsw; choose of knn, knn_pca, annoy,"),
        ("space={index: [knn], pca.size: [3]}", "Unknown key `pca.size`"),
    ],
)
def test_bad_settings_are_one_sentence(
    override: str, told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(PROJECT)
    monkeypatch.setattr("sys.argv", ["tuning", override])
    with pytest.raises(SystemExit, match="1"):
        tuning.main()
    assert told in capsys.readouterr().err


def test_the_studies_of_other_vectors_are_other_studies(params: Params, tree: Tree, tmp_path: Path) -> None:
    one = SETTINGS.model_copy(update={"trials": 1})
    tune(params, one, tree, tmp_path / "trials")
    path = tree.read(layout.features("finetuned"))
    write_features(path, np.load(path) + 1, Catalog.read(tree).sha256)
    tune(params, one, tree, tmp_path / "trials")
    names = [optuna.get_all_study_names(f"sqlite:///{file}") for file in (tmp_path / "trials").glob("*.db")]
    assert names == [["search"], ["search"]]
