"""Proof that two pictures are one: where in the other it lies, and how far points and pixels agree."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from ris.copies.agreement import agreement, evidence
from ris.copies.fitting import MIN_INLIERS, Fitted, fit
from ris.copies.local_features import LocalFeatures, described_scale, mirrored_descriptors
from ris.copies.transformations import Matrix, apply, scaling, square

Float: TypeAlias = npt.NDArray[np.float32]
Positions: TypeAlias = npt.NDArray[np.intp]

RATIO = 0.8
"""Of the nearest to the second nearest descriptor's distance (Lowe 2004, section 7.1)."""
AT_ONCE = 10
"""Candidates looked at before it is asked whether that is enough: near-duplicates stand near each other."""


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
    """(3, 3) from the query's pixels to the gallery picture's."""
    outline: Matrix
    """(4, 2) the query's corners in the gallery picture: of its top left, top right, bottom right and
    bottom left pixel."""
    points: Matrix
    """(m, 2) the matches that agree, in the gallery picture."""


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
        fitted = max(plain, flipped, key=lambda fit: fit.inliers)
        if fitted.inliers:
            matrix = fitted.matrix @ flip if fitted is flipped else fitted.matrix
            found.append(
                _verified(query, candidate, int(row), replace(fitted, matrix=matrix), fitted is flipped)
            )
    return sorted(found, key=lambda one: -one.evidence)


def _verified(
    query: LocalFeatures, candidate: LocalFeatures, row: int, fitted: Fitted, mirrored: bool
) -> Verified:
    agreed = agreement(query.grey, candidate.grey, between_greys(query, candidate, fitted.matrix))
    corners = outline(fitted.matrix, query.size)
    match_score = evidence(fitted.inliers, agreed)
    return Verified(row, fitted.inliers, agreed, match_score, mirrored, fitted.matrix, corners, fitted.there)


def between_greys(one: LocalFeatures, other: LocalFeatures, matrix: Matrix) -> Matrix:
    """Return the (3, 3) matrix between two grey pictures, by that between the pixels of the pictures."""
    of_one, of_other = (scaling(picture.size, picture.grey.shape[::-1]) for picture in (one, other))
    return of_other @ matrix @ np.linalg.inv(of_one)


def outline(matrix: Matrix, size: tuple[int, int]) -> Matrix:
    """Map the corner pixels of a picture by a (2, 3) or (3, 3) transformation: (4, 2)."""
    right, bottom = size[0] - 1, size[1] - 1
    return apply(square(matrix), np.array([[0, 0], [right, 0], [right, bottom], [0, bottom]], np.float64))


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
) -> Fitted:
    """Fit a transformation to matches; one of no inliers where none is proven.

    It is fitted and judged in the pixels in which both pictures were described, whatever their own size.
    """
    none = Fitted(0, np.eye(3), np.zeros((0, 2)))
    if len(matches[0]) < MIN_INLIERS:
        return none
    of_query, of_candidate = (_to_described(picture.size, side) for picture in (query, candidate))
    here, there = (
        (picture.points[chosen] @ scaled[:2, :2] + scaled[:2, 2]).astype(np.float32)
        for picture, chosen, scaled in zip((query, candidate), matches, (of_query, of_candidate), strict=True)
    )
    fitted = fit(here, there)
    if fitted is None:
        return none
    back = np.asarray(np.linalg.inv(of_candidate), np.float64)
    return Fitted(fitted.inliers, back @ fitted.matrix @ of_query, apply(back, fitted.there))


def _to_described(size: tuple[int, int], side: int) -> Matrix:
    """Return the (3, 3) scaling from a picture's pixels to those in which it was described."""
    scale = described_scale(size, side)
    return scaling(size, (size[0] * scale, size[1] * scale))
