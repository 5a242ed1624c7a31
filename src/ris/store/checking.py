"""Whether a store is whole: every checksum, and every line against those that it belongs to."""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from ris.encoders.named import restore
from ris.errors import RisError
from ris.store.commits import latest
from ris.store.gallery import StoreGallery, features_checksum, open_built
from ris.store.spaces import Spaces
from ris.store.storage import Place
from ris.store.tables import check_files
from ris.store.writing import COPIES_WEIGHTS, WEIGHTS, weights_of

AT_ONCE = 256
"""Contents whose local features are checked together."""


def problems(store: Place) -> list[str]:
    """Check what is committed in a store; return what is wrong, each a sentence.

    Raises:
        RisError: it cannot be opened at all.
    """
    gallery = StoreGallery(store)
    found: list[str] = []
    for part in _parts(gallery):
        try:
            part()
        except RisError as error:
            found.append(str(error))
    return list(dict.fromkeys(found))


def _parts(gallery: StoreGallery) -> Iterator[Callable[[], object]]:
    """What is checked, each raising where something is wrong."""
    store, commit = gallery.store, gallery.commit
    for table in commit.tables.values():
        for name, sha256 in table.files.items():
            yield partial(check_files, store, {name: sha256})
    for identity, name in ((commit.identity, WEIGHTS), (commit.copies, COPIES_WEIGHTS)):
        if identity is not None:
            yield partial(restore, identity, weights_of(store, name))
    yield lambda: gallery.shown
    yield gallery.vectors
    yield lambda: _local_features(gallery)
    if gallery.regions or gallery.copies is not None:
        yield lambda: gallery.candidates
    note = commit.space
    if note is not None:
        yield lambda: Spaces.read(store, commit)
        yield lambda: gallery.projected
        for name in note.indexes:
            yield partial(open_built, store, commit, name)
    yield lambda: latest(store)


def _local_features(gallery: StoreGallery) -> None:
    if not gallery.settings.same_picture:
        return
    damaged = []
    for start in range(0, gallery.count, AT_ONCE):
        contents = list(range(start, min(start + AT_ONCE, gallery.count)))
        for content, (data, checksum, sha256) in zip(contents, gallery.feature_bytes(contents), strict=True):
            if data is None or features_checksum(data, sha256) != checksum:
                damaged.append(content)
    if damaged:
        places = np.concatenate([gallery.pictures_showing(content) for content in damaged[:3]])
        some = ", ".join(gallery.catalogue.paths(places))
        raise RisError(
            f"The local features of {len(damaged)} pictures in {gallery.store} are damaged, such as {some}."
        )
