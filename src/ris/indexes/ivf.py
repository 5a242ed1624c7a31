"""Approximate nearest neighbours by partitions of the space, an inverted file (faiss).

Sivic and Zisserman 2003, "Video Google", ICCV; Douze et al. 2024, "The Faiss library", arXiv 2401.08281.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import faiss
import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from ris.artifacts import read_array, write_array
from ris.config import Positive, Section
from ris.indexes.index import Mask, tuned
from ris.indexes.manifest import Manifest, writing_index
from ris.indexes.vectors import Positions, Vectors, checked, checked_k, not_empty

LISTS = 2.0
"""Partitions a square root of the vectors."""
TRAINED_ON = 64
"""Vectors a partition that the partitions are fitted to, at most."""
WORTH = 0.25
"""Share of the partitions from which on all are looked at, under a filter: what it forbids costs little."""
SPARSE, FEW = 0.01, 1000
"""Share and number of allowed vectors up to which these are gathered and compared."""


class IvfParameters(Section):
    """How partitions are searched."""

    n_probes: Positive
    """Partitions whose vectors a query is compared with."""


class IvfIndex:
    """Compares a query with the vectors of the partitions whose centres are nearest to it.

    Vectors can be added, to the partitions that there are.
    """

    kind: ClassVar[str] = "ivf"
    section: ClassVar[type[Section]] = IvfParameters
    tunable: ClassVar[tuple[str, ...]] = ("n_probes",)
    files: ClassVar[tuple[str, ...]] = ("centres.npy", "partitions.npy", "vectors.npy")

    def __init__(self, centres: Vectors, parameters: Mapping[str, int]) -> None:
        """Make an index without vectors, over partitions with the centres (l, d)."""
        self.centres = centres
        self.parameters = parameters
        self.dimension = int(centres.shape[1])
        self._quantizer = faiss.IndexFlatL2(self.dimension)
        self._quantizer.add(centres)
        self._index = faiss.IndexIVFFlat(self._quantizer, self.dimension, len(centres), faiss.METRIC_L2)
        self._index.is_trained = True
        self._index.set_direct_map_type(faiss.DirectMap.Array)

    @property
    def count(self) -> int:
        """Number of vectors."""
        return int(self._index.ntotal)

    @classmethod
    def build(cls, vectors: Vectors, parameters: Mapping[str, int], seed: int) -> Self:
        """See `Index`; for `parameters` see `IvfParameters`."""
        vectors = not_empty(checked(vectors, "vectors to index"))
        index = cls(fit_centres(vectors, len(vectors), seed), {**parameters, "seed": seed})
        index.add(vectors, index.partitions(vectors))
        return index

    @staticmethod
    def partitions_for(count: int) -> int:
        """Return how many partitions a number of vectors gets."""
        return max(1, min(count, round(LISTS * math.sqrt(count))))

    def partitions(self, vectors: Vectors) -> npt.NDArray[np.int64]:
        """Return the partition (n,) that each of vectors (n, d) belongs to."""
        with threadpool_limits(1):
            found: npt.NDArray[np.int64] = self._quantizer.search(vectors, 1)[1].ravel()
        return found

    def add(self, vectors: Vectors, partitions: npt.NDArray[np.int64]) -> None:
        """Add vectors (n, d) of partitions (n,), see `partitions`; they take the next positions."""
        vectors = checked(vectors, "vectors to add", self.dimension)
        partitions = np.ascontiguousarray(partitions, np.int64)
        self.reserve(partitions)
        pointers = faiss.swig_ptr(vectors), None, faiss.swig_ptr(partitions)
        self._index.add_core(len(vectors), *pointers)

    def reserve(self, partitions: npt.NDArray[np.int64]) -> None:
        """Make room for what comes to empty partitions (n,), no more: else they grow by doubling."""
        lists = self._index.invlists
        coming = np.bincount(partitions, minlength=len(self.centres))
        for number in np.flatnonzero(coming).tolist():
            if lists.list_size(number) == 0:
                lists.resize(number, int(coming[number]))
                lists.resize(number, 0)

    @property
    def parameters(self) -> Mapping[str, int]:
        """What it was built with, or is searched with."""
        return self._parameters

    @parameters.setter
    def parameters(self, parameters: Mapping[str, int]) -> None:
        self._parameters = parameters
        self._probes = min(parameters["n_probes"], len(self.centres))
        # Made once: making it takes a tenth of a search among few vectors.
        self._probing = faiss.SearchParametersIVF(nprobe=self._probes)

    def with_probes(self, n_probes: int) -> Self:
        """Return the same vectors searched with another `n_probes`."""
        return tuned(self, {"n_probes": n_probes})

    def at(self, positions: Positions) -> Vectors:
        """Return the vectors (j, d) at some positions."""
        found: Vectors = self._index.reconstruct_batch(np.ascontiguousarray(positions, np.int64))
        return found

    def save(self, folder: Path, made_for: str) -> None:
        """See `Index`."""
        vectors, partitions = self._contents()
        with writing_index(folder, self, made_for) as fresh:
            write_array(fresh / "centres.npy", self.centres)
            write_array(fresh / "partitions.npy", partitions)
            write_array(fresh / "vectors.npy", vectors)

    @classmethod
    def load(cls, folder: Path, manifest: Manifest) -> Self:
        """See `Index`."""
        index = cls(read_array(folder / "centres.npy"), manifest.parameters)
        index.add(read_array(folder / "vectors.npy"), read_array(folder / "partitions.npy"))
        return index

    def search(self, queries: Vectors, k: int, allowed: Mask | None = None) -> tuple[Vectors, Positions]:
        """See `Index`; where the partitions hold fewer than k, all are looked at.

        Where a share of the vectors is allowed, as many more partitions are looked at, so that as many of the
        allowed ones are; all partitions, where that is about as cheap. Where few are allowed, just these are.
        """
        queries = checked(queries, "queries", self.dimension)
        if allowed is None:
            return self._probed(queries, checked_k(k, self._index.ntotal), self._probing, None)
        n_allowed = int(np.count_nonzero(allowed))
        k = checked_k(k, n_allowed)
        if n_allowed <= max(FEW, SPARSE * self.count):
            return self._among(queries, k, np.flatnonzero(allowed))
        selector = faiss.IDSelectorBitmap(np.packbits(allowed, bitorder="little"))
        every = faiss.SearchParametersIVF(nprobe=len(self.centres), sel=selector)
        probes = math.ceil(self._probes * self.count / n_allowed)
        if probes > WORTH * len(self.centres):
            return self._probed(queries, k, None, every)
        return self._probed(queries, k, faiss.SearchParametersIVF(nprobe=probes, sel=selector), every)

    def _probed(self, queries: Vectors, k: int, some: Any, every: Any) -> tuple[Vectors, Positions]:
        """Search partitions as faiss's parameters say; all, where `some` is None or these hold too few."""
        squares = np.empty((len(queries), k), np.float32)
        positions = np.empty((len(queries), k), np.int64)
        if some is None:
            self._search_all(queries, squares, positions, every)
        else:
            # What faiss's own `search` calls, which would take a tenth longer among few vectors.
            pointers = faiss.swig_ptr(squares), faiss.swig_ptr(positions)
            self._index.search_c(len(queries), faiss.swig_ptr(queries), k, *pointers, some)
            # Places without a vector come last.
            if (positions.item(-1) if len(queries) == 1 else positions[:, -1].min(initial=0)) < 0:
                self._complete(queries, squares, positions, every)
        return in_order(squares, positions)

    def _among(self, queries: Vectors, k: int, allowed: Positions) -> tuple[Vectors, Positions]:
        """Compare with the vectors at some positions (j,), ascending; k is at most j."""
        if k == 0:
            return np.zeros((len(queries), 0), np.float32), np.zeros((len(queries), 0), np.int64)
        vectors = self._index.reconstruct_batch(allowed)
        # One at a time: of many at once, faiss would take distances from products, with their rounding.
        found = [faiss.knn(query, vectors, k) for query in queries[:, None]]
        squares = np.concatenate([np.zeros((0, k), np.float32), *(one[0] for one in found)])
        nearest = np.concatenate([np.zeros((0, k), np.int64), *(one[1] for one in found)])
        return in_order(squares, allowed[nearest])

    def _complete(self, queries: Vectors, squares: Vectors, positions: Positions, every: Any) -> None:
        """Search anew, among all partitions, where fewer were found than asked for."""
        lacking = np.flatnonzero(positions[:, -1] < 0)
        found = np.empty_like(squares[lacking]), np.empty_like(positions[lacking])
        self._search_all(queries[lacking], *found, every)
        squares[lacking], positions[lacking] = found

    def _search_all(self, queries: Vectors, squares: Vectors, positions: Positions, every: Any) -> None:
        """Search all partitions, in their order in memory: to rank them would take time."""
        partitions = np.tile(np.arange(len(self.centres)), (len(queries), 1))
        arrays = (partitions, np.zeros(partitions.shape, np.float32), squares, positions)
        self._index.search_preassigned_c(
            len(queries),
            faiss.swig_ptr(queries),
            squares.shape[1],
            *map(faiss.swig_ptr, arrays),
            False,
            every or faiss.SearchParametersIVF(nprobe=len(self.centres)),
        )

    def _contents(self) -> tuple[Vectors, npt.NDArray[np.int64]]:
        """Return the vectors (n, d) and their partitions (n,), by position."""
        vectors = np.empty((self.count, self.dimension), np.float32)
        partitions = np.empty(self.count, np.int64)
        lists = self._index.invlists
        for number in range(len(self.centres)):
            size = lists.list_size(number)
            if size:
                ids = faiss.rev_swig_ptr(lists.get_ids(number), size)
                codes = faiss.rev_swig_ptr(lists.get_codes(number), size * 4 * self.dimension)
                vectors[ids] = codes.view(np.float32).reshape(size, self.dimension)
                partitions[ids] = number
        return vectors, partitions


def in_order(squares: Vectors, positions: Positions) -> tuple[Vectors, Positions]:
    """Return distances and positions (q, k), those of the same distance by position.

    Args:
        squares: (q, k) squared distances, rising along a row.
        positions: (q, k)
    """
    distances = np.sqrt(squares)
    if len(distances) == 1:
        # The most frequent, and a search among few vectors takes no longer than NumPy to compare these.
        tied = len(set(distances[0].tolist())) < distances.size
    else:
        tied = bool((distances[:, 1:] == distances[:, :-1]).any())
    if tied:
        order = np.lexsort((positions, distances))
        return np.take_along_axis(distances, order, axis=1), np.take_along_axis(positions, order, axis=1)
    return distances, positions


def fit_centres(vectors: Vectors, count: int, seed: int) -> Vectors:
    """Fit the centres (l, d) of the partitions of `count` vectors to some of them (n, d)."""
    count = min(len(vectors), IvfIndex.partitions_for(count))
    sample = np.random.default_rng(seed).permutation(len(vectors))[: TRAINED_ON * count]
    chosen = np.ascontiguousarray(vectors[np.sort(sample)])
    kmeans = faiss.Kmeans(
        vectors.shape[1],
        count,
        niter=10,
        seed=seed + 1,
        min_points_per_centroid=1,
        max_points_per_centroid=TRAINED_ON,
    )
    # Several threads sum in another order, and the bytes would depend on how many there are.
    with threadpool_limits(1):
        kmeans.train(chosen)
    return np.asarray(kmeans.centroids, np.float32)
