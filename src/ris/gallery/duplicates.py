"""Groups of pictures that are one picture, and which of each group to keep."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from ris.copies.grouping import group_ids
from ris.copies.perceptual_hash import Fingerprints, nearest_hashes
from ris.copies.relations import Related
from ris.copies.verification import Verified
from ris.errors import RisError
from ris.gallery.keeping import Matrix, Verdict, better
from ris.indexes.exact import ExactIndex
from ris.indexes.ivf import IvfIndex
from ris.indexes.vectors import Vectors
from ris.threads import worker_threads
from ris.types import ChangedPair, DuplicateGroup, Duplicates, Picture, Progress, Relation

Positions: TypeAlias = npt.NDArray[np.int64]
"""Places in the list of pictures, from 0."""
Verify: TypeAlias = Callable[[int, Sequence[int]], list[tuple[Verified, Related]]]
"""Looks for a content in others, which are the rows of what it returns, and says what is proven of each; from
several threads at once. See `ris.copies.verification.verify` and `ris.copies.relations.relate`."""
Matrices: TypeAlias = Mapping[tuple[str, str], Matrix]
"""Where two pictures are proven to be one, by their SHA-256: (2, 3) from the one's pixels to the other's."""


class Seen(NamedTuple):
    """A picture, read to be compared."""

    image: Image.Image
    """Whole, RGB and upright."""
    camera: bool
    """Whether its file names the camera that took it."""


Read: TypeAlias = Callable[[int], Seen]
"""Reads the picture at a position; from several threads at once."""

NEAREST = 20
"""Pictures of the nearest vectors that each is compared to, for what was cropped, turned or mirrored."""
ALIKE = 3
"""Pictures of the nearest fingerprints, likewise, for what was encoded anew, shrunk or blurred."""
ROUNDS = 3
"""Times that all of a group are compared with the best so far, at most."""
EXACT_UP_TO = 20_000
"""Contents of which all pairs are compared; of more, those of the same partitions."""
PROBES = 16
"""Partitions in which the nearest of a content are looked for."""
SEED = 0
_AT_ONCE = 256


def find_duplicates(
    pictures: Sequence[Picture],
    contents: Positions,
    vectors: Vectors,
    hashes: Fingerprints,
    verify: Verify,
    read: Read,
    *,
    workers: int,
    verifiers: int | None = None,
    progress: Progress | None = None,
) -> Duplicates:
    """Find the groups of pictures that are one picture, re-encoded, resized, cropped, turned or mirrored.

    Files of the same bytes are joined unseen. Any other picture is compared to those of the nearest vectors
    and of the nearest fingerprints, and joined to those that are proven the same. What is the same as a third
    picture is in its group. A changed version joins nothing: it stands apart, as a pair.

    Args:
        pictures: in the order in which they and the groups are returned.
        contents: (n,) what each shows; pictures of the same content are files of the same bytes.
        vectors: (m, d) of the contents, in the space in which candidates are searched.
        hashes: (m,) of the contents, see `ris.copies.perceptual_hash`.
        verify: see `Verify`.
        read: see `Read`; called for pictures of a group that are not the same bytes.
        workers: threads; their number does not change the result.
        verifiers: threads that call `verify`, where they but wait for other machines; None for `workers`.
        progress: see `Progress`.

    Returns:
        Groups of at least two pictures, the largest group first, and pairs of changed versions.
    """
    if not pictures:
        return Duplicates([], [])
    distinct, first, inverse = np.unique(contents, return_index=True, return_inverse=True)
    with worker_threads(workers) as pool, ThreadPoolExecutor(verifiers or workers) as verifying:
        partners = _partners(vectors[distinct], hashes[distinct], pool, progress)
        related = _related(distinct, partners, verify, verifying, progress)
        same = [one for one in related if one[2].relation is Relation.SAME_PICTURE]
        proven = np.array([(one, proof.row) for one, proof, _ in same], np.int64).reshape(-1, 2)
        inliers = np.array([proof.inliers for _, proof, _ in same], np.int64)
        sha256s = {
            content: pictures[place].sha256
            for content, place in zip(distinct.tolist(), first.tolist(), strict=True)
        }
        matrices = _both_ways(sha256s, [(one, proof) for one, proof, _ in same])
        proven = first[np.searchsorted(distinct, proven)]
        copies = np.stack([first[inverse], np.arange(len(pictures))], axis=1)
        group_of = group_ids(np.concatenate([copies, proven]), len(pictures))
        groups = [group for group in _members(group_of) if len(group) > 1]
        suggested = list(pool.map(lambda group: suggestion(pictures, read, group, matrices), groups))
    weakest_last = np.argsort(-inliers, kind="stable")
    links = group_of[proven[weakest_last, 0]].tolist()
    fewest = dict(zip(links, inliers[weakest_last].tolist(), strict=True))
    found = [
        DuplicateGroup(
            pictures=[pictures[position] for position in group],
            keep=pictures[keep],
            why=why,
            inliers=fewest.get(int(group_of[keep]), 0),
        )
        for group, (keep, why) in zip(groups, suggested, strict=True)
    ]
    shows = dict(zip(distinct.tolist(), first.tolist(), strict=True))
    changed = [
        ChangedPair(pictures[shows[one]], pictures[shows[proof.row]], proof.inliers, told.difference)
        for one, proof, told in related
        if told.relation is Relation.CHANGED_VERSION and told.difference is not None
    ]
    return Duplicates(found, sorted(changed, key=lambda pair: (pair.one.path, pair.other.path)))


def suggestion(
    pictures: Sequence[Picture], read: Read, group: Sequence[int], matrices: Matrices
) -> tuple[int, str]:
    """Say which of a group to keep: the one that no other has more of the real picture than.

    Of equally good ones it is one that names its camera, then the largest, the oldest, the shortest path.

    Args:
        pictures: see `find_duplicates`.
        read: see `Read`; what cannot be read is not kept where another can.
        group: positions, at least one.
        matrices: see `Matrices`.

    Returns:
        A position, and why that one, a clause.
    """
    ranked: list[int] = []
    for one in sorted(group, key=lambda one: _preference(pictures[one])):
        if pictures[one].sha256 not in {pictures[other].sha256 for other in ranked}:
            ranked.append(one)
    best, why = ranked[0], "of equally good ones it is the largest, oldest, or of the shortest path"
    for _ in range(ROUNDS):
        before = best
        for other in ranked:
            matrix = matrices.get((pictures[best].sha256, pictures[other].sha256))
            verdict = None if matrix is None else _compared(read, best, other, matrix)
            if verdict is not None:
                best, why = (best if verdict[0] > 0 else other), verdict[1]
        if best == before:
            break
    return best, why


def _preference(picture: Picture) -> tuple[int, float, int, str]:
    return -picture.width * picture.height, picture.modified, len(picture.path), picture.path


def _compared(read: Read, one: int, other: int, matrix: Matrix) -> Verdict:
    """Say which of two pictures to keep; None where neither is better, or neither can be read."""
    seen: list[Seen | None] = []
    for position in (one, other):
        try:
            seen.append(read(position))
        except RisError:
            seen.append(None)
    first, second = seen
    if first is None or second is None:
        return None if first is second else ((1.0 if second is None else -1.0), "it can be read")
    verdict = better(np.asarray(first.image), np.asarray(second.image), matrix)
    if verdict is None and first.camera != second.camera:
        return (1.0 if first.camera else -1.0), "of equally good ones it names its camera"
    return verdict


def _members(groups: npt.NDArray[np.int32]) -> list[list[int]]:
    """Return the positions in each group (n,), ascending: the largest group first, then by first position."""
    order = np.argsort(groups, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)
    return sorted((group.tolist() for group in members), key=len, reverse=True)


def _partners(
    vectors: Vectors, hashes: Fingerprints, pool: ThreadPoolExecutor, progress: Progress | None
) -> list[Positions]:
    """Return for each content i those j > i of which either is among the other's nearest."""
    count = len(vectors)
    places = np.arange(count)
    index = (
        ExactIndex(vectors) if count <= EXACT_UP_TO else IvfIndex.build(vectors, {"n_probes": PROBES}, SEED)
    )
    alike = nearest_hashes(hashes)

    def near(start: int) -> Positions:
        # A content is among its own nearest; hence one more of each.
        batch = slice(start, start + _AT_ONCE)
        found = index.search(vectors[batch], NEAREST + 1)[1]
        return np.concatenate([found, alike(hashes[batch], min(ALIKE + 1, count))], axis=1)

    found: list[Positions] = []
    for part in pool.map(near, range(0, count, _AT_ONCE)):
        found.append(part)
        if progress:
            progress("looking for similar pictures", sum(map(len, found)), count)
    neighbours = np.concatenate(found)
    one, other = np.repeat(places, neighbours.shape[1]), neighbours.ravel()
    edges = np.unique(np.minimum(one, other) * count + np.maximum(one, other))
    owner, partner = np.divmod(edges, count)
    owner, partner = owner[owner < partner], partner[owner < partner]
    return np.split(partner, np.searchsorted(owner, places[1:]))


def _both_ways(sha256s: Mapping[int, str], found: Sequence[tuple[int, Verified]]) -> Matrices:
    """Return the matrices of proven pairs of contents, and their inverses, those that are affine."""
    matrices: dict[tuple[str, str], Matrix] = {}
    for content, proof in found:
        one, other = sha256s[content], sha256s[proof.row]
        if np.array_equal(proof.matrix[2], [0, 0, 1]):
            matrices[one, other] = proof.matrix[:2]
            matrices[other, one] = np.linalg.pinv(proof.matrix)[:2]
    return matrices


def _related(
    distinct: Positions,
    partners: Sequence[Positions],
    verify: Verify,
    pool: ThreadPoolExecutor,
    progress: Progress | None,
) -> list[tuple[int, Verified, Related]]:
    """Return the contents in which another one was found, after this one, and what is proven of the two.

    Args:
        distinct: (m,) contents that are compared.
        partners: for each of these those to compare it with, as places among these.
        verify: see `Verify`.
        pool: threads.
        progress: see `Progress`.
    """
    pairs: list[tuple[int, Verified, Related]] = []
    jobs = pool.map(verify, distinct.tolist(), [distinct[places].tolist() for places in partners])
    for done, (content, found) in enumerate(zip(distinct.tolist(), jobs, strict=True), 1):
        pairs += [(content, proof, related) for proof, related in found]
        if progress:
            progress("comparing pictures", done, len(distinct))
    return pairs
