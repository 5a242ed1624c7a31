"""What classifiers answer on the same vectors: what a search among labelled pictures is to be held to."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression

from ris.indexes.projection import normalise
from ris.indexes.vectors import Vectors
from ris.metrics.retrieval import Floats, Integers

STRENGTHS = (1.0, 10.0, 100.0)
"""Inverse strengths of the linear probe's regularisation, one of which is chosen by validation."""
ITERATIONS = 200


@dataclass(frozen=True, eq=False)
class Labelled:
    """Vectors of pictures whose class is known."""

    vectors: Vectors
    """(n, D)"""
    labels: Integers
    """(n,) label codes."""


def answers(train: Labelled, validation: Labelled, queries: Labelled) -> Mapping[str, Floats]:
    """Return which queries each classifier gets right: (q,) of 0.0 or 1.0 under its name.

    Both learn from train and validation pictures; the linear probe's strength is chosen by those of
    validation with the others learnt from.
    """
    gallery = Labelled(
        np.concatenate([train.vectors, validation.vectors]), np.concatenate([train.labels, validation.labels])
    )
    strength = max(STRENGTHS, key=lambda one: linear_probe(train, validation, one).mean())
    return {
        "nearest_class_mean": nearest_class_mean(gallery, queries),
        "linear_probe": linear_probe(gallery, queries, strength),
    }


def nearest_class_mean(gallery: Labelled, queries: Labelled) -> Floats:
    """Answer with the class whose mean direction is nearest by cosine (Mensink et al. 2013, TPAMI 35:11)."""
    classes, codes = np.unique(gallery.labels, return_inverse=True)
    sums = np.zeros((len(classes), gallery.vectors.shape[1]), np.float32)
    np.add.at(sums, codes, normalise(gallery.vectors))
    nearest = (queries.vectors @ normalise(sums).T).argmax(axis=1)
    right: Floats = (classes[nearest] == queries.labels).astype(np.float64)
    return right


def linear_probe(gallery: Labelled, queries: Labelled, strength: float) -> Floats:
    """Answer with a multinomial logistic regression on vectors of length 1 (Alain & Bengio 2016)."""
    probe = LogisticRegression(C=strength, max_iter=ITERATIONS, tol=1e-3)
    probe.fit(normalise(gallery.vectors), gallery.labels)
    right: Floats = (probe.predict(normalise(queries.vectors)) == queries.labels).astype(np.float64)
    return right
