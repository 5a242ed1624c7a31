"""The audit of a gallery: what its neighbours, its near-duplicates and its pixels say of its pictures."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import PurePosixPath
from typing import Self

import numpy as np

from ris.audit.findings import Audit, Flawed, Leak, Mislabelled, Outlier
from ris.audit.flaws import KINDS, Flaw, flaw
from ris.audit.labels import contradicted
from ris.audit.outliers import OUTLYING, outlying
from ris.copies.grouping import group_ids
from ris.gallery.catalogue import Catalogue, Positions, label_of
from ris.gallery.gallery import Gallery
from ris.indexes.index import Mask
from ris.indexes.vectors import Vectors
from ris.metrics.judge import UNLABELLED, Question, codes
from ris.metrics.retrieval import Integers
from ris.threads import worker_threads
from ris.types import BadQueryError, Duplicates, Filter, Picture, Progress, Relation

FOLDER = "folder"
"""What stands for the folder where a column of the user's own could be named."""
NEIGHBOURS = 10
"""Nearest pictures that are asked about each."""
SHOWN = 5
"""Neighbours, at most, that are told of a contradicted label."""


@dataclass(frozen=True, eq=False)
class Labelled:
    """A gallery and what is known of its pictures, by position in its catalogue."""

    gallery: Gallery
    pictures: Sequence[Picture]
    labels: Sequence[str]
    """(n,) empty where there is none."""
    sides: Sequence[str] | None
    """(n,) of the split, empty where a picture is on none; None where there is no split."""

    @classmethod
    def of(cls, gallery: Gallery, label: str, split: str | None) -> Self:
        """Read labels and sides from the pictures' folders, or from a column.

        Args:
            gallery: to be audited.
            label: `FOLDER`, for the folder that a picture lies in, or the name of a column.
            split: `FOLDER`, for the first folder of its path, or the name of a column; None for no split.

        Raises:
            BadQueryError: there is no such column, or all pictures are on one side of the split.
        """
        catalogue = gallery.catalogue
        pictures = catalogue.pictures(np.arange(len(catalogue)))
        labels = _values(catalogue, pictures, label, label_of)
        sides = None if split is None else _values(catalogue, pictures, split, _first_folder)
        if sides is not None and len({*sides} - {""}) < 2:
            where = "their first folder" if split == FOLDER else f"the column {split}"
            raise BadQueryError(
                f"By {where} the pictures are on one side of the split or on none; name what tells two sides."
            )
        return cls(gallery, pictures, labels, sides)


def audit_collection(
    collection: Labelled, duplicates: Duplicates, workers: int, progress: Progress | None = None
) -> Audit:
    """Find what is wrong in a collection.

    A picture is told of once: what is flawed is no outlier and has no wrong label, as it shows nothing that
    could be compared, and what has a wrong label is no outlier. Leaks are told besides.

    Args:
        collection: see `Labelled`.
        duplicates: of its gallery.
        workers: threads; their number does not change the result.
        progress: see `Progress`.
    """
    gallery, pictures = collection.gallery, collection.pictures
    labels, groups = codes(collection.labels), _groups(collection, duplicates)
    judged = Question.leave_one_out(labels, groups).queries
    labelled = labels != UNLABELLED
    with worker_threads(workers) as pool:
        nearest = partial(_nearest, gallery, groups, pool, progress)
        flawed, unread = _flawed(collection, pool, progress)
        votes = _one_a_group(groups, labels)
        _, voters = nearest("asking neighbours", NEIGHBOURS, lambda _: votes)
        distances, _ = nearest("comparing labels", 1, lambda one: labels == labels[one])
    mislabelled = _mislabelled(collection, labels, judged, voters)
    told = {one.picture.row for one in flawed}
    mislabelled = [one for one in mislabelled if one.picture.row not in told]
    told |= {one.picture.row for one in mislabelled}
    return Audit(
        pictures=len(pictures),
        labels=len(np.unique(labels[labelled])),
        unlabelled=int(np.count_nonzero(~labelled)),
        alone=int(np.count_nonzero(labelled)) - len(judged),
        proven=gallery.features is not None,
        leaks=_leaks(collection, groups, duplicates),
        mislabelled=mislabelled,
        outliers=[one for one in _outliers(collection, distances[:, 0]) if one.picture.row not in told],
        flawed=flawed,
        unread=unread,
    )


def crossing(groups: Positions, sides: Sequence[str]) -> list[list[int]]:
    """Return the positions in each group that stands on several sides of a split.

    Args:
        groups: (n,) near-duplicate group of each picture.
        sides: (n,) its side; one whose side is empty counts for none.

    Returns:
        By group; each ascending, without pictures that are on no side.
    """
    on_a_side = np.flatnonzero(np.array(sides, object) != "")
    order = on_a_side[np.argsort(groups[on_a_side], kind="stable")]
    borders = np.flatnonzero(np.diff(groups[order], prepend=-1, append=-1)).tolist()
    members = [order[start:end].tolist() for start, end in pairwise(borders)]
    return [group for group in members if len({sides[one] for one in group}) > 1]


def _values(
    catalogue: Catalogue, pictures: Sequence[Picture], name: str, folder: Callable[[str], str]
) -> list[str]:
    """Return a folder or the value of a column (n,) of each picture, empty where it has none."""
    if name == FOLDER:
        return [folder(picture.path) for picture in pictures]
    found = np.full(len(pictures), "", object)
    # That of no picture, too, as a column that there is not is refused so.
    for value in ("", *catalogue.values(name)):
        mask = catalogue.mask(Filter(columns={name: value}))
        found[mask] = value
    return list(found)


def _first_folder(path: str) -> str:
    first, *rest = PurePosixPath(path).parts
    return first if rest else ""


def _groups(collection: Labelled, duplicates: Duplicates) -> Positions:
    """Return the near-duplicate group (n,) of each picture; files of the same bytes are in one, too."""
    gallery = collection.gallery
    place = {picture.row: position for position, picture in enumerate(collection.pictures)}
    first = {int(content): position for position, content in reversed(list(enumerate(gallery.shown)))}
    pairs = [(first[int(content)], position) for position, content in enumerate(gallery.shown)] + [
        (place[group.pictures[0].row], place[other.row])
        for group in duplicates.groups
        for other in group.pictures[1:]
    ]
    return group_ids(np.array(pairs, np.int64).reshape(-1, 2), len(place)).astype(np.int64)


def _one_a_group(groups: Positions, labels: Integers) -> Mask:
    """Choose who has a vote (n,): of near-duplicates with one label only the first, for all of them."""
    chosen = np.zeros(len(groups), np.bool_)
    chosen[np.unique(np.stack([groups, labels]), axis=1, return_index=True)[1]] = True
    chosen[labels == UNLABELLED] = False
    return chosen


def _nearest(
    gallery: Gallery,
    groups: Positions,
    pool: ThreadPoolExecutor,
    progress: Progress | None,
    what: str,
    k: int,
    allowed: Callable[[int], Mask | None],
) -> tuple[Vectors, Positions]:
    """Ask each picture for its k nearest of those that are allowed, its own near-duplicates left out.

    Returns:
        distances (n, k), infinite where a place is empty, and positions (n, k), -1 there.
    """
    count = len(groups)
    distances, near = np.full((count, k), np.inf, np.float32), np.full((count, k), -1)
    order = np.argsort(groups, kind="stable")
    starts = np.searchsorted(groups[order], np.arange(count + 1))

    def ask(position: int) -> tuple[Vectors, Positions]:
        group = groups[position]
        own = order[starts[group] : starts[group + 1]]
        vector = gallery.vectors(gallery.shown[[position]])[0]
        return gallery.nearest("auto", vector, k, allowed(position), own)

    for position, (far, found) in enumerate(pool.map(ask, range(count))):
        distances[position, : len(far)], near[position, : len(found)] = far, found
        if progress:
            progress(what, position + 1, count)
    return distances, near


def _leaks(collection: Labelled, groups: Positions, duplicates: Duplicates) -> list[Leak] | None:
    pictures, sides = collection.pictures, collection.sides
    if sides is None:
        return None
    place = {picture.row: position for position, picture in enumerate(pictures)}
    pairs = [[place[pair.one.row], place[pair.other.row]] for pair in duplicates.changed]
    changed = [pair for pair in pairs if "" not in (ends := {sides[one] for one in pair}) and len(ends) > 1]
    found = [(group, Relation.SAME_PICTURE) for group in crossing(groups, sides)]
    found += [(pair, Relation.CHANGED_VERSION) for pair in changed]
    leaks = []
    for group, relation in found:
        members = sorted(group, key=lambda one: pictures[one].path)
        leaks.append(Leak([pictures[one] for one in members], [sides[one] for one in members], relation))
    return sorted(leaks, key=lambda leak: (leak.relation != Relation.SAME_PICTURE, leak.pictures[0].path))


def _mislabelled(
    collection: Labelled, labels: Integers, asked: Integers, near: Positions
) -> list[Mislabelled]:
    judged = np.full(len(labels), UNLABELLED)
    judged[asked] = labels[asked]
    votes = np.where(near < 0, UNLABELLED, labels[near])
    suggested, support, against = contradicted(judged, votes)
    names = dict(zip(labels.tolist(), collection.labels, strict=True))
    found = [
        Mislabelled(
            collection.pictures[one],
            collection.labels[one],
            names[int(suggested[one])],
            float(support[one]),
            float(against[one]),
            [collection.pictures[other] for other in near[one][votes[one] == suggested[one]][:SHOWN]],
        )
        for one in np.flatnonzero(suggested != UNLABELLED).tolist()
    ]
    return sorted(found, key=lambda one: (one.support - one.against, one.picture.path))


def _outliers(collection: Labelled, distances: Vectors) -> list[Outlier]:
    compared = np.flatnonzero(np.isfinite(distances))
    if not len(compared):
        return []
    far = distances[compared].astype(np.float64)
    found = [
        Outlier(collection.pictures[one], collection.labels[one], distance, score)
        for one, distance, score in zip(compared.tolist(), far.tolist(), outlying(far).tolist(), strict=True)
        if score > OUTLYING
    ]
    return sorted(found, key=lambda one: (-one.score, one.picture.path))


def _flawed(
    collection: Labelled, pool: ThreadPoolExecutor, progress: Progress | None
) -> tuple[list[Flawed], list[str]]:
    """Look at every content once; return what is flawed, and the paths of what could not be read."""
    gallery = collection.gallery
    contents = np.unique(gallery.shown).tolist()
    found: list[Flawed] = []
    unread: list[str] = []

    def look(content: int) -> tuple[bool, Flaw | None]:
        grey = gallery.grey(content)
        return grey is not None, None if grey is None else flaw(grey)

    for done, (content, (seen, what)) in enumerate(zip(contents, pool.map(look, contents), strict=True), 1):
        shown = [collection.pictures[one] for one in gallery.pictures_showing(content)]
        if not seen:
            unread += [picture.path for picture in shown]
        elif what is not None:
            found += [Flawed(picture, what.kind, what.value) for picture in shown]
        if progress:
            progress("looking at pictures", done, len(contents))
    return sorted(found, key=lambda one: (KINDS.index(one.kind), one.picture.path)), sorted(unread)
