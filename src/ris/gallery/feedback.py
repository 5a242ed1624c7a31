"""Several pictures as one query: a weighted sum of vectors, and relevance feedback by Rocchio's formula.

Rocchio, Relevance Feedback in Information Retrieval, in Salton (ed.), The SMART Retrieval System, 1971.
"""

from collections.abc import Sequence

import numpy as np

from ris import arguments
from ris.errors import BadQueryError
from ris.indexes.projection import normalise
from ris.indexes.vectors import Vectors

LIKE = 1.0
"""Weight of the mean of the pictures that are right, where the query's is 1."""
UNLIKE = 0.5
"""Weight by which the mean of the pictures that are wrong is taken away."""
CANCELLED = 1e-6
"""Length of a sum of vectors, by weights of at most 1, that points nowhere."""


def weighted(vectors: Vectors, weights: Sequence[float] | None) -> Vectors:
    """Add up vectors (n, D) of length 1, each by its weight; return the sum (D,), brought to length 1.

    Args:
        vectors: of the pictures, n at least 1.
        weights: (n,), negative ones lead away from a picture; None for all alike.

    Raises:
        BadQueryError: there is another number of weights, one is not finite, or they leave no direction.
    """
    given = [1.0] * len(vectors) if weights is None else arguments.several("weights", weights)
    factors = np.array([arguments.number("one of weights", one) for one in given])
    if len(factors) != len(vectors):
        raise BadQueryError(
            f"weights has {len(factors)} numbers for {len(vectors)} pictures; give one for each."
        )
    largest = np.abs(factors).max()
    total = (factors / largest) @ vectors if largest > 0 else np.zeros(vectors.shape[1])
    if np.linalg.norm(total) < CANCELLED:
        raise BadQueryError("The pictures cancel each other out by their weights; give other weights.")
    direction: Vectors = normalise(total.astype(np.float32)[None])[0]
    return direction


def refined(query: Vectors, like: Vectors, unlike: Vectors) -> Vectors:
    """Move a query (D,) towards pictures (r, D) that are right and away from those (w, D) that are wrong.

    All are of length 1, and so is what is returned; r and w may be 0.

    Raises:
        BadQueryError: see `weighted`.
    """
    towards, away = LIKE / max(1, len(like)), -UNLIKE / max(1, len(unlike))
    weights = [1.0, *[towards] * len(like), *[away] * len(unlike)]
    return weighted(np.concatenate([query[None], like, unlike]), weights)
