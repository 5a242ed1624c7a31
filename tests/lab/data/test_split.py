"""The split: shares, minima, whole groups, and what check_split refuses."""

import numpy as np
import numpy.typing as npt
import pytest

from ris.errors import RisError
from ris.lab.data.split import check_split, hold_out, split


def crowd(seed: int) -> tuple[list[str], npt.NDArray[np.int32]]:
    """30 classes of 10 to 300 pictures; groups of up to five, some across two classes; one of 40."""
    rng = np.random.default_rng(seed)
    labels = [f"class_{number:02d}" for number in range(30) for _ in range(rng.integers(10, 300))]
    groups = np.arange(len(labels), dtype=np.int32)
    for start in rng.choice(len(labels) - 50, 60, replace=False):
        groups[start : start + rng.integers(2, 6)] = start
    groups[500:540] = 500
    return labels, groups


@pytest.mark.parametrize("seed", range(5))
def test_shares_minima_and_whole_groups(seed: int) -> None:
    labels, groups = crowd(seed)
    parts = split(labels, groups, 0.2, 0.1, seed)
    assert set(parts) == {"query", "train", "validation"}
    for group in set(groups.tolist()):
        assert len(set(parts[groups == group])) == 1
    names = np.array(labels)
    for label in set(labels):
        members = parts[names == label]
        query, validation, train = ((members == part).sum() for part in ("query", "validation", "train"))
        assert abs(query - 0.2 * len(members)) <= 2
        assert abs(validation - max(2, 0.1 * (len(members) - query))) <= 3
        assert query >= 1
        assert validation >= 1
        assert train >= 2
    check_split(parts.tolist(), groups, labels)


def test_same_seed_same_split_and_another_seed_another() -> None:
    labels, groups = crowd(0)
    first = split(labels, groups, 0.2, 0.1, 7)
    np.testing.assert_array_equal(first, split(labels, groups, 0.2, 0.1, 7))
    assert (first != split(labels, groups, 0.2, 0.1, 8)).any()


def test_group_numbers_need_not_be_dense() -> None:
    labels, groups = crowd(0)
    np.testing.assert_array_equal(
        split(labels, groups, 0.2, 0.1, 7), split(labels, groups * 1000 + 5, 0.2, 0.1, 7)
    )


def test_large_groups_are_queries_about_as_often_as_single_pictures() -> None:
    labels = ["a"] * 400 + ["b"] * 400
    groups = np.array([number // 4 if number % 400 < 200 else number for number in range(800)])
    shares = [
        (split(labels, groups, 0.2, 0.1, seed)[np.arange(800) % 400 < 200] == "query").mean()
        for seed in range(30)
    ]
    assert abs(np.mean(shares) - 0.2) < 0.04


@pytest.mark.parametrize("sizes", [[1, 1, 1], [1, 1, 1, 1, 1], [16, 16, 16], [30, 1, 1], [4, 3, 3]])
def test_hard_classes_keep_a_query_and_two_to_train_on(sizes: list[int]) -> None:
    groups = np.repeat(np.arange(2 * len(sizes)), sizes * 2)
    labels = ["a"] * sum(sizes) + ["b"] * sum(sizes)
    for seed in range(10):
        parts = split(labels, groups, 0.2, 0.1, seed)
        check_split(parts.tolist(), groups, labels)
        for members in (parts[: sum(sizes)], parts[sum(sizes) :]):
            assert (members == "query").sum() >= 1
            assert (members == "train").sum() >= 2


def test_planted_group_on_two_sides_is_refused() -> None:
    labels, groups = crowd(1)
    parts = split(labels, groups, 0.2, 0.1, 1)
    query, train = (int(np.flatnonzero(parts == part)[0]) for part in ("query", "train"))
    groups[query] = groups[train] = 99_999
    with pytest.raises(RisError, match="group 99999 stands on two sides"):
        check_split(parts.tolist(), groups, labels)


def test_validation_is_a_side_of_its_own() -> None:
    with pytest.raises(RisError, match="train and validation"):
        check_split(
            ["query", "train", "validation", "query", "train"], np.array([0, 1, 1, 2, 3]), list("aaabb")
        )


@pytest.mark.parametrize(
    ("parts", "labels", "message"),
    [
        (["query", "train"], ["a", "a"], "two classes"),
        (["query", "train", "train"], ["a", "a", "b"], "Class b has no query"),
        (["query", "train", "query"], ["a", "a", "b"], "Class b has no gallery picture"),
    ],
)
def test_unfit_splits_are_refused(parts: list[str], labels: list[str], message: str) -> None:
    with pytest.raises(RisError, match=message):
        check_split(parts, np.arange(len(parts)), labels)


def named(sizes: list[int]) -> list[str]:
    return [f"class_{number:02d}" for number, size in enumerate(sizes) for _ in range(size)]


@pytest.mark.parametrize("seed", range(5))
def test_classes_are_held_out_from_every_size(seed: int) -> None:
    sizes = list(range(10, 110, 5))
    labels = named(sizes)
    held = hold_out(labels, np.arange(len(labels)), 5, draw=0, seed=seed)
    numbers = sorted(int(name[-2:]) for name in held)
    # Twenty classes of rising size in five strata of four.
    assert [number // 4 for number in numbers] == [0, 1, 2, 3, 4]


def test_draws_repeat_and_differ() -> None:
    labels = named([20] * 30)
    groups = np.arange(len(labels))
    draws = [hold_out(labels, groups, 6, draw, seed=0) for draw in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]


def test_draws_share_no_class_until_a_stratum_is_used_up() -> None:
    labels = named([20] * 30)  # six strata of five
    draws = [hold_out(labels, np.arange(len(labels)), 6, draw, seed=0) for draw in range(6)]
    assert sorted(name for draw in draws[:5] for name in draw) == sorted(set(labels))
    assert draws[5] == draws[0]


@pytest.mark.parametrize("seed", range(40))
def test_twins_are_held_out_together_or_not_at_all(seed: int) -> None:
    labels = named([20] * 10)
    groups = np.arange(len(labels))
    groups[20:23] = groups[60:63]  # three of 20 pictures of class 1 stand in class 3 too
    groups[100] = groups[140]  # one picture makes no twins of classes 5 and 7
    held = hold_out(labels, groups, 4, draw=0, seed=seed)
    assert len(held) == 4
    assert ("class_01" in held) == ("class_03" in held)


def test_one_stray_near_duplicate_ties_no_classes() -> None:
    labels = named([20] * 10)
    groups = np.arange(len(labels))
    groups[100] = groups[140]
    draws = [hold_out(labels, groups, 4, 0, seed) for seed in range(40)]
    assert any(("class_05" in held) != ("class_07" in held) for held in draws)


def test_two_classes_must_be_left() -> None:
    labels = named([20] * 5)
    assert len(hold_out(labels, np.arange(100), 3, draw=0, seed=0)) == 3
    with pytest.raises(RisError, match=r"Of 2 classes with different pictures none can be held out"):
        hold_out(labels[:40], np.arange(40), 1, draw=0, seed=0)


@pytest.mark.parametrize("wanted", [7, 21])
def test_of_few_classes_half_are_held_out(wanted: int) -> None:
    labels, groups = named([25] * 8), np.arange(200)
    draws = [hold_out(labels, groups, wanted, draw, seed=0) for draw in range(2)]
    assert sorted(draws[0] + draws[1]) == sorted(set(labels))
