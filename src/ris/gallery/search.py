"""From a query's vectors and local features to hits: the indexes propose, geometry proves."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from ris.copies.local_features import LocalFeatures
from ris.copies.verification import Verified, verify
from ris.gallery.catalogue import Mask, Positions
from ris.gallery.snapshot import Snapshot
from ris.indexes.vectors import Vectors
from ris.types import BadQueryError, Finding, Hit

Nearest: TypeAlias = Callable[[int], tuple[Vectors, Positions]]
"""Returns the distances (j,) and positions (j,) of as many nearest as are asked for, or as there are."""

NEAR = 1.0
"""Distance between two hits' vectors beyond which they are not compared as near-copies."""


@dataclass(frozen=True, eq=False)
class Asked:
    """A query as the search looks at it."""

    vector: Vectors
    """(D,) of the encoder."""
    features: LocalFeatures | None
    """None where nothing is to be proven."""
    allowed: Mask
    """(n,) which pictures count."""
    without: Positions
    """(h,) the picture of the store that is asked for, if any."""


@dataclass(eq=False)
class _Kept:
    """A hit in the making."""

    position: int
    distance: float
    copies: list[int] = field(default_factory=list)


def similar(
    snapshot: Snapshot,
    asked: Asked,
    k: int,
    *,
    index: str,
    max_distance: float | None,
    collapse: bool,
    prove: bool,
) -> list[Hit]:
    """Answer what is similar, see `SearchEngine.search`."""

    def nearest(count: int) -> tuple[Vectors, Positions]:
        distances, positions = snapshot.nearest(index, asked.vector, count, asked.allowed, asked.without)
        within = len(distances)
        if max_distance is not None:
            within = int(np.searchsorted(distances, max_distance, side="right"))
        return distances[:within], positions[:within]

    if collapse:
        kept = _collapsed(snapshot, nearest, k)
    else:
        distances, positions = nearest(k)
        kept = [_Kept(*one) for one in zip(positions.tolist(), distances.tolist(), strict=True)]
    proofs: dict[int, Verified] = {}
    looked = prove and asked.features is not None and snapshot.features is not None
    if looked and asked.features is not None and snapshot.features is not None:
        found = verify(asked.features, [one.position for one in kept], snapshot.features)
        proofs = {proof.row: proof for proof in found}
    return [_hit(snapshot, one, looked, proofs.get(one.position)) for one in kept]


def same(
    snapshot: Snapshot, views: Vectors, features: LocalFeatures | None, k: int, allowed: Mask
) -> Finding:
    """Answer where a very picture is, see `SearchEngine.find`.

    Args:
        snapshot: what is searched.
        views: (v, D) of the query's views, itself first, by the encoder that candidates are searched by.
        features: of the query; None where nothing can be proven.
        k: hits wanted.
        allowed: (n,) which pictures count.
    """
    threshold, wanted = snapshot.threshold, max(k, snapshot.settings.candidates)
    if features is None or snapshot.features is None:
        distances, positions = snapshot.nearest("auto", views[0], k, allowed)
        kept = [_Kept(*one) for one in zip(positions.tolist(), distances.tolist(), strict=True)]
        return Finding(
            None, [_hit(snapshot, one, False, None) for one in kept], threshold.false_positive_rate
        )
    candidates = snapshot.candidates
    if candidates is None:
        distances, positions = snapshot.nearest("knn", views[0], wanted, allowed)
    else:
        distances, positions = candidates.search(views, features.fingerprint, wanted, allowed)
    enough = snapshot.settings.enough_evidence
    proofs = verify(features, positions.tolist(), snapshot.features, enough)
    distance_of = dict(zip(positions.tolist(), distances.tolist(), strict=True))
    first = dict.fromkeys([*(proof.row for proof in proofs), *positions.tolist()])
    of_row = {proof.row: proof for proof in proofs}
    all_looked_at = not any(proof.evidence >= enough for proof in proofs)
    hits = [
        _hit(snapshot, _Kept(one, distance_of[one]), all_looked_at or one in of_row, of_row.get(one))
        for one in list(first)[:k]
    ]
    here = bool(proofs) and proofs[0].evidence > threshold.evidence
    return Finding(here, hits, threshold.false_positive_rate)


def check_k(k: int) -> None:
    """Refuse a number of hits that cannot be.

    Raises:
        BadQueryError: it is no whole number from 1.
    """
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
        raise BadQueryError(f"k is {k}, but at least one hit must be asked for.")


def _hit(snapshot: Snapshot, kept: _Kept, looked: bool, proof: Verified | None) -> Hit:
    pictures = snapshot.catalogue.pictures
    proven = proof is not None and proof.evidence > snapshot.threshold.evidence
    corners = proof.outline.tolist() if proof is not None and proven else None
    return Hit(
        picture=pictures[kept.position],
        distance=kept.distance,
        same_picture=proven if looked else None,
        inliers=0 if proof is None else proof.inliers,
        mirrored=proof is not None and proof.mirrored,
        outline=None if corners is None else [(x, y) for x, y in corners],
        copies=[pictures[copy] for copy in kept.copies],
    )


def _collapsed(snapshot: Snapshot, nearest: Nearest, k: int) -> list[_Kept]:
    """Fold near-copies of nearer hits into these, until there are k different ones or no more."""
    asked = 2 * k
    while True:
        distances, positions = nearest(asked)
        kept: list[_Kept] = []
        for position, distance in zip(positions.tolist(), distances.tolist(), strict=True):
            original = _copied(snapshot, position, kept)
            if original is not None:
                original.copies.append(position)
            elif len(kept) < k:
                kept.append(_Kept(position, distance))
            else:
                return kept
        if len(positions) < asked:
            return kept
        asked *= 2


def _copied(snapshot: Snapshot, position: int, kept: Sequence[_Kept]) -> _Kept | None:
    """Return the kept hit that a picture is a near-copy of; None where it is none."""
    pictures, vectors, features = snapshot.catalogue.pictures, snapshot.knn.vectors, snapshot.features
    equal = [one for one in kept if pictures[one.position].sha256 == pictures[position].sha256]
    if equal or features is None:
        return equal[0] if equal else None
    apart = [float(np.linalg.norm(vectors[one.position] - vectors[position])) for one in kept]
    near = [one.position for one, distance in zip(kept, apart, strict=True) if distance <= NEAR]
    proofs = verify(features[position], near, features)
    if not proofs or proofs[0].evidence <= snapshot.threshold.evidence:
        return None
    return next(one for one in kept if one.position == proofs[0].row)
