"""Approximate nearest neighbours by a forest of random projections (ANNOY)."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from annoy import AnnoyIndex as Forest

from ris.artifacts import read_array, write_array
from ris.indexes.manifest import METRIC, Manifest, writing_index
from ris.indexes.vectors import Rows, Vectors, checked, checked_k, checked_rows


class AnnoyIndex:
    """Compares a query with the vectors that the trees put near it.

    Parameters are `n_trees` and `search_k`: how many nodes are inspected for a query, -1 meaning k times
    n_trees. Only `search_k` can change after building.
    """

    kind: ClassVar[str] = "annoy"
    files: ClassVar[tuple[str, ...]] = ("trees.ann", "rows.npy")

    def __init__(self, forest: Forest, rows: Rows, parameters: Mapping[str, int]) -> None:
        self._forest = forest
        self._rows = rows
        self.parameters = parameters
        self.dimension: int = forest.f
        self.count = forest.get_n_items()

    @classmethod
    def build(cls, vectors: Vectors, rows: Rows, params: Mapping[str, int], seed: int) -> Self:
        """See `Index`; `params` holds `n_trees` and `search_k`."""
        vectors = checked(vectors, "vectors to index")
        rows = checked_rows(rows, len(vectors))
        forest = Forest(vectors.shape[1], METRIC)
        forest.set_seed(seed)
        for position, vector in enumerate(vectors):
            forest.add_item(position, vector.tolist())
        forest.build(params["n_trees"], n_jobs=1)
        return cls(forest, rows, {**params, "seed": seed})

    def save(self, folder: Path, catalog_sha256: str) -> None:
        """See `Index`."""
        with writing_index(folder, self, catalog_sha256) as fresh:
            self._forest.save(str(fresh / "trees.ann"))
            write_array(fresh / "rows.npy", self._rows)

    @classmethod
    def load(cls, folder: Path, manifest: Manifest) -> Self:
        """See `Index`; the trees are mapped into memory, not read."""
        forest = Forest(manifest.dimension, METRIC)
        forest.load(str(folder / "trees.ann"))
        return cls(forest, read_array(folder / "rows.npy"), manifest.parameters)

    def with_search_k(self, search_k: int) -> Self:
        """Return the same trees with another `search_k`."""
        return type(self)(self._forest, self._rows, {**self.parameters, "search_k": search_k})

    def search(self, queries: Vectors, k: int) -> tuple[Vectors, Rows]:
        """See `Index`; where `search_k` nodes hold fewer than k vectors, more are inspected."""
        queries = checked(queries, "queries", self.dimension)
        k = checked_k(k, self.count)
        distances = np.empty((len(queries), k), dtype=np.float32)
        positions = np.empty((len(queries), k), dtype=np.int64)
        for i, query in enumerate(queries.tolist()):
            positions[i], distances[i] = self._nearest(query, k)
        return distances, self._rows[positions]

    def _nearest(self, query: list[float], k: int) -> tuple[list[int], list[float]]:
        search_k = self.parameters["search_k"]
        while True:
            positions, distances = self._forest.get_nns_by_vector(query, k, search_k, include_distances=True)
            if len(positions) == k:
                return positions, distances
            search_k = 2 * max(search_k, k * self._forest.get_n_trees())
