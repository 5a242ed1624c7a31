"""Libraries for nearest neighbours as benchmarks of large sizes ask them: all built and asked in one way."""

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import contextmanager, suppress
from ctypes import CDLL
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeAlias

import faiss
import numpy as np
import numpy.typing as npt
import psutil
from annoy import AnnoyIndex as Forest

from ris.indexes.exact import ExactIndex
from ris.indexes.ivf import IvfIndex
from ris.indexes.vectors import Vectors

os.environ.setdefault("LANCE_CPU_THREADS", "1")

K = 10
M = 16
"""Edges of a node of the graphs, half of those in the lowest layer."""
TREES = 50
DOUBLING = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 2048, 4096)
EFFORTS = (10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
NODES = tuple(K * TREES * times for times in (1, 2, 4, 8, 16, 32, 64, 128))

Found: TypeAlias = npt.NDArray[Any]
Ask: TypeAlias = Callable[[Vectors], Found]
"""A query (1, d) to the positions (K,) of what is nearest."""
At: TypeAlias = Callable[[int], Ask]
"""A setting to how it is asked."""


@dataclass(frozen=True)
class Peer:
    """One way to search, as it is measured."""

    name: str
    package: str
    setting: str
    """What makes it find more; empty where it finds all."""
    grid: Sequence[int]
    """Settings, rising."""
    build: Callable[[Vectors, Path], At]
    """From vectors, with a folder to write to, to how it is asked at a setting."""

    @property
    def installed(self) -> bool:
        """Whether it can be measured."""
        return find_spec(self.package) is not None


def flat(vectors: Vectors, _: Path) -> At:
    """Build faiss's exact search."""
    index = faiss.IndexFlatL2(vectors.shape[1])
    index.add(vectors)
    return lambda _: lambda query: index.search(query, K)[1][0]


def faiss_ivf(vectors: Vectors, _: Path) -> At:
    """Build faiss's inverted file as its own training makes it, with as many partitions as ours."""
    lists = IvfIndex.partitions_for(len(vectors))
    quantizer = faiss.IndexFlatL2(vectors.shape[1])
    index = faiss.IndexIVFFlat(quantizer, vectors.shape[1], lists, faiss.METRIC_L2)
    index.train(vectors)
    index.add(vectors)

    def at(probes: int) -> Ask:
        parameters = faiss.SearchParametersIVF(nprobe=probes)
        return lambda query: index.search(query, K, params=parameters)[1][0]

    return at


def faiss_hnsw(vectors: Vectors, _: Path) -> At:
    """Build faiss's graph."""
    index = faiss.IndexHNSWFlat(vectors.shape[1], M)
    index.add(vectors)

    def at(effort: int) -> Ask:
        parameters = faiss.SearchParametersHNSW(efSearch=effort)
        return lambda query: index.search(query, K, params=parameters)[1][0]

    return at


def hnswlib_(vectors: Vectors, _: Path) -> At:
    """Build hnswlib's graph."""
    import hnswlib

    index = hnswlib.Index("l2", vectors.shape[1])
    index.init_index(len(vectors), ef_construction=100, M=M)
    index.add_items(vectors)
    index.set_num_threads(1)

    def at(effort: int) -> Ask:
        def ask(query: Vectors) -> Found:
            index.set_ef(effort)
            return index.knn_query(query, K, num_threads=1)[0][0]  # type: ignore[no-any-return]

        return ask

    return at


def usearch_(vectors: Vectors, _: Path) -> At:
    """Build usearch's graph, over float32 as the others."""
    from usearch.index import Index

    index = Index(ndim=vectors.shape[1], metric="l2sq", dtype="f32", connectivity=M)
    index.add(np.arange(len(vectors)), vectors)

    def at(effort: int) -> Ask:
        def ask(query: Vectors) -> Found:
            index.expansion_search = effort
            return np.asarray(index.search(query[0], K, threads=1).keys)

        return ask

    return at


def annoy_(vectors: Vectors, _: Path) -> At:
    """Build ANNOY's trees."""
    forest = Forest(vectors.shape[1], "euclidean")
    forest.set_seed(1)
    for position, vector in enumerate(vectors):
        forest.add_item(position, vector)
    forest.build(TREES, n_jobs=-1)
    return lambda nodes: lambda query: np.array(forest.get_nns_by_vector(query[0], K, nodes))


def lancedb_(vectors: Vectors, folder: Path) -> At:
    """Write a table of LanceDB with its inverted file; it is asked warm, from disk."""
    import lancedb
    import pyarrow as pa

    values = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
    database = lancedb.connect(folder / "lance")
    table = database.create_table(
        "vectors", pa.table({"position": np.arange(len(vectors)), "vector": values})
    )
    table.create_index("l2", index_type="IVF_FLAT", num_partitions=IvfIndex.partitions_for(len(vectors)))

    def at(probes: int) -> Ask:
        def ask(query: Vectors) -> Found:
            asked = table.search(query[0]).limit(K).nprobes(probes).select(["position", "_distance"])
            return np.asarray(asked.to_arrow()["position"])

        return ask

    return at


def ours_exact(vectors: Vectors, _: Path) -> At:
    """Build ours that finds all."""
    index = ExactIndex.build(vectors, {}, seed=0)
    return lambda _: lambda query: index.search(query, K)[1][0]


def ours_ivf(vectors: Vectors, _: Path) -> At:
    """Build ours that is for many vectors."""
    index = IvfIndex.build(vectors, {"n_probes": 1}, seed=0)

    def at(probes: int) -> Ask:
        probing = index.with_probes(probes)
        return lambda query: probing.search(query, K)[1][0]

    return at


PEERS = (
    Peer("faiss Flat", "faiss", "", (0,), flat),
    Peer("ris exact", "ris", "", (0,), ours_exact),
    Peer("faiss IVF-Flat", "faiss", "nprobe", DOUBLING, faiss_ivf),
    Peer("ris ivf", "ris", "n_probes", DOUBLING, ours_ivf),
    Peer("faiss HNSW", "faiss", "efSearch", EFFORTS, faiss_hnsw),
    Peer("hnswlib", "hnswlib", "ef", EFFORTS, hnswlib_),
    Peer("usearch", "usearch", "expansion", EFFORTS, usearch_),
    Peer("ANNOY", "annoy", "search_k", NODES, annoy_),
    Peer("LanceDB, on disk", "lancedb", "nprobes", DOUBLING, lancedb_),
)


@contextmanager
def one_thread() -> Any:
    """Search with one thread in the block, where faiss would take more."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


@contextmanager
def room(scratch: Path) -> Any:
    """Yield a folder that is gone after the block."""
    scratch.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=scratch))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def resident() -> int:
    """Return the bytes of this process, after what is free was given back."""
    with suppress(OSError, AttributeError):
        CDLL("libc.so.6").malloc_trim(0)
    return int(psutil.Process().memory_info().rss)
