"""The catalogue in memory: the pictures of one committed state, and which of them a filter lets through."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import PurePosixPath
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from ris.types import BadQueryError, Filter, NoSuchPictureError, Picture

Mask: TypeAlias = npt.NDArray[np.bool_]
"""(n,), by position."""
Positions: TypeAlias = npt.NDArray[np.int64]
"""Places in the catalogue, which is sorted by path, from 0; unlike rows they change with it."""
NO_PICTURES: Positions = np.zeros(0, np.int64)
Columns: TypeAlias = Mapping[str, Mapping[str, Sequence[str]]]
"""Column -> value -> paths."""


class Catalogue:
    """Pictures by path; a picture's position is its place among them."""

    def __init__(self, pictures: Sequence[Picture], columns: Columns) -> None:
        self.pictures = pictures
        self.columns = columns
        self._positions = {picture.row: position for position, picture in enumerate(pictures)}
        self._paths = [picture.path for picture in pictures]

    def __len__(self) -> int:
        return len(self.pictures)

    def position(self, row: int) -> int:
        """Return where the picture of a row stands.

        Raises:
            NoSuchPictureError: there is none.
        """
        try:
            return self._positions[row]
        except KeyError as error:
            raise NoSuchPictureError(f"The store has no picture in row {row}.") from error

    def rows(self) -> npt.NDArray[np.int64]:
        """Return the row (n,) of each picture."""
        return np.array([picture.row for picture in self.pictures], np.int64)

    def mask(self, where: Filter | None) -> Mask:
        """Tell which pictures a filter lets through.

        Raises:
            BadQueryError: it names a column that there is not.
        """
        mask = np.ones(len(self), bool)
        if where is None:
            return mask
        if where.labels:
            labels = set(where.labels)
            mask &= [picture.label in labels for picture in self.pictures]
        if where.folders:
            mask &= self._below(where.folders)
        for wanted, values in ((where.min_bytes, self._bytes), (where.min_side, self._sides)):
            if wanted is not None:
                mask &= values >= wanted
        if where.max_bytes is not None:
            mask &= self._bytes <= where.max_bytes
        if where.modified_after is not None:
            mask &= self._modified >= where.modified_after
        if where.modified_before is not None:
            mask &= self._modified <= where.modified_before
        for name, value in where.columns.items():
            if name not in self.columns:
                known = ", ".join(self.columns) or "none"
                raise BadQueryError(f"The store has no column {name}; it has {known}.")
            paths = set(self.columns[name].get(value, []))
            mask &= [path in paths for path in self._paths]
        return mask

    def chosen(self, where: Filter | None) -> Positions:
        """Return the positions (j,) of the pictures that a filter lets through, see `mask`."""
        return np.flatnonzero(self.mask(where))

    def labels(self) -> dict[str, int]:
        """Count the pictures of each label, sorted."""
        return dict(sorted(Counter(picture.label for picture in self.pictures).items()))

    def folders(self) -> list[str]:
        """Return every folder that holds pictures at any depth but the top one, sorted."""
        direct = {PurePosixPath(path).parent for path in self._paths}
        every = {str(folder) for parent in direct for folder in (parent, *parent.parents)}
        return sorted(every - {"."})

    @cached_property
    def _bytes(self) -> npt.NDArray[np.int64]:
        return np.array([picture.bytes for picture in self.pictures], np.int64)

    @cached_property
    def _sides(self) -> npt.NDArray[np.int64]:
        return np.array([min(picture.width, picture.height) for picture in self.pictures], np.int64)

    @cached_property
    def _modified(self) -> npt.NDArray[np.float64]:
        return np.array([picture.modified for picture in self.pictures], np.float64)

    def _below(self, folders: Sequence[str]) -> Mask:
        mask = np.zeros(len(self), bool)
        for folder in folders:
            # The pictures below a folder stand together: "/" is followed by "0".
            start, stop = (bisect_left(self._paths, f"{folder}{end}") for end in "/0")
            mask[slice(start, stop) if folder else slice(None)] = True
        return mask
