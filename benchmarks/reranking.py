"""What query expansion and averaging the gallery change: python benchmarks/reranking.py FEATURES CATALOG.

FEATURES is an (N, D) .npy whose row i is row i of CATALOG, a catalog.parquet. The pictures of the
`validation` split ask, those of the `train` split are the gallery; the `query` split is left alone, so
that settings can be chosen here. Vectors are normalised and projected as the stage `pca` does by default.

One thread for latency. In every round all contestants take the same queries, one query at a time, in an
order drawn anew, so that whatever else the machine does meets all of them.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from ris.artifacts import write_json
from ris.config import Reranking
from ris.indexes.exact import ExactIndex
from ris.indexes.projection import Projection, normalise
from ris.indexes.reranked import Reranked
from ris.indexes.vectors import Positions, Vectors
from ris.metrics.judge import Question, judge
from ris.metrics.retrieval import Integers

Search: TypeAlias = Callable[[Vectors, int], tuple[Vectors, Positions]]

K = 10
ROUNDS = 10
QUERIES_PER_ROUND = 20
SETTINGS = ((1, 5, 3.0), (1, 10, 3.0), (1, 10, 0.0), (10, 10, 3.0), (20, 10, 3.0), (20, 20, 0.0))
"""Of `ris.config.Reranking`: augmented, expanded, alpha."""
RESAMPLES = 1000
METRICS = {"mAP@R": "mAP@R", f"precision@{K}": f"P@{K}"}


def contestants(vectors: Vectors) -> dict[str, Callable[[], Search]]:
    """Return by its name what fits each search to the gallery's vectors (n, d)."""
    fits: dict[str, Callable[[], Search]] = {"knn": lambda: ExactIndex(vectors).search}
    for augmented, expanded, alpha in SETTINGS:
        settings = Reranking(augmented=augmented, expanded=expanded, alpha=alpha)
        name = f"augmented={augmented} expanded={expanded} alpha={alpha:g}"
        fits[name] = partial(fitted, vectors, settings)
    return fits


def by_rows(search: Search, vectors: Vectors, rows: Integers, k: int) -> tuple[Vectors, Positions]:
    """Search for rows whose vectors are lines of (N, d)."""
    return search(vectors[rows], k)


def fitted(vectors: Vectors, settings: Reranking) -> Search:
    """Fit re-ranking to the gallery's vectors (n, d)."""
    return Reranked(vectors, settings).search_many


def p50_ms(searches: dict[str, Search], queries: Vectors) -> dict[str, float]:
    """Return the median time of one query in milliseconds, by name."""
    rng = np.random.default_rng(0)
    drawn = queries[rng.choice(len(queries), min(len(queries), ROUNDS * QUERIES_PER_ROUND), replace=False)]
    milliseconds: dict[str, list[float]] = {name: [] for name in searches}
    for of_round in np.array_split(drawn[:, None], ROUNDS):
        for name in rng.permutation(list(searches)):
            searches[name](of_round[0], K)
            for query in of_round:
                started = time.perf_counter()
                searches[name](query, K)
                milliseconds[name].append(1000 * (time.perf_counter() - started))
    return {name: float(np.median(of_search)) for name, of_search in milliseconds.items()}


def main() -> None:
    """Print the table and, where asked, write it as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("features", type=Path)
    parser.add_argument("catalog", type=Path)
    parser.add_argument("--dimension", type=int, default=128, help="what the vectors are projected to")
    parser.add_argument("--output", type=Path, help="write the figures to this JSON file")
    options = parser.parse_args()

    catalog = pd.read_parquet(options.catalog, columns=["label", "group", "split"])
    features = normalise(np.load(options.features, allow_pickle=False))
    queries, gallery = (np.flatnonzero(catalog["split"] == split) for split in ("validation", "train"))
    projection = Projection.fit(features[gallery], options.dimension, whiten=False, normalise=True)
    projected = projection.apply(features)
    vectors, asked = projected[gallery], projected[queries]
    codes = pd.factorize(catalog["label"])[0]
    question = Question.among(queries, gallery, codes, catalog["group"].to_numpy())

    with threadpool_limits(1):
        searches: dict[str, Search] = {}
        seconds: dict[str, float] = {}
        for name, fit in contestants(vectors).items():
            started = time.perf_counter()
            searches[name] = fit()
            seconds[name] = time.perf_counter() - started
        summaries = {
            name: judge(partial(by_rows, search, projected), question, (K,), RESAMPLES, seed=0).summary
            for name, search in searches.items()
        }
        latency = p50_ms(searches, asked)

    print(f"{len(queries)} queries against {len(gallery)} vectors of {options.dimension} dimensions")
    print("95 % intervals of macro mAP@R by bootstrap; p50 of one query, k = 10, 1 thread\n")
    heads = [f"{short} {average}" for short in METRICS.values() for average in ("macro", "micro")]
    print(
        f"{'search':<34}"
        + "".join(f"{head:>13}" for head in heads)
        + f"{'interval':>16}{'p50 ms':>8}{'fit s':>7}"
    )
    for name, summary in summaries.items():
        values = [
            value for metric in METRICS for value in (summary[metric]["macro"], summary[metric]["micro"])
        ]
        low, high = summary["mAP@R"]["macro_ci95"]
        print(
            f"{name:<34}"
            + "".join(f"{value:13.4f}" for value in values)
            + f"{f'{low:.3f} to {high:.3f}':>16}{latency[name]:8.2f}{seconds[name]:7.1f}"
        )
    if options.output:
        write_json(
            options.output,
            {
                "queries": len(queries),
                "gallery": len(gallery),
                "dimension": options.dimension,
                "threads": 1,
                "search": {
                    name: {metric: summaries[name][metric] for metric in METRICS}
                    | {"p50_ms": latency[name], "fit_s": seconds[name]}
                    for name in searches
                },
            },
        )


if __name__ == "__main__":
    main()
