"""Groups of pictures that are one picture, and which of each group to keep."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from ris.copies.grouping import group_ids
from ris.copies.perceptual_hash import Fingerprints, nearest_hashes
from ris.copies.verification import Verified
from ris.errors import RisError
from ris.indexes.exact import ExactIndex
from ris.indexes.ivf import IvfIndex
from ris.indexes.vectors import Vectors
from ris.threads import worker_threads
from ris.types import DuplicateGroup, Picture, Progress

Positions: TypeAlias = npt.NDArray[np.int64]
"""Places in the list of pictures, from 0."""
Verify: TypeAlias = Callable[[int, Sequence[int]], list[Verified]]
"""Looks for a content in others, which are the rows of what it returns; from several threads at once. See
`ris.copies.verification.verify`."""
Read: TypeAlias = Callable[[int], Image.Image]
"""Reads the picture at a position, whole and upright; from several threads at once."""

NEAREST = 20
"""Pictures of the nearest vectors that each is compared to, for what was cropped, turned or mirrored."""
ALIKE = 3
"""Pictures of the nearest fingerprints, likewise, for what was encoded anew, shrunk or blurred."""
AREA = 2**18
"""Pixels to which larger pictures are shrunk before their sharpness is compared."""
AS_SHARP = 0.5
"""Share of the greatest sharpness from which another counts as equal. Encoding a picture anew leaves 0.5 to
1.6 of its sharpness, for blocks have edges; a blur of one pixel leaves 0.05."""
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
    threshold: float,
    read: Read,
    *,
    workers: int,
    progress: Progress | None = None,
) -> list[DuplicateGroup]:
    """Find the groups of pictures that are one picture, re-encoded, resized, cropped, turned or mirrored.

    Files of the same bytes are joined unseen. Any other picture is compared to those of the nearest vectors
    and of the nearest fingerprints, and joined to those that are proven the same. What is the same as a third
    picture is in its group.

    Args:
        pictures: in the order in which they and the groups are returned.
        contents: (n,) what each shows; pictures of the same content are files of the same bytes.
        vectors: (m, d) of the contents, in the space in which candidates are searched.
        hashes: (m,) of the contents, see `ris.copies.perceptual_hash`.
        verify: see `Verify`.
        threshold: two pictures are one where there is more evidence.
        read: see `Read`; called only where a group's largest pictures are equally large.
        workers: threads; their number does not change the result.
        progress: see `Progress`.

    Returns:
        Groups of at least two pictures, the largest group first.
    """
    if not pictures:
        return []
    distinct, first, inverse = np.unique(contents, return_index=True, return_inverse=True)
    with worker_threads(workers) as pool:
        partners = _partners(vectors[distinct], hashes[distinct], pool, progress)
        proven, inliers = _proven(distinct, partners, verify, threshold, pool, progress)
        proven = first[np.searchsorted(distinct, proven)]
        copies = np.stack([first[inverse], np.arange(len(pictures))], axis=1)
        group_of = group_ids(np.concatenate([copies, proven]), len(pictures))
        groups = [group for group in _members(group_of) if len(group) > 1]
        suggested = list(pool.map(partial(suggestion, pictures, read), groups))
    weakest_last = np.argsort(-inliers, kind="stable")
    links = group_of[proven[weakest_last, 0]].tolist()
    fewest = dict(zip(links, inliers[weakest_last].tolist(), strict=True))
    return [
        DuplicateGroup(
            pictures=[pictures[position] for position in group],
            keep=pictures[keep],
            why=why,
            inliers=fewest.get(int(group_of[keep]), 0),
        )
        for group, (keep, why) in zip(groups, suggested, strict=True)
    ]


def suggestion(pictures: Sequence[Picture], read: Read, group: Sequence[int]) -> tuple[int, str]:
    """Say which of a group to keep: of the largest the sharpest, of these the oldest, then the shortest path.

    Args:
        pictures: see `find_duplicates`.
        read: see `Read`; what cannot be read is not sharp.
        group: positions, at least one.

    Returns:
        A position, and why that one, a clause.
    """
    areas = [pictures[one].width * pictures[one].height for one in group]
    largest = [one for one, area in zip(group, areas, strict=True) if area == max(areas)]
    if len(largest) == 1:
        picture = pictures[largest[0]]
        return largest[0], f"it is the largest, {picture.width} x {picture.height} pixels"
    sharpest = _sharpest(pictures, read, largest)
    if len(sharpest) == 1:
        return sharpest[0], f"it is the sharpest of the {len(largest)} largest"
    first = min(pictures[one].modified for one in sharpest)
    oldest = [one for one in sharpest if pictures[one].modified == first]
    if len(oldest) == 1:
        return oldest[0], f"it is the oldest of the {len(sharpest)} largest and sharpest"
    shortest = min(oldest, key=lambda one: (len(pictures[one].path), pictures[one].path))
    return shortest, f"its path is the shortest of the {len(oldest)} largest, sharpest and oldest"


def sharpness(image: Image.Image) -> float:
    """Return the variance of the Laplacian of a picture's brightness, the picture shrunk to `AREA` pixels."""
    scale = min(1.0, (AREA / (image.width * image.height)) ** 0.5)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    grey = np.asarray(image.convert("L").resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0))
    return float(cv2.Laplacian(grey, cv2.CV_64F).var())


def _sharpest(pictures: Sequence[Picture], read: Read, group: Sequence[int]) -> list[int]:
    """Return those of a group that are as sharp as its sharpest; files of the same bytes are not read."""
    of_content = {pictures[one].sha256: one for one in group}
    if len(of_content) == 1:
        return list(group)
    rated: dict[str, float] = {}
    for content, one in of_content.items():
        try:
            rated[content] = sharpness(read(one))
        except RisError:
            rated[content] = 0.0
    enough = AS_SHARP * max(rated.values())
    return [one for one in group if rated[pictures[one].sha256] >= enough]


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


def _proven(
    distinct: Positions,
    partners: Sequence[Positions],
    verify: Verify,
    threshold: float,
    pool: ThreadPoolExecutor,
    progress: Progress | None,
) -> tuple[Positions, Positions]:
    """Return the pairs (P, 2) of contents that are proven, and of each the points (P,) that agree.

    Args:
        distinct: (m,) contents that are compared.
        partners: for each of these those to compare it with, as places among these.
    """
    pairs: list[tuple[int, int, int]] = []
    jobs = pool.map(verify, distinct.tolist(), [distinct[places].tolist() for places in partners])
    for done, (position, found) in enumerate(zip(distinct.tolist(), jobs, strict=True), 1):
        pairs += [(position, one.row, one.inliers) for one in found if one.evidence > threshold]
        if progress:
            progress("comparing pictures", done, len(distinct))
    table = np.array(pairs, np.int64).reshape(-1, 3)
    return table[:, :2], table[:, 2]
