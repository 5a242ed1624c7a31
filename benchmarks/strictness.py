"""What keeping near-duplicates on one side of the split costs: the pre-trained vectors, judged twice.

Usage: python benchmarks/strictness.py [--output FILE], after `dvc repro extract`.

Once with the split of the catalog, and once with a split of the same shares that takes each picture for
itself, over several seeds. Exact search over normalised vectors, PCA to 128 fitted on the gallery.
"""

import argparse
import json
from functools import partial
from pathlib import Path

import numpy as np

from ris.indexes.exact import ExactIndex
from ris.indexes.projection import Projection
from ris.indexes.vectors import Positions, Vectors
from ris.lab import config
from ris.lab.data.split import split
from ris.lab.inputs import Catalog, read_space
from ris.lab.layout import Tree
from ris.metrics.judge import Question, judge
from ris.metrics.retrieval import Integers

SEEDS = range(5)
METRICS = ("precision@1", "precision@10", "mAP@R")


def main() -> None:
    """Judge both splits with the same seeds and print the means over them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    params = config.load()
    tree = Tree(Path.cwd(), Path.cwd())
    catalog = Catalog.read(tree)
    vectors = read_space(params, tree, catalog, "pretrained", projected=False)
    labels = catalog.table["label"].tolist()
    groups = catalog.table["group"].to_numpy()
    alone = np.arange(len(groups))

    result = {}
    for name, kept_together in (("groups kept together", groups), ("every picture for itself", alone)):
        runs = []
        for seed in SEEDS:
            shares = params.clean.query_share, params.clean.validation_share
            parts = split(labels, kept_together, *shares, seed)
            queries, gallery = np.flatnonzero(parts == "query"), np.flatnonzero(parts != "query")
            projection = Projection.fit(vectors[gallery], 128, whiten=False, normalise=True)
            space = projection.apply(vectors)
            search = partial(_search, ExactIndex(space[gallery]), space)
            question = Question.among(queries, gallery, catalog.labels, kept_together)
            runs.append(judge(search, question, [1, 10], 1, seed).summary)
        result[name] = {
            metric: {
                average: round(float(np.mean([run[metric][average] for run in runs])), 4)
                for average in ("micro", "macro")
            }
            for metric in METRICS
        }
        figures = "  ".join(f"{m} {v['micro']:.3f} / {v['macro']:.3f}" for m, v in result[name].items())
        print(f"{name:<26}{figures}  (micro / macro, mean of {len(SEEDS)} seeds)")
    if options.output:
        options.output.write_text(json.dumps(result, indent=2) + "\n")


def _search(index: ExactIndex, space: Vectors, rows: Integers, k: int) -> tuple[Vectors, Positions]:
    return index.search(space[rows], k)


if __name__ == "__main__":
    main()
