"""What a training run computes, against plain loops and figures worked out by hand."""

import numpy as np
import pytest
import torch

from ris.lab.training import CosineClassifier, apartness, draw_epoch, warmup_cosine


def test_cosine_classifier_against_a_plain_loop() -> None:
    torch.manual_seed(0)
    classifier = CosineClassifier(5, 3, temperature=0.2)
    vectors = torch.randn(4, 5) * torch.tensor([[0.1], [1.0], [10.0], [100.0]])
    scores = classifier(vectors).detach().numpy()
    weight = classifier.weight.detach().numpy()
    for row, vector in enumerate(vectors.numpy()):
        for label, direction in enumerate(weight):
            cosine = np.dot(vector, direction) / np.linalg.norm(vector) / np.linalg.norm(direction)
            assert scores[row, label] == pytest.approx(cosine / 0.2, abs=1e-5)


def test_apartness_by_hand() -> None:
    vectors, taught = torch.tensor([[2.0, 0.0], [1.0, 1.0]]), torch.tensor([[0.0, 3.0], [5.0, 5.0]])
    assert apartness(vectors, taught).item() == pytest.approx(0.5)


LABELS = np.repeat([0, 1, 2], [4, 16, 64])


@pytest.mark.parametrize(
    ("balance", "counts"),
    [
        (0.0, [4, 16, 64]),
        # Square roots 2, 4 and 8 of 14, times 84.
        (0.5, [12, 24, 48]),
        (1.0, [28, 28, 28]),
    ],
)
def test_an_epoch_draws_classes_by_the_power_of_their_size(balance: float, counts: list[int]) -> None:
    rows = draw_epoch(LABELS, balance, seed=[0, 0])
    assert np.bincount(LABELS[rows]).tolist() == counts
    for label, quota in enumerate(counts):
        members = np.flatnonzero(np.equal(LABELS, label))
        times = np.bincount(rows, minlength=len(LABELS))[members]
        assert set(times) <= {quota // len(members), -(-quota // len(members))}


def test_an_epoch_keeps_its_length_where_shares_are_no_whole_numbers() -> None:
    labels = np.array([5, 1, 1, 5, 5, 9, 1, 5, 9, 5, 5])
    rows = draw_epoch(labels, 0.5, seed=[3])
    assert len(rows) == len(labels)
    # Sizes 3, 6 and 2: 1.73, 2.45 and 1.41 of 5.60, times 11, are 3.41, 4.81 and 2.78; bounds 3.41 and 8.22.
    assert [int((labels[rows] == label).sum()) for label in (1, 5, 9)] == [3, 5, 3]


def test_an_epoch_is_drawn_by_its_seed() -> None:
    one, again, other = (draw_epoch(LABELS, 0.5, seed=[0, epoch]) for epoch in (1, 1, 2))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    assert set(one[LABELS[one] == 2]) != set(other[LABELS[other] == 2])
    assert np.abs(np.diff(LABELS[one])).sum() > 20  # classes are mixed


@pytest.mark.parametrize(
    ("step", "factor"),
    [(0, 0.25), (1, 0.5), (3, 1.0), (4, 1.0), (8, (1 + 0.5**0.5) / 2), (12, 0.5), (20, 0.0), (25, 0.0)],
)
def test_learning_rate_rises_straight_and_falls_as_a_cosine(step: int, factor: float) -> None:
    assert warmup_cosine(step, steps=20, warmup_share=0.2) == pytest.approx(factor, abs=1e-12)


def test_learning_rate_without_warm_up_starts_at_the_top() -> None:
    assert [warmup_cosine(step, 3, 0.0) for step in (0, 1)] == [1.0, 1.0]
    assert warmup_cosine(0, 1, 0.0) == 1.0
