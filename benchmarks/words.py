"""How well a store is searched by the names of its labels, beside by its pictures.

Usage: python benchmarks/words.py STORE [--output FILE]

Each label is asked for once by its name, underscores read as spaces, and by every one of its pictures, which
does not find itself. Both search as `auto` does. A label whose name is not understood counts 0 in the means
over all.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from ris.artifacts import write_json
from ris.engine import BadQueryError, SearchEngine
from ris.metrics.judge import codes
from ris.metrics.retrieval import (
    Integers,
    mean_average_precision_at_r,
    precision_at_k,
    relevance,
    relevant_counts,
)

K = 10
BATCH = 256


def main() -> None:
    """Ask for each label in both ways, and print the means."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("store", type=Path)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    with SearchEngine.open(options.store, threads=1) as engine:
        result = measured(engine)
    means = result["means"]
    print(f"{result['understood']} of {result['labels']} labels are understood")
    for name, by in means.items():
        print(name, by)
    if options.output:
        write_json(options.output, result)


def measured(engine: SearchEngine) -> dict[str, Any]:
    """Return precision@10 and AP@R of every label, by words and by picture, and their means."""
    rows, vectors = engine.vectors()
    names = [engine.picture(int(row)).label for row in rows]
    labels, positions = codes(names), {int(row): place for place, row in enumerate(rows)}
    found: dict[str, dict[str, Any]] = {}
    by_picture = np.concatenate(
        [judged_pictures(engine, part, labels, rows, vectors) for part in batches(labels)]
    )
    for code, name in enumerate(sorted(set(names))):
        mine = labels == code
        one: dict[str, Any] = {"by_picture": by_picture[mine].mean(axis=0).tolist(), "meant": None}
        try:
            answer = engine.search_text(name.replace("_", " "), len(rows))
        except BadQueryError:
            one["by_words"] = [0.0, 0.0]
        else:
            nearest = np.array([[positions[hit.row] for hit in answer.hits]])
            relevant = relevance(nearest, np.array([code]), labels)
            counts = np.array([np.count_nonzero(mine)])
            one["by_words"] = values(relevant, counts)[0].tolist()
            one["meant"] = answer.meant
        found[name] = one
    understood = [one for one in found.values() if one["meant"] is not None]
    means = {
        f"{by}, {over}": dict(
            zip(
                (f"precision@{K}", "mAP@R"),
                np.mean([one[by] for one in some], axis=0).round(4).tolist(),
                strict=True,
            )
        )
        for by in ("by_words", "by_picture")
        for over, some in (("those understood", understood), ("all", list(found.values())))
    }
    return {"labels": len(found), "understood": len(understood), "means": means, "by_label": found}


def batches(labels: Integers) -> list[Integers]:
    """Return the positions of all pictures, some at a time."""
    return np.array_split(np.arange(len(labels)), -(-len(labels) // BATCH))


def judged_pictures(
    engine: SearchEngine, part: Integers, labels: Integers, rows: Integers, vectors: Any
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return precision@10 and AP@R (b, 2) of some pictures, each without itself."""
    own = labels[part]
    counts = relevant_counts(own, part, labels, np.arange(len(labels)))
    _, nearest = engine.nearest(vectors[part], int(counts.max()) + 1, without=list(rows[part][:, None]))
    places = np.searchsorted(np.sort(rows), nearest)
    order = np.argsort(rows)
    return values(relevance(order[places], own, labels), counts)


def values(relevant: Any, counts: Integers) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return precision@10 and AP@R (q, 2)."""
    return np.stack(
        [precision_at_k(relevant, counts, K), mean_average_precision_at_r(relevant, counts)], axis=1
    )


if __name__ == "__main__":
    main()
