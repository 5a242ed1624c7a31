"""clean: read every picture, drop what is none, group near-duplicates, split."""

from ris.artifacts import write_table
from ris.lab import layout
from ris.lab.config import Params
from ris.lab.data.catalog import build_catalog
from ris.lab.layout import Tree
from ris.lab.runner import run


def clean(params: Params, tree: Tree) -> dict[str, int]:
    """Write the catalog that every later array follows, and what was dropped; count near-duplicates."""
    catalog, rejected = build_catalog(tree.read(layout.IMAGES), params)
    write_table(tree.write(layout.CATALOG), catalog)
    write_table(tree.write(layout.REJECTED), rejected)
    groups = catalog.groupby("group")["label"].agg(["size", "nunique"]).query("size > 1")
    return {
        "groups": len(groups),
        "grouped": int(groups["size"].sum()),
        "groups_across_classes": int((groups["nunique"] > 1).sum()),
        "largest_group": int(groups["size"].max()) if len(groups) else 1,
    }


if __name__ == "__main__":
    run(clean)
