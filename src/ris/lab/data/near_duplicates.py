"""Near-duplicates: pictures that show the same pixels re-encoded, resized, cropped, turned or mirrored.

Candidates come from a bag of visual words (Sivic and Zisserman, "Video Google", ICCV 2003) over RootSIFT
(Arandjelovic and Zisserman, "Three things everyone should know to improve object retrieval", CVPR 2012).
Geometry proposes one similarity transformation for each candidate pair, and the pixels decide: laid over
each other, near-duplicates agree wherever they overlap. Two photographs of one object or one person share
many features but not their pixels. What differs in contrast or colour, or has a changed part, is proven by
the evidence that the search for a picture goes by.
"""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import sparse
from sklearn.feature_extraction.text import TfidfTransformer
from tqdm import tqdm

from ris.copies.agreement import agreement, distinct_inliers, evidence
from ris.copies.local_features import mirrored_descriptors
from ris.copies.overlap import lay_over
from ris.lab.config import NearDuplicates
from ris.threads import worker_threads

Float = npt.NDArray[np.float32]
Int = npt.NDArray[np.int64]

THUMBNAIL = 96
"""Longer side of the greyscale picture that is kept to compare pixels; points are in its pixels, too."""
RATIO = 0.8
"""Of the nearest to the second nearest descriptor's distance (Lowe 2004, section 7.1)."""
TOLERANCE = 1.2
"""Distance at which a match agrees with the transformation, thumbnail pixels."""
MAX_SCALE = 5.0
"""Between two thumbnails; beyond it, too few pixels are left to compare."""
MIN_OVERLAP = 0.2
"""Share of the finer picture that the other must cover."""
WINDOW = 15
"""Side of the window of local statistics, thumbnail pixels."""
SMOOTHING = 1.0
"""Standard deviation of the blur that takes noise and encoding away, thumbnail pixels."""
CONTRAST = 100.0
"""Local variance, both pictures together, from which a pixel counts as textured (grey levels squared)."""
STABILISER = 20.0
"""Keeps the similarity of almost flat windows defined (C2 of Wang et al. 2004)."""


@dataclass(frozen=True)
class Features:
    """What is kept of a picture: points (m, 2) float32, descriptors (m, 128) uint8, thumbnail (h, w) uint8.

    Descriptors are RootSIFT, their length 255 up to rounding.
    """

    points: Float
    descriptors: npt.NDArray[np.uint8]
    thumbnail: npt.NDArray[np.uint8]


def describe(image: Image.Image, settings: NearDuplicates) -> Features:
    """Take the strongest local features of a picture, at most `settings.features`."""
    grey = image.convert("L")
    scaled = np.asarray(_shrunk(grey, settings.side))
    thumbnail = np.asarray(_shrunk(grey, THUMBNAIL))
    keypoints, sift = cv2.SIFT_create(nfeatures=settings.features).detectAndCompute(scaled, None)  # type: ignore[attr-defined]
    if sift is None:
        return Features(np.zeros((0, 2), np.float32), np.zeros((0, 128), np.uint8), thumbnail)
    shrinkage = np.array(thumbnail.shape[::-1]) / np.array(scaled.shape[::-1])
    positions = np.array([keypoint.pt for keypoint in keypoints[: settings.features]])
    points = ((positions + 0.5) * shrinkage - 0.5).astype(np.float32)
    sift = sift[: settings.features]
    root = np.sqrt(sift / np.maximum(sift.sum(axis=1, keepdims=True), 1e-9))
    return Features(points, np.rint(root * 255).astype(np.uint8), thumbnail)


def find_pairs(features: Sequence[Features], settings: NearDuplicates, seed: int, workers: int) -> Int:
    """Find all pairs of near-duplicates, on so many threads at most; their number changes no result.

    Returns:
        (P, 2) int64, rows i < j in ascending order.
    """
    found: set[tuple[int, int]] = set()
    turned_over = [mirrored(picture) for picture in features]
    with worker_threads(workers) as pool:
        vocabulary = _vocabulary(features, settings.words, seed)
        bags = _bags_of_words(features, vocabulary, pool)
        for seen in (features, turned_over):
            looks = bags if seen is features else _bags_of_words(seen, vocabulary, pool)
            partners = _partners(looks, bags, settings.candidates)
            verify = partial(_verify, seen, features, settings)
            jobs = pool.map(verify, range(len(features)), partners)
            for proven in tqdm(jobs, "near-duplicates", total=len(features), disable=None):
                found.update(proven)
    return np.array(sorted(found), np.int64).reshape(-1, 2)


def mirrored(features: Features) -> Features:
    """Return what `describe` would give for the mirrored picture, up to rounding."""
    width = features.thumbnail.shape[1]
    over = np.array([width - 1, 0], np.float32) + features.points * np.array([-1, 1], np.float32)
    return Features(
        over.astype(np.float32),
        mirrored_descriptors(features.descriptors),
        np.ascontiguousarray(features.thumbnail[:, ::-1]),
    )


def _shrunk(grey: Image.Image, side: int) -> Image.Image:
    scale = min(1.0, side / max(grey.size))
    size = max(1, round(grey.width * scale)), max(1, round(grey.height * scale))
    return grey.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)


def _unit(descriptors: npt.NDArray[np.uint8]) -> Float:
    return descriptors.astype(np.float32) / np.float32(255)


def _vocabulary(features: Sequence[Features], words: int, seed: int) -> Float:
    """Draw descriptors (w, 128) to be the words, those of no picture but their own."""
    everything = np.concatenate([picture.descriptors for picture in features])
    sample = np.random.default_rng(seed).choice(len(everything), min(words, len(everything)), replace=False)
    return _unit(everything[np.sort(sample)])


def _bags_of_words(
    features: Sequence[Features], vocabulary: Float, pool: ThreadPoolExecutor
) -> "sparse.csr_matrix[np.float32]":
    """Return tf-idf rows of length 1, one a picture."""
    half_norms = (vocabulary**2).sum(axis=1) / 2

    def nearest_words(picture: Features) -> npt.NDArray[np.intp]:
        if not len(picture.descriptors):
            return np.zeros(0, np.intp)
        nearness: Float = _unit(picture.descriptors) @ vocabulary.T - half_norms
        return np.asarray(nearness.argmax(axis=1), np.intp)

    spelled = list(tqdm(pool.map(nearest_words, features), "visual words", total=len(features), disable=None))
    rows = np.repeat(np.arange(len(features)), [len(picture) for picture in spelled])
    columns = np.concatenate(spelled)
    shape = (len(features), max(1, len(vocabulary)))
    counts = sparse.csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), shape)
    return TfidfTransformer(sublinear_tf=True).fit_transform(counts)


def _partners(
    looks: "sparse.csr_matrix[np.float32]", bags: "sparse.csr_matrix[np.float32]", candidates: int
) -> list[Int]:
    """Return for each picture i the pictures j > i where either is among the other's nearest by cosine.

    Pictures are looked for by `looks` among `bags`.
    """
    count = bags.shape[0]
    transposed = bags.T.tocsr()
    sources, targets = [], []
    for start in range(0, count, 256):
        scores = (looks[start : start + 256] @ transposed).toarray()
        rows = np.arange(len(scores))
        scores[rows, start + rows] = 0.0
        best = np.argsort(-scores, axis=1, kind="stable")[:, :candidates]
        row, column = np.nonzero(np.take_along_axis(scores, best, axis=1) > 0)
        sources.append(start + row)
        targets.append(best[row, column])
    one, other = np.concatenate(sources), np.concatenate(targets)
    edges = np.unique(np.minimum(one, other) * count + np.maximum(one, other))
    owner, partner = np.divmod(edges, count)
    return np.split(partner, np.searchsorted(owner, np.arange(1, count)))


def _verify(
    seen: Sequence[Features],
    features: Sequence[Features],
    settings: NearDuplicates,
    row: int,
    partners: Iterable[int],
) -> list[tuple[int, int]]:
    """Return (row, partner) for each partner of which the picture seen is proven a near-duplicate."""
    proven = []
    for partner in partners:
        here, there = _matches(seen[row].descriptors, features[partner].descriptors)
        if len(here) < settings.min_inliers:
            continue
        matrix, agreeing = cv2.estimateAffinePartial2D(
            seen[row].points[here],
            features[partner].points[there],
            method=cv2.RANSAC,
            ransacReprojThreshold=TOLERANCE,
            maxIters=1000,
        )
        if matrix is None or agreeing.sum() < settings.min_inliers:
            continue
        if not 1 / MAX_SCALE <= np.hypot(matrix[0, 0], matrix[1, 0]) <= MAX_SCALE:
            continue
        thumbnails = seen[row].thumbnail, features[partner].thumbnail
        fitted = np.asarray(matrix, np.float64)
        kept = agreeing.ravel().astype(bool)
        inliers = distinct_inliers(seen[row].points[here][kept], features[partner].points[there][kept])
        if (
            similarity(*thumbnails, fitted) >= settings.min_similarity
            or evidence(inliers, agreement(*thumbnails, fitted)) >= settings.min_evidence
        ):
            proven.append((row, int(partner)))
    return proven


def _matches(one: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8]) -> tuple[Int, Int]:
    """Match descriptors that are each other's nearest and pass the ratio test."""
    if len(one) < 2 or len(other) < 2:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    cosines = _unit(one) @ _unit(other).T
    nearest = cosines.argmax(axis=1)
    second, first = np.partition(cosines, -2, axis=1)[:, -2:].T
    distinct = (1 - first) < RATIO**2 * (1 - second)
    mutual = cosines.argmax(axis=0)[nearest] == np.arange(len(one))
    here = np.flatnonzero(distinct & mutual)
    return here, nearest[here]


def similarity(one: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8], matrix: npt.NDArray[Any]) -> float:
    """Compare the pixels of two greyscale pictures where they overlap.

    The mean, over the textured pixels of the overlap, of the product of the contrast and structure terms
    of SSIM (Wang et al., "Image quality assessment", IEEE TIP 2004): 1 for copies, about 0 for strangers,
    unmoved by brightness.

    Args:
        one: (h, w) uint8.
        other: (h', w') uint8.
        matrix: (2, 3) float64, the similarity transformation, invertible, from `one`'s pixels to `other`'s.

    Returns:
        A number from -1 to 1; 0 where the overlap is too small or too flat.
    """
    if np.hypot(matrix[0, 0], matrix[1, 0]) < 1:
        one, other, matrix = other, one, cv2.invertAffineTransform(matrix)
    laid = lay_over(one, other, matrix, window=WINDOW, smoothing=SMOOTHING)
    variances = laid.variance_one + laid.variance_other
    textured = laid.inside & (variances > CONTRAST)
    if laid.inside.mean() < MIN_OVERLAP or not textured.any():
        return 0.0
    return float(((2 * laid.covariance + STABILISER) / (variances + STABILISER))[textured].mean())
