"""Approximate nearest neighbours by a forest of random projections (ANNOY)."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, ClassVar, Self

import numpy as np
from annoy import AnnoyIndex as Forest
from pydantic import Field

from ris.config import Positive, Section
from ris.indexes.index import Mask, among_allowed
from ris.indexes.manifest import METRIC, Manifest, writing_index
from ris.indexes.vectors import Positions, Vectors, checked, checked_k, not_empty


class AnnoyParameters(Section):
    """How a forest is built and searched."""

    n_trees: Positive
    search_k: Annotated[int, Field(ge=-1)]
    """Nodes inspected a query; -1 is ANNOY's own choice, k times n_trees."""


class AnnoyIndex:
    """Compares a query with the vectors that the trees put near it."""

    kind: ClassVar[str] = "annoy"
    section: ClassVar[type[Section]] = AnnoyParameters
    tunable: ClassVar[tuple[str, ...]] = ("search_k",)
    files: ClassVar[tuple[str, ...]] = ("trees.ann",)

    def __init__(self, forest: Forest, parameters: Mapping[str, int]) -> None:
        self._forest = forest
        self.parameters = parameters
        self.dimension: int = forest.f
        self.count: int = forest.get_n_items()

    @classmethod
    def build(cls, vectors: Vectors, parameters: Mapping[str, int], seed: int) -> Self:
        """See `Index`; for `parameters` see `AnnoyParameters`."""
        vectors = not_empty(checked(vectors, "vectors to index"))
        forest = Forest(vectors.shape[1], METRIC)
        forest.set_seed(seed)
        for position, vector in enumerate(vectors):
            forest.add_item(position, vector.tolist())
        forest.build(parameters["n_trees"], n_jobs=1)
        return cls(forest, {**parameters, "seed": seed})

    def save(self, folder: Path, made_for: str) -> None:
        """See `Index`."""
        with writing_index(folder, self, made_for) as fresh:
            self._forest.save(str(fresh / "trees.ann"))

    @classmethod
    def load(cls, folder: Path, manifest: Manifest) -> Self:
        """See `Index`; the trees are mapped into memory, not read."""
        forest = Forest(manifest.dimension, METRIC)
        forest.load(str(folder / "trees.ann"))
        return cls(forest, manifest.parameters)

    def search(self, queries: Vectors, k: int, allowed: Mask | None = None) -> tuple[Vectors, Positions]:
        """See `Index`; where `search_k` nodes hold fewer than k vectors, more are inspected."""
        queries = checked(queries, "queries", self.dimension)
        k = checked_k(k, self.count if allowed is None else int(np.count_nonzero(allowed)))
        distances = np.empty((len(queries), k), dtype=np.float32)
        positions = np.empty((len(queries), k), dtype=np.int64)
        for i, query in enumerate(queries.tolist()):
            ask = partial(self._nearest, query)
            distances[i], positions[i] = among_allowed(ask, k, allowed, self.count)
        return distances, positions

    def _nearest(self, query: list[float], k: int) -> tuple[Vectors, Positions]:
        search_k = self.parameters["search_k"]
        while True:
            positions, distances = self._forest.get_nns_by_vector(query, k, search_k, include_distances=True)
            if len(positions) == k:
                return np.array(distances, np.float32), np.array(positions, np.int64)
            search_k = 2 * max(search_k, k * self._forest.get_n_trees())
