"""Everything that needs no training, in one process and a folder of its own for each job.

Usage: python -m ris.pipeline.sweep --multirun pca.n_components=32,64,128 index_annoy.n_trees=10,50
"""

from hydra.core.hydra_config import HydraConfig

from ris.artifacts import write_json
from ris.config import Params
from ris.pipeline import layout
from ris.pipeline.inputs import Catalog
from ris.pipeline.judging import SHOWN_ENCODER, ask, summaries
from ris.pipeline.layout import Tree
from ris.pipeline.runner import run, timed
from ris.pipeline.timing import measure_costs
from ris.stages.index_annoy import index_annoy
from ris.stages.index_knn import index_knn
from ris.stages.pca import pca


def sweep(params: Params, tree: Tree) -> None:
    """Project, index, judge and time anew; say in a line an index what came out."""
    for stage in (pca, index_knn, index_annoy):
        timed(stage, stage.__name__, params, tree)
    catalog = Catalog.read(tree)
    _, judged = ask(params, tree, catalog)
    metrics = summaries(judged)
    costs = measure_costs(params, tree, catalog)
    write_json(tree.write(layout.METRICS), {"same_class": metrics})
    write_json(tree.write(layout.LATENCY), costs)
    print(f"{HydraConfig.get().job.override_dirname or 'as committed'} -> {tree.root}")
    for name, found in metrics[SHOWN_ENCODER].items():
        quality, p50_ms = found["mAP@R"]["macro"], costs["search"][name]["p50_ms"]
        print(f"  {name:<10} mAP@R macro {quality:.4f}  p50 {p50_ms:.3f} ms")


if __name__ == "__main__":
    run(sweep)
