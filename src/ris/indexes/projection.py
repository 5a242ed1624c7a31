"""The space that is searched: vectors of length 1, and their projection by PCA."""

import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy.special import softmax

from ris.artifacts import writing
from ris.errors import RisError
from ris.indexes.vectors import Vectors, checked

_DAMAGED = (
    ValueError,
    TypeError,
    KeyError,
    EOFError,
    OSError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)


def normalise(vectors: npt.NDArray[Any]) -> Vectors:
    """Return vectors (n, D) brought to length 1, float32; a zero vector stays zero.

    Raises:
        RisError: see `checked`.
    """
    vectors = checked(vectors, "vectors")
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    return (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)


def side_by_side(parts: Sequence[npt.NDArray[Any]], normalised: bool) -> Vectors:
    """Join vectors (n, D1), (n, D2), ... of the same pictures to (n, D1 + D2 + ...), float32.

    Args:
        normalised: whether each part is brought to length 1, and the whole as well.

    Raises:
        RisError: see `checked`.
    """
    if not normalised:
        return np.concatenate([checked(part, "vectors") for part in parts], axis=1)
    joined = np.concatenate([normalise(part) for part in parts], axis=1)
    return normalise(joined)


def with_classes(vectors: npt.NDArray[Any], classifier: npt.NDArray[np.float32], sharpness: float) -> Vectors:
    """Put beside vectors (n, D) what a classifier makes of their directions: (n, D + K), of length 1.

    That is the square roots of the probabilities that it gives to its K classes, so that their Euclidean
    distance is Hellinger's (as RootSIFT has it: Arandjelović & Zisserman 2012, "Three things everyone should
    know to improve object retrieval", CVPR). What a network was trained to tell apart, it tells of classes
    that it was not trained on, too.

    Args:
        vectors: those that the classifier was trained on; their lengths do not matter.
        classifier: (K, D), the weights of a network's last layer; where K is 0, the vectors are returned.
        sharpness: what they are multiplied by before the softmax: the inverse of its temperature (Hinton et
            al. 2015, arXiv 1503.02531).

    Raises:
        RisError: see `checked`.
    """
    if len(classifier) == 0:
        return vectors
    directions = normalise(checked(vectors, "vectors to classify", dimension=classifier.shape[1]))
    probabilities = softmax(sharpness * (directions @ classifier.T), axis=1)
    return side_by_side([directions, np.sqrt(probabilities)], normalised=True)


def within_class_whitening(
    vectors: npt.NDArray[Any], labels: npt.NDArray[np.int64], shrinkage: float
) -> npt.NDArray[np.float64]:
    """Learn what differs within classes, to make less of it: S^(-1/2) of S, the covariance within them.

    What it learns from classes serves others too: Mikolajczyk & Matas 2007, "Improving Descriptors for Fast
    Tree Matching by Optimal Linear Projection", ICCV. S is shrunk to (1 - shrinkage) S + shrinkage tr(S)/D I,
    as in Friedman 1989, "Regularized Discriminant Analysis".

    Args:
        vectors: (n, D).
        labels: (n,) class numbers.
        shrinkage: above 0, up to 1, which changes nothing but lengths, those of all vectors alike.

    Returns:
        (D, D), symmetric.

    Raises:
        RisError: no class has two vectors that differ.
    """
    # Late, as a search does without it and it takes long to import.
    from sklearn.covariance import shrunk_covariance

    exact = vectors.astype(np.float64)
    numbers, sizes = np.unique(labels, return_inverse=True, return_counts=True)[1:]
    means = np.zeros((len(sizes), exact.shape[1]))
    np.add.at(means, numbers, exact)
    apart = exact - (means / sizes[:, None])[numbers]
    if not apart.any():
        raise RisError(
            "No class has two pictures whose features differ, to learn from; set `pca.shrinkage=1` and "
            "`pca.pretrained.shrinkage=1`."
        )
    variances, directions = np.linalg.eigh(shrunk_covariance(apart.T @ apart / len(apart), shrinkage))
    return np.asarray((directions / np.sqrt(variances)) @ directions.T)


@dataclass(frozen=True, eq=False)
class Projection:
    """A principal component analysis, fitted once and applied to every vector after it."""

    mean: npt.NDArray[np.float32]
    """(D + K,)"""
    components: npt.NDArray[np.float32]
    """(d, D + K), directions by falling variance; where no classes were learnt from, orthonormal and each
    signed so that its largest entry is positive."""
    scale: npt.NDArray[np.float32]
    """(d,), what a projected value is multiplied by: its standard deviation to a power from 0 down to -1."""
    spectrum: npt.NDArray[np.float32]
    """(min(n, D),), the share of variance of every direction, kept or not."""
    normalise: bool
    """Whether projected vectors are brought to length 1."""
    classifier: npt.NDArray[np.float32]
    """(K, D), see `with_classes`; K is 0 where vectors are projected as they are."""
    sharpness: float
    """See `with_classes`."""

    @classmethod
    def fit(
        cls,
        vectors: npt.NDArray[Any],
        n_components: int | float,
        whiten: float,
        normalise: bool,
        labels: npt.NDArray[np.int64] | None = None,
        shrinkage: float = 1.0,
        classifier: npt.NDArray[np.float32] | None = None,
        sharpness: float = 0.0,
    ) -> Self:
        """Fit to vectors (n, D).

        Args:
            vectors: the gallery's, never the queries'.
            n_components: how many directions to keep, or, below 1, the least share of variance to keep.
            whiten: power of the standard deviation that every kept direction is divided by: 1 brings it to
                unit variance, 0 leaves it. Where above 0, a direction that varies less than float32 can
                tell is brought to 0 instead.
            normalise: bring projected vectors to length 1.
            labels: (n,) class numbers; None leaves classes out.
            shrinkage: of `within_class_whitening`, which comes before the principal components; 1 leaves it
                out.
            classifier: (K, D), see `with_classes`; None leaves it out.
            sharpness: see `with_classes`; 0 leaves the classifier out.

        Raises:
            RisError: the vectors hold a NaN or do not vary, or `n_components` is more than min(n, D + K); see
                also `within_class_whitening`.
        """
        # Late, as a search does without it and it takes long to import.
        from sklearn.decomposition import PCA

        vectors = checked(vectors, "features to fit the PCA to")
        if classifier is None or sharpness == 0:
            classifier = np.zeros((0, vectors.shape[1]), np.float32)
        vectors = with_classes(vectors, classifier, sharpness)
        if len(vectors) == 0 or (vectors == vectors[0]).all():
            raise RisError(
                f"The {len(vectors)} features to fit the PCA to do not differ; check the pictures."
            )
        if n_components > min(vectors.shape):
            raise RisError(
                f"`pca` asks for {n_components} components, but {len(vectors)} features of "
                f"{vectors.shape[1]} dimensions allow at most {min(vectors.shape)}; "
                "lower `n_components` there."
            )
        # Of the whole eigenbasis, in double precision: as fast as a randomised solver and without its chance.
        exact = vectors.astype(np.float64)
        learnt = None
        if labels is not None and shrinkage < 1:
            learnt = within_class_whitening(exact, labels, shrinkage)
        pca = PCA(svd_solver="covariance_eigh").fit(exact if learnt is None else exact @ learnt)
        kept = int(n_components)
        if n_components < 1:
            kept = 1 + int(np.count_nonzero(np.cumsum(pca.explained_variance_ratio_)[:-1] < n_components))
        scale = _whitening(np.sqrt(pca.explained_variance_[:kept]), whiten)
        components = pca.components_[:kept]
        return cls(
            mean=exact.mean(axis=0).astype(np.float32),
            components=np.ascontiguousarray(
                components if learnt is None else components @ learnt, dtype=np.float32
            ),
            scale=scale,
            spectrum=pca.explained_variance_ratio_.astype(np.float32),
            normalise=normalise,
            classifier=classifier,
            sharpness=sharpness,
        )

    def first(self, n_components: int, whiten: float) -> Self:
        """Return the projection to the first directions, at most so many, whitened otherwise.

        As `fit` makes it with `whiten`, but for a factor, which the length of 1 takes away.
        """
        components = self.components[:n_components]
        deviation = np.sqrt(self.spectrum[: len(components)].astype(np.float64))
        return replace(self, components=components, scale=_whitening(deviation, whiten))

    def apply(self, vectors: npt.NDArray[Any]) -> Vectors:
        """Project vectors (n, D) to (n, d), float32.

        Raises:
            RisError: the vectors have another dimension or hold a NaN.
        """
        vectors = checked(vectors, "features to project", dimension=self.classifier.shape[1])
        vectors = with_classes(vectors, self.classifier, self.sharpness)
        projected = (vectors - self.mean) @ (self.scale[:, None] * self.components).T
        return normalise(projected) if self.normalise else projected.astype(np.float32)

    @classmethod
    def of(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """Take what `vars` gave, as arrays; the two of the classifier were not always there.

        Raises:
            KeyError: another one is missing.
        """
        mean = arrays["mean"]
        return cls(
            mean=mean,
            components=arrays["components"],
            scale=arrays["scale"],
            spectrum=arrays["spectrum"],
            normalise=bool(arrays["normalise"]),
            classifier=arrays.get("classifier", np.zeros((0, len(mean)), np.float32)),
            sharpness=float(arrays.get("sharpness", 0.0)),
        )

    def save(self, path: Path) -> None:
        """Write as .npz; equal projections are equal bytes."""
        with writing(path) as fresh, fresh.open("wb") as stream:
            np.savez(stream, **vars(self))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            RisError: the file is missing, damaged, or no projection.
        """
        if not path.is_file():
            raise RisError(f"{path} is missing; run the stage `pca`, or `dvc repro`.")
        try:
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
                projection = cls.of(arrays)
        except _DAMAGED as error:
            raise RisError(
                f"{path} is not a readable projection ({error}); remake it with `dvc repro`."
            ) from error
        return projection


def _whitening(deviation: npt.NDArray[np.float64], power: float) -> npt.NDArray[np.float32]:
    """Return what directions with standard deviations (d,), falling, are multiplied by: (d,)."""
    telling = deviation > np.finfo(np.float32).eps * deviation[0]
    scale = np.power(deviation, -power, out=np.zeros(len(deviation)), where=telling | (power == 0))
    return scale.astype(np.float32)
