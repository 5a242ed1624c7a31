"""Tables against loops and cases counted by hand."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest

from ris.lab.report.tables import confused_pairs, per_class, worst_queries
from ris.metrics.retrieval import precision_at_k, relevance

NAMES = ("ant", "bee", "cat")


def test_per_class_counted_by_hand() -> None:
    values = {"precision@10": np.array([1.0, 0.5, 0.1]), "mAP@R": np.array([0.8, 0.6, 1 / 3])}
    table = per_class(values, np.array([0, 0, 2]), np.array([0, 1, 1, 2, 2, 2]), NAMES)
    assert table.columns.tolist() == ["label", "queries", "gallery", "precision@10", "mAP@R"]
    assert table.iloc[0].tolist() == ["ant", 2, 1, 0.75, 0.7]
    assert table.iloc[1, :3].tolist() == ["bee", 0, 2]
    assert table.iloc[1, 3:].isna().all()
    assert table.iloc[2].tolist() == ["cat", 1, 3, 0.1, 0.333333]


def test_worst_queries_come_first_with_their_nearest_wrong_label() -> None:
    catalog = pd.DataFrame({"path": list("gfedcba"), "label": [NAMES[i] for i in (0, 0, 1, 1, 2, 2, 2)]})
    values = {"AP@R": np.array([0.5, 0.25, 0.25, 0.25]), "precision@10": np.array([0.1, 0.4, 0.4, 0.2])}
    neighbours = np.array([[1, 2, -1], [1, 2, 4], [2, 3, -1], [4, 0, 2]])
    table = worst_queries(values, neighbours, np.array([0, 1, 3, 5]), catalog, count=3)
    assert table.to_dict("list") == {
        "path": ["b", "d", "f"],
        "label": ["cat", "bee", "ant"],
        "AP@R": [0.25, 0.25, 0.25],
        "precision@10": [0.2, 0.4, 0.4],
        "nearest_wrong_label": ["ant", "", "bee"],
    }


def test_confused_pairs_counted_by_hand() -> None:
    labels = np.array([0, 0, 1, 1, 2, 2])
    neighbours = np.array([[0, 2, 4, 5], [0, 3, 1, 4], [2, 3, -1, 0]])
    table = confused_pairs(neighbours, np.array([0, 0, 1]), labels, np.array([2, 3, 3]), NAMES, k=3, count=9)
    assert table.to_dict("list") == {
        "label": ["ant"],
        "wrong_label": ["bee"],
        "neighbours": [2],
        "share": [0.4],
    }


def test_confused_pairs_agree_with_a_loop() -> None:
    rng = np.random.default_rng(0)
    labels, query_labels = rng.integers(3, size=60), rng.integers(3, size=25)
    neighbours = np.array([rng.permutation(60)[:20] for _ in range(25)])
    n_relevant = np.array([4, 7, 30])[query_labels]
    counts: Counter[tuple[str, str]] = Counter()
    for line, label, r in zip(neighbours.tolist(), query_labels.tolist(), n_relevant.tolist(), strict=True):
        counts.update(
            (NAMES[label], NAMES[labels[row]]) for row in line[: min(10, r)] if labels[row] != label
        )

    table = confused_pairs(neighbours, query_labels, labels, n_relevant, NAMES, k=10, count=99)
    found = zip(zip(table["label"], table["wrong_label"], strict=True), table["neighbours"], strict=True)
    assert dict(found) == counts
    assert table["share"].is_monotonic_decreasing
    precision = precision_at_k(relevance(neighbours, query_labels, labels), n_relevant, 10)
    for code, name in enumerate(NAMES):
        wrong = table.loc[table["label"] == name, "share"].sum()
        assert wrong == pytest.approx(1 - precision[query_labels == code].mean(), abs=1e-5)
    short = confused_pairs(neighbours, query_labels, labels, n_relevant, NAMES, k=10, count=2)
    assert short.equals(table.head(2))


def test_a_perfect_search_confuses_nothing() -> None:
    labels = np.array([0, 0, 1, 1])
    table = confused_pairs(
        np.array([[0, 1], [2, 3]]), np.array([0, 1]), labels, np.array([2, 2]), NAMES, 2, 5
    )
    assert table.columns.tolist() == ["label", "wrong_label", "neighbours", "share"]
    assert table.empty
