"""Searches that also use what the gallery knows of itself: its own neighbourhoods, found once by `fit`.

Each class here searches like `Index`: queries (q, d) and k to distances (q, k) and catalog rows (q, k). All
take vectors of length 1, as `space.normalise` leaves them; a zero vector is let through.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from ris.errors import RisError
from ris.indexes.exact import ExactIndex
from ris.indexes.projection import normalise
from ris.indexes.vectors import Rows, Vectors, checked, checked_k, checked_rows

Sparse: TypeAlias = csr_array
"""(m, n), a line for each of m pictures, a column for each of the n gallery pictures."""


@dataclass(frozen=True, eq=False)
class AlphaQueryExpansion:
    """Asks again, with the query drawn towards its nearest vectors (alphaQE).

    q' = q + Σ_{i≤k} max(q·x_i, 0)^alpha x_i, brought to length 1: Radenović et al. 2019, "Fine-tuning CNN
    Image Retrieval with No Human Annotation", TPAMI. Alpha 0 is the average query expansion of
    Chum et al. 2007.
    """

    vectors: Vectors
    """(n, d)"""
    index: ExactIndex
    """Of the vectors; its rows are their positions."""
    rows: Rows
    """(n,) catalog row of each vector."""
    k: int
    """Nearest vectors that the query is drawn towards."""
    alpha: float
    """How much more the nearest of them count than the others; at least 0."""

    @classmethod
    def fit(cls, vectors: Vectors, rows: Rows, k: int = 10, alpha: float = 3.0) -> Self:
        """Fit to the gallery's vectors (n, d) and their catalog rows (n,).

        Raises:
            RisError: there is no vector, or one is not of length 1, or k or alpha is out of range.
        """
        if alpha < 0:
            raise RisError(f"alpha is {alpha}; give a number of at least 0.")
        vectors, index, rows = _gallery(vectors, rows)
        return cls(vectors, index, rows, checked_k(k, len(rows)), alpha)

    def search(self, queries: Vectors, k: int) -> tuple[Vectors, Rows]:
        """See `Index.search`; distances are those of the expanded queries.

        Raises:
            RisError: also where a query is not of length 1.
        """
        queries = _of_length_one(checked(queries, "queries", self.index.dimension), "queries")
        nearest = self.vectors[self.index.search(queries, self.k)[1]]
        distances, positions = self.index.search(expanded(queries, nearest, self.alpha), k)
        return distances, self.rows[positions]


def expanded(queries: Vectors, nearest: Vectors, alpha: float) -> Vectors:
    """Draw each query (q, d) towards its nearest vectors (q, k, d), see `AlphaQueryExpansion`: (q, d)."""
    weights = np.einsum("qkd,qd->qk", nearest, queries).clip(min=0) ** alpha
    return normalise(queries + np.einsum("qk,qkd->qd", weights, nearest))


def augmented(vectors: Vectors, k: int) -> Vectors:
    """Draw each vector of a gallery (n, d) towards its neighbours, see `averaged`.

    Args:
        vectors: (n, d) of length 1.
        k: vectors averaged, the first of them x itself; capped at n, and 1 changes nothing.

    Raises:
        RisError: there is no vector, or one is not of length 1, or k is below 1.
    """
    vectors, index, _ = _gallery(vectors, np.arange(len(vectors)))
    return averaged(vectors, index.search(vectors, checked_k(k, len(vectors)))[1])


def averaged(vectors: Vectors, neighbours: Rows) -> Vectors:
    """Average vectors (n, d) at positions (m, k), those of a line the nearest first: (m, d) of length 1.

    x' = Σ_{r<k} (k - r)/k x_(r), x_(r) being the r-th nearest of x and x_(0) itself: Gordo et al. 2017,
    "End-to-end Learning of Deep Visual Representations for Image Retrieval", IJCV.
    """
    k = neighbours.shape[1]
    weights = ((k - np.arange(k)) / k).astype(np.float32)
    return normalise(np.stack([weights @ vectors[of_one] for of_one in neighbours]))


@dataclass(frozen=True, eq=False)
class DatabaseAugmentation:
    """Searches a gallery in which every vector is drawn towards its neighbours (DBA).

    Arandjelović & Zisserman 2012, "Three things everyone should know to improve object retrieval", CVPR,
    with the weights of `averaged`. A search costs what it costs without.
    """

    index: ExactIndex
    """Of the augmented vectors."""

    @classmethod
    def fit(cls, vectors: Vectors, rows: Rows, k: int = 10) -> Self:
        """Fit to the gallery's vectors (n, d) and their catalog rows (n,); for k see `augmented`.

        Raises:
            RisError: see `augmented`.
        """
        return cls(ExactIndex.build(augmented(vectors, k), rows, {}, seed=0))

    def search(self, queries: Vectors, k: int) -> tuple[Vectors, Rows]:
        """See `Index.search`; distances are those to the augmented vectors."""
        return self.index.search(queries, k)


@dataclass(frozen=True, eq=False)
class KReciprocal:
    """Orders the nearest vectors anew by how far they and the query have the same neighbours.

    Zhong et al. 2017, "Re-ranking Person Re-identification with k-reciprocal Encoding", CVPR,
    arXiv 1701.08398, with d = 1 - cosine. Neighbourhoods are of the gallery alone: a query is compared with
    the encodings that `fit` made and changes none, so its answer depends on no other query. What lies
    beyond the candidates counts as sharing no neighbour: its Jaccard distance is 1.
    """

    vectors: Vectors
    """(n, d)"""
    index: ExactIndex
    """Of the vectors; its rows are their positions."""
    rows: Rows
    """(n,) catalog row of each vector."""
    reach: Vectors
    """(n,) how near a query must be to be one of a vector's k1 nearest."""
    half: Sparse
    """(n, n) int32, ones: the k-reciprocal neighbours R(g, k1/2) of each vector."""
    encoding: Sparse
    """(n, n) float64, exp(-d) over R* of each vector, its sum brought to 1."""
    expanded: Sparse
    """(n, n) float64, the encodings after local query expansion."""
    mass: npt.NDArray[np.float64]
    """(n,) sum of each line of `expanded`."""
    k1: int
    """Neighbours among which reciprocal ones are looked for."""
    k2: int
    """Encodings averaged by the local query expansion, a picture's own included; 1 is none."""
    lambda_: float
    """Share of the original distance in the final one, from 0 to 1."""
    candidates: int
    """Nearest vectors that are ordered anew."""

    @classmethod
    def fit(
        cls,
        vectors: Vectors,
        rows: Rows,
        k1: int = 20,
        k2: int = 6,
        lambda_: float = 0.3,
        candidates: int = 100,
    ) -> Self:
        """Fit to the gallery's vectors (n, d) and their catalog rows (n,).

        Raises:
            RisError: there is no vector, or one is not of length 1, or a parameter is out of range.
        """
        if min(k1, k2, candidates) < 1 or not 0 <= lambda_ <= 1:
            raise RisError(
                f"k1 is {k1}, k2 {k2}, candidates {candidates} and lambda {lambda_}; "
                "the first three start at 1, and lambda lies between 0 and 1."
            )
        vectors, index, rows = _gallery(vectors, rows)
        # A vector is the first of its own neighbours; hence one more.
        distances, neighbours = index.search(vectors, max(k1 + 1, k2))
        reach = distances[:, k1] if k1 < len(rows) else np.full(len(rows), np.inf, dtype=np.float32)
        reciprocal, half = (
            _reciprocal(_lines(neighbours[:, : near + 1], len(rows))) for near in (k1, (k1 + 1) // 2)
        )
        encoding = _encoded(_with_neighbours(reciprocal, half), vectors, vectors)
        lists = _lines(neighbours[:, :k2], len(rows))
        expanded = csr_array((lists @ encoding) / min(k2, len(rows)))
        mass = expanded.sum(axis=1)
        return cls(vectors, index, rows, reach, half, encoding, expanded, mass, k1, k2, lambda_, candidates)

    def search(self, queries: Vectors, k: int) -> tuple[Vectors, Rows]:
        """See `Index.search`; distances are (1 - lambda) Jaccard + lambda (1 - cosine).

        At equal distance the nearer in the original space comes first.

        Raises:
            RisError: also where a query is not of length 1.
        """
        queries = _of_length_one(checked(queries, "queries", self.index.dimension), "queries")
        k = checked_k(k, len(self.rows))
        near, positions = self.index.search(queries, max(k, self.candidates, self.k1, self.k2))
        jaccard = np.ones(near.shape)
        for i, encoding in enumerate(self._encodings(queries, near, positions)):
            jaccard[i, : self.candidates] = self._jaccard(encoding, positions[i, : self.candidates])
        final = (1 - self.lambda_) * jaccard + self.lambda_ * np.square(near, dtype=np.float64) / 2
        order = np.argsort(final, axis=1, kind="stable")[:, :k]
        distances = np.take_along_axis(final, order, axis=1).astype(np.float32)
        return distances, self.rows[np.take_along_axis(positions, order, axis=1)]

    def _encodings(
        self, queries: Vectors, near: Vectors, positions: Rows
    ) -> Iterator[npt.NDArray[np.float64]]:
        """Yield the encoding (n,) of each query after local query expansion."""
        nearest = positions[:, : self.k1]
        mutual = near[:, : self.k1] <= self.reach[nearest]
        sets = _with_neighbours(_lines(nearest, len(self.rows), mutual), self.half)
        own = _encoded(sets, queries, self.vectors)
        others = _lines(positions[:, : self.k2 - 1], len(self.rows)) @ self.encoding
        expanded = csr_array(own + others) / (1 + min(self.k2 - 1, len(self.rows)))
        yield from (expanded[[i]].toarray()[0] for i in range(len(queries)))

    def _jaccard(self, encoding: npt.NDArray[np.float64], positions: Rows) -> npt.NDArray[np.float64]:
        """Return the Jaccard distances (c,) between a query's encoding (n,) and those at positions (c,)."""
        shared = self.expanded[positions]
        shared.data = np.minimum(shared.data, encoding[shared.indices])
        least = shared.sum(axis=1)
        most = encoding.sum() + self.mass[positions] - least
        similarity: npt.NDArray[np.float64] = np.divide(
            least, most, out=np.zeros(len(positions)), where=most > 0
        )
        return 1 - similarity


def _gallery(vectors: npt.NDArray[Any], rows: Rows) -> tuple[Vectors, ExactIndex, Rows]:
    """Return the vectors and rows, checked, and the index of the vectors' positions."""
    vectors = _of_length_one(checked(vectors, "vectors to index"), "vectors to index")
    rows = checked_rows(rows, len(vectors))
    return vectors, ExactIndex.build(vectors, np.arange(len(rows)), {}, seed=0), rows


def _of_length_one(vectors: Vectors, name: str) -> Vectors:
    squares = np.vecdot(vectors, vectors)
    if not (np.isclose(squares, 1, atol=1e-3) | (squares == 0)).all():
        raise RisError(f"The {name} are not of length 1, which this search needs; set `pca.normalise`.")
    return vectors


def _lines(neighbours: Rows, count: int, kept: npt.NDArray[np.bool_] | None = None) -> Sparse:
    """Return neighbours (m, k) as sets (m, count), ones; only those `kept` (m, k) where that is given."""
    m, k = neighbours.shape
    line = np.repeat(np.arange(m), k)
    chosen = slice(None) if kept is None else kept.ravel()
    places = (line[chosen], neighbours.ravel()[chosen])
    return csr_array((np.ones(len(places[0]), dtype=np.int32), places), shape=(m, count))


def _reciprocal(lists: Sparse) -> Sparse:
    """Return R(g, k) of every gallery vector, given the sets (n, n) of their k nearest; it is symmetric."""
    return csr_array(lists.multiply(lists.T))


def _with_neighbours(reciprocal: Sparse, half: Sparse) -> Sparse:
    """Return R*: reciprocal sets (m, n) joined by those of their members that mostly lie within.

    A member's set R(q, k1/2), a line of `half` (n, n), joins where two thirds of it or more are in R already.
    """
    # `half` is symmetric: the product counts what a set shares with each line of it.
    shared = csr_array(reciprocal.multiply(reciprocal @ half))
    shared.data = (3 * shared.data >= 2 * np.diff(half.indptr)[shared.indices]).astype(np.int32)
    shared.eliminate_zeros()
    return csr_array(reciprocal + shared @ half)


def _encoded(sets: Sparse, vectors: Vectors, gallery: Vectors) -> Sparse:
    """Return exp(-d) over the sets (m, n) of vectors (m, d); each line sums to 1, or is empty."""
    weights = np.empty(sets.nnz)
    for i, (start, end) in enumerate(zip(sets.indptr[:-1], sets.indptr[1:], strict=True)):
        differences = np.subtract(gallery[sets.indices[start:end]], vectors[i], dtype=np.float64)
        weights[start:end] = np.exp(-np.vecdot(differences, differences) / 2)
        weights[start:end] /= weights[start:end].sum()
    return csr_array((weights, sets.indices, sets.indptr), shape=sets.shape)
