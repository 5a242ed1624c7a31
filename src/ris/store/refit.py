"""What is fitted over all of a store, and how its tables are kept compact."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial

import lance
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ris.errors import RisError
from ris.gallery.settings import Settings
from ris.indexes.registry import REGISTRY
from ris.indexes.vectors import Vectors
from ris.store.commits import SpaceNote, kept
from ris.store.contents import projected_lines
from ris.store.gallery import built_for, index_folder
from ris.store.recall import measure_recall
from ris.store.spaces import FOLDER, GROWTH, SAMPLE, SEED, Embedded, Spaces, evenly, space_file
from ris.store.storage import delete, filled, names, sha256_of
from ris.store.tables import (
    CONTENTS,
    COPIES,
    PICTURES,
    REGIONS,
    SMALL,
    Changes,
    as_vectors,
    explained,
    open_version,
    projected,
    projected_schema,
)
from ris.types import Progress

STALE = 0.2
"""Share of the contents that no picture shows, from which they are taken out."""
PARTS = 64
"""Fragments of a small table from which it is written anew in one."""
JOINED = 4096
"""Contents in a fragment from which it is not joined with others: what a change writes anew, at most."""
AT_ONCE = 10_000
"""Contents that are projected together."""


def wants_refit(changes: Changes) -> bool:
    """Whether a store has no spaces yet, or has outgrown them."""
    note, count = changes.value("space"), changes.value("contents")
    return bool(count) and (note is None or count >= GROWTH * note.contents)


def refit(changes: Changes, settings: Settings, report: Progress) -> None:
    """Fit the spaces to the contents of a store, and project them all, for the next commit."""
    former = changes.value("space")
    version = 1 + max(_fitted(changes), default=0)
    dataset = changes.dataset(CONTENTS)
    count = changes.count(CONTENTS)
    report("fitting the spaces", 0, count)
    kept_beside = {COPIES: changes.before.copies is not None, REGIONS: settings.regions}
    beside = [changes.dataset(name) if kept else None for name, kept in kept_beside.items()]
    dimension = (changes.before.copies or changes.before.identity).network.dimension
    with explained(changes.store):
        chosen = evenly(count, SAMPLE).tolist()
        sample = Embedded(
            _vectors(dataset.take(chosen, columns=["vector"])),
            *(
                _beside(one, dimension, lambda table: table.take(chosen, columns=["vector"]))
                for one in beside
            ),
        )
    spaces = Spaces.fit(sample, count, settings) if count else None
    if former is not None:
        changes.drop(projected(former.version))
    if spaces is None:
        changes.set(space=None)
        return
    store = changes.store
    with explained(store):
        spaces.save(store, version)
        seal = sha256_of(store / space_file(version))
    name = projected(version)
    changes.create(name, projected_schema(len(spaces.pca.components), settings.regions))
    done = 0
    for numbers, vectors in _parts(changes):
        read = partial(_lines, start=done, count=len(numbers))
        with explained(store):
            others = [_beside(one, dimension, read) for one in beside]
        found = spaces.project(Embedded(vectors, *others), settings)
        changes.append(name, projected_lines(found, numbers, seal))
        done += len(numbers)
        report("fitting the spaces", done, count)
    note = SpaceNote(version=version, contents=count, sha256=seal)
    if len(spaces.centres):
        table = changes.read(name, ["vector", "partition"])
        partitions = np.asarray(table["partition"], np.int64)
        note = note.model_copy(update={"recall": measure_recall(spaces.centres, _vectors(table), partitions)})
    changes.set(space=note.model_copy(update={"indexes": _built(changes, settings, version, report)}))


def compact(changes: Changes, only_where_it_pays: bool = False) -> bool:
    """Take out contents that no picture shows, and write small tables anew that lie in many parts.

    Returns:
        Whether contents were taken out, so that the spaces must be fitted again.
    """
    for name in SMALL:
        if name in changes.before.tables and len(changes.dataset(name).get_fragments()) > PARTS:
            changes.replace(name, changes.read(name))
    if only_where_it_pays and changes.value("stale") <= STALE * changes.count(CONTENTS):
        return False
    shown, numbers = (
        np.asarray(changes.read(name, ["content"])["content"], np.int64) for name in (PICTURES, CONTENTS)
    )
    stale = np.setdiff1d(numbers, shown)
    pays = len(stale) > (STALE * len(numbers) if only_where_it_pays else 0)
    if pays:
        for name in (CONTENTS, COPIES, REGIONS):
            if name in changes.before.tables:
                changes.delete(name, "content", stale.tolist())
    changes.set(stale=0 if pays else len(stale))
    return pays


def join(changes: Changes) -> None:
    """Keep the fragments of contents few, whose files every commit names and every reader opens.

    Beside large ones there are `PARTS` smaller ones of each table at most.
    """
    note = changes.value("space")
    spaces = [] if note is None else [projected(note.version)]
    for name in (CONTENTS, COPIES, REGIONS, *spaces):
        if name in changes.before.tables:
            fragments = changes.dataset(name).get_fragments()
            if sum(fragment.physical_rows < JOINED for fragment in fragments) > PARTS:
                changes.join(name, JOINED)


def clean(changes: Changes) -> None:
    """Delete versions and files of a store that no kept commit names."""
    commits = kept(changes.store)
    for name in {name for commit in commits for name in commit.tables}:
        dataset = open_version(changes.store, name)
        with explained(changes.store):
            named = min(commit.tables[name].version for commit in commits if name in commit.tables)
            former = [one["version"] for one in dataset.versions() if one["version"] < named]
            if former:
                dataset.cleanup_old_versions(older_than=timedelta(0), versions=former)
    for number in _fitted(changes) - {commit.space.version for commit in commits if commit.space}:
        delete(changes.store / f"{projected(number)}.lance")
        delete(changes.store / f"indexes/{number}")
        (changes.store / space_file(number)).unlink(missing_ok=True)


def _fitted(changes: Changes) -> set[int]:
    """Return the versions of the spaces that lie in a store."""
    found = (name.removesuffix(".safetensors") for name in names(changes.store / FOLDER))
    return {int(name) for name in found if name.isdecimal()}


def _built(changes: Changes, settings: Settings, version: int, report: Progress) -> dict[str, str]:
    """Build the indexes that the store was asked to have; return the checksums of their index.json."""
    made = {}
    for done, name in enumerate(settings.indexes):
        report("building indexes", done, len(settings.indexes))
        kind = REGISTRY[name]
        source = projected(version) if kind.projected else CONTENTS
        vectors = _vectors(changes.read(source, ["vector"]))
        index = kind.index.build(vectors, kind.defaults, SEED)
        folder = index_folder(changes.store, version, name)
        try:
            with filled(folder) as local:
                index.save(local, built_for(changes.before, version))
        except OSError as error:
            raise RisError(
                f"{changes.store} cannot be written ({error.strerror or error}); it is as it was."
            ) from error
        made[name] = sha256_of(folder / "index.json")
    return made


def _parts(changes: Changes) -> Iterator[tuple[npt.NDArray[np.int64], Vectors]]:
    """Yield the numbers and vectors of contents, part by part."""
    batches = changes.dataset(CONTENTS).to_batches(columns=["content", "vector"], batch_size=AT_ONCE)
    while True:
        with explained(changes.store):
            batch = next(batches, None)
        if batch is None:
            return
        table = pa.Table.from_batches([batch])
        yield np.asarray(table["content"], np.int64), _vectors(table)


def _lines(dataset: lance.LanceDataset, start: int, count: int) -> pa.Table:
    return dataset.to_table(columns=["vector"], offset=start, limit=count)


def _beside(
    dataset: lance.LanceDataset | None, dimension: int, read: Callable[[lance.LanceDataset], pa.Table]
) -> Vectors | None:
    """Return the vectors (j, E) of lines of a table beside the contents', where there is one."""
    return None if dataset is None else _vectors(read(dataset)).reshape(-1, dimension)


def _vectors(table: pa.Table) -> Vectors:
    column = table["vector"]
    return as_vectors(column, column.type.list_size)
