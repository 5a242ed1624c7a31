"""A store that arrays fill instead of a folder: what the lab publishes is a store like any other."""

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from ris.artifacts import writing
from ris.copies.perceptual_hash import Fingerprints
from ris.encoders.named import Identity
from ris.errors import RisError
from ris.gallery.catalogue import SCHEMA, label_of
from ris.gallery.settings import Settings
from ris.indexes.vectors import Vectors
from ris.store import commits
from ris.store.commits import Commit, SpaceNote
from ris.store.confirmed import confirm, named
from ris.store.contents import contents_table, projected_lines
from ris.store.spaces import Spaces, space_file
from ris.store.tables import CONTENTS, PICTURES, SMALL, Changes, contents_schema, projected, projected_schema
from ris.store.writing import WEIGHTS


@dataclass(frozen=True, eq=False)
class Published:
    """What a store is filled with; line i of everything is of picture i, and no two have the same bytes."""

    folder: Path
    """Of the pictures."""
    paths: Sequence[str]
    """Relative to it."""
    sizes: Sequence[tuple[int, int]]
    """Width and height of each."""
    vectors: Vectors
    """(n, D) of the encoder, of length 1."""
    packed: Sequence[bytes | None]
    """Local features, see `ris.copies.local_features.encode`."""
    hashes: Fingerprints
    """(n,) perceptual hashes."""
    spaces: Spaces


def publish(
    store: Path, published: Published, identity: Identity, weights: bytes | None, settings: Settings
) -> None:
    """Write a store whole, in place of any that stands there.

    Raises:
        OSError: a picture cannot be read, or the store cannot be written.
    """
    with writing(store) as fresh:
        fresh.mkdir()
        if weights is not None:
            (fresh / WEIGHTS).write_bytes(weights)
        changes = Changes(fresh, _empty(store, published.folder, identity, settings))
        for name in (PICTURES, "columns", "rejected"):
            changes.create(name, SMALL[name])
        changes.create(CONTENTS, contents_schema(identity.network.dimension))
        numbers = np.arange(1, len(published.paths) + 1)
        files = [published.folder / path for path in published.paths]
        sha256s = [hashlib.sha256(file.read_bytes()).digest() for file in files]
        table = contents_table(
            numbers, sha256s, published.sizes, published.vectors, published.packed, published.hashes, identity
        )
        changes.append(CONTENTS, table)
        stats = [file.stat() for file in files]
        columns = [
            numbers,
            list(published.paths),
            [label_of(path) for path in published.paths],
            [one.st_size for one in stats],
            [one.st_mtime_ns for one in stats],
            [one.st_mtime_ns for one in stats],
            numbers,
            [width for width, _ in published.sizes],
            [height for _, height in published.sizes],
            sha256s,
        ]
        changes.append(PICTURES, pa.table(columns, schema=SCHEMA))
        published.spaces.save(fresh, 1)
        seal = hashlib.sha256((fresh / space_file(1)).read_bytes()).hexdigest()
        changes.create(projected(1), projected_schema(len(published.spaces.pca.components), regions=False))
        found = published.spaces.project(published.vectors, None, settings)
        changes.append(projected(1), projected_lines(found, numbers, seal))
        commit = changes.commit(
            generation=1,
            rows=len(numbers),
            contents=len(numbers),
            pictures=len(numbers),
            space=SpaceNote(version=1, contents=len(numbers), sha256=seal),
        )
    with suppress(RisError):  # the next sync says how
        confirm(store, commit, published.folder)


def _empty(store: Path, folder: Path, identity: Identity, settings: Settings) -> Commit:
    return Commit(
        format=commits.FORMAT,
        token=hashlib.sha256(identity.seal.encode()).hexdigest()[:32],
        number=0,
        generation=0,
        identity=identity,
        settings=settings,
        folder=named(store, folder),
        tables={},
        rows=0,
        contents=0,
        pictures=0,
    )
