"""A store that arrays fill instead of a folder: what the lab publishes is a store like any other."""

import hashlib
from collections.abc import Mapping, Sequence
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
from ris.store import commits
from ris.store.commits import Commit, SpaceNote, ThresholdNote
from ris.store.confirmed import confirm, named
from ris.store.contents import beside_table, contents_table, projected_lines
from ris.store.spaces import Embedded, Spaces, space_file
from ris.store.tables import CONTENTS, COPIES, PICTURES, REGIONS, SMALL, Changes, projected, projected_schema
from ris.store.writing import create_contents


@dataclass(frozen=True, eq=False)
class Published:
    """What a store is filled with; line i of everything is of picture i, and no two have the same bytes."""

    folder: Path
    """Of the pictures."""
    paths: Sequence[str]
    """Relative to it."""
    sizes: Sequence[tuple[int, int]]
    """Width and height of each."""
    embedded: Embedded
    """Vectors of length 1."""
    packed: Sequence[bytes | None]
    """Local features, see `ris.copies.local_features.encode`."""
    hashes: Fingerprints
    """(n,) perceptual hashes."""
    spaces: Spaces
    identity: Identity
    """Of the encoder."""
    copies: Identity | None
    """Of the encoder for copies; None where that is the same one."""
    weights: Mapping[str, bytes]
    """See `ris.store.writing.build`."""
    threshold: ThresholdNote | None
    """None where the package's holds."""


def publish(store: Path, published: Published, settings: Settings) -> None:
    """Write a store whole, in place of any that stands there.

    Raises:
        OSError: a picture cannot be read, or the store cannot be written.
    """
    with writing(store) as fresh:
        fresh.mkdir()
        for name, data in published.weights.items():
            (fresh / name).write_bytes(data)
        changes = Changes(fresh, _empty(store, published, settings))
        for name in (PICTURES, "columns", "rejected"):
            changes.create(name, SMALL[name])
        create_contents(changes)
        numbers = np.arange(1, len(published.paths) + 1)
        files = [published.folder / path for path in published.paths]
        sha256s = [hashlib.sha256(file.read_bytes()).digest() for file in files]
        identity, embedded = published.identity, published.embedded
        table = contents_table(
            numbers, sha256s, published.sizes, embedded.vectors, published.packed, published.hashes, identity
        )
        changes.append(CONTENTS, table)
        for name, vectors in ((COPIES, embedded.copies), (REGIONS, embedded.regions)):
            if vectors is not None:
                changes.append(name, beside_table(numbers, vectors, published.copies or identity))
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
        dimension = len(published.spaces.pca.components)
        changes.create(projected(1), projected_schema(dimension, settings.regions))
        found = published.spaces.project(embedded, settings)
        changes.append(projected(1), projected_lines(found, numbers, seal))
        commit = changes.commit(
            generation=1,
            rows=len(numbers),
            contents=len(numbers),
            pictures=len(numbers),
            space=SpaceNote(version=1, contents=len(numbers), sha256=seal),
            threshold=published.threshold,
        )
    with suppress(RisError):  # the next sync says how
        confirm(store, commit, published.folder)


def _empty(store: Path, published: Published, settings: Settings) -> Commit:
    return Commit(
        format=commits.FORMAT,
        token=hashlib.sha256(published.identity.seal.encode()).hexdigest()[:32],
        number=0,
        generation=0,
        identity=published.identity,
        copies=published.copies,
        settings=settings,
        folder=named(store, published.folder),
        tables={},
        rows=0,
        contents=0,
        pictures=0,
    )
