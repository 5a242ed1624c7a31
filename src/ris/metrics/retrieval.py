"""Retrieval metrics as functions from arrays to arrays: one value a query, nothing averaged.

Neighbours are catalog rows in ascending distance, one line a query. -1 marks a place that the search left
empty; it is never relevant.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.integer[Any]]
Booleans = NDArray[np.bool_]
Floats = NDArray[np.float64]


def relevant_counts(
    query_labels: Integers, query_groups: Integers, gallery_labels: Integers, gallery_groups: Integers
) -> Integers:
    """Return R of each query: gallery images of its label that are not of its own near-duplicate group.

    Args:
        query_labels: (q,) label codes.
        query_groups: (q,) near-duplicate groups.
        gallery_labels: (g,) label codes.
        gallery_groups: (g,) near-duplicate groups.

    Returns:
        (q,) counts.
    """
    n_groups = 1 + max(int(query_groups.max()), int(gallery_groups.max()))
    queries = query_labels.astype(np.int64) * n_groups + query_groups
    gallery = gallery_labels.astype(np.int64) * n_groups + gallery_groups
    return _occurrences(query_labels, gallery_labels) - _occurrences(queries, gallery)


def relevance(neighbours: Integers, query_labels: Integers, labels: Integers) -> Booleans:
    """Tell which neighbours bear the query's label.

    Args:
        neighbours: (q, m) catalog rows.
        query_labels: (q,) label codes.
        labels: (n,) label code of each catalog row.

    Returns:
        (q, m) bool.
    """
    relevant: Booleans = (neighbours >= 0) & (labels[neighbours] == query_labels[:, None])
    return relevant


def precision_at_k(relevant: Booleans, n_relevant: Integers, k: int) -> Floats:
    """Return the share of relevant images among the k nearest, k capped at R.

    Args:
        relevant: (q, m) bool, m at least every query's capped k.
        n_relevant: (q,) R of each query.
        k: neighbours looked at.

    Returns:
        (q,) in [0, 1].

    Raises:
        ValueError: m is too small, or a query has no relevant image.
    """
    depth = np.minimum(k, n_relevant)
    hits: Integers = np.count_nonzero(relevant & _first(relevant, depth), axis=1)
    return hits / depth


def capped_queries(n_relevant: Integers, k: int) -> int:
    """Count the queries whose k is capped because they have fewer than k relevant images."""
    return int(np.count_nonzero(n_relevant < k))


def mean_average_precision_at_r(relevant: Booleans, n_relevant: Integers) -> Floats:
    """Return AP@R of each query, whose mean is mAP@R.

    (1/R) * sum over i <= R of precision@i * rel(i): Musgrave et al. 2020, "A Metric Learning Reality
    Check", arXiv 2003.08505, section 3.2.

    Args:
        relevant: (q, m) bool, m at least the largest R.
        n_relevant: (q,) R of each query.

    Returns:
        (q,) in [0, 1].

    Raises:
        ValueError: m is smaller than the largest R, or a query has no relevant image.
    """
    counted = relevant & _first(relevant, n_relevant)
    precision = np.cumsum(counted, axis=1) / np.arange(1, relevant.shape[1] + 1)
    total: Floats = np.sum(precision, axis=1, where=counted)
    return total / n_relevant


def leave_one_out_map_at_r(vectors: NDArray[np.float32], labels: Integers) -> float:
    """Return mAP@R with each vector as a query against all the others.

    Args:
        vectors: (n, D) of length 1.
        labels: (n,) label codes; a label that occurs once is no query.

    Raises:
        ValueError: no label occurs twice.
    """
    scores = vectors @ vectors.T
    np.fill_diagonal(scores, -np.inf)
    neighbours = np.argsort(-scores, axis=1, kind="stable")[:, :-1]
    n_relevant = _occurrences(labels, labels) - 1
    queries = n_relevant > 0
    if not queries.any():
        raise ValueError("no label occurs twice")
    relevant = relevance(neighbours[queries], labels[queries], labels)
    return float(mean_average_precision_at_r(relevant, n_relevant[queries]).mean())


def recall_at_k(relevant: Booleans, k: int) -> Floats:
    """Return 1 where at least one of the k nearest is relevant, else 0.

    Args:
        relevant: (q, m) bool; m is smaller than k only where the gallery is.
        k: neighbours looked at.

    Returns:
        (q,) of 0.0 or 1.0.
    """
    return np.asarray(relevant[:, :k].any(axis=1), dtype=np.float64)


def ann_recall(approximate: Integers, exact: Integers, k: int) -> Floats:
    """Return the share of the exact k nearest that the approximate search has among its own k nearest.

    Args:
        approximate: (q, m) catalog rows; m is smaller than k only where the gallery is.
        exact: (q, m) catalog rows of the exact search in the same space, likewise.
        k: neighbours looked at.

    Returns:
        (q,) in [0, 1].
    """
    wanted = exact[:, :k]
    returned = (wanted[:, :, None] == approximate[:, None, :k]).any(axis=2)
    asked: Integers = np.count_nonzero(wanted >= 0, axis=1)
    found: Integers = np.count_nonzero(returned & (wanted >= 0), axis=1)
    return found / asked


def query_values(
    nearest: Integers,
    ranking: Integers,
    query_labels: Integers,
    labels: Integers,
    n_relevant: Integers,
    ks: Sequence[int],
    exact: Integers | None = None,
) -> dict[str, Floats]:
    """Return every metric of one search, one value a query.

    `nearest` and `ranking` are two searches because an approximate index may look harder when it is asked
    for more: what a user sees is judged on the short one, and only mAP@R needs the long one.

    Args:
        nearest: (q, m) catalog rows from a search for the largest of `ks`.
        ranking: (q, m) catalog rows from a search for at least the largest R.
        query_labels: (q,) label codes.
        labels: (n,) label code of each catalog row.
        n_relevant: (q,) R of each query.
        ks: the k of precision@k, recall@k and ann_recall@k.
        exact: (q, m) as `nearest`, from the exact search in the same space; None where `nearest` is that.

    Returns:
        (q,) values under `precision@k` and `recall@k` for each k, `mAP@R`, and `ann_recall@k` given `exact`.

    Raises:
        ValueError: a ranking is too short, or a query has no relevant image.
    """
    relevant = relevance(nearest, query_labels, labels)
    values = {f"precision@{k}": precision_at_k(relevant, n_relevant, k) for k in ks}
    values["mAP@R"] = mean_average_precision_at_r(relevance(ranking, query_labels, labels), n_relevant)
    values |= {f"recall@{k}": recall_at_k(relevant, k) for k in ks}
    if exact is not None:
        values |= {f"ann_recall@{k}": ann_recall(nearest, exact, k) for k in ks}
    return values


def _first(relevant: Booleans, depth: Integers) -> Booleans:
    """Return a (q, m) mask of each query's first `depth` places."""
    if depth.min() < 1:
        raise ValueError(f"{np.count_nonzero(depth < 1)} queries have no relevant image in the gallery")
    if depth.max() > relevant.shape[1]:
        raise ValueError(
            f"rankings of {relevant.shape[1]} neighbours are too short, {depth.max()} are needed"
        )
    return np.arange(relevant.shape[1]) < depth[:, None]


def _occurrences(values: Integers, among: Integers) -> Integers:
    """Count how often each of `values` occurs in `among`."""
    kinds, counts = np.unique(among, return_counts=True)
    position = np.searchsorted(kinds, values).clip(max=len(kinds) - 1)
    return np.where(kinds[position] == values, counts[position], 0)
