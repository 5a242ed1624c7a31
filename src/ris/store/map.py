"""The map of a store, laid out when it is first wanted and kept in it."""

from contextlib import suppress

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ris.gallery import embedding_map
from ris.gallery.embedding_map import Places
from ris.store.commits import latest, locked
from ris.store.gallery import StoreGallery
from ris.store.tables import MAP, MAP_SCHEMA, Changes
from ris.types import BusyError, Progress, ReadOnlyError

STALE = 0.1
"""Share of the contents on the map that may be gone, or be placed among others, before it is made anew."""
SEED = 0


def places(gallery: StoreGallery, progress: Progress | None, keep: bool = True) -> Places:
    """Return the places (n, 2) of a store's pictures, by position; laid out where there are none.

    Args:
        gallery: of the store.
        progress: see `Progress`.
        keep: what is laid out is kept in the store, and what is there by now is used; else neither.
    """
    shown, inverse = np.unique(gallery.shown, return_inverse=True)
    numbers, vectors = gallery.numbers[shown], gallery.vectors(shown)
    kept = StoreGallery(gallery.store, before=gallery) if keep else gallery
    known = _known(kept.places, numbers, vectors)
    if known is not None:
        return known[inverse]
    if progress is not None:
        progress("laying out the map", 0, 1)
    found = embedding_map.project(vectors, SEED)
    if keep:
        _keep(gallery, numbers, found)
    if progress is not None:
        progress("laying out the map", 1, 1)
    return found[inverse]


def _keep(gallery: StoreGallery, numbers: npt.NDArray[np.int64], found: Places) -> None:
    """Put the map of contents into the store; what was laid out is no less right where that cannot be."""
    with suppress(BusyError, ReadOnlyError), locked(gallery.store):
        commit = latest(gallery.store)
        if commit.token == gallery.commit.token:
            changes = Changes(gallery.store, commit)
            table = pa.table([numbers, found[:, 0], found[:, 1]], schema=MAP_SCHEMA)
            if MAP not in commit.tables:
                changes.create(MAP, MAP_SCHEMA)
            changes.replace(MAP, table)
            changes.commit()


def _known(
    table: pa.Table | None, numbers: npt.NDArray[np.int64], vectors: npt.NDArray[np.float32]
) -> Places | None:
    """Return the places of contents by a map, later ones among their neighbours; None where few are on it."""
    if table is None:
        return None
    order = np.argsort(np.asarray(table["content"], np.int64))
    kept = np.asarray(table["content"], np.int64)[order]
    laid_out = np.stack([np.asarray(table[name], np.float32)[order] for name in ("x", "y")], axis=1)
    later, gone = ~np.isin(numbers, kept), np.setdiff1d(kept, numbers)
    if len(gone) + np.count_nonzero(later) > STALE * len(kept):
        return None
    found: Places = np.empty((len(numbers), 2), np.float32)
    found[~later] = laid_out[np.searchsorted(kept, numbers[~later])]
    if later.any():
        found[later] = embedding_map.place(vectors[later], vectors[~later], found[~later])
    return found
