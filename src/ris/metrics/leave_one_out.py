"""How good a store's searches are at a user's own labels: every picture is asked against all the others."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from ris.metrics.intervals import Summary, retrieval_summary
from ris.metrics.retrieval import Floats, Integers, query_values, relevant_counts

KS = (1, 5, 10)
N_RESAMPLES = 1000
SEED = 0
UNLABELLED = -1

_AT_ONCE = 256
"""Queries."""

Search: TypeAlias = Callable[[Integers, int], Integers]
"""Positions (q,) of pictures and k to the rows (q, k) of the nearest to each, -1 where a place is empty."""


@dataclass(frozen=True, eq=False)
class Question:
    """Which pictures are asked, and what counts as right: the same label, but no near-copy of the query.

    Nothing else of the store counts: the query itself, its near-copies and pictures without a label are
    passed over wherever they are found.
    """

    labels: Integers
    """(n,) label codes, `UNLABELLED` where there is none."""
    groups: Integers
    """(n,) near-duplicate groups."""
    queries: Integers
    """(q,) positions of the labelled pictures that have another to be found."""
    n_relevant: Integers
    """(q,) how many each has."""

    @classmethod
    def of(cls, labels: Integers, groups: Integers) -> "Question":
        """Ask all that can be asked, from label codes (n,) and near-duplicate groups (n,)."""
        labelled = np.flatnonzero(labels != UNLABELLED)
        if not len(labelled):
            return cls(labels, groups, labelled, labelled)
        of_labels, of_groups = labels[labelled], groups[labelled]
        n_relevant = relevant_counts(of_labels, of_groups, of_labels, of_groups)
        asked = n_relevant > 0
        return cls(labels, groups, labelled[asked], n_relevant[asked])

    def passed_over(self) -> int:
        """Return the most pictures that one query may find and not count."""
        return int(np.bincount(self.groups).max() + np.count_nonzero(self.labels == UNLABELLED))


def ask(
    search: Search,
    rows: Integers,
    question: Question,
    exact: Integers | None = None,
    told: Callable[[int], None] | None = None,
) -> tuple[Integers, dict[str, Floats]]:
    """Ask one search every query.

    Args:
        search: of the store.
        rows: (n,) what the search calls the pictures.
        question: what is asked.
        exact: positions that this function returned for the exact search of the same space; None where that
            is asked.
        told: called with the number of queries that have been answered.

    Returns:
        Positions (q, largest of `KS`) of the nearest that count, and the values (q,) of every metric, see
        `query_values`.
    """
    spare = question.passed_over()
    longest = int(question.n_relevant.max())
    found, values = [], []
    for start in range(0, len(question.queries), _AT_ONCE):
        batch = slice(start, start + _AT_ONCE)
        asked = question.queries[batch]

        def counted(depth: int, asked: Integers = asked) -> Integers:
            k = min(depth + spare, len(rows))
            return _counted(_positions(search(asked, k), rows), asked, question, depth)

        nearest, ranking = counted(max(KS)), counted(longest)
        found.append(nearest)
        values.append(
            query_values(
                nearest,
                ranking,
                question.labels[asked],
                question.labels,
                question.n_relevant[batch],
                KS,
                None if exact is None else exact[batch],
            )
        )
        if told:
            told(start + len(asked))
    return np.concatenate(found), {name: np.concatenate([one[name] for one in values]) for name in values[0]}


def summarised(values: dict[str, Floats], question: Question) -> dict[str, Summary]:
    """Average the values (q,) of every metric over queries and over labels, with intervals."""
    labels = question.labels[question.queries]
    return retrieval_summary(values, labels, question.n_relevant, KS, N_RESAMPLES, SEED)


def codes(labels: Sequence[str]) -> Integers:
    """Number labels (n,), `UNLABELLED` where one is empty."""
    names = {name: code for code, name in enumerate(sorted({*labels} - {""}))}
    return np.array([names.get(label, UNLABELLED) for label in labels], np.int64)


def _positions(found: Integers, rows: Integers) -> Integers:
    """Turn rows (q, k) of the store into positions in `rows` (n,), -1 where a place is empty."""
    order = np.argsort(rows)
    places = np.searchsorted(rows[order], found).clip(max=len(rows) - 1)
    return np.where(found < 0, -1, order[places])


def _counted(found: Integers, asked: Integers, question: Question, depth: int) -> Integers:
    """Keep the first `depth` positions of each line that count; -1 fills what is left."""
    passed = (
        (found < 0)
        | (question.groups[found] == question.groups[asked][:, None])
        | (question.labels[found] == UNLABELLED)
    )
    order = np.argsort(passed, axis=1, kind="stable")[:, :depth]
    kept = np.take_along_axis(np.where(passed, -1, found), order, axis=1)
    missing = max(0, depth - kept.shape[1])
    return np.pad(kept, ((0, 0), (0, missing)), constant_values=-1)
