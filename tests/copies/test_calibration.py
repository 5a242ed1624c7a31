"""A threshold against brute force, its report against counting by hand, its file against damage."""

import json
from pathlib import Path

import numpy as np
import pytest

from ris.copies.calibration import (
    Answers,
    Calibration,
    calibrate,
    can_calibrate,
    can_tell,
    choose_threshold,
    different,
    halves,
    performance,
)
from ris.errors import RisError


def answers(seed: int, n: int = 600, levels: int = 25) -> Answers:
    rng = np.random.default_rng(seed)
    present = rng.random(n) < 0.5
    scores = np.where(present, rng.integers(3, levels + 3, n), rng.integers(0, levels // 2, n)).astype(float)
    return Answers(scores, present, present & (rng.random(n) < 0.9), rng.integers(0, n // 3, n))


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.3, 0.99])
@pytest.mark.parametrize("levels", [4, 25, 10**6])
@pytest.mark.parametrize("seed", range(3))
def test_the_threshold_is_the_lowest_score_that_keeps_the_rate(seed: int, levels: int, rate: float) -> None:
    given = answers(seed, levels=levels)
    absent = given.scores[~given.present]
    kept = [score for score in np.unique(absent) if np.mean(absent > score) <= rate]
    assert choose_threshold(given, rate) == min(kept)


def test_the_rate_needs_enough_negatives() -> None:
    given = answers(0)
    few = given[np.arange(600) < 60]
    with pytest.raises(
        RisError, match=r"A false-positive rate of 0.01 cannot be told from \d+ different pictures"
    ):
        choose_threshold(few, 0.01)
    with pytest.raises(RisError, match="from 0 different pictures"):
        choose_threshold(given[given.present], 0.5)


def test_a_picture_under_fifteen_edits_is_one() -> None:
    """35 strangers in 525 queries, 18 of them on one half: one of them is 5.6 %, and 1 % cannot be told."""
    rng = np.random.default_rng(0)
    strangers = 100 + np.repeat(np.arange(35), 15)
    scores = np.concatenate([np.full(300, 9.0), rng.exponential(1.0, 35).repeat(15)])
    present = np.arange(825) < 300
    given = Answers(scores, present, present, np.concatenate([np.arange(300) % 20, strangers]))
    assert different(given.groups[~given.present]) == 35
    assert can_calibrate(given, 0.06, seed=0)
    assert not can_calibrate(given, 0.05, seed=0)
    with pytest.raises(RisError, match=r"0\.02 cannot be told from 35 different pictures"):
        choose_threshold(given, 0.02)
    assert [can_tell(0.01, count) for count in (0, 18, 99, 100)] == [False, False, False, True]


def test_exactly_a_hundred_negatives_allow_one_at_one_per_cent() -> None:
    given = Answers(np.arange(100.0), np.zeros(100, bool), np.zeros(100, bool), np.arange(100))
    assert choose_threshold(given, 0.01) == 98


def test_a_group_is_on_one_side_and_each_kind_is_halved() -> None:
    given = answers(1)
    first = halves(given, seed=3)
    assert not set(given.groups[first]) & set(given.groups[~first])
    np.testing.assert_array_equal(first, halves(given, seed=3))
    assert (first != halves(given, seed=4)).any()
    apart = Answers(given.scores, given.present, given.correct, given.groups + 1000 * given.present)
    first = halves(apart, seed=3)
    for side in (apart.present, ~apart.present):
        kinds = len(set(apart.groups[side]))
        assert len(set(apart.groups[first & side])) == (kinds + 1) // 2


def test_too_few_to_calibrate() -> None:
    present = np.array([True] * 4 + [False] * 40)
    given = Answers(np.zeros(44), present, present, np.arange(44))
    assert can_calibrate(given, 0.05, seed=0)
    assert not can_calibrate(given, 0.04, seed=0)  # of the 20 absent of a half
    assert not can_calibrate(given[~present], 0.05, seed=0)
    assert not can_calibrate(given[np.arange(44) != 0][present[1:] | (np.arange(43) < 3)], 0.5, seed=0)


def test_performance_by_hand() -> None:
    given = Answers(
        scores=np.array([9.0, 9, 5, 6, 6, 1, 5]),
        present=np.array([True, True, True, True, False, False, False]),
        correct=np.array([True, False, True, True, False, False, False]),
        groups=np.arange(7),
    )
    measured = performance(given, 5.0, 200, seed=0)
    # Above 5: the originals of 0 and 3, the wrong picture of 1, and 4, which is not there at all.
    assert (measured.precision.value, measured.precision.n) == (0.5, 4)
    assert (measured.recall.value, measured.recall.n) == (0.5, 4)
    assert (measured.false_positive_rate.value, measured.false_positive_rate.n) == (0.333333, 3)
    nothing = performance(given, 99.0, 200, seed=0)
    assert nothing.precision.value is None
    assert nothing.precision.ci95 is None
    assert nothing.recall.value == 0.0


def test_the_interval_is_that_of_a_bootstrap_over_groups() -> None:
    """Each of 50 groups asks 20 times the same: there are 50 answers, not 1,000."""
    rng = np.random.default_rng(0)
    found = np.repeat(rng.random(50) < 0.7, 20)
    given = Answers(found.astype(float), np.ones(1000, bool), found, np.repeat(np.arange(50), 20))
    recall = performance(given, 0.5, 4000, seed=1).recall
    draws = [rng.choice(found[::20], 50).mean() for _ in range(4000)]
    assert recall.ci95 == pytest.approx(np.quantile(draws, [0.025, 0.975]).tolist(), abs=0.021)


def calibrated(seed: int = 0) -> Calibration:
    return calibrate(answers(5), "inliers", "sha256:1", false_positive_rate=0.05, n_resamples=100, seed=seed)


def test_chosen_on_one_half_and_reported_on_the_other() -> None:
    given, calibration = answers(5), calibrated()
    first = halves(given, 0)
    assert calibration.threshold == choose_threshold(given[first], 0.05)
    assert calibration.reported == performance(given[~first], calibration.threshold, 100, 0)
    assert calibration.reported.recall.n + calibration.chosen.recall.n == given.present.sum()
    assert calibration.chosen.false_positive_rate.value is not None
    assert calibration.chosen.false_positive_rate.value <= 0.05


def test_the_file_comes_back_and_is_checked(tmp_path: Path) -> None:
    path, calibration = tmp_path / "calibration.json", calibrated()
    calibration.write(path)
    assert Calibration.open(path, "inliers", "sha256:1") == calibration
    with pytest.raises(RisError, match="has score inliers, not distance"):
        Calibration.open(path, "distance", "sha256:1")
    with pytest.raises(RisError, match="another catalog than the present one"):
        Calibration.open(path, "inliers", "sha256:2")
    content = json.loads(path.read_text())
    for damage in ({"format": 2}, {"threshold": "high"}, {"threshold": None}, {"extra": 1}):
        path.write_text(json.dumps({**content, **damage}))
        with pytest.raises(RisError, match=r"has format 2|is no calibration"):
            Calibration.open(path, "inliers", "sha256:1")
    path.write_text("NaN")
    with pytest.raises(RisError, match="is no calibration"):
        Calibration.open(path, "inliers", "sha256:1")
