"""A store made anew with another encoder, beside the one that answers until the new one is taken."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import count
from pathlib import Path

import pyarrow as pa

from ris.copies.local_features import LocalFeatures
from ris.errors import RisError
from ris.store.commits import Commit, is_store, latest, locked
from ris.store.gallery import StoreGallery
from ris.store.ingest import Described
from ris.store.tables import COLUMNS, PICTURES, Changes, explained, read_small
from ris.store.writing import Work, build, sync


def beside(store: Path) -> Path:
    """Return where the store with the other encoder is made."""
    return store.with_name(f"{store.name}.reencoded")


def before(store: Path) -> Path:
    """Return where the store lies that was there before another was taken."""
    return store.with_name(f"{store.name}.before")


def make(work: Work, weights: Mapping[str, bytes], former: StoreGallery) -> None:
    """Make a store of what the folder holds with another encoder, or go on with it, or bring it up to date.

    Local features are taken from the former store, where it has them; so are rows and the user's columns.

    Args:
        work: `work.store` is the new one.
        weights: see `build`.
        former: a store of the same folder.

    Raises:
        RisError: as `build` and `sync`; or the new store was begun with yet another encoder.
    """
    work = replace(work, described=_described(former))
    assert isinstance(work.store, Path)
    if is_store(work.store):
        begun = latest(work.store)
        if (begun.identity, begun.copies, begun.settings) != (*work.identities, work.settings):
            raise RisError(
                f"{work.store} was begun with {begun.identity.network.name}; name that, or discard it first "
                "(`ris reencode --discard`)."
            )
        if begun.unread is None:
            sync(work)
        else:
            build(work, weights)
    else:
        build(work, weights)
    number_as(work.store, former)


def number_as(store: Path, former: StoreGallery) -> Commit:
    """Give a store's pictures the rows that a former store has at their paths, and its columns.

    Other pictures get rows that the former has never given out.
    """
    with locked(store):
        changes = Changes(store, latest(store))
        table, later = read_small(store, changes.before, PICTURES), count(1 + former.commit.rows)
        catalogue = former.catalogue
        rows = dict(zip(catalogue.table["path"].to_pylist(), catalogue.rows.tolist(), strict=True))
        numbers = [rows[path] if path in rows else next(later) for path in table["path"].to_pylist()]
        place = table.schema.get_field_index("row")
        numbered = table.set_column(place, table.schema.field(place), pa.array(numbers, pa.int64()))
        changes.replace(PICTURES, numbered)
        changes.replace(COLUMNS, read_small(former.store, former.commit, COLUMNS))
        return changes.commit(rows=next(later) - 1, generation=changes.before.generation + 1)


def take(store: Path) -> Path:
    """Put the new store in the place of the one that there is; return where that lies now.

    Broken off between its two steps and called again, it ends what it began.

    Raises:
        RisError: there is no new one, it is not whole, or another former one lies in the way.
        BusyError: somebody writes to the store.
    """
    new, old = beside(store), before(store)
    if not is_store(new):
        raise RisError(f"{new} holds no store; make it with `ris reencode {store} --encoder NAME`.")
    if latest(new).unread is not None:
        raise RisError(f"{new} is not whole; call `ris reencode` as before, and it goes on.")
    if store.exists():
        if old.exists():
            raise RisError(f"{old} is there from an earlier change of the encoder; delete it first.")
        number_as(new, StoreGallery(store))
        with locked(store), explained(store):
            store.rename(old)
    with explained(store):
        new.rename(store)
    return old


def _described(former: StoreGallery) -> Described:
    """Return what finds the local features of a file that a store has, by its SHA-256."""
    features = former.features
    sha256s = former.catalogue.table["sha256"].to_pylist()
    contents = dict(zip(sha256s, former.shown.tolist(), strict=True))

    def described(sha256: bytes) -> LocalFeatures | None:
        content = contents.get(sha256)
        return None if content is None or features is None else features[content]

    return described
