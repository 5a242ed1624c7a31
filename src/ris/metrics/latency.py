"""How fast a search answers, of callables: no index is known by name."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from time import perf_counter_ns
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from ris.metrics.retrieval import Integers, ann_recall

Batch = NDArray[Any]
"""What is asked for, one a line: (q, d) float32 vectors, or (q,) paths where embedding is timed."""

Answer = TypeVar("Answer")

WARMUP = 10


def measure_latency(
    answer: Callable[[Batch], object], queries: Batch, warmup: int = WARMUP
) -> dict[str, float | int]:
    """Time an answer to one query at a time, on one thread.

    BLAS and OpenMP pools are held at one thread through threadpoolctl. Torch keeps its own count: where
    `answer` uses it, the caller sets that.

    Args:
        answer: called with one line of `queries`, still a batch: (1, d) or (1,).
        queries: (q, d) or (q,).
        warmup: calls before the first timed one, on the first queries.

    Returns:
        `p50_ms`, `p95_ms` and `p99_ms`, the number of `queries`, and `threads`, which is 1.
    """
    with threadpool_limits(limits=1):
        durations, _ = _timed(answer, queries, warmup)
    return {**percentiles_ms(durations), "queries": len(queries), "threads": 1}


def percentiles_ms(durations: Sequence[int]) -> dict[str, float]:
    """Return `p50_ms`, `p95_ms` and `p99_ms` of durations in nanoseconds, linearly interpolated."""
    p50, p95, p99 = np.percentile(np.asarray(durations) / 1e6, [50, 95, 99]).round(6).tolist()
    return {"p50_ms": p50, "p95_ms": p95, "p99_ms": p99}


def measure_throughput(answer: Callable[[Batch], object], queries: Batch) -> float:
    """Return queries per second when all are asked at once, on one thread, after one call to warm up.

    Args:
        answer: called with all of `queries`.
        queries: (q, d) or (q,).
    """
    with threadpool_limits(limits=1):
        answer(queries)
        start = perf_counter_ns()
        answer(queries)
        return round(len(queries) / (perf_counter_ns() - start) * 1e9, 1)


def recall_latency_curve(
    build: Callable[[Mapping[str, int]], Callable[..., Integers]],
    built: Sequence[Mapping[str, int]],
    searched: Sequence[Mapping[str, int]],
    queries: Batch,
    exact: Integers,
    k: int,
) -> pd.DataFrame:
    """Trade recall for time over the settings of an approximate index, on one thread.

    Args:
        build: from settings to a search, called as `search(queries, settings=...)`, that returns the
            positions (q, k) of the nearest.
        built: settings of building; an index is built for each.
        searched: settings of searching; each index is searched with each.
        queries: (q, d) float32, asked one at a time.
        exact: (q, m) positions that the exact search in the same space found, m at least k.
        k: neighbours compared.

    Returns:
        A column for each setting, `ann_recall@k`, `p50_ms` and `build_s`; one row a pair of settings.
    """
    points = []
    with threadpool_limits(limits=1):
        for settings in built:
            start = perf_counter_ns()
            search = build(settings)
            build_s = round((perf_counter_ns() - start) / 1e9, 6)
            for further in searched:
                durations, found = _timed(partial(search, settings=further), queries, WARMUP)
                recall = round(float(ann_recall(np.concatenate(found), exact, k).mean()), 6)
                p50 = percentiles_ms(durations)["p50_ms"]
                measured = {f"ann_recall@{k}": recall, "p50_ms": p50, "build_s": build_s}
                points.append({**settings, **further, **measured})
    return pd.DataFrame(points)


def _timed(answer: Callable[[Batch], Answer], queries: Batch, warmup: int) -> tuple[list[int], list[Answer]]:
    """Return the duration in nanoseconds and the answer of each query, asked alone and in order."""
    for query in islice(_single(queries), warmup):
        answer(query)
    durations: list[int] = []
    answers: list[Answer] = []
    for query in _single(queries):
        start = perf_counter_ns()
        found = answer(query)
        durations.append(perf_counter_ns() - start)
        answers.append(found)
    return durations, answers


def _single(queries: Batch) -> Iterator[Batch]:
    return (queries[position : position + 1] for position in range(len(queries)))
