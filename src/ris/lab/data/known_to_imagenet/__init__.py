"""Which classes of a data set the pre-trained network learnt by name, on the 1,000 classes of ImageNet.

A table a data set, checked class by class by its pictures: whether ImageNet-1k has the `same` class, a `kind`
of it or a `wider` one, under which WordNet synset and which name (as `timm.data.ImageNetInfo` gives them), or
`none`. In doubt a class counts as known, so that what is new to the network is new.
"""

from pathlib import Path

import pandas as pd

COLUMNS = ["class", "relation", "synset", "name", "source", "note"]


def known_classes(data: str) -> frozenset[str] | None:
    """Return the classes of a data set, by its name, that ImageNet has; None where there is no table."""
    path = Path(__file__).with_name(f"{data}.csv")
    if not path.is_file():
        return None
    table = pd.read_csv(path, keep_default_na=False)
    return frozenset(table.loc[table["relation"] != "none", "class"])
