"""Query, train and validation: stratified by class, near-duplicates kept together."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from ris.errors import RisError

TWIN_SHARE = 0.1
"""Share of a class's pictures with a near-duplicate in another class that makes the two one kind."""
MIN_LEFT = 2
"""Pictures of a class that a draw leaves behind, and that validation gets where the class has enough."""


def split(
    labels: Sequence[str], groups: npt.NDArray[Any], query_share: float, validation_share: float, seed: int
) -> npt.NDArray[Any]:
    """Assign each picture to "query", "train" or "validation".

    The query part is drawn from all pictures, the validation part from the rest. Each draw goes through
    the groups in random order and takes each that still fits into the share of its classes; then it takes
    those that do not fit but bring their classes nearer to it.

    Args:
        labels: class of each picture, (N,).
        groups: near-duplicate group of each picture, (N,) integer; a group is never divided.
        query_share: share of each class that becomes queries, at least one picture of each class.
        validation_share: share of the rest of each class that is kept out of training, at least two
            pictures where two are left to train on.
        seed: of the random order.

    Returns:
        (N,) array of str.
    """
    rng = np.random.default_rng(seed)
    classes, label_ids = np.unique(np.asarray(labels), return_inverse=True)
    group_ids = np.unique(groups, return_inverse=True)[1]
    shape = (int(group_ids.max()) + 1, len(classes))
    counts = sparse.csr_matrix((np.ones(len(label_ids), np.int64), (group_ids, label_ids)), shape)

    sizes = np.bincount(label_ids, minlength=len(classes))
    query = _draw(counts, np.maximum(np.rint(sizes * query_share), 1), rng)

    gallery = counts.multiply(~query[:, None]).tocsr()
    gallery.eliminate_zeros()
    left = np.asarray(gallery.sum(axis=0)).ravel()
    wanted = np.where(left >= 2 * MIN_LEFT, np.maximum(np.rint(left * validation_share), MIN_LEFT), 0)
    validation = _draw(gallery, wanted, rng)

    part = np.where(query, "query", np.where(validation, "validation", "train"))
    return part[group_ids]


def hold_out(labels: Sequence[str], groups: npt.NDArray[Any], count: int, draw: int, seed: int) -> list[str]:
    """Draw classes to be held out of a training, one from each of `count` strata of class size.

    Draws take a class again only once their stratum is used up, so the first few have none in common: what
    is chosen by one of them is chosen without a look at the others. Classes that show the same photographs
    come together: where a tenth of the smaller one's pictures have a near-duplicate in the other. So one
    class fewer or more than `count` may be drawn; half of the classes where so many would leave fewer than
    two.

    Args:
        labels: class of each picture, (N,).
        groups: near-duplicate group of each picture, (N,) integer.
        count: classes to hold out.
        draw: number of the draw, from 0.
        seed: of the order in which classes are drawn.

    Returns:
        The names, sorted.

    Raises:
        RisError: there are fewer than three classes.
    """
    classes, label_ids, sizes = np.unique(np.asarray(labels), return_inverse=True, return_counts=True)
    group_ids = np.unique(groups, return_inverse=True)[1]
    member = sparse.csr_matrix((np.ones(len(label_ids)), (group_ids, label_ids))) > 0
    shared = (member.T.astype(int) @ member.astype(int)).toarray()
    linked = shared >= TWIN_SHARE * np.minimum.outer(sizes, sizes)
    n_units, unit_of = sparse.csgraph.connected_components(linked, directed=False)
    if n_units < 3:
        raise RisError(
            f"Of {n_units} classes with different pictures none can be held out, for two must be left to "
            "train on; set `unseen.draws=[]`."
        )
    if count > n_units - 2:
        count = n_units // 2
    rng = np.random.default_rng(seed)
    members = np.bincount(unit_of)
    by_size = np.argsort(np.bincount(unit_of, weights=sizes) / members, kind="stable")
    strata = [rng.permutation(stratum) for stratum in np.array_split(by_size, count)]
    drawn = [int(stratum[draw % len(stratum)]) for stratum in strata]
    while (excess := int(members[drawn].sum()) - count) > 0:
        spare = [unit for unit in drawn if members[unit] <= excess]
        if not spare:
            break
        drawn.remove(int(rng.choice(spare)))
    held: list[str] = classes[np.isin(unit_of, drawn)].tolist()
    return held


def check_split(splits: Sequence[str], groups: npt.NDArray[Any], labels: Sequence[str]) -> None:
    """Check that a split is fit to judge a search by.

    Args:
        splits: "query", "train" or "validation" of each picture, (N,).
        groups: near-duplicate group of each picture, (N,) integer.
        labels: class of each picture, (N,).

    Raises:
        RisError: a group stands on two sides, a class has no query or no gallery picture, or there are
            fewer than two classes.
    """
    parts, owners, names = np.asarray(splits), np.asarray(groups), np.asarray(labels)
    classes = np.unique(names)
    if len(classes) < 2:
        raise RisError(
            f"A search needs at least two classes to be judged, but the pictures have {len(classes)}."
        )
    sides = pd.Series(parts).groupby(owners).nunique()
    if (sides > 1).any():
        group = sides.idxmax()
        where = " and ".join(np.unique(parts[owners == group]))
        raise RisError(
            f"Near-duplicate group {group} stands on two sides of the split ({where}); "
            "remake the catalog with `dvc repro clean`."
        )
    for label in classes:
        queries = parts[names == label] == "query"
        if queries.all() or not queries.any():
            missing = "gallery picture" if queries.all() else "query"
            raise RisError(
                f"Class {label} has no {missing} after the split; add different pictures to it, "
                "or raise clean.min_class_size so that it is dropped."
            )


def _draw(counts: Any, target: npt.NDArray[Any], rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Choose groups whose pictures come near to `target` (C,) of each class; `counts` is (G, C) sparse.

    A group is left alone if fewer than `MIN_LEFT` pictures of one of its classes would stay behind.
    """
    spare = np.asarray(counts.sum(axis=0)).ravel() - MIN_LEFT
    taken = np.zeros(len(target))
    chosen = np.zeros(counts.shape[0], bool)
    members = [
        (counts.indices[start:end], counts.data[start:end])
        for start, end in zip(counts.indptr[:-1], counts.indptr[1:], strict=True)
    ]

    def take(group: int) -> None:
        classes, added = members[group]
        if len(classes) and (taken[classes] + added <= spare[classes]).all():
            chosen[group] = True
            taken[classes] += added

    order = rng.permutation(len(members))
    for group in order:
        classes, added = members[group]
        if (taken[classes] + added <= target[classes]).all():
            take(group)
    for group in order[~chosen[order]]:
        classes, added = members[group]
        miss = taken[classes] - target[classes]
        if np.abs(miss + added).sum() < np.abs(miss).sum():
            take(group)
    for label in np.flatnonzero((taken == 0) & (target > 0)):
        column = counts[:, [label]].toarray().ravel()
        take(int(np.argmin(np.where(column > 0, column, np.inf))))
    return chosen
