"""Proof that two pictures are one: where in the other it lies, and how far points and pixels agree."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from ris.copies.agreement import agreement, distinct_inliers, evidence
from ris.copies.local_features import LocalFeatures, described_scale, mirrored_descriptors

Float: TypeAlias = npt.NDArray[np.float32]
Matrix: TypeAlias = npt.NDArray[np.float64]
Positions: TypeAlias = npt.NDArray[np.intp]

RATIO = 0.8
"""Of the nearest to the second nearest descriptor's distance (Lowe 2004, section 7.1)."""
TOLERANCE = 3.0
"""Distance at which a match agrees with the transformation, pixels of the gallery picture as described."""
ITERATIONS = 2000
MIN_INLIERS = 5
"""Two more than define an affine transformation."""
MAX_SCALE = 12.0
"""Between the query and the gallery picture as described, either way."""
MAX_STRETCH = 2.0
"""Of the longer to the shorter axis of what a circle becomes."""
AT_ONCE = 10
"""Candidates looked at before it is asked whether that is enough: near-copies stand near each other."""


@dataclass(frozen=True, eq=False)
class Verified:
    """A gallery picture that the query was found in."""

    row: int
    """Of the catalog."""
    inliers: int
    """Matches that agree with the transformation, each place in either picture counted once."""
    agreement: float
    """Of the pixels where the two overlap, -1 to 1, see `ris.copies.agreement`."""
    evidence: float
    """See `ris.copies.agreement.evidence`."""
    mirrored: bool
    """Whether the query is a mirrored copy."""
    matrix: Matrix
    """(2, 3) from the query's pixels to the gallery picture's."""
    outline: Matrix
    """(4, 2) the query's corners in the gallery picture: of its top left, top right, bottom right and
    bottom left pixel."""


class Described(Protocol):
    """The local features of a gallery, by row."""

    @property
    def side(self) -> int:
        """See `ris.copies.local_features.describe`."""
        ...

    def __getitem__(self, row: int) -> LocalFeatures:
        """Return the features of a row."""
        ...


def verify(
    query: LocalFeatures, rows: Sequence[int], store: Described, enough: float | None = None
) -> list[Verified]:
    """Look for the query, and for its mirror image, in candidate pictures.

    Args:
        query: of the picture that is looked for.
        rows: of the candidates in the catalog, the best first; -1, a place that a search left empty, is
            passed over.
        store: the gallery's local features.
        enough: after every `AT_ONCE` candidates, the search ends if one of them has so much evidence.

    Returns:
        The candidates in which it was found, those with most evidence first and at equal evidence in the
        order of `rows`; none where no transformation is proven.
    """
    upright, mirrored = _unit(query.descriptors), _unit(mirrored_descriptors(query.descriptors))
    flip = np.array([[-1, 0, query.size[0] - 1], [0, 1, 0], [0, 0, 1]], np.float64)
    over = np.array([query.size[0] - 1, 0], np.float32) + query.points * np.array([-1, 1], np.float32)
    turned_over = replace(query, points=over)
    found: list[Verified] = []
    for place, row in enumerate(rows):
        if enough is not None and place % AT_ONCE == 0 and any(one.evidence >= enough for one in found):
            break
        if row < 0:
            continue
        candidate = store[int(row)]
        there = _unit(candidate.descriptors)
        plain = _fitted(query, candidate, _matches(upright, there), store.side)
        flipped = _fitted(turned_over, candidate, _matches(mirrored, there), store.side)
        inliers, matrix = max(plain, flipped, key=lambda fit: fit[0])
        if inliers < MIN_INLIERS:
            continue
        is_mirrored = flipped[0] > plain[0]
        if is_mirrored:
            matrix = matrix @ flip
        agreed = _agreement(query, candidate, matrix)
        found.append(
            Verified(
                int(row),
                inliers,
                agreed,
                evidence(inliers, agreed),
                is_mirrored,
                matrix,
                outline(matrix, query.size),
            )
        )
    return sorted(found, key=lambda one: -one.evidence)


def _agreement(query: LocalFeatures, candidate: LocalFeatures, matrix: Matrix) -> float:
    """Compare the pixels of two pictures by the (2, 3) matrix from one's to the other's."""
    of_query, of_candidate = (
        _scaling(picture.size, picture.grey.shape[::-1]) for picture in (query, candidate)
    )
    between = of_candidate @ np.vstack([matrix, [0, 0, 1]]) @ np.linalg.inv(of_query)
    return agreement(query.grey, candidate.grey, between[:2])


def outline(matrix: Matrix, size: tuple[int, int]) -> Matrix:
    """Map the corner pixels of a picture by a (2, 3) transformation: (4, 2)."""
    right, bottom = size[0] - 1, size[1] - 1
    corners = np.array([[0, 0, 1], [right, 0, 1], [right, bottom, 1], [0, bottom, 1]], np.float64)
    return corners @ matrix.T


def _unit(descriptors: npt.NDArray[np.uint8]) -> Float:
    vectors: Float = descriptors.astype(np.float32)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1)
    return vectors


def _matches(one: Float, other: Float) -> tuple[Positions, Positions]:
    """Match descriptors that are each other's nearest and pass the ratio test."""
    if len(one) < 2 or len(other) < 2:
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    cosines = one @ other.T
    lines = np.arange(len(one))
    nearest = cosines.argmax(axis=1)
    first = cosines[lines, nearest]
    mutual = first == cosines.max(axis=0)[nearest]
    cosines[lines, nearest] = -1
    distinct = (1 - first) < RATIO**2 * (1 - cosines.max(axis=1))
    here = np.flatnonzero(distinct & mutual)
    return here, nearest[here]


def _fitted(
    query: LocalFeatures, candidate: LocalFeatures, matches: tuple[Positions, Positions], side: int
) -> tuple[int, Matrix]:
    """Fit an affine transformation to matches; return its inliers, 0 where there is none, and its matrix.

    It is fitted and judged in the pixels in which both pictures were described, whatever their own size.
    """
    none = 0, np.zeros((2, 3))
    if len(matches[0]) < MIN_INLIERS:
        return none
    of_query, of_candidate = (_to_described(picture.size, side) for picture in (query, candidate))
    here, there = (
        (picture.points[chosen] @ scaling[:2, :2] + scaling[:2, 2]).astype(np.float32)
        for picture, chosen, scaling in zip(
            (query, candidate), matches, (of_query, of_candidate), strict=True
        )
    )
    settings = cv2.UsacParams()
    settings.threshold = TOLERANCE
    settings.maxIterations = ITERATIONS
    settings.randomGeneratorState = 0
    fitted, agreeing = cv2.estimateAffine2D(here, there, settings)
    if fitted is None or not _plausible(np.asarray(fitted, np.float64)):
        return none
    kept = agreeing.ravel().astype(bool)
    matrix = np.linalg.inv(of_candidate) @ np.vstack([fitted, [0, 0, 1]]) @ of_query
    return distinct_inliers(here[kept], there[kept]), matrix[:2]


def _to_described(size: tuple[int, int], side: int) -> Matrix:
    """Return the (3, 3) scaling from a picture's pixels to those in which it was described."""
    scale = described_scale(size, side)
    return _scaling(size, (size[0] * scale, size[1] * scale))


def _scaling(size: tuple[int, int], to: Sequence[float]) -> Matrix:
    """Return the (3, 3) matrix between the pixels of a picture in two sizes, width and height."""
    x, y = to[0] / size[0], to[1] / size[1]
    return np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2], [0, 0, 1]])


def _plausible(matrix: Matrix) -> bool:
    """Tell whether a transformation neither mirrors, nor stretches or scales beyond reason."""
    if not np.isfinite(matrix).all() or np.linalg.det(matrix[:, :2]) <= 0:
        return False
    longer, shorter = np.linalg.svd(matrix[:, :2], compute_uv=False)
    return bool(longer <= MAX_STRETCH * shorter and 1 / MAX_SCALE <= (longer * shorter) ** 0.5 <= MAX_SCALE)
