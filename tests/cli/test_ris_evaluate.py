from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torchmetrics.functional.retrieval import retrieval_hit_rate, retrieval_precision

from ris.engine import SearchEngine

Ris = Callable[..., Any]


@pytest.fixture(scope="module")
def judged(ris: Ris, store: Path) -> dict[str, Any]:
    answer: dict[str, Any] = ris("evaluate", store, "--json").json
    return answer


def test_what_was_asked_is_told(judged: dict[str, Any]) -> None:
    assert judged["pictures"] == 22
    assert (judged["labels"], judged["queries"]) == (4, 21)
    assert judged["not_asked"] == {"no_label": 1, "alone": 0}
    assert judged["near_duplicates"] == {"looked_for": True, "groups": 1, "pictures": 2}
    assert list(judged["indexes"]) == ["knn", "knn_pca", "reranked"]


def test_the_metrics_are_torchmetrics_own(judged: dict[str, Any], store: Path) -> None:
    with SearchEngine.open(store) as engine:
        vectors = torch.from_numpy(engine.vectors()[1].astype(np.float64))
        labels = [picture.label for picture in engine.pictures()]
    closeness = 3 - torch.cdist(vectors, vectors)
    asked = [place for place, label in enumerate(labels) if label]
    values: dict[str, list[float]] = {}
    for query in asked:
        others = torch.tensor([place for place in asked if place != query])
        right = torch.tensor([labels[place] == labels[query] for place in others])
        for k in (1, 5, 10):
            depth, scores = min(k, int(right.sum())), closeness[query][others]
            precision = float(retrieval_precision(scores, right, top_k=depth))
            values.setdefault(f"precision@{k}", []).append(precision)
            values.setdefault(f"recall@{k}", []).append(float(retrieval_hit_rate(scores, right, top_k=k)))
    averages = judged["indexes"]["knn"]
    for name, of_queries in values.items():
        by_label: dict[str, list[float]] = {}
        for query, value in zip(asked, of_queries, strict=True):
            by_label.setdefault(labels[query], []).append(value)
        macro = np.mean([np.mean(one) for one in by_label.values()])
        assert averages[name]["micro"] == pytest.approx(np.mean(of_queries), abs=1e-6), name
        assert averages[name]["macro"] == pytest.approx(macro, abs=1e-6), name
        low, high = averages[name]["macro_ci95"]
        assert low <= macro <= high
    assert averages["precision@10"]["capped_queries"] == 21


def test_an_approximate_index_is_held_against_its_exact_one(
    ris: Ris, judged: dict[str, Any], with_annoy: Path
) -> None:
    indexes = ris("evaluate", with_annoy, "--json").json["indexes"]
    assert list(indexes) == ["knn", "knn_pca", "annoy", "annoy_pca", "reranked"]
    for index in ("annoy", "annoy_pca"):
        assert indexes[index]["ann_recall@10"]["micro"] == pytest.approx(1, abs=0.05)
    assert {name: indexes[name] for name in judged["indexes"]} == judged["indexes"]
    assert not any("ann_recall@10" in judged["indexes"][name] for name in judged["indexes"])


def test_near_duplicates_of_the_query_have_no_part_in_a_re_ranked_answer(
    ris: Ris, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left_out: list[set[int]] = []
    nearest = SearchEngine.nearest

    def noted(engine: SearchEngine, vectors: Any, k: int, index: str, without: Any) -> Any:
        if without is not None:
            left_out.extend(set(rows.tolist()) for rows in without)
        return nearest(engine, vectors, k, index, without)

    monkeypatch.setattr(SearchEngine, "nearest", noted)
    ris("evaluate", store)
    with SearchEngine.open(store) as engine:
        groups = [{picture.row for picture in group.pictures} for group in engine.duplicates()]
        rows = [picture.row for picture in engine.pictures() if picture.label]
    expected = [next((group for group in groups if row in group), {row}) for row in rows]
    assert left_out == 2 * expected


def test_a_folder_is_judged_like_its_store_and_left_alone(
    ris: Ris, judged: dict[str, Any], photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = sorted(photos.rglob("*"))
    ended = ris("evaluate", photos, "--json")
    assert ended.json == judged
    assert sorted(photos.rglob("*")) == before
    assert not list(tmp_path.iterdir())


def test_the_table_has_the_figures(ris: Ris, judged: dict[str, Any], store: Path) -> None:
    ended = ris("evaluate", store)
    assert (ended.code, ended.err) == (0, "")
    assert "21 queries of 4 labels, encoder efficientnet_lite0.\n" in ended.out
    assert "Near-duplicates: 1 group of 2 pictures" in ended.out
    assert "Not judged: 1 picture at the top of the folder.\n" in ended.out
    value = judged["indexes"]["knn_pca"]["mAP@R"]
    low, high = value["macro_ci95"]
    line = next(line for line in ended.out.splitlines() if line.startswith("knn_pca") and "mAP@R" in line)
    assert line.endswith(f"{value['macro']:.3f} ({low:.3f} to {high:.3f})")


@pytest.mark.usefixtures("own")
def test_near_duplicates_are_not_looked_for_where_nothing_proves_them(ris: Ris) -> None:
    ris("build", "photos", "plain.ris", "--no-same-picture")
    assert ris("evaluate", "plain.ris", "--json").json["near_duplicates"]["looked_for"] is False
    assert "not looked for" in ris("evaluate", "plain.ris").out


@pytest.mark.usefixtures("own")
def test_what_cannot_be_judged_is_told(ris: Ris) -> None:
    for path in ("photos/fish", "nowhere"):
        ended = ris("evaluate", path)
        assert (ended.code, ended.out) == (1, "")
        assert ended.err.startswith("error: ")
    assert ris("evaluate", "photos.ris", "--encoder", "efficientnet_lite0").code == 2


def test_each_index_is_asked(ris: Ris, with_annoy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    nearest = SearchEngine.nearest

    def noted(engine: SearchEngine, vectors: Any, k: int, index: str, without: Any) -> Any:
        asked.append(index)
        return nearest(engine, vectors, k, index, without)

    monkeypatch.setattr(SearchEngine, "nearest", noted)
    ris("evaluate", with_annoy)
    with SearchEngine.open(with_annoy) as engine:
        assert list(dict.fromkeys(asked)) == list(engine.indexes)
