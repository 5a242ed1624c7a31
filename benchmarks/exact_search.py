"""Time one query against one bare matrix-vector product: python benchmarks/exact_search.py [--output FILE].

One thread. In every round all contestants take the same queries, one query at a time, in an order drawn
anew, so that whatever else the machine does meets all of them.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.neighbors import NearestNeighbors
from threadpoolctl import threadpool_limits

from ris.artifacts import write_json
from ris.indexes.annoy import AnnoyIndex
from ris.indexes.exact import ExactIndex
from ris.indexes.projection import normalise
from ris.indexes.vectors import Vectors

COUNT = 8_677
DIMENSIONS = (128, 1280)
CLUSTERS = 101
K = 10
ROUNDS = 20
QUERIES_PER_ROUND = 20
ANNOY = {"n_trees": 100, "search_k": -1}


def drawn(kind: str, count: int, dimension: int, rng: np.random.Generator) -> Vectors:
    """Draw vectors (count, dimension) of length 1: `uniform` on the sphere, or `clustered` like classes."""
    vectors = rng.standard_normal((count, dimension), dtype=np.float32)
    if kind == "clustered":
        centres = np.random.default_rng(1).standard_normal((CLUSTERS, dimension), dtype=np.float32)
        vectors = centres[rng.integers(CLUSTERS, size=count)] + 0.7 * vectors
    return normalise(vectors)


def contestants(vectors: Vectors) -> dict[str, Callable[[Vectors], Any]]:
    """Return what is timed, each a function of one query (1, d)."""
    exact = ExactIndex.build(vectors, {}, seed=0)
    annoy = AnnoyIndex.build(vectors, ANNOY, seed=0)
    brute = NearestNeighbors(algorithm="brute").fit(vectors)
    return {
        "matrix-vector product": lambda query: vectors @ query[0],
        "ris exact": lambda query: exact.search(query, K),
        "scikit-learn brute": lambda query: brute.kneighbors(query, K),
        "ris annoy": lambda query: annoy.search(query, K),
    }


def measured(kind: str, dimension: int) -> dict[str, dict[str, float]]:
    """Return p50 and p95 in milliseconds for each contestant, and its p50 over the bare product's."""
    rng = np.random.default_rng(0)
    searches = contestants(drawn(kind, COUNT, dimension, rng))
    queries = drawn(kind, ROUNDS * QUERIES_PER_ROUND, dimension, rng)[:, None]
    seconds: dict[str, list[float]] = {name: [] for name in searches}
    for of_round in np.split(queries, ROUNDS):
        for name in rng.permutation(list(searches)):
            searches[name](of_round[0])
            for query in of_round:
                started = time.perf_counter()
                searches[name](query)
                seconds[name].append(time.perf_counter() - started)
    p50, p95 = ({name: 1000 * float(np.percentile(seconds[name], q)) for name in searches} for q in (50, 95))
    bare = p50["matrix-vector product"]
    return {name: {"p50_ms": p50[name], "p95_ms": p95[name], "ratio": p50[name] / bare} for name in searches}


def main() -> None:
    """Print the table and, where asked, write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, help="write the figures to this JSON file")
    output = parser.parse_args().output
    print(f"One query against {COUNT} float32 vectors of length 1, k = {K}, 1 thread")
    print(f"ANNOY: {ANNOY['n_trees']} trees, search_k = {K * ANNOY['n_trees']}\n")
    print(f"{'vectors':<16} {'search':<22} {'p50 ms':>8} {'p95 ms':>8} {'ratio':>7}")
    results = {}
    with threadpool_limits(1):
        for kind in ("uniform", "clustered"):
            for dimension in DIMENSIONS:
                results[f"{kind}_{dimension}"] = figures = measured(kind, dimension)
                for name, figure in figures.items():
                    print(
                        f"{kind + ' ' + str(dimension):<16} {name:<22} {figure['p50_ms']:8.3f} "
                        f"{figure['p95_ms']:8.3f} {figure['ratio']:7.2f}"
                    )
    if output:
        write_json(
            output,
            {
                "count": COUNT,
                "k": K,
                "dtype": "float32",
                "threads": 1,
                "queries": ROUNDS * QUERIES_PER_ROUND,
                "search": results,
            },
        )


if __name__ == "__main__":
    main()
