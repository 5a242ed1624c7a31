"""What searches cost at large sizes, beside the libraries that people use for it.

Usage: python benchmarks/scale.py search --sizes 10000 200000 [--archive caltech-101.zip] [--output FILE]
       python benchmarks/scale.py filters --sizes 200000
       python benchmarks/scale.py duplicates --sizes 200000

Vectors are drawn around real ones, see `scale_vectors`; pictures of an archive are embedded once and kept in
`--scratch`. Each is built with all processors and asked with one thread, one query at a time, k = 10, in turn
and in an order drawn anew each round, so that whatever else the machine does meets all of them. Each is asked
at the least setting that reaches a recall of 0.99 on one half of the queries; reported is the other half.
"""

import argparse
import gc
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scale_peers import PEERS, Ask, At, K, Peer, one_thread, resident, room
from scale_vectors import Around, around_real
from threadpoolctl import threadpool_limits

from ris.artifacts import write_json
from ris.indexes.exact import ExactIndex
from ris.indexes.index import Mask
from ris.indexes.ivf import IvfIndex
from ris.indexes.vectors import Positions, Vectors

RECALL = 0.99
AT_A_TIME = 10
"""Queries of one contestant before the next one's turn."""
SHARES = (1.0, 0.8, 0.05, 0.005)
"""Of the vectors that a filter allows; 0.8 is what is left after deletes."""
PAIRED = 20
"""Nearest vectors of each that are looked at for duplicates."""
SAMPLE = 1000
MIB = 2**20

Figures = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Reached:
    """How one contestant did."""

    setting: str
    recall: float
    p50_ms: float
    build_s: float
    memory_mib: float


@dataclass(frozen=True)
class Built:
    """A contestant that is ready."""

    at: At
    seconds: float
    bytes: int


def recall(found: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """Return the share of the true nearest (q, k) that were found (q, k or fewer, -1 for none)."""
    pairs = zip(np.asarray(found), np.asarray(truth), strict=True)
    return float(np.mean([len(np.intersect1d(one, true)) / max(1, len(true)) for one, true in pairs]))


def asked(ask: Ask, queries: Vectors) -> list[npt.NDArray[Any]]:
    """Return what each query (q, d) finds, one at a time, brought to the same length."""
    found = [ask(query) for query in queries[:, None]]
    return [np.pad(one, (0, K - len(one)), constant_values=-1) for one in found]


def least(at: At, grid: Any, queries: Vectors, truth: Positions) -> int:
    """Return the least setting that reaches the recall, or the greatest."""
    for setting in grid:
        if recall(asked(at(setting), queries), truth) >= RECALL:
            break
    return int(setting)


def taken_in_turn(asks: Mapping[str, Callable[[Vectors], Any]], queries: Vectors) -> dict[str, float]:
    """Return the median milliseconds of each, all over the same queries."""
    seconds: dict[str, list[float]] = {name: [] for name in asks}
    rng = np.random.default_rng(0)
    for start in range(0, len(queries), AT_A_TIME):
        for name in rng.permutation(list(asks)):
            asks[name](queries[start : start + 1])
            for query in queries[start : start + AT_A_TIME, None]:
                started = time.perf_counter()
                asks[name](query)
                seconds[name].append(time.perf_counter() - started)
    return {name: 1000 * float(np.median(times)) for name, times in seconds.items()}


def built(peer: Peer, vectors: Vectors, folder: Path) -> Built:
    """Build a contestant."""
    gc.collect()
    before, started = resident(), time.perf_counter()
    at = peer.build(vectors, folder)
    seconds = time.perf_counter() - started
    return Built(at, seconds, resident() - before)


def search(around: Around, options: argparse.Namespace) -> Figures:
    """Measure one query by each contestant, at each size."""
    figures: Figures = {}
    slow: dict[str, float] = {}
    queries = around.draw(options.queries, seed=1)
    half = len(queries) // 2
    for size in options.sizes:
        vectors = around.draw(size, seed=0)
        truth = ExactIndex.build(vectors, {}, seed=0).search(queries, K)[1]
        ready: dict[str, Built] = {}
        with room(options.scratch) as folder:
            for peer in chosen(options.only):
                if not peer.installed:
                    print(f"{peer.name} is not installed: left out.")
                elif slow.get(peer.name, 0) * size > options.budget:
                    print(f"{peer.name} at {size}: some {slow[peer.name] * size:.0f} s to build: left out.")
                else:
                    ready[peer.name] = one = built(peer, vectors, folder)
                    slow[peer.name] = one.seconds / size
                    print(f"{peer.name} at {size}: built in {one.seconds:.1f} s", flush=True)
            with one_thread(), threadpool_limits(1):
                reached = compared(ready, queries[:half], queries[half:], truth)
        figures[str(size)] = {name: asdict(one) for name, one in reached.items()}
        tell(size, reached)
    return figures


def compared(
    ready: Mapping[str, Built], first: Vectors, second: Vectors, truth: Positions
) -> dict[str, Reached]:
    """Find the settings on one half of the queries, and measure with the other."""
    peers = {peer.name: peer for peer in PEERS}
    settings = {
        name: least(one.at, peers[name].grid, first, truth[: len(first)]) for name, one in ready.items()
    }
    asks = {name: one.at(settings[name]) for name, one in ready.items()}
    times = taken_in_turn(asks, second)
    return {
        name: Reached(
            f"{peers[name].setting} {settings[name]}" if peers[name].setting else "",
            recall(asked(asks[name], second), truth[len(first) :]),
            times[name],
            one.seconds,
            one.bytes / MIB,
        )
        for name, one in ready.items()
    }


def tell(size: int, reached: Mapping[str, Reached]) -> None:
    """Print the table of one size."""
    best = min(one.p50_ms for one in reached.values())
    print(f"\n{size} vectors, {os.cpu_count()} processors\n")
    print(f"{'':<18}{'setting':>16}{'recall@10':>11}{'p50 ms':>10}{'of best':>9}{'build s':>9}{'MiB':>8}")
    for name, one in reached.items():
        print(
            f"{name:<18}{one.setting:>16}{one.recall:11.4f}{one.p50_ms:10.3f}{one.p50_ms / best:9.2f}"
            f"{one.build_s:9.1f}{one.memory_mib:8.0f}",
            flush=True,
        )


def chosen(only: list[str] | None) -> list[Peer]:
    """Return the contestants whose names hold one of some words; all where there is none."""
    return [peer for peer in PEERS if not only or any(word in peer.name for word in only)]


def filters(around: Around, options: argparse.Namespace) -> Figures:
    """Measure our searches where some vectors are not allowed, drawn at random."""
    figures: Figures = {}
    queries = around.draw(options.queries, seed=1)
    half = len(queries) // 2
    for size in options.sizes:
        vectors = around.draw(size, seed=0)
        exact, index = ExactIndex(vectors), IvfIndex.build(vectors, {"n_probes": 1}, seed=0)
        with one_thread(), threadpool_limits(1):
            truth = exact.search(queries[:half], K)[1]
            probes = least(
                lambda n: lambda query: index.with_probes(n).search(query, K)[1][0],  # noqa: B023
                chosen(["ris ivf"])[0].grid,
                queries[:half],
                truth,
            )
            rows = {
                f"{share:.1%} allowed": filtered(
                    exact, index.with_probes(probes), queries[half:], mask(size, share)
                )
                for share in SHARES
            }
        figures[str(size)] = {"n_probes": probes} | rows
        print(f"\n{size} vectors, n_probes {probes}\n")
        print(f"{'':<18}{'recall@10':>11}{'p50 ms':>10}{'exact ms':>10}")
        for name, row in rows.items():
            print(f"{name:<18}{row['recall']:11.4f}{row['p50_ms']:10.3f}{row['exact_p50_ms']:10.3f}")
    return figures


def mask(size: int, share: float) -> Mask | None:
    """Draw which vectors are allowed; None where all are."""
    return None if share == 1 else np.random.default_rng(2).random(size) < share


def filtered(exact: ExactIndex, index: IvfIndex, queries: Vectors, allowed: Mask | None) -> dict[str, float]:
    """Return the recall and the milliseconds of a search under a filter."""
    times = taken_in_turn(
        {
            "ivf": lambda query: index.search(query, K, allowed),
            "exact": lambda query: exact.search(query, K, allowed),
        },
        queries,
    )
    found, truth = index.search(queries, K, allowed)[1], exact.search(queries, K, allowed)[1]
    return {"recall": recall(found, truth), "p50_ms": times["ivf"], "exact_p50_ms": times["exact"]}


def duplicates(around: Around, options: argparse.Namespace) -> Figures:
    """Measure how long it takes to find the nearest of every vector, which are looked at for copies."""
    figures: Figures = {}
    for size in options.sizes:
        vectors = around.draw(size, seed=0)
        sample = np.random.default_rng(3).choice(size, min(SAMPLE, size), replace=False)
        started = time.perf_counter()
        index = IvfIndex.build(vectors, {"n_probes": 1}, seed=0)
        build = time.perf_counter() - started
        exact = ExactIndex(vectors)
        started = time.perf_counter()
        truth = exact.search(vectors[sample], PAIRED + 1)[1]
        exact_s = (time.perf_counter() - started) * size / len(sample)
        print(f"\n{size} vectors, their {PAIRED} nearest; all processors")
        print(f"exact: {exact_s:.1f} s ({len(sample)} of them measured); partitions built in {build:.1f} s")
        rows: dict[str, Any] = {"exact_s": exact_s, "exact_measured": len(sample), "build_s": build}
        for probes in options.probes:
            started = time.perf_counter()
            found = index.with_probes(probes).search(vectors, PAIRED + 1)[1]
            seconds = time.perf_counter() - started
            row = {"seconds": seconds, "recall": recall(found[sample], truth), "of_exact": seconds / exact_s}
            rows[f"n_probes {probes}"] = row
            print(f"n_probes {probes:<5} {seconds:8.1f} s  {row['of_exact']:.3f} of exact, "
                  f"recall of pairs {row['recall']:.4f}", flush=True)  # fmt: skip
        figures[str(size)] = rows
    return figures


COMMANDS: Mapping[str, Callable[[Around, argparse.Namespace], Figures]] = {
    "search": search,
    "filters": filters,
    "duplicates": duplicates,
}
"""What can be measured; a further one is a function and a line here."""


def main() -> None:
    """Print the tables and, where asked, write them as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 200_000])
    parser.add_argument("--queries", type=int, default=1000, help="half of them to find the settings with")
    parser.add_argument("--only", nargs="+", help="contestants whose names hold one of these words")
    parser.add_argument("--budget", type=float, default=300.0, help="seconds that one may take to be built")
    parser.add_argument("--probes", type=int, nargs="+", default=[4, 8, 16, 32, 64], help="of duplicates")
    parser.add_argument("--archive", type=Path, help="Caltech 101 as a zip; else pictures are drawn")
    parser.add_argument("--pictures", type=int, default=2000, help="that are embedded")
    parser.add_argument(
        "--scratch", type=Path, default=Path("/tmp/ris-scale"), help="for embeddings and tables"
    )
    parser.add_argument("--output", type=Path, help="write the figures to this JSON file")
    options = parser.parse_args()
    around = around_real(options.scratch, options.archive, options.pictures)
    print("\n".join(around.told()))
    figures = COMMANDS[options.command](around, options)
    if options.output:
        write_json(options.output, {"vectors": around.told(), options.command: figures})


if __name__ == "__main__":
    main()
