"""Classifiers on vectors, against a count by hand and where chance and certainty are known."""

import numpy as np
import pytest

from ris.lab.baselines import Labelled, answers, linear_probe, nearest_class_mean

RNG = np.random.default_rng(0)
CENTRES = RNG.standard_normal((5, 16))


def drawn(count: int, noise: float) -> Labelled:
    labels = np.repeat(np.arange(5) * 3, count)
    vectors = CENTRES[labels // 3] + noise * RNG.standard_normal((len(labels), 16))
    return Labelled(vectors.astype(np.float32), labels)


def test_the_nearest_mean_direction_by_hand() -> None:
    gallery, queries = drawn(8, 2.0), drawn(6, 2.0)
    expected = []
    for vector, label in zip(queries.vectors, queries.labels, strict=True):
        cosines = {}
        for other in np.unique(gallery.labels):
            members = [one / np.linalg.norm(one) for one in gallery.vectors[gallery.labels == other]]
            mean = np.mean(members, axis=0)
            cosines[other] = vector @ mean / np.linalg.norm(mean)
        expected.append(max(cosines, key=lambda name: cosines[name]) == label)
    found = nearest_class_mean(gallery, queries)
    assert found.tolist() == expected
    assert 0.2 < found.mean() < 1


def test_what_is_told_apart_by_a_line_is() -> None:
    train, validation, queries = drawn(20, 0.3), drawn(5, 0.3), drawn(10, 0.3)
    found = answers(train, validation, queries)
    assert {name: right.mean() for name, right in found.items()} == {
        "nearest_class_mean": 1.0,
        "linear_probe": 1.0,
    }


def test_a_probe_learns_from_no_query() -> None:
    train = drawn(20, 1.0)
    shuffled = Labelled(train.vectors, RNG.permutation(train.labels))
    assert linear_probe(shuffled, drawn(40, 1.0), 10.0).mean() == pytest.approx(0.2, abs=0.25)
    assert linear_probe(train, drawn(40, 1.0), 10.0).mean() > 0.7
