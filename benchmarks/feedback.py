"""What three marks gain: a store is searched, its first three hits are marked, and it is searched again.

Usage: python benchmarks/feedback.py STORE [--queries 10] [--new-to-imagenet] [--output FILE]

Of each label, pictures drawn at random are asked for. A hit of the query's label is marked right, another
wrong. Before and after, precision@10 is that of the first ten pictures without the three that were marked, so
that they count for neither. Intervals are by a bootstrap over labels and queries within.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from ris.artifacts import write_json
from ris.engine import SearchEngine
from ris.lab.data.known_to_imagenet import known_classes
from ris.metrics.intervals import macro, resampled_classes
from ris.metrics.judge import codes

K = 10
MARKS = 3
RESAMPLES = 1000


def main() -> None:
    """Search twice with each of a sample of pictures, and print both precisions and the gain."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("store", type=Path)
    parser.add_argument("--queries", type=int, default=10, help="pictures of each label, at most")
    parser.add_argument(
        "--new-to-imagenet",
        action="store_true",
        help="ask for Caltech 101's classes that ImageNet lacks, among all",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    known = known_classes("caltech101") if options.new_to_imagenet else None
    with SearchEngine.open(options.store, threads=1) as engine:
        result = measured(engine, known or frozenset(), options.queries, options.seed)
    for name, value in result.items():
        print(name, value)
    if options.output:
        write_json(options.output, result)


def measured(engine: SearchEngine, left_out: frozenset[str], queries: int, seed: int) -> dict[str, Any]:
    """Return macro precision@10 before and after three marks, and the gain with its 95 % interval."""
    rng = np.random.default_rng(seed)
    label_of = {picture.row: picture.label for picture in engine.pictures()}
    found, names = [], []
    for name in sorted(set(label_of.values()) - left_out):
        mine = [row for row, label in label_of.items() if label == name]
        for row in rng.permutation(mine)[:queries].tolist():
            found.append(asked_twice(engine, label_of, row))
            names.append(name)
    (before, after), labels = np.array(found).T, codes(names)
    gain = after - before
    _, drawn = resampled_classes(gain[:, None], labels, RESAMPLES, seed)
    return {
        "labels": len(np.unique(labels)),
        "queries": len(labels),
        f"precision@{K} before": macro(before, labels),
        f"precision@{K} after {MARKS} marks": macro(after, labels),
        "gain": macro(gain, labels),
        "gain_ci95": np.percentile(drawn[:, 0], [2.5, 97.5]).round(4).tolist(),
    }


def asked_twice(engine: SearchEngine, label_of: dict[int, str], row: int) -> tuple[float, float]:
    """Return precision@10 of one query before and after the first hits were marked."""
    first = [hit.row for hit in engine.search(row, K + MARKS, verify=False)]
    marked, rest = first[:MARKS], first[MARKS:]
    like = [one for one in marked if label_of[one] == label_of[row]]
    unlike = [one for one in marked if label_of[one] != label_of[row]]
    again = [hit.row for hit in engine.search(row, K, like=like, unlike=unlike, verify=False)]
    before, after = (np.mean([label_of[one] == label_of[row] for one in hits]) for hits in (rest, again))
    return float(before), float(after)


if __name__ == "__main__":
    main()
