"""The map of a store: every picture a place in the plane, near the pictures that it resembles."""

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from ris.indexes.exact import ExactIndex
from ris.indexes.projection import normalise
from ris.indexes.vectors import Vectors

Places = npt.NDArray[np.float32]
"""(n, 2), x and y."""

PERPLEXITY = 30.0
"""About the number of neighbours that a picture looks at."""
DIMENSIONS = 50
"""Of the PCA that t-SNE starts from."""
LARGEST = 20_000
"""Pictures that are laid out together; more of them are placed among a sample of so many."""
NEIGHBOURS = 10
"""That say where a picture is placed."""

_AT_ONCE = 1024
_NEAREST = 1e-12
"""Stands for a distance of 0; the next that float32 tells between vectors of length 1 is far beyond it."""


def project(vectors: npt.NDArray[np.float32], seed: int) -> Places:
    """Lay pictures out in the plane by t-SNE (van der Maaten and Hinton 2008).

    Vectors are brought to length 1 and projected by PCA first. On one thread, because the order of a sum over
    threads would change the map from run to run. Of more pictures than `LARGEST`, a sample is laid out, and
    the others are placed among it.

    Args:
        vectors: (n, D), any n.
        seed: of every random choice.

    Returns:
        (n, 2). Fewer than four pictures, or pictures that are all alike, lie evenly on a circle.

    Raises:
        RisError: the vectors hold a NaN or an infinity.
    """
    unit = normalise(vectors)
    if len(unit) <= LARGEST:
        return _laid_out(unit, seed)
    drawn = np.random.default_rng(seed).permutation(len(unit))
    sample, rest = np.sort(drawn[:LARGEST]), drawn[LARGEST:]
    places = np.empty((len(unit), 2), np.float32)
    places[sample] = _laid_out(unit[sample], seed)
    places[rest] = place(unit[rest], unit[sample], places[sample])
    return places


def place(
    queries: npt.NDArray[np.float32], vectors: npt.NDArray[np.float32], places: npt.NDArray[np.float32]
) -> Places:
    """Return about where pictures belong on a map: among their nearest neighbours, see `among`.

    Args:
        queries: (q, D).
        vectors: (n, D) of the pictures on the map, n at least 1.
        places: (n, 2) of those.

    Returns:
        (q, 2); a picture that is on the map already is placed where it is.

    Raises:
        RisError: the vectors hold a NaN or an infinity, or there are none.
    """
    index = ExactIndex.build(normalise(vectors), {}, seed=0)
    found = np.empty((len(queries), 2), np.float32)
    for start in range(0, len(queries), _AT_ONCE):
        distances, neighbours = index.search(normalise(queries[start : start + _AT_ONCE]), NEIGHBOURS)
        found[start : start + _AT_ONCE] = among(distances, places[neighbours])
    return found


def among(distances: npt.NDArray[np.float32], places: npt.NDArray[np.float32]) -> Places:
    """Return the median place of neighbours that weigh as much as they are near.

    The median, because a few neighbours elsewhere on the map would draw the mean to where nothing alike lies.

    Args:
        distances: (q, k) to each neighbour, k at least 1.
        places: (q, k, 2) of each neighbour.

    Returns:
        (q, 2); the place of a neighbour at distance 0, where there is one.
    """
    weights = 1 / np.maximum(distances.astype(np.float64), _NEAREST)
    order = np.argsort(places, axis=1, kind="stable")
    along = np.cumsum(np.take_along_axis(weights[:, :, None], order, axis=1), axis=1)
    middle = np.argmax(along >= along[:, -1:] / 2, axis=1, keepdims=True)
    chosen = np.take_along_axis(order, middle, axis=1)
    found: Places = np.take_along_axis(places, chosen, axis=1)[:, 0]
    return found


def _laid_out(unit: Vectors, seed: int) -> Places:
    # Late, as a search does without it and it takes long to import.
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    if len(unit) < 4 or (unit == unit[0]).all():
        angles = 2 * np.pi * np.arange(len(unit)) / max(1, len(unit))
        return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    with threadpool_limits(1):
        pca = PCA(min(DIMENSIONS, *unit.shape), svd_solver="covariance_eigh")
        tsne = TSNE(
            perplexity=min(PERPLEXITY, (len(unit) - 1) / 3),
            init="pca",
            learning_rate="auto",
            random_state=seed,
            n_jobs=1,
        )
        return np.ascontiguousarray(tsne.fit_transform(pca.fit_transform(unit)), dtype=np.float32)
