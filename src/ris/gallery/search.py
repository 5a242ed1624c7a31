"""From a query's vectors and local features to hits: the indexes propose, geometry proves."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from ris.copies.local_features import LocalFeatures
from ris.copies.perceptual_hash import nearest
from ris.copies.relations import SAME_BYTES, UNRELATED
from ris.copies.verification import outline
from ris.copies.views import in_turn, merged
from ris.gallery.catalogue import NO_PICTURES, Positions
from ris.gallery.gallery import Found, Gallery
from ris.gallery.proofs import Proof, Proofs, Prover
from ris.indexes.index import Mask
from ris.indexes.vectors import Vectors
from ris.types import BadQueryError, Finding, Hit, Relation

Nearest: TypeAlias = Callable[[int], Found]
"""Returns as many nearest pictures as are wanted, or as there are."""

NEAR = 1.0
"""Distance between two hits' vectors beyond which they are not compared as near-duplicates."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """A query, embedded and described."""

    vector: Vectors
    """(D,) of the encoder."""
    features: LocalFeatures | None
    """None where nothing is to be proven."""
    without: Positions = field(default_factory=lambda: NO_PICTURES)
    """(h,) pictures of the gallery that are searched from: they are not among the hits."""
    sha256: bytes | None = None
    """Of the file that the query is the whole of, if any."""
    content: int | None = None
    """What it shows, where the features are the gallery's own."""


@dataclass(frozen=True)
class Wanted:
    """What is wanted of a search, see `SearchEngine.search`."""

    k: int
    index: str
    max_distance: float | None = None
    collapse: bool = False
    prove: bool = False


@dataclass(eq=False)
class _Kept:
    """A hit in the making."""

    position: int
    distance: float
    copies: list[int] = field(default_factory=list)
    same_bytes: bool = False
    """Whether its file has the query's bytes."""


def similar(gallery: Gallery, query: Prepared, allowed: Mask | None, wanted: Wanted) -> list[Hit]:
    """Answer what is similar, see `SearchEngine.search`."""

    def nearest_pictures(count: int) -> Found:
        distances, positions = gallery.nearest(wanted.index, query.vector, count, allowed, query.without)
        within = len(distances)
        if wanted.max_distance is not None:
            within = int(np.searchsorted(distances, wanted.max_distance, side="right"))
        return distances[:within], positions[:within]

    kept = (
        _collapsed(gallery, nearest_pictures, wanted.k)
        if wanted.collapse
        else _kept(*nearest_pictures(wanted.k))
    )
    proofs: Proofs = {}
    if wanted.prove:
        same_bytes = set(_same_bytes(gallery, query, allowed).tolist())
        for one in kept:
            one.same_bytes = one.position in same_bytes
    compared = wanted.prove and query.features is not None and gallery.features is not None
    if compared and query.features is not None:
        contents = gallery.shown[[one.position for one in kept]].tolist() if kept else []
        proofs = Prover(gallery, query.features, query.content).proofs(contents)
    return _hits(gallery, kept, [proofs.get(int(gallery.shown[one.position])) for one in kept], compared)


def same(gallery: Gallery, views: Vectors, query: Prepared, k: int, allowed: Mask | None) -> Finding:
    """Answer where a very picture is, see `SearchEngine.find`.

    Args:
        gallery: what is searched.
        views: (v, D) of the query's views, itself first.
        query: itself.
        k: hits wanted.
        allowed: (n,) which pictures count; None for all.
    """
    threshold, wanted = gallery.threshold, max(k, gallery.settings.candidates)
    if query.features is None or gallery.features is None:
        near = _kept(*gallery.nearest("auto", views[0], k, allowed, query.without))
        kept = _first(_same_bytes(gallery, query, allowed), near)[:k]
        hits = _hits(gallery, kept, [None] * len(kept), compared=False)
        return Finding(any(one.same_bytes for one in kept) or None, hits, threshold.false_positive_rate)
    distances, positions = _candidates(gallery, views, query, wanted, allowed)
    contents = gallery.shown[positions]
    unique = list(dict.fromkeys(contents.tolist()))
    proofs, looked_at = Prover(gallery, query.features, query.content).search(unique, k)
    place = {content: number for number, content in enumerate(proofs)}
    order = sorted(range(len(positions)), key=lambda i: place.get(int(contents[i]), len(place)))
    near = _kept(distances[order], positions[order])
    kept = _first(_same_bytes(gallery, query, allowed), near)[:k]
    found = [proofs.get(int(gallery.shown[one.position])) for one in kept]
    hits = [
        hit
        for one, proof in zip(kept, found, strict=True)
        for hit in _hits(gallery, [one], [proof], int(gallery.shown[one.position]) in looked_at)
    ]
    return Finding(any(hit.here for hit in hits), hits, threshold.false_positive_rate)


def check_k(k: int) -> None:
    """Refuse a number of hits that cannot be.

    Raises:
        BadQueryError: it is no whole number from 1.
    """
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
        raise BadQueryError(f"k is {k}, but at least one hit must be asked for.")


def _candidates(
    gallery: Gallery, views: Vectors, query: Prepared, wanted: int, allowed: Mask | None
) -> Found:
    """Return pictures that may be the query's, the most promising first."""
    candidates = gallery.candidates
    assert query.features is not None
    if len(query.without):
        allowed = np.ones(len(gallery.catalogue), np.bool_) if allowed is None else allowed.copy()
        allowed[query.without] = False
    if candidates is None:
        return _by_index(gallery, views, query.features.fingerprint, wanted, allowed)
    mask = gallery.contents_mask(allowed)
    distances, contents = candidates.search(views, query.features, wanted, mask)
    shown = [gallery.pictures_showing(int(one)) for one in contents]
    kept = [one if allowed is None else one[allowed[one]] for one in shown]
    return (
        np.repeat(distances, [len(one) for one in kept]).astype(np.float32),
        np.concatenate([NO_PICTURES, *kept]),
    )


def _by_index(
    gallery: Gallery, views: Vectors, perceptual_hash: int, wanted: int, allowed: Mask | None
) -> Found:
    """Return candidates by the index that `auto` stands for, where there are too many to compare all."""
    of_views = [gallery.nearest("auto", view, wanted, allowed) for view in views]
    counted = np.arange(len(gallery.catalogue)) if allowed is None else np.flatnonzero(allowed)
    hashes = gallery.hashes[gallery.shown[counted]]
    length = max(len(positions) for _, positions in of_views)
    far = np.full((len(views), length), np.inf, np.float32)
    near = np.full((len(views), length), -1, np.int64)
    for line, (distances, positions) in enumerate(of_views):
        far[line, : len(positions)], near[line, : len(positions)] = distances, positions
    rankings = [
        merged(far, near, wanted)[1],
        nearest(perceptual_hash, hashes, counted, wanted),
        of_views[0][1],
    ]
    positions = in_turn(rankings, wanted)
    own = gallery.space("auto").project(
        np.concatenate([views[:1], gallery.vectors(gallery.shown[positions])])
    )
    return np.linalg.norm(own[1:] - own[0], axis=1).astype(np.float32), positions


def _kept(distances: Vectors, positions: Positions) -> list[_Kept]:
    return [_Kept(*one) for one in zip(positions.tolist(), distances.tolist(), strict=True)]


def _same_bytes(gallery: Gallery, query: Prepared, allowed: Mask | None) -> Positions:
    """Return the pictures (j,) that count and whose files have the query's bytes, other than itself."""
    if query.sha256 is None:
        return NO_PICTURES
    positions = gallery.catalogue.with_sha256(query.sha256)
    positions = positions[~np.isin(positions, query.without)]
    return positions if allowed is None else positions[allowed[positions]]


def _first(same_bytes: Positions, near: Sequence[_Kept]) -> list[_Kept]:
    """Put the pictures of the query's bytes (j,) before all others."""
    known = set(same_bytes.tolist())
    first = [_Kept(position, 0.0, same_bytes=True) for position in same_bytes.tolist()]
    return first + [one for one in near if one.position not in known]


def _hits(
    gallery: Gallery, kept: Sequence[_Kept], proofs: Sequence[Proof | None], compared: bool
) -> list[Hit]:
    """Return hits, each with its proof where there is one."""
    pictures = iter(
        gallery.catalogue.pictures([place for one in kept for place in (one.position, *one.copies)])
    )
    hits = []
    for one, found in zip(kept, proofs, strict=True):
        picture = next(pictures)
        proof, related = (None, SAME_BYTES) if one.same_bytes else found or (None, UNRELATED)
        shown = proof is not None and related.relation is not Relation.NOT_PROVEN
        corners = proof.outline.tolist() if proof is not None and shown else None
        if one.same_bytes:
            corners = outline(np.eye(3), (picture.width, picture.height)).tolist()
        hits.append(
            Hit(
                picture=picture,
                distance=one.distance,
                relation=related.relation if compared or one.same_bytes else None,
                evidence=related.evidence,
                inliers=0 if proof is None else proof.inliers,
                mirrored=not one.same_bytes and proof is not None and proof.mirrored,
                outline=None if corners is None else [(x, y) for x, y in corners],
                difference=related.difference,
                copies=[next(pictures) for _ in one.copies],
            )
        )
    return hits


def _collapsed(gallery: Gallery, nearest_pictures: Nearest, k: int) -> list[_Kept]:
    """Fold near-duplicates of nearer hits into these, until there are k different ones or no more."""
    wanted = 2 * k
    while True:
        distances, positions = nearest_pictures(wanted)
        kept: list[_Kept] = []
        for position, distance in zip(positions.tolist(), distances.tolist(), strict=True):
            original = _copied(gallery, position, kept)
            if original is not None:
                original.copies.append(position)
            elif len(kept) < k:
                kept.append(_Kept(position, distance))
            else:
                return kept
        if len(positions) < wanted:
            return kept
        wanted *= 2


def _copied(gallery: Gallery, position: int, kept: Sequence[_Kept]) -> _Kept | None:
    """Return the kept hit that a picture is a near-duplicate of; None where it is none."""
    if not kept:
        return None
    content, contents = int(gallery.shown[position]), gallery.shown[[one.position for one in kept]]
    for one, other in zip(kept, contents.tolist(), strict=True):
        if other == content:
            return one
    features = gallery.features
    if features is None:
        return None
    mine, theirs = gallery.vectors(np.array([content]))[0], gallery.vectors(contents)
    near = contents[np.linalg.norm(theirs - mine, axis=1) <= NEAR].tolist()
    proofs = Prover(gallery, features[content], content).proofs(near)
    found = next((row for row, (_, one) in proofs.items() if one.relation is Relation.SAME_PICTURE), None)
    places = zip(kept, contents.tolist(), strict=True)
    return next((one for one, other in places if other == found), None)
