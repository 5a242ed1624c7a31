"""Everything that needs no training, in one process and a folder of its own for each job.

Usage: python -m ris.lab.sweep --multirun pca.n_components=32,64,128 index_annoy.n_trees=10,50
"""

from hydra.core.hydra_config import HydraConfig

from ris.artifacts import write_json
from ris.lab import layout
from ris.lab.config import Params
from ris.lab.inputs import Catalog
from ris.lab.judging import SHOWN_ENCODER, ask, summaries
from ris.lab.layout import Tree
from ris.lab.runner import run, timed
from ris.lab.stages.index import index
from ris.lab.stages.pca import pca
from ris.lab.timing import measure_searches


def sweep(params: Params, tree: Tree) -> None:
    """Project, index, judge and time anew; say in a line an index what came out."""
    for stage in (pca, *map(index, layout.INDEX_STAGES)):
        timed(stage, stage.__name__, params, tree)
    catalog = Catalog.read(tree)
    _, judged = ask(params, tree, catalog)
    metrics = summaries(judged)
    costs = measure_searches(params, tree, catalog)
    write_json(tree.write(layout.METRICS), {"same_class": metrics})
    write_json(tree.write(layout.LATENCY), {"search": costs})
    print(f"{HydraConfig.get().job.override_dirname or 'as committed'} -> {tree.root}")
    for name, found in metrics[SHOWN_ENCODER].items():
        quality, p50_ms = found["mAP@R"]["macro"], costs[name]["p50_ms"]
        print(f"  {name:<10} mAP@R macro {quality:.4f}  p50 {p50_ms:.3f} ms")


if __name__ == "__main__":
    run(sweep)
