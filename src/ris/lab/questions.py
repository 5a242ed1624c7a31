"""What the stage `same_picture` asks for: edited pictures of the gallery, and others that are not in it."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from PIL import Image

from ris.copies import edits
from ris.copies.edits import UNEDITED
from ris.copies.transformations import Matrix
from ris.images.decoding import read_image
from ris.lab.config import Params
from ris.lab.inputs import Catalog, Integers


@dataclass(frozen=True)
class Questions:
    """The pictures that are asked for after each edit, none with a near-duplicate that `clean` found."""

    params: Params
    catalog: Catalog

    @cached_property
    def names(self) -> list[str]:
        """The edits; none that needs more other pictures than there are outside the gallery."""
        return [
            name
            for name, _ in self.params.same_picture.edits
            if edits.EDITS[name].others < len(self.catalog.queries)
        ]

    @cached_property
    def present(self) -> Integers:
        """(n,) gallery rows, ascending: the same after each edit."""
        single = self._single(self.catalog.gallery)
        return np.sort(single[: self.params.same_picture.queries])

    @cached_property
    def absent(self) -> Integers:
        """(edits + 1, m) rows outside the gallery, the last unedited: others each time, while they last."""
        single = self._single(self.catalog.queries)
        count = min(self.params.same_picture.absent, len(single))
        return np.resize(single, (len(self.names) + 1, count))

    def _single(self, rows: Integers) -> Integers:
        """Those of the rows without a near-duplicate, in random order."""
        groups = self.catalog.table["group"].to_numpy()
        single = rows[np.bincount(groups)[groups[rows]] == 1]
        return np.random.default_rng([self.params.seed, int(rows[0])]).permutation(single)

    @cached_property
    def asked(self) -> list[tuple[str, int]]:
        """Every edit and row: by edit those present, then by edit those absent, then these unedited."""
        here = [(name, int(row)) for name in self.names for row in self.present]
        away = [
            (name, int(row))
            for name, rows in zip([*self.names, UNEDITED], self.absent, strict=True)
            for row in rows
        ]
        return here + away

    @property
    def rows(self) -> Integers:
        """(q,) the row of each."""
        return np.array([row for _, row in self.asked], np.int64)

    @property
    def n_present(self) -> int:
        """How many of them are in the gallery: the first ones."""
        return len(self.names) * len(self.present)

    @property
    def is_present(self) -> npt.NDArray[np.bool_]:
        """(q,) whether its original is in the gallery."""
        return np.arange(len(self.asked)) < self.n_present

    def read(self, row: int) -> Image.Image:
        """The picture of a row."""
        return read_image(self.catalog.files(np.array([row]))[0], self.params.clean.max_pixels)

    def edited(self, name: str, row: int) -> tuple[Image.Image, Matrix]:
        """Edit a picture: what is asked for, and the matrix from the original's pixels to its own.

        What it is laid on or beside are pictures outside the gallery, without a near-duplicate and not asked
        for themselves, where there are such.
        """
        if name == UNEDITED:
            return self.read(row), edits.unmoved()
        others, wanted = [], edits.EDITS[name].others
        if wanted:
            outside = self.catalog.queries[self.catalog.queries != row]
            strangers = np.setdiff1d(self._single(outside), self.absent)
            free = strangers if len(strangers) >= wanted else outside
            chosen = np.random.default_rng([self.params.seed, row]).choice(free, wanted, replace=False)
            others = [self.read(int(other)) for other in chosen]
        strength, seed = getattr(self.params.same_picture.edits, name), self.params.seed
        return edits.apply(name, self.read(row), edits.generator(name, row, seed), strength, others)
