"""Unseen classes stay unseen: what may be learnt from, and the leaks that are refused."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ris.artifacts import read_json, write_json, write_table, writing
from ris.errors import RisError
from ris.indexes.annoy import AnnoyParameters
from ris.indexes.projection import Projection
from ris.lab import layout, unseen
from ris.lab.config import Params, load
from ris.lab.data.features import write_features
from ris.lab.indexing import build_indexes
from ris.lab.inputs import Catalog, read_space
from ris.lab.judging import ask_unseen
from ris.lab.layout import Tree
from ris.lab.stages.pca import pca
from ris.lab.unseen import held_out, write_rows

PROJECT = Path(__file__).parents[2]
CLASSES, PICTURES, DRAWS = 8, 15, (0, 1)
FINETUNED = layout.unseen("finetuned", 1)


@pytest.fixture(scope="module")
def params() -> Params:
    params = load(PROJECT / "params.yaml")
    return params.model_copy(
        update={
            "unseen": params.unseen.model_copy(update={"classes": 2, "draws": DRAWS}),
            "pca": params.pca.model_copy(
                update={
                    "n_components": 6,
                    "pretrained": params.pca.pretrained.model_copy(update={"n_components": 5}),
                }
            ),
            "index_annoy": AnnoyParameters(n_trees=5, search_k=1000),
            "evaluate": params.evaluate.model_copy(update={"k": (1, 5), "latency_k": 5, "bootstrap": 50}),
        }
    )


@pytest.fixture
def tree(params: Params, tmp_path: Path) -> Tree:
    """Drawn vectors of every encoder, with indexes, and notes of what training saw."""
    tree = Tree(tmp_path, tmp_path)
    labels = np.repeat(np.arange(CLASSES), PICTURES)
    groups = np.arange(len(labels))
    groups[1] = groups[PICTURES + 1]  # one near-duplicate across classes 0 and 1
    split = np.array(["query", "train", "train", "train", "validation"] * (len(labels) // 5))
    names = [f"class_{label}" for label in labels]
    table = pd.DataFrame(
        {"path": [f"{name}/{row}.png" for row, name in enumerate(names)], "label": names, "group": groups}
    ).assign(split=split)
    write_table(tree.write(layout.CATALOG), table)
    catalog = Catalog.read(tree)
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((CLASSES, 12))
    for encoder in layout.embedding_encoders(DRAWS):
        vectors = centres[labels] + 2 * rng.standard_normal((len(labels), 12))
        write_features(tree.write(layout.features(encoder)), vectors.astype(np.float32), catalog.sha256)
    with writing(tree.write(layout.CLASSIFIER)) as fresh, fresh.open("wb") as stream:
        np.save(stream, rng.standard_normal((9, 12)).astype(np.float32))
    for draw in DRAWS:
        known = held_out(params, catalog, draw).known(catalog.gallery)
        note = tree.write(layout.rows_trained_on(layout.unseen("finetuned", draw)))
        write_rows(note, known, catalog)
    pca(params, tree)
    for stage in layout.INDEX_STAGES:
        build_indexes(stage, params, tree)
    return tree


def test_what_is_known_is_of_no_held_out_class_and_no_near_duplicate_of_one(
    params: Params, tree: Tree
) -> None:
    catalog = Catalog.read(tree)
    across = 0
    for draw in range(40):
        held = held_out(params, catalog, draw)
        known = catalog.table.iloc[held.known(catalog.gallery)]
        assert len(held.classes) == 2
        assert not known["label"].isin(held.classes).any()
        outside = catalog.table[~catalog.table["label"].isin(held.classes)]
        copies = outside["group"].isin(catalog.table.loc[~catalog.table.index.isin(outside.index), "group"])
        assert len(known) == ((outside["split"] != "query") & ~copies).sum()
        across += int(copies.sum())
        asked = catalog.table.iloc[held.asked(catalog.queries)]
        assert set(asked["label"]) == set(held.classes)
        assert set(asked["split"]) == {"query"}
    assert across > 0


def test_the_projection_of_a_draw_ignores_its_classes(params: Params, tree: Tree) -> None:
    catalog = Catalog.read(tree)
    hidden = held_out(params, catalog, 1).hidden
    projection = tree.read(layout.projection(FINETUNED))
    before = projection.read_bytes()
    vectors = np.load(tree.read(layout.features(FINETUNED)))
    vectors[hidden] += 100
    write_features(tree.write(layout.features(FINETUNED)), vectors, catalog.sha256)
    pca(params, tree)
    assert projection.read_bytes() == before


def test_each_encoder_is_projected_by_its_own_settings(params: Params, tree: Tree) -> None:
    catalog = Catalog.read(tree)
    params = params.model_copy(update={"pca": params.pca.model_copy(update={"sharpness": 5.0})})
    pca(params, tree)
    classifier = np.load(tree.read(layout.CLASSIFIER))
    for encoder, space in {
        "finetuned_unseen0": params.pca,
        "both_unseen0": params.pca,
        "pretrained_unseen0": params.pca.pretrained,
    }.items():
        known = held_out(params, catalog, 0).known(catalog.gallery)
        vectors = read_space(params, tree, catalog, encoder, projected=False)
        expected = Projection.fit(
            vectors[known],
            space.n_components,
            space.whiten,
            params.pca.normalise,
            catalog.labels[known],
            space.shrinkage,
            None if encoder.startswith("both") else classifier,
            space.sharpness,
        )
        found = np.load(tree.read(layout.features(encoder, projected=True)))
        np.testing.assert_allclose(found, expected.apply(vectors), atol=1e-5)


def test_all_draws_are_averaged(params: Params, tree: Tree) -> None:
    found = ask_unseen(params, tree, Catalog.read(tree))
    assert found is not None
    assert set(found) == set(layout.ENCODERS)
    catalog = Catalog.read(tree)
    one = found["finetuned"]["knn_pca"]["precision@1"]
    # By hand: nearest gallery picture of each query, a class of each draw counting once.
    by_draw, values = [], []
    for draw in DRAWS:
        vectors = np.load(tree.read(layout.features(layout.unseen("finetuned", draw), projected=True)))
        held = held_out(params, catalog, draw)
        means = []
        for label in held.classes:
            hits = []
            for row in held.asked(catalog.queries):
                if catalog.table["label"][row] == label:
                    gaps = np.linalg.norm(vectors[catalog.gallery] - vectors[row], axis=1)
                    hits.append(catalog.table["label"][catalog.gallery[int(gaps.argmin())]] == label)
            means.append(np.mean(hits))
            values += hits
        by_draw.append(np.mean(means))
    assert one["macro_by_draw"] == pytest.approx(by_draw, abs=1e-6)
    assert one["macro"] == pytest.approx(np.mean(by_draw), abs=1e-6)
    assert one["micro"] == pytest.approx(np.mean(values), abs=1e-6)
    assert one["n"] == len(values)


def test_classes_new_to_imagenet_and_known_to_it_are_averaged_apart(
    params: Params, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog = Catalog.read(tree)
    drawn = [held_out(params, catalog, draw).classes for draw in DRAWS]
    known = {drawn[0][0]}
    monkeypatch.setattr(unseen, "known_classes", lambda _: frozenset(known))
    found = ask_unseen(params, tree, catalog)
    assert found is not None
    one = found["finetuned"]["knn"]["mAP@R"]
    times = sum(label in known for classes in drawn for label in classes)
    assert (one["n_classes"], one["n_classes_known_to_imagenet"]) == (4, times)
    assert one["n_classes_new_to_imagenet"] == 4 - times
    parts = times * one["macro_known_to_imagenet"] + (4 - times) * one["macro_new_to_imagenet"]
    assert one["macro"] == pytest.approx(parts / 4, abs=1e-6)
    assert one["macro_new_to_imagenet"] != pytest.approx(one["macro_known_to_imagenet"])
    low, high = one["macro_new_to_imagenet_ci95"]
    assert low <= one["macro_new_to_imagenet"] <= high
    assert len(one["macro_new_to_imagenet_by_draw"]) == 2
    monkeypatch.setattr(unseen, "known_classes", lambda _: None)
    found = ask_unseen(params, tree, catalog)
    assert found is not None
    assert "macro_new_to_imagenet" not in found["finetuned"]["knn"]["mAP@R"]


def test_no_draws_no_question(params: Params, tree: Tree) -> None:
    without = params.model_copy(update={"unseen": params.unseen.model_copy(update={"draws": ()})})
    assert ask_unseen(without, tree, Catalog.read(tree)) is None


@pytest.mark.parametrize("note", [layout.rows_trained_on(FINETUNED), layout.rows_fitted_to(FINETUNED)])
def test_a_planted_leak_is_refused(params: Params, tree: Tree, note: str) -> None:
    catalog = Catalog.read(tree)
    leaked = int(held_out(params, catalog, 1).hidden[3])
    learnt = read_json(tree.read(note))
    write_json(tree.write(note), learnt | {"rows": sorted([*learnt["rows"], leaked])})
    with pytest.raises(RisError, match=r"1 pictures of classes held out .* class_\d/\d+\.png among them"):
        ask_unseen(params, tree, catalog)


def test_notes_of_another_catalog_are_refused(params: Params, tree: Tree) -> None:
    note = tree.write(layout.rows_trained_on(FINETUNED))
    write_json(note, read_json(note) | {"catalog": "sha256:0"})
    with pytest.raises(RisError, match=r"unseen/1\.json is of another catalog"):
        ask_unseen(params, tree, Catalog.read(tree))
