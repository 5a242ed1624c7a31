"""The arrays' arithmetic of `ris evaluate`, against loops over plain lists."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ris.indexes.exact import ExactIndex
from ris.metrics.judge import UNLABELLED, Judged, Question, codes, judge

KS = (1, 5, 10)


def asked_in_loops(
    vectors: NDArray[Any], labels: list[str], groups: list[int], ks: tuple[int, ...]
) -> tuple[list[int], dict[str, list[float]]]:
    """Rank by distance in double precision, drop what does not count, and count what is right."""
    queries: list[int] = []
    values: dict[str, list[float]] = {}
    for query, label in enumerate(labels):
        distances = np.linalg.norm(vectors.astype(np.float64) - vectors[query], axis=1).tolist()
        ranking = [
            other
            for other in sorted(range(len(labels)), key=lambda place: (distances[place], place))
            if labels[other] and groups[other] != groups[query]
        ]
        right = [labels[other] == label for other in ranking]
        total = sum(right)
        if not label or not total:
            continue
        queries.append(query)
        for k in ks:
            depth = min(k, total)
            values.setdefault(f"precision@{k}", []).append(sum(right[:depth]) / depth)
            values.setdefault(f"recall@{k}", []).append(float(any(right[:k])))
        average = sum(sum(right[: place + 1]) / (place + 1) for place in range(total) if right[place]) / total
        values.setdefault("mAP@R", []).append(average)
    return queries, values


def asked_exactly(
    vectors: NDArray[np.float32], question: Question, answered: Callable[[int], None] | None = None
) -> Judged:
    index = ExactIndex(vectors)
    return judge(lambda some, k: index.search(vectors[some], k), question, KS, 1000, 0, answered=answered)


@pytest.fixture(params=range(4))
def pictures(request: pytest.FixtureRequest) -> tuple[NDArray[np.float32], list[str], list[int]]:
    """Vectors around the centres of labels, some without a label, some near-duplicates across labels."""
    rng = np.random.default_rng(request.param)
    labels = [["cats", "dogs", "owls", "one", ""][kind] for kind in [*rng.choice([0, 0, 1, 2, 4], 600), 3]]
    centres = {label: rng.normal(size=8) for label in sorted(set(labels))}
    vectors = np.array([centres[label] for label in labels]) + rng.normal(size=(len(labels), 8))
    groups = list(range(len(labels)))
    for _ in range(40):
        one, other = rng.integers(len(labels), size=2)
        groups = [groups[one] if group == groups[other] else group for group in groups]
    return vectors.astype(np.float32), labels, groups


def test_every_metric_is_that_of_the_loops(
    pictures: tuple[NDArray[np.float32], list[str], list[int]],
) -> None:
    vectors, labels, groups = pictures
    question = Question.leave_one_out(codes(labels), np.array(groups))
    judged = asked_exactly(vectors, question)
    nearest, values = judged.nearest, judged.values

    queries, expected = asked_in_loops(vectors, labels, groups, KS)
    assert question.queries.tolist() == queries
    assert nearest.shape == (len(queries), max(KS))
    assert set(values) == set(expected)
    for name, of_queries in expected.items():
        np.testing.assert_allclose(values[name], of_queries, atol=1e-12, err_msg=name)

    averages = judged.summary["precision@10"]
    by_label: dict[str, list[float]] = {}
    for query, value in zip(queries, expected["precision@10"], strict=True):
        by_label.setdefault(labels[query], []).append(value)
    assert averages["micro"] == pytest.approx(np.mean(expected["precision@10"]), abs=1e-6)
    assert averages["macro"] == pytest.approx(np.mean([np.mean(one) for one in by_label.values()]), abs=1e-6)
    assert averages["micro_ci95"][0] <= averages["micro"] <= averages["micro_ci95"][1]


def test_an_approximate_search_is_held_against_the_exact_one() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(40, 4)).astype(np.float32)
    labels = np.repeat([0, 1], 20)
    question = Question.leave_one_out(labels, np.arange(40))
    index = ExactIndex(vectors)

    def forgetful(some: NDArray[np.integer[Any]], k: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Find nothing at odd places; leave the last empty."""
        found = index.search(vectors[some], 40)[1]
        half = np.concatenate([found[:, :1], found[:, 2::2]], axis=1)
        positions = np.pad(half, ((0, 0), (0, 40)), constant_values=-1)[:, :k]
        return np.zeros(positions.shape, np.float32), positions

    exact = asked_exactly(vectors, question).nearest
    values = judge(forgetful, question, KS, 1, 0, exact).values
    assert values["ann_recall@10"].mean() == pytest.approx(0.5)
    assert values["ann_recall@1"].mean() == 0


def test_what_cannot_be_asked_is_not() -> None:
    labels = codes(["a", "a", "b", "", "c", "c"])
    assert labels.tolist() == [0, 0, 1, UNLABELLED, 2, 2]
    question = Question.leave_one_out(labels, np.array([0, 1, 2, 3, 4, 4]))
    assert question.queries.tolist() == [0, 1]
    assert question.n_relevant.tolist() == [1, 1]
    assert not len(Question.leave_one_out(codes(["", ""]), np.arange(2)).queries)


def test_progress_counts_the_queries() -> None:
    vectors = np.random.default_rng(0).normal(size=(600, 3)).astype(np.float32)
    question = Question.leave_one_out(np.zeros(600, np.int64), np.arange(600))
    told: list[int] = []
    asked_exactly(vectors, question, told.append)
    assert told[-1] == 600
    assert told == sorted(told)


def test_many_near_duplicates_do_not_crowd_out_what_counts() -> None:
    vectors = np.array([[0.001 * n] for n in range(30)] + [[1.0], [2.0]], np.float32)
    labels, groups = np.zeros(32, np.int64), np.array([*[0] * 30, 1, 2])
    judged = asked_exactly(vectors, Question.leave_one_out(labels, groups))
    assert judged.nearest[0, :3].tolist() == [30, 31, -1]
    np.testing.assert_allclose(judged.distances[0, :3], [1.0, 2.0, np.inf])
    assert judged.values["mAP@R"][:30].tolist() == [1.0] * 30


def test_rows_of_a_catalog_are_asked_for_others() -> None:
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(60, 5)).astype(np.float32)
    labels, groups = rng.integers(4, size=60), np.arange(60)
    order = rng.permutation(60)
    queries, gallery = np.sort(order[:20]), np.sort(order[20:])
    index = ExactIndex(vectors[gallery])
    question = Question.among(queries, gallery, labels, groups)
    judged = judge(lambda rows, k: index.search(vectors[rows], k), question, KS, 1, 0)
    for place, query in enumerate(queries):
        distances = np.linalg.norm(vectors[gallery].astype(np.float64) - vectors[query], axis=1)
        nearest = np.argsort(distances)
        assert judged.nearest[place].tolist() == nearest[:10].tolist()
        right = labels[gallery][nearest] == labels[query]
        total = int(right.sum())
        average = sum(right[: i + 1].mean() for i in range(total) if right[i]) / total
        assert judged.values["mAP@R"][place] == pytest.approx(average)
