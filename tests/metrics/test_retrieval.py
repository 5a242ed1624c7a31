"""Metrics against plain loops, other libraries and cases counted by hand."""

from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score
from torchmetrics.functional.retrieval import (
    retrieval_hit_rate,
    retrieval_precision,
    retrieval_r_precision,
)

from ris.metrics import retrieval as metrics

KS = (1, 5, 10, 20)


class Case(NamedTuple):
    """Random rankings of a gallery with near-duplicate groups; some classes have fewer than 20 images."""

    neighbours: NDArray[np.int64]
    query_labels: NDArray[np.int64]
    labels: NDArray[np.int64]
    n_relevant: NDArray[np.int64]


@pytest.fixture
def case() -> Case:
    rng = np.random.default_rng(7)
    labels = rng.choice(8, size=260, p=[0.02, 0.03, 0.05, 0.1, 0.1, 0.2, 0.2, 0.3])
    labels[:8] = np.arange(8)
    query_labels = rng.integers(8, size=40)
    noise = rng.random((40, 260)) - 0.4 * (labels == query_labels[:, None])
    n_relevant = np.array([np.count_nonzero(labels == label) for label in query_labels])
    assert n_relevant.min() < 20 < n_relevant.max()
    return Case(np.argsort(noise, axis=1), query_labels, labels, n_relevant)


def hits_of(case: Case) -> list[list[bool]]:
    return [
        [bool(case.labels[row] == label) for row in line]
        for line, label in zip(case.neighbours.tolist(), case.query_labels.tolist(), strict=True)
    ]


def relevance_of(case: Case) -> NDArray[np.bool_]:
    return metrics.relevance(case.neighbours, case.query_labels, case.labels)


def test_a_case_counted_by_hand() -> None:
    labels = np.array([0, 0, 0, 1, 1, 2])
    neighbours = np.array([[0, 3, 1, 4, 2], [5, 4, 0, 1, 3]])
    query_labels, n_relevant = np.array([0, 1]), np.array([3, 2])
    relevant = metrics.relevance(neighbours, query_labels, labels)

    assert relevant.tolist() == [[True, False, True, False, True], [False, True, False, False, True]]
    assert metrics.precision_at_k(relevant, n_relevant, 1).tolist() == [1, 0]
    assert metrics.precision_at_k(relevant, n_relevant, 5).tolist() == [2 / 3, 1 / 2]
    assert metrics.capped_queries(n_relevant, 3) == 1
    assert metrics.recall_at_k(relevant, 1).tolist() == [1, 0]
    assert metrics.recall_at_k(relevant, 2).tolist() == [1, 1]
    ap = metrics.mean_average_precision_at_r(relevant, n_relevant)
    assert ap == pytest.approx([(1 + 2 / 3) / 3, (1 / 2) / 2])


@pytest.mark.parametrize("k", KS)
def test_precision_and_recall_agree_with_a_loop(case: Case, k: int) -> None:
    precision, recall = [], []
    for hits, r in zip(hits_of(case), case.n_relevant.tolist(), strict=True):
        depth = min(k, r)
        precision.append(sum(hits[:depth]) / depth)
        recall.append(float(any(hits[:k])))

    assert metrics.precision_at_k(relevance_of(case), case.n_relevant, k) == pytest.approx(precision)
    assert metrics.recall_at_k(relevance_of(case), k).tolist() == recall
    assert metrics.capped_queries(case.n_relevant, k) == sum(r < k for r in case.n_relevant.tolist())


def test_average_precision_agrees_with_a_loop(case: Case) -> None:
    expected = []
    for hits, r in zip(hits_of(case), case.n_relevant.tolist(), strict=True):
        expected.append(sum(sum(hits[: i + 1]) / (i + 1) for i in range(r) if hits[i]) / r)
    assert metrics.mean_average_precision_at_r(relevance_of(case), case.n_relevant) == pytest.approx(expected)


def test_average_precision_agrees_with_scikit_learn(case: Case) -> None:
    """AP over the first R divides by the hits there; AP@R divides by R."""
    relevant = relevance_of(case)
    ap = metrics.mean_average_precision_at_r(relevant, case.n_relevant)
    for line, r, value in zip(relevant, case.n_relevant, ap, strict=True):
        first = line[:r]
        reference = average_precision_score(first, -np.arange(r)) * first.sum() / r if first.any() else 0.0
        assert value == pytest.approx(reference)


def test_precision_and_recall_agree_with_torchmetrics(case: Case) -> None:
    relevant = relevance_of(case)
    scores = torch.arange(relevant.shape[1], 0, -1, dtype=torch.float32)
    plenty = np.full(len(relevant), relevant.shape[1])
    uncapped = {k: metrics.precision_at_k(relevant, plenty, k) for k in KS}
    r_precision = metrics.precision_at_k(relevant, case.n_relevant, relevant.shape[1])
    for i, line in enumerate(torch.from_numpy(relevant)):
        for k in KS:
            assert uncapped[k][i] == pytest.approx(float(retrieval_precision(scores, line, top_k=k)))
            assert metrics.recall_at_k(relevant, k)[i] == float(retrieval_hit_rate(scores, line, top_k=k))
        assert r_precision[i] == pytest.approx(float(retrieval_r_precision(scores, line)))


def test_perfect_and_hopeless_rankings_are_one_and_zero() -> None:
    n_relevant = np.array([4, 4])
    relevant = np.array([[True] * 4 + [False] * 6, [False] * 6 + [True] * 4])
    assert metrics.mean_average_precision_at_r(relevant, n_relevant).tolist() == [1, 0]
    assert metrics.precision_at_k(relevant, n_relevant, 10).tolist() == [1, 0]


def test_average_precision_needs_r_neighbours() -> None:
    relevant = np.ones((2, 5), dtype=bool)
    assert metrics.mean_average_precision_at_r(relevant, np.array([5, 3])).tolist() == [1, 1]
    with pytest.raises(ValueError, match="rankings of 5 neighbours are too short, 6 are needed"):
        metrics.mean_average_precision_at_r(relevant, np.array([6, 3]))


def test_precision_needs_k_neighbours_unless_capped() -> None:
    relevant = np.ones((2, 5), dtype=bool)
    assert metrics.precision_at_k(relevant, np.array([5, 3]), 10).tolist() == [1, 1]
    with pytest.raises(ValueError, match="too short"):
        metrics.precision_at_k(relevant, np.array([9, 3]), 10)


def test_a_query_without_relevant_images_is_refused() -> None:
    relevant, n_relevant = np.zeros((2, 5), dtype=bool), np.array([0, 3])
    with pytest.raises(ValueError, match="1 queries have no relevant image"):
        metrics.precision_at_k(relevant, n_relevant, 1)
    with pytest.raises(ValueError, match="1 queries have no relevant image"):
        metrics.mean_average_precision_at_r(relevant, n_relevant)


def test_ann_recall_agrees_with_sets(case: Case) -> None:
    exact = case.neighbours[:, :20]
    approximate = np.array(
        [np.random.default_rng(i).permutation(line[:30]) for i, line in enumerate(case.neighbours)]
    )
    for k in KS:
        expected = [
            len(set(found[:k]) & set(wanted[:k])) / k
            for found, wanted in zip(approximate.tolist(), exact.tolist(), strict=True)
        ]
        assert metrics.ann_recall(approximate, exact, k) == pytest.approx(expected)


def test_ann_recall_counts_places_left_empty_as_missed() -> None:
    exact = np.array([[4, 2, 7], [1, 0, -1]])
    approximate = np.array([[2, 9, -1], [0, -1, -1]])
    assert metrics.ann_recall(approximate, exact, 3) == pytest.approx([1 / 3, 1 / 2])


def test_an_empty_place_is_never_relevant() -> None:
    labels = np.array([5, 5, 6])
    relevant = metrics.relevance(np.array([[0, -1], [-1, -1]]), np.array([5, 6]), labels)
    assert relevant.tolist() == [[True, False], [False, False]]


def grouped() -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
    rng = np.random.default_rng(3)
    return (
        rng.integers(5, size=30),
        rng.integers(9, size=30),
        rng.integers(4, size=80),
        rng.integers(7, size=80),
    )


def test_relevant_counts_agree_with_a_loop() -> None:
    """Label 4 and groups 7 and 8 occur among the queries only."""
    query_labels, query_groups, gallery_labels, gallery_groups = grouped()
    gallery = list(zip(gallery_labels.tolist(), gallery_groups.tolist(), strict=True))
    expected = [
        sum(other == label and its_group != group for other, its_group in gallery)
        for label, group in zip(query_labels.tolist(), query_groups.tolist(), strict=True)
    ]
    assert 0 in expected
    assert metrics.relevant_counts(*grouped()).tolist() == expected


def test_query_values_names_every_metric(case: Case) -> None:
    nearest, exact = case.neighbours[:, :20], case.neighbours[:, 1:21]
    arguments = (nearest, case.neighbours, case.query_labels, case.labels, case.n_relevant, (1, 10))
    plain = metrics.query_values(*arguments)
    assert list(plain) == ["precision@1", "precision@10", "mAP@R", "recall@1", "recall@10"]
    relevant = relevance_of(case)
    assert np.array_equal(plain["precision@10"], metrics.precision_at_k(relevant, case.n_relevant, 10))
    assert np.array_equal(plain["mAP@R"], metrics.mean_average_precision_at_r(relevant, case.n_relevant))
    assert np.array_equal(plain["recall@1"], metrics.recall_at_k(relevant, 1))

    approximate = metrics.query_values(*arguments, exact=exact)
    assert set(approximate) - set(plain) == {"ann_recall@1", "ann_recall@10"}
    assert approximate["ann_recall@1"].max() == 0
    assert approximate["ann_recall@10"] == pytest.approx(0.9)


def test_query_values_judges_the_short_search_and_the_long_one_apart(case: Case) -> None:
    shuffled = np.roll(case.neighbours, 100, axis=1)
    values = metrics.query_values(
        shuffled[:, :20], case.neighbours, case.query_labels, case.labels, case.n_relevant, (10,)
    )
    wrong = metrics.relevance(shuffled, case.query_labels, case.labels)
    assert np.array_equal(values["precision@10"], metrics.precision_at_k(wrong, case.n_relevant, 10))
    right = metrics.mean_average_precision_at_r(relevance_of(case), case.n_relevant)
    assert np.array_equal(values["mAP@R"], right)
