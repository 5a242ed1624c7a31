"""clean: read every picture, drop what is none, group near-copies, split."""

from ris.artifacts import write_table
from ris.config import Params
from ris.data.catalog import build_catalog
from ris.pipeline import layout
from ris.pipeline.layout import Tree
from ris.pipeline.runner import run


def clean(params: Params, tree: Tree) -> None:
    """Write the catalog that every later array follows, and what was thrown away and why."""
    catalog, rejected = build_catalog(tree.read(layout.IMAGES), params)
    write_table(tree.write(layout.CATALOG), catalog)
    write_table(tree.write(layout.REJECTED), rejected)


if __name__ == "__main__":
    run(clean)
