"""How good a search is at labels: what it is asked, and how good each of its answers is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ris.metrics.intervals import Summary, retrieval_summary
from ris.metrics.retrieval import Floats, Integers, query_values, relevant_counts

UNLABELLED = -1
_AT_ONCE = 256
"""Queries."""

Search: TypeAlias = Callable[[Integers, int], tuple[NDArray[np.float32], NDArray[np.int64]]]
"""Queries (q,) as `Question.queries` names them, and k, to distances (q, k), ascending, and positions (q, k)
of the nearest in the gallery, -1 where a place is empty."""


@dataclass(frozen=True, eq=False)
class Question:
    """What is asked, and what counts as right: the query's label, but no near-duplicate of the query.

    Nothing else of the gallery counts: the query itself, its near-duplicates and pictures without a label are
    passed over wherever they are found.
    """

    queries: Integers
    """(q,) what the search knows the queries by."""
    query_labels: Integers
    """(q,) label codes."""
    query_groups: Integers
    """(q,) near-duplicate groups."""
    labels: Integers
    """(n,) label codes of the gallery, `UNLABELLED` where there is none."""
    groups: Integers
    """(n,) near-duplicate groups of the gallery."""
    n_relevant: Integers
    """(q,) how many pictures of the gallery are right."""

    @classmethod
    def among(cls, queries: Integers, gallery: Integers, labels: Integers, groups: Integers) -> Self:
        """Ask some rows of a catalog for others.

        Args:
            queries: (q,) rows.
            gallery: (n,) rows.
            labels: (N,) label code of every row.
            groups: (N,) near-duplicate group of every row.
        """
        sides = labels[queries], groups[queries], labels[gallery], groups[gallery]
        return cls(queries, *sides, relevant_counts(*sides))

    @classmethod
    def leave_one_out(cls, labels: Integers, groups: Integers) -> Self:
        """Ask every labelled picture that has another to be found, from label codes (n,) and groups (n,)."""
        labelled = np.flatnonzero(labels != UNLABELLED)
        sides = labels[labelled], groups[labelled]
        n_relevant = relevant_counts(*sides, *sides) if len(labelled) else labelled
        asked = n_relevant > 0
        queries = labelled[asked]
        return cls(queries, labels[queries], groups[queries], labels, groups, n_relevant[asked])

    def passed_over(self) -> int:
        """Return the most pictures that one query may find and not count."""
        mine = np.isin(self.groups, self.query_groups)
        copies = int(np.bincount(self.groups[mine]).max()) if mine.any() else 0
        return copies + int(np.count_nonzero(self.labels == UNLABELLED))


@dataclass(frozen=True, eq=False)
class Judged:
    """A search's answers to every query."""

    distances: NDArray[np.float32]
    """(q, max k) ascending; infinite where a place is empty."""
    nearest: Integers
    """(q, max k) positions in the gallery, -1 where a place is empty."""
    values: dict[str, Floats]
    """(q,) by metric, see `query_values`."""
    summary: dict[str, Summary]
    """By metric, averages over queries and over labels, with intervals."""


def judge(
    search: Search,
    question: Question,
    ks: Sequence[int],
    n_resamples: int,
    seed: int,
    exact: Integers | None = None,
    answered: Callable[[int], None] | None = None,
) -> Judged:
    """Ask a search every query.

    Args:
        search: that is judged; it is asked once for the largest k, and once as deep as mAP@R needs.
        question: what counts as right.
        ks: the k of precision@k, recall@k and ann_recall@k.
        n_resamples: behind each interval.
        seed: of the resampling.
        exact: (q, max k) positions that the exact search of the same space found; None where that is judged.
        answered: called with the number of queries that have been answered.
    """
    spare, deepest = question.passed_over(), int(question.n_relevant.max())
    distances, nearest, values = [], [], []
    for start in range(0, len(question.queries), _AT_ONCE):
        batch = slice(start, start + _AT_ONCE)
        far, near = _counted(search, question, batch, max(ks), spare)
        _, ranking = _counted(search, question, batch, deepest, spare)
        distances.append(far)
        nearest.append(near)
        values.append(
            query_values(
                near,
                ranking,
                question.query_labels[batch],
                question.labels,
                question.n_relevant[batch],
                ks,
                None if exact is None else exact[batch],
            )
        )
        if answered:
            answered(min(start + _AT_ONCE, len(question.queries)))
    joined = {name: np.concatenate([one[name] for one in values]) for name in values[0]}
    summary = retrieval_summary(joined, question.query_labels, question.n_relevant, ks, n_resamples, seed)
    return Judged(np.concatenate(distances), np.concatenate(nearest), joined, summary)


def codes(labels: Sequence[str]) -> Integers:
    """Number labels (n,), `UNLABELLED` where one is empty."""
    names = {name: code for code, name in enumerate(sorted({*labels} - {""}))}
    return np.array([names.get(label, UNLABELLED) for label in labels], np.int64)


def _counted(
    search: Search, question: Question, batch: slice, depth: int, spare: int
) -> tuple[NDArray[np.float32], Integers]:
    """Return the first `depth` answers of each query that count: distances and positions (b, depth)."""
    distances, found = search(question.queries[batch], min(depth + spare, len(question.labels)))
    passed = (
        (found < 0)
        | (question.groups[found] == question.query_groups[batch, None])
        | (question.labels[found] == UNLABELLED)
    )
    order = np.argsort(passed, axis=1, kind="stable")[:, :depth]
    missing = ((0, 0), (0, max(0, depth - order.shape[1])))
    far = np.take_along_axis(np.where(passed, np.inf, distances), order, axis=1)
    kept = np.take_along_axis(np.where(passed, -1, found), order, axis=1)
    return (
        np.pad(far, missing, constant_values=np.inf).astype(np.float32),
        np.pad(kept, missing, constant_values=-1),
    )
