"""What two pictures are that lie over each other: the same, a changed version, or of one template."""

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ris.copies.agreement import evidence
from ris.copies.cells import Cells, compare_cells
from ris.copies.fitting import MIN_INLIERS
from ris.copies.local_features import LocalFeatures
from ris.copies.transformations import Matrix, apply, jacobian, scaling
from ris.copies.verification import Verified, between_greys
from ris.types import Corners, Difference, Relation

Mask: TypeAlias = npt.NDArray[np.bool_]

FLOOR, TIMES = 0.1, 4.0
"""A cell differs where its disagreement exceeds the floor by so many times what is usual in its texture."""
USUAL = 0.35
"""Quantile of the disagreement of cells of like texture that counts as usual: what encoding explains."""
CEILING, ABOVE_USUAL = 0.5, 0.25
"""A cell differs in any case above the ceiling, or so far above what is usual."""
GROUPS, GROUP = 4, 8
"""Groups of like texture, at most, and cells in each, at least."""
BLOCK, DRAWN_BLOCK = 6, 4
"""Cells beside each other that make a difference coherent, in photographs and in what is drawn."""
SMALL = 0.015
"""Share of the cells of a photograph that a coherent difference has at least; dark corners may lose less."""
SCATTERED, DRAWN_SCATTERED = 0.1, 0.03
"""Share of the cells that may differ without any order, by noise and encoding."""
LEAST = 6
"""Cells without which nothing is said."""
LOST = 1e-3
"""Correlation, or variance in grey levels squared, of next to nothing."""
CONTINUOUS = 4.2
"""Bits of the grey levels where pictures agree, from which they are a photograph's. What is drawn repeats by
design, the layout of a form or a chart; the tones of a photograph do not."""
CONTRARY = 0.5
"""Agreement below which a cell of a photograph differs: its tones may suffer, a letter's edges may not."""
WIDE = 0.08
"""Share of the cells of a photograph that are no accident where doubtful ones lie beside each other."""
COVERED, ENOUGH = 0.7, 12
"""Share of one of two pictures that lies in their overlap, and inliers that prove a photograph by less of it:
boards, tiles and bricks agree with others, shifted."""
ALIKE = 0.8
"""Agreement of the cells of a part that proves by itself that one picture has it of the other."""
PART = 16
"""Cells of such a part, at least."""
BESIDE = np.ones((3, 3), np.bool_)


@dataclass(frozen=True)
class Related:
    """What is proven of two pictures."""

    relation: Relation
    difference: Difference | None
    evidence: float
    """The logarithm of inliers / (1.02 - agreement)^1.5 and of the share of the cells that agree, by their
    mean agreement; see `ris.copies.agreement.evidence`."""
    photographic: bool = False
    """Whether what agrees has the tones of a photograph."""


SAME_BYTES = Related(Relation.SAME_PICTURE, None, 0.0)
UNRELATED = Related(Relation.NOT_PROVEN, None, 0.0)


def relate(query: LocalFeatures, candidate: LocalFeatures, proof: Verified, threshold: float) -> Related:
    """Say what two pictures are, by the points that agree and by the pixels laid over each other.

    One picture where no coherent block of cells disagrees. Else a changed version, where what agrees is
    of a photograph; or else one template.

    Args:
        query: its grey picture as large as it was described, or smaller where no larger one is known.
        candidate: likewise.
        proof: where the query lies in the candidate.
        threshold: the evidence that must be exceeded.
    """
    between = between_greys(query, candidate, proof.matrix)
    cells = compare_cells(query.grey, candidate.grey, between)
    if cells is None or np.count_nonzero(cells.counted) < LEAST:
        return UNRELATED
    doubtful, differing = differing_cells(cells)
    agreeing = cells.counted & ~differing
    share = float(np.count_nonzero(agreeing) / np.count_nonzero(cells.counted))
    if share == 0:
        return UNRELATED
    found = evidence(proof.inliers, float(cells.agreement[agreeing].mean())) + math.log(share)
    if found <= threshold:
        return _related_in_part(cells, query, candidate, proof, threshold) or Related(
            Relation.NOT_PROVEN, None, found
        )
    continuous, covered = _continuous(cells, agreeing), _covered(cells, query, candidate) >= COVERED
    if continuous and not covered and proof.inliers < ENOUGH:
        return Related(Relation.NOT_PROVEN, None, found)
    count = np.count_nonzero(cells.counted)
    labels, blocks = _blocks(doubtful, differing, max(BLOCK, SMALL * count) if continuous else DRAWN_BLOCK)
    if not blocks and continuous:
        labels, blocks = _blocks(doubtful, doubtful, WIDE * count)
    even = 1 - share <= (SCATTERED if continuous else DRAWN_SCATTERED)
    if not blocks and even and (continuous or covered):
        return Related(Relation.SAME_PICTURE, None, found, continuous)
    relation = Relation.CHANGED_VERSION if continuous else Relation.SAME_TEMPLATE
    difference = _difference(1 - share, _boxes(cells, labels, blocks), cells, query, candidate)
    return Related(relation, difference, found, continuous)


def _related_in_part(
    cells: Cells, query: LocalFeatures, candidate: LocalFeatures, proof: Verified, threshold: float
) -> Related | None:
    """Say that one has a part of the other, where the largest block of cells that agree proves it by itself.

    It has the tones of a photograph: logos and letters are parts of what they are not a version of.
    """
    labels = np.asarray(ndimage.label(cells.counted & (cells.agreement >= ALIKE))[0], np.int64)
    sizes = np.bincount(labels.ravel())[1:]
    if not len(sizes) or sizes.max() < PART:
        return None
    part = labels == sizes.argmax() + 1
    if not _continuous(cells, part):
        return None
    across, down = _in_cells(proof.points, cells, candidate).T
    inside = ndimage.binary_dilation(part, BESIDE)[down, across]
    inliers = min(proof.inliers, len(np.unique(proof.points[inside].round(), axis=0)))
    if inliers < MIN_INLIERS:
        return None
    found = evidence(inliers, float(cells.agreement[part].mean()))
    if found <= threshold:
        return None
    rest = cells.counted & ~part
    share = float(np.count_nonzero(rest) / np.count_nonzero(cells.counted))
    places = _boxes(cells, *_blocks(rest, rest, BLOCK))
    difference = _difference(share, places, cells, query, candidate)
    return Related(Relation.CHANGED_VERSION, difference, found, photographic=True)


def _covered(cells: Cells, query: LocalFeatures, candidate: LocalFeatures) -> float:
    """Return the share of a picture that lies in the overlap, of that one of which it is the larger."""
    down, across = cells.counted.shape
    size = cells.size[0] * across, cells.size[1] * down
    shares = []
    for picture, matrix in ((query, cells.to_one), (candidate, cells.to_other)):
        local = jacobian(matrix, np.array(size) / 2)
        shares.append(
            0.0 if local is None else abs(np.linalg.det(local)) * size[0] * size[1] / picture.grey.size
        )
    return max(shares)


def _in_cells(points: Matrix, cells: Cells, candidate: LocalFeatures) -> npt.NDArray[np.intp]:
    """Return the cell, across and down, (m, 2) in which each point (m, 2) of the candidate lies."""
    to_grey = scaling(candidate.size, candidate.grey.shape[::-1])
    there = (apply(np.linalg.inv(cells.to_other) @ to_grey, points) + 0.5) / cells.size
    limit = np.array(cells.counted.shape[::-1]) - 1
    return np.asarray(there.clip(0, limit), np.intp)


def differing_cells(cells: Cells) -> tuple[Mask, Mask]:
    """Tell which cells (down, across) differ by more than encoding explains, which takes from all evenly.

    What was changed may be of a texture of its own, the letters of a caption, the lines of a chart; where all
    of it differs, that is no more than usual there. So the noise is taken from the texture that agrees best:
    noise of a variance s in cells of a variance v leaves a correlation of v / (v + s).

    Returns:
        which may differ, and which of them do.
    """
    disagreement = 1 - cells.agreement
    usual, by_noise = _usual(disagreement, cells)
    above_usual, above_noise = (np.maximum(CEILING, one + ABOVE_USUAL) for one in (usual, by_noise))
    differing: Mask = cells.counted & (disagreement > np.minimum(FLOOR + TIMES * usual, above_usual))
    if _continuous(cells, cells.counted & ~differing):
        doubtful: Mask = cells.counted & (disagreement > np.minimum(FLOOR + TIMES * by_noise, above_noise))
        return doubtful, doubtful & (cells.agreement < CONTRARY)
    differing |= cells.counted & (disagreement > above_noise)
    return differing, differing


def _continuous(cells: Cells, where: Mask) -> bool:
    return bits(cells.levels[where].sum(axis=0)) >= CONTINUOUS


def _usual(
    disagreement: npt.NDArray[np.float64], cells: Cells
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return what disagreement is usual in cells of each texture (down, across): faint ones show noise.

    Returns:
        that of the cells of like texture, and that by the noise of those that agree best.
    """
    values, texture = disagreement[cells.counted], np.log1p(cells.texture)
    order = np.argsort(texture[cells.counted], kind="stable")
    groups = np.array_split(order, min(GROUPS, max(1, len(order) // GROUP)))
    middles = np.array([np.median(texture[cells.counted][group]) for group in groups])
    usual = np.array([np.quantile(values[group], USUAL) for group in groups])
    noise = (np.expm1(middles) * usual / np.maximum(1 - usual, LOST)).min()
    return np.interp(texture, middles, usual), noise / np.maximum(cells.texture + noise, LOST)


def _blocks(doubtful: Mask, differing: Mask, least: float) -> tuple[npt.NDArray[np.int64], list[int]]:
    """Label cells that differ by the block that they are of; return the coherent blocks, the largest first.

    In one, at least so many cells differ. Between them, cells need only be doubtful: hysteresis, as along an
    edge of Canny, "A computational approach to edge detection", TPAMI 1986.
    """
    labels = np.where(differing, ndimage.label(doubtful, BESIDE)[0], 0).astype(np.int64)
    sizes = np.bincount(labels.ravel())[1:]
    order = np.argsort(-sizes, kind="stable")
    return labels, [int(place) + 1 for place in order if sizes[place] >= least]


def bits(counts: npt.NDArray[np.int64]) -> float:
    """Return the entropy, in bits, of a histogram of counts."""
    shares = counts[counts > 0] / max(1, counts.sum())
    return float(-(shares * np.log2(shares)).sum())


def _boxes(cells: Cells, labels: npt.NDArray[np.int64], blocks: list[int]) -> list[Corners]:
    """Return the boxes around blocks in pixels of the overlap."""
    width, height = cells.size
    places = ndimage.find_objects(labels)
    return [
        (across.start * width, down.start * height, across.stop * width, down.stop * height)
        for down, across in (places[block - 1] for block in blocks)
    ]


def _difference(
    share: float, places: list[Corners], cells: Cells, query: LocalFeatures, candidate: LocalFeatures
) -> Difference:
    """Say where pictures differ, by boxes in pixels of the overlap."""
    return Difference(
        share,
        [_mapped(place, cells.to_other, candidate) for place in places],
        [_mapped(place, cells.to_one, query) for place in places],
    )


def _mapped(box: Corners, matrix: Matrix, picture: LocalFeatures) -> Corners:
    """Return where a box lies in a picture's pixels, by the matrix from the overlap to its grey one."""
    left, top, right, bottom = box
    corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]]) - 0.5
    scale = np.divide(picture.size, picture.grey.shape[::-1])
    mapped = ((apply(matrix, corners) + 0.5) * scale).clip(0, picture.size)
    (x, y), (z, w) = mapped.min(axis=0).tolist(), mapped.max(axis=0).tolist()
    return x, y, z, w
