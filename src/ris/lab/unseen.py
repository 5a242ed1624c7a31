"""Which classes an encoder must not know, and the proof that it does not."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ris.artifacts import read_json, write_json
from ris.errors import RisError
from ris.lab import layout
from ris.lab.config import Params
from ris.lab.data.known_to_imagenet import known_classes
from ris.lab.data.split import hold_out
from ris.lab.inputs import Catalog, Integers
from ris.lab.layout import Tree


@dataclass(frozen=True)
class HeldOut:
    """The classes of one draw, as rows of the catalog."""

    classes: list[str]
    inside: Integers
    """Every picture of these classes."""
    hidden: Integers
    """The same, and every near-duplicate of one that stands in another class."""

    def asked(self, rows: Integers) -> Integers:
        """Those of the rows that show these classes."""
        return rows[np.isin(rows, self.inside)]

    def known(self, rows: Integers) -> Integers:
        """Those of the rows that may be learnt from."""
        return rows[~np.isin(rows, self.hidden)]


def held_out(params: Params, catalog: Catalog, draw: int) -> HeldOut:
    """Draw the classes that are held out; a draw depends on the catalog, the seed and its number alone.

    Raises:
        RisError: too few classes would be left.
    """
    table = catalog.table
    groups = table["group"].to_numpy()
    classes = hold_out(table["label"].tolist(), groups, params.unseen.classes, draw, params.seed)
    inside = table["label"].isin(classes).to_numpy()
    hidden = np.flatnonzero(inside | np.isin(groups, groups[inside]))
    return HeldOut(classes, np.flatnonzero(inside), hidden)


def known_to_imagenet(params: Params, catalog: Catalog) -> Integers | None:
    """Codes of the classes that ImageNet has; None where that is not known of this data set."""
    known = known_classes(params.data.name)
    if known is None:
        return None
    return np.flatnonzero([name in known for name in catalog.classes])


def write_rows(path: Path, rows: Integers, catalog: Catalog) -> None:
    """Note which pictures were learnt from."""
    write_json(path, {"catalog": catalog.sha256, "rows": rows.tolist()})


def check_unseen(tree: Tree, catalog: Catalog, encoder: str, held: HeldOut) -> None:
    """Check that neither an encoder's training nor its PCA saw a class held out, or a near-duplicate of one.

    Raises:
        RisError: they did, or learnt from another catalog.
    """
    notes = [layout.rows_fitted_to(encoder)]
    if not encoder.startswith("pretrained"):
        notes.append(layout.rows_trained_on(encoder))
    for note in map(tree.read, notes):
        learnt = read_json(note)
        if not isinstance(learnt, dict) or learnt.get("catalog") != catalog.sha256:
            raise RisError(f"{note} is of another catalog; run `dvc repro`.")
        seen = np.intersect1d(learnt["rows"], held.hidden)
        if len(seen):
            picture = catalog.table["path"].iloc[int(seen[0])]
            raise RisError(
                f"{note}: {len(seen)} pictures of classes held out as unseen were learnt from, {picture} "
                "among them, and the figures would be worthless; run `dvc repro -f`."
            )
