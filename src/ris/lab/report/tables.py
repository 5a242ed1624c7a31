"""Tables that a person reads to see where a search fails."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from ris.metrics.retrieval import Floats, Integers

DECIMALS = 6


def per_class(
    values: Mapping[str, Floats], query_labels: Integers, gallery_labels: Integers, names: Sequence[str]
) -> pd.DataFrame:
    """Average metrics within each class.

    Args:
        values: (q,) one value a query, under each metric's name.
        query_labels: (q,) label codes.
        gallery_labels: (g,) label codes.
        names: label of each code.

    Returns:
        `label`, `queries`, `gallery` and a column a metric (NaN for a class without queries); one row a
        class, in the order of `names`.
    """
    counts = pd.DataFrame(
        {
            "label": list(names),
            "queries": np.bincount(query_labels, minlength=len(names)),
            "gallery": np.bincount(gallery_labels, minlength=len(names)),
        }
    )
    return counts.join(pd.DataFrame(dict(values)).groupby(query_labels).mean().round(DECIMALS))


def worst_queries(
    values: Mapping[str, Floats],
    neighbours: Integers,
    query_rows: Integers,
    catalog: pd.DataFrame,
    count: int,
) -> pd.DataFrame:
    """List the queries with the lowest values.

    Args:
        values: (q,) one value a query, under each metric's name; sorted by the first, then the next.
        neighbours: (q, m) catalog rows in ascending distance; -1 for an empty place.
        query_rows: (q,) catalog row of each query.
        catalog: with `path` and `label`.
        count: rows of the table.

    Returns:
        `path`, `label`, a column a metric, and `nearest_wrong_label` (empty if all m neighbours are right).
    """
    queries = catalog.iloc[query_rows][["path", "label"]].reset_index(drop=True)
    queries = queries.assign(**{name: column.round(DECIMALS) for name, column in values.items()})
    worst = queries.sort_values([*values, "path"]).head(count)

    labels = catalog["label"].to_numpy()
    nearest = neighbours[worst.index]
    wrong = (nearest >= 0) & (labels[nearest] != worst["label"].to_numpy()[:, None])
    first = labels[nearest[np.arange(len(worst)), wrong.argmax(axis=1)]]
    return worst.assign(nearest_wrong_label=np.where(wrong.any(axis=1), first, "")).reset_index(drop=True)


def confused_pairs(
    neighbours: Integers,
    query_labels: Integers,
    labels: Integers,
    n_relevant: Integers,
    names: Sequence[str],
    k: int,
    count: int,
) -> pd.DataFrame:
    """List the labels that are most often found in place of another.

    As in precision@k, k is capped at R, so that the shares of a label add up to its wrong neighbours.

    Args:
        neighbours: (q, m) catalog rows in ascending distance; -1 for an empty place.
        query_labels: (q,) label codes.
        labels: (n,) label code of each catalog row.
        n_relevant: (q,) R of each query.
        names: label of each code.
        k: neighbours looked at.
        count: rows of the table.

    Returns:
        `label` of the queries, `wrong_label` found, `neighbours` (their count), and `share` of all
        neighbours that the queries of `label` have; the largest share first.
    """
    nearest, depth = neighbours[:, :k], np.minimum(k, n_relevant)
    found, asked = labels[nearest], np.broadcast_to(query_labels[:, None], nearest.shape)
    wrong = (np.arange(nearest.shape[1]) < depth[:, None]) & (nearest >= 0) & (found != asked)

    pairs = pd.DataFrame({"asked": asked[wrong], "found": found[wrong]})
    sizes = pairs.groupby(["asked", "found"]).size().rename("neighbours").reset_index()
    places = np.bincount(query_labels, weights=depth, minlength=len(names))
    table = pd.DataFrame(
        {
            "label": np.asarray(names)[sizes["asked"]],
            "wrong_label": np.asarray(names)[sizes["found"]],
            "neighbours": sizes["neighbours"],
            "share": (sizes["neighbours"] / places[sizes["asked"]]).round(DECIMALS),
        }
    )
    order = ["share", "neighbours", "label", "wrong_label"]
    return table.sort_values(order, ascending=[False, False, True, True]).head(count).reset_index(drop=True)
