"""Everything that needs no training, in one process and a folder of its own for each job.

Usage: python -m ris.lab.sweep --multirun pca.n_components=32,64,128 index_annoy.n_trees=10,50

Each job keeps its params.yaml; jobs.csv beside them has what each changed, and what came out.
"""

from collections.abc import Sequence

import pandas as pd
import yaml
from hydra.core.hydra_config import HydraConfig

from ris.artifacts import read_json, write_json, write_table
from ris.lab import layout
from ris.lab.config import Params
from ris.lab.inputs import Catalog
from ris.lab.judging import SHOWN_ENCODER, ask, summaries
from ris.lab.layout import Tree
from ris.lab.runner import read_keys, run, timed
from ris.lab.stages.index import index
from ris.lab.stages.pca import pca
from ris.lab.timing import measure_searches

JOBS = "jobs.csv"
CHANGES = "changes.json"
JUDGED_BY = (
    "reranking",
    "evaluate.k",
    "evaluate.bootstrap",
    "evaluate.latency_queries",
    "evaluate.latency_k",
)
"""What judging and timing read, beside what the stages do."""


def keys() -> list[str]:
    """Return the keys and sections of params.yaml that a job reads: no classes are held out in it."""
    read = read_keys("pca", *layout.INDEX_STAGES)
    return [key for key in read if not key.startswith("unseen")] + list(JUDGED_BY)


def sweep(params: Params, tree: Tree) -> None:
    """Project, index, judge and time anew."""
    for stage in (pca, *map(index, layout.INDEX_STAGES)):
        timed(stage, stage.__name__, params, tree)
    catalog = Catalog.read(tree)
    _, judged = ask(params, tree, catalog)
    metrics = summaries(judged)
    costs = measure_searches(params, tree, catalog)
    write_json(tree.write(layout.METRICS), {"same_class": metrics})
    write_json(tree.write(layout.LATENCY), {"search": costs})
    changes = (change.partition("=") for change in HydraConfig.get().overrides.task)
    write_json(tree.write(CHANGES), {key.lstrip("+"): yaml.safe_load(value) for key, _, value in changes})


def compared(trees: Sequence[Tree]) -> pd.DataFrame:
    """Return a line a job and index: what the job changed, and the quality and time of the search."""
    lines = []
    for tree in trees:
        metrics = read_json(tree.write(layout.METRICS))["same_class"][SHOWN_ENCODER]
        costs = read_json(tree.write(layout.LATENCY))["search"]
        for name, found in metrics.items():
            measured = {"mAP@R macro": found["mAP@R"]["macro"], "p50_ms": costs[name]["p50_ms"]}
            changes = read_json(tree.write(CHANGES))
            lines.append({"job": tree.root.name, **changes, "index": name, **measured})
    return pd.DataFrame(lines)


def main() -> None:
    """Run every job, and say in one table what came out."""
    trees = run(sweep, keys())
    if trees:
        table = compared(trees)
        write_table(trees[0].root.parent / JOBS, table)
        print(table.to_string(index=False))


if __name__ == "__main__":
    main()
