"""Averages and intervals against a naive bootstrap, analytic errors and cases counted by hand."""

import json

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binomtest

from ris.metrics.intervals import (
    Summary,
    exact_interval,
    holm,
    recall_summary,
    resampled_classes,
    resampled_queries,
    retrieval_summary,
    summarise_all,
    two_sided,
)


def summarise(values: NDArray[np.float64], labels: NDArray[np.int64], n_resamples: int, seed: int) -> Summary:
    return summarise_all({"m": values}, labels, n_resamples, seed)["m"]


def naive_bootstrap(
    values: NDArray[np.float64], labels: NDArray[np.int64], n_resamples: int, seed: int
) -> tuple[list[float], list[float]]:
    """Resample the queries of each class by index, average, sort, and read the bounds off."""
    rng = np.random.default_rng(seed)
    classes = [values[labels == label] for label in sorted(set(labels.tolist()))]
    micro, macro = [], []
    for _ in range(n_resamples):
        drawn = [rng.choice(members, size=len(members)) for members in classes]
        micro.append(np.concatenate(drawn).mean())
        macro.append(np.mean([members.mean() for members in drawn]))
    return [float(b) for b in np.percentile(micro, [2.5, 97.5])], [
        float(b) for b in np.percentile(macro, [2.5, 97.5])
    ]


def unbalanced(seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Queries of four classes, the biggest of them the easiest."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat([2, 3, 5, 9], [200, 60, 30, 12]))
    return np.clip(rng.normal(np.where(labels == 2, 0.9, 0.5), 0.2), 0, 1), labels


def test_averages_counted_by_hand() -> None:
    summary = summarise(np.array([1.0, 0.0, 0.5, 0.5, 0.5]), np.array([7, 7, 7, 7, 1]), 50, seed=0)
    assert (summary["micro"], summary["macro"], summary["n"]) == (0.5, 0.5, 5)
    summary = summarise(np.array([1.0, 1.0, 1.0, 0.0]), np.array([0, 0, 0, 1]), 50, seed=0)
    assert (summary["micro"], summary["macro"]) == (0.75, 0.5)


def test_intervals_agree_with_a_naive_bootstrap() -> None:
    values, labels = unbalanced()
    summary = summarise(values, labels, 5000, seed=1)
    micro, macro = naive_bootstrap(values, labels, 5000, seed=2)
    assert summary["micro_ci95"] == pytest.approx(micro, abs=0.002)
    assert summary["macro_ci95"] == pytest.approx(macro, abs=0.004)


def test_the_interval_of_a_share_has_the_binomial_standard_error() -> None:
    """One class of 400 queries with 300 hits: 0.75 +- 1.96 * sqrt(0.75 * 0.25 / 400)."""
    values = np.repeat([1.0, 0.0], [300, 100])
    summary = summarise(values, np.zeros(400, dtype=np.int64), 5000, seed=3)
    error = 1.96 * np.sqrt(0.75 * 0.25 / 400)
    assert summary["micro_ci95"] == pytest.approx([0.75 - error, 0.75 + error], abs=0.003)
    assert summary["macro_ci95"] == summary["micro_ci95"]


def test_the_bootstrap_is_stratified() -> None:
    """Classes that differ only from each other leave nothing to resample."""
    labels = np.repeat([0, 1, 2], [5, 20, 40])
    summary = summarise(labels / 2, labels, 200, seed=0)
    assert summary["micro_ci95"] == [summary["micro"]] * 2
    assert summary["macro_ci95"] == [summary["macro"]] * 2 == [0.5, 0.5]


def test_many_metrics_at_once_are_each_alone() -> None:
    values, labels = unbalanced()
    together = summarise_all({"a": values, "b": 1 - values, "c": values**2}, labels, 300, seed=5)
    assert list(together) == ["a", "b", "c"]
    assert together["c"] == summarise(values**2, labels, 300, seed=5)
    assert together["b"]["micro"] == pytest.approx(1 - together["a"]["micro"], abs=2e-6)


def test_the_seed_decides() -> None:
    values, labels = unbalanced()
    assert summarise(values, labels, 200, seed=1) == summarise(values, labels, 200, seed=1)
    assert summarise(values, labels, 200, seed=1) != summarise(values, labels, 200, seed=2)


def test_retrieval_summary_is_plain_and_says_how_many_were_capped() -> None:
    values, labels = unbalanced()
    n_relevant = np.where(labels == 9, 6, 50)
    metrics = {"precision@1": values, "precision@10": values, "mAP@R": values}
    summary = retrieval_summary(metrics, labels, n_relevant, (1, 10), 50, seed=0)
    assert json.loads(json.dumps(summary)) == summary
    assert summary["precision@1"]["capped_queries"] == 0
    assert summary["precision@10"]["capped_queries"] == 12
    assert set(summary["mAP@R"]) == {"micro", "micro_ci95", "macro", "macro_ci95", "n"}
    assert summary["mAP@R"]["micro"] == round(float(values.mean()), 6)
    low, high = summary["mAP@R"]["macro_ci95"]
    assert low < summary["mAP@R"]["macro"] < high


def test_resampled_classes_agree_with_a_naive_bootstrap() -> None:
    """Draw classes by index, then the queries of each drawn class, anew each time that it is drawn."""
    rng = np.random.default_rng(3)
    sizes = [3, 5, 8, 20, 40, 4, 4, 9]
    labels = rng.permutation(np.repeat(np.arange(8) * 7, sizes))
    values = rng.normal(np.sin(labels), 0.4)
    members = [values[labels == 7 * place] for place in range(8)]
    micro, macro = [], []
    for _ in range(4000):
        drawn = [rng.choice(members[place], sizes[place]) for place in rng.integers(8, size=8)]
        micro.append(np.concatenate(drawn).mean())
        macro.append(np.mean([some.mean() for some in drawn]))
    found = summarise_all({"other": values * 2, "m": values}, labels, 4000, 0, resampled_classes)["m"]
    assert found["micro"] == pytest.approx(values.mean(), abs=1e-6)
    assert found["macro"] == pytest.approx(np.mean([some.mean() for some in members]), abs=1e-6)
    np.testing.assert_allclose(found["micro_ci95"], np.quantile(micro, [0.025, 0.975]), atol=0.06)
    np.testing.assert_allclose(found["macro_ci95"], np.quantile(macro, [0.025, 0.975]), atol=0.06)


def test_an_interval_over_classes_covers_new_classes_and_one_over_queries_does_not() -> None:
    rng = np.random.default_rng(0)
    labels, covered = np.repeat(np.arange(40), 15), np.zeros(2)
    for seed in range(120):
        values = {"m": (rng.normal(0.5, 0.15, 40)[labels] + rng.normal(0, 0.2, len(labels)))}
        for place, resampled in enumerate((resampled_classes, resampled_queries)):
            low, high = summarise_all(values, labels, 200, seed, resampled)["m"]["macro_ci95"]
            covered[place] += low <= 0.5 <= high
    over_classes, over_queries = covered / 120
    assert over_classes > 0.87
    assert over_queries < 0.7


def test_holm_against_a_case_by_hand() -> None:
    """Four p-values, from the smallest on times 4, 3, 2 and 1, none below the one before it."""
    assert holm(np.array([0.04, 0.01, 0.02, 0.9])) == pytest.approx([0.08, 0.04, 0.06, 0.9])
    assert holm(np.array([0.01, 0.03, 0.031])) == pytest.approx([0.03, 0.06, 0.06])
    assert holm(np.array([0.5, 0.8])) == pytest.approx([1.0, 1.0])


def test_a_p_value_counts_the_smaller_side_twice() -> None:
    assert two_sided(np.array([0.1] * 97 + [-0.1] * 2)) == pytest.approx(2 * 3 / 100)
    assert two_sided(np.full(999, -1.0)) == pytest.approx(0.002)
    assert two_sided(np.zeros(9)) == 1.0


def test_recall_summary_against_a_plain_bootstrap() -> None:
    hits = np.random.default_rng(1).random((3, 40)) < [[0.9], [0.5], [0.2]]
    summary = recall_summary(hits, ["a", "b", "c"], n_resamples=4000, seed=0)
    assert summary["mean"] == pytest.approx(hits.mean(), abs=1e-6)
    assert summary["per_edit"]["b"] == pytest.approx(hits[1].mean(), abs=1e-6)
    assert summary["n"] == 120
    rng = np.random.default_rng(5)
    means = [hits[:, rng.integers(40, size=40)].mean() for _ in range(4000)]
    np.testing.assert_allclose(summary["mean_ci95"], np.quantile(means, [0.025, 0.975]), atol=0.01)


@pytest.mark.parametrize(("hits", "n"), [(0, 24), (1, 35), (12, 24), (24, 24), (3, 1000)])
def test_the_exact_interval_is_scipys_own(hits: int, n: int) -> None:
    expected = binomtest(hits, n).proportion_ci(0.95, "exact")
    assert exact_interval(hits, n) == pytest.approx((expected.low, expected.high), abs=1e-6)


def test_no_share_has_no_interval() -> None:
    for hits, n in ((0, 0), (3, 2), (-1, 5)):
        with pytest.raises(ValueError, match="is no share"):
            exact_interval(hits, n)
