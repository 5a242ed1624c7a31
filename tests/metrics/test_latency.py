"""What is called, how often and on how many threads, and how figures follow from given durations."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_info

from ris.metrics.latency import (
    measure_latency,
    measure_throughput,
    percentiles_ms,
    recall_latency_curve,
)

QUERIES = np.arange(12, dtype=np.float32).reshape(6, 2)


class Recorder:
    """Remembers what it was asked, and the threads that were allowed meanwhile."""

    def __init__(self) -> None:
        self.asked: list[NDArray[Any]] = []
        self.threads: set[int] = set()

    def __call__(self, queries: NDArray[Any]) -> None:
        self.asked.append(queries)
        self.threads |= {pool["num_threads"] for pool in threadpool_info()}


def test_percentiles_of_known_durations() -> None:
    milliseconds = [d * 1_000_000 for d in range(100, -1, -1)]
    assert percentiles_ms(milliseconds) == {"p50_ms": 50, "p95_ms": 95, "p99_ms": 99}
    assert percentiles_ms([1_000_000, 2_000_000]) == {"p50_ms": 1.5, "p95_ms": 1.95, "p99_ms": 1.99}


def test_latency_asks_one_query_at_a_time_after_warming_up() -> None:
    recorder = Recorder()
    result = measure_latency(recorder, QUERIES, warmup=2)
    assert [query.shape for query in recorder.asked] == [(1, 2)] * 8
    assert np.array_equal(np.concatenate(recorder.asked), np.concatenate([QUERIES[:2], QUERIES]))
    assert recorder.threads == {1}
    assert list(result) == ["p50_ms", "p95_ms", "p99_ms", "queries", "threads"]
    assert (result["queries"], result["threads"]) == (6, 1)
    assert 0 < result["p50_ms"] <= result["p95_ms"] <= result["p99_ms"]


def test_throughput_asks_all_queries_at_once() -> None:
    recorder = Recorder()
    assert measure_throughput(recorder, QUERIES) > 0
    assert [query.shape for query in recorder.asked] == [(6, 2)] * 2
    assert recorder.threads == {1}


def test_the_curve_holds_each_pair_of_settings() -> None:
    """An index of t trees that, inspecting s nodes, returns min(t * s, 4) of the 4 exact neighbours."""
    exact = np.arange(24).reshape(6, 4)
    built: list[int] = []
    threads: set[int] = set()

    def build(settings: Mapping[str, int]) -> Any:
        n_trees = settings["n_trees"]
        built.append(n_trees)

        def search(queries: NDArray[Any], settings: Mapping[str, int]) -> NDArray[np.int64]:
            threads.update(pool["num_threads"] for pool in threadpool_info())
            rows = exact[(queries[:, 0] // 2).astype(int)]
            return np.where(np.arange(4) < n_trees * settings["search_k"], rows, -1)

        return search

    trees, nodes = [{"n_trees": 1}, {"n_trees": 2}], [{"search_k": 1}, {"search_k": 3}]
    table = recall_latency_curve(build, trees, nodes, QUERIES, exact, k=4)
    assert built == [1, 2]
    assert threads == {1}
    assert table.columns.tolist() == ["n_trees", "search_k", "ann_recall@4", "p50_ms", "build_s"]
    assert table[["n_trees", "search_k"]].to_numpy().tolist() == [[1, 1], [1, 3], [2, 1], [2, 3]]
    assert table["ann_recall@4"].tolist() == [0.25, 0.75, 0.5, 1.0]
    assert (table["p50_ms"] > 0).all()
    assert table.groupby("n_trees")["build_s"].nunique().tolist() == [1, 1]
