"""One question asked of one search: what it found, how good each answer was, and the summary."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ris.metrics.intervals import Summary, retrieval_summary
from ris.metrics.retrieval import Floats, Integers, query_values, relevant_counts

Search = Callable[[NDArray[np.float32], int], tuple[NDArray[np.float32], NDArray[np.int64]]]
"""Vectors (q, d) and k to distances (q, k) and catalog rows (q, k)."""


@dataclass(frozen=True)
class SameClass:
    """The question whether the neighbours show what the query shows."""

    queries: Integers
    """(q,) catalog rows that are asked."""
    labels: Integers
    """(N,) label code of each catalog row."""
    n_relevant: Integers
    """(q,) gallery images of the query's label that are not of its near-duplicate group."""

    @classmethod
    def of(cls, queries: Integers, gallery: Integers, labels: Integers, groups: Integers) -> "SameClass":
        """Build from catalog rows, and the label code and near-duplicate group of every row."""
        counts = relevant_counts(labels[queries], groups[queries], labels[gallery], groups[gallery])
        return cls(queries, labels, counts)

    @property
    def query_labels(self) -> Integers:
        """(q,) label codes."""
        return self.labels[self.queries]


@dataclass(frozen=True)
class Judged:
    """A search's answers to every query."""

    distances: NDArray[np.float32]
    """(q, max k) ascending."""
    nearest: NDArray[np.int64]
    """(q, max k) catalog rows."""
    values: dict[str, Floats]
    """(q,) by metric."""
    summary: dict[str, Summary]
    """By metric, as in metrics.json."""


def judge(
    search: Search,
    vectors: NDArray[np.float32],
    question: SameClass,
    ks: Sequence[int],
    n_resamples: int,
    seed: int,
    exact: Integers | None = None,
) -> Judged:
    """Ask a search every query.

    Args:
        search: of the index that is judged.
        vectors: (q, d) of the queries.
        question: what counts as right.
        ks: the k of precision@k, recall@k and ann_recall@k.
        n_resamples: behind each interval.
        seed: of the resampling.
        exact: (q, max k) rows that the exact search of the same space found; None where that is judged.
    """
    distances, nearest = search(vectors, max(ks))
    _, ranking = search(vectors, int(question.n_relevant.max()))
    labels = question.query_labels
    values = query_values(nearest, ranking, labels, question.labels, question.n_relevant, ks, exact)
    summary = retrieval_summary(values, labels, question.n_relevant, ks, n_resamples, seed)
    return Judged(distances, nearest, values, summary)
