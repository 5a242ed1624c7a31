"""What `evaluate` times: each index as it is, approximate ones over their settings, and the embedding."""

import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from ris.artifacts import read_json
from ris.encoders.encoder import Encoder
from ris.encoders.transforms import for_embedding
from ris.gallery.gallery import RERANKED, Gallery
from ris.images.decoding import read_image
from ris.indexes.exact import ExactIndex
from ris.indexes.index import tuned
from ris.indexes.registry import Kind
from ris.indexes.vectors import Vectors
from ris.lab import layout
from ris.lab.config import Params
from ris.lab.footprint import resident_bytes
from ris.lab.gallery import raw_vectors, read_gallery
from ris.lab.inputs import Catalog, read_space
from ris.lab.layout import Tree
from ris.metrics.latency import (
    measure_latency,
    measure_throughput,
    recall_latency_curve,
)

TIMED_ENCODER = "finetuned"
EMBEDDED = 100
"""Pictures embedded one at a time to time it."""


def measure_costs(params: Params, tree: Tree, catalog: Catalog) -> dict[str, Any]:
    """Return what latency.json holds: searching by each index, embedding one picture, extracting all."""
    extracted = read_json(tree.read(layout.timings("extract")))["images_per_second"]
    verified = read_json(tree.read(layout.timings("same_picture"))).get("picture_to_answer")
    return {
        "search": measure_searches(params, tree, catalog),
        **({"same_picture": verified} if verified else {}),
        "embed": _measure_embedding(params, tree, catalog),
        "extract": {"images_per_second": extracted[TIMED_ENCODER]},
    }


def measure_searches(params: Params, tree: Tree, catalog: Catalog) -> dict[str, dict[str, Any]]:
    """Return what each index costs, by its name."""
    k = params.evaluate.latency_k
    built: dict[str, Any] = {}
    for stage in layout.INDEX_STAGES:
        built |= read_json(tree.read(layout.timings(stage)))
    gallery = read_gallery(params, tree, catalog, TIMED_ENCODER)
    asked = raw_vectors(params, tree, catalog, TIMED_ENCODER)[catalog.queries]
    costs: dict[str, dict[str, Any]] = {}
    for name in gallery.indexes:
        start = time.perf_counter()
        gallery.prepare(name)
        prepared_s = round(time.perf_counter() - start, 4)
        costs[name] = {"k": k, **_measure_search(params, gallery, name, asked)}
        if name == RERANKED:
            costs[name] |= {"build_s": prepared_s}
        else:
            size = _resident(params, tree, gallery, name)
            costs[name] |= {**built[name][TIMED_ENCODER], "resident_bytes": size}
    return costs


def _resident(params: Params, tree: Tree, gallery: Gallery, name: str) -> int:
    """Return the memory that an index takes; an exact one is written with its vectors first."""
    kind = layout.INDEXES[name]
    if not kind.exact:
        return resident_bytes(kind, tree.read(layout.index(name, TIMED_ENCODER)))
    vectors = gallery.space(name).index.at(np.arange(gallery.count))
    with TemporaryDirectory() as scratch:
        folder = Path(scratch) / name
        kind.index.build(vectors, {}, params.index_seed).save(folder, name)
        return resident_bytes(kind, folder)


def measure_curve(params: Params, tree: Tree, catalog: Catalog) -> pd.DataFrame:
    """Return recall against latency of each index with tunable parameters: the library's columns, `index`."""
    settings, gallery = params.evaluate, catalog.gallery
    curves = []
    for name, kind in layout.INDEXES.items():
        if not kind.index.tunable:
            continue
        vectors = read_space(params, tree, catalog, TIMED_ENCODER, kind.projected)
        asked = vectors[catalog.queries][: settings.latency_queries]
        _, exact = ExactIndex(vectors[gallery]).search(asked, settings.latency_k)
        fixed = [key for key in kind.index.section.model_fields if key not in kind.index.tunable]
        curve = recall_latency_curve(
            partial(_built, params, kind, vectors[gallery]),
            settings.grid(fixed),
            settings.grid(kind.index.tunable),
            asked,
            exact,
            settings.latency_k,
        )
        curves.append(curve.assign(index=name))
    return pd.concat(curves, ignore_index=True)


def _built(params: Params, kind: Kind, vectors: Vectors, settings: Mapping[str, int]) -> Callable[..., Any]:
    """Build an index with other settings, and return its search with further ones."""
    index = kind.index.build(vectors, {**params.index_parameters(kind), **settings}, params.index_seed)
    k = params.evaluate.latency_k
    return lambda query, settings: tuned(index, settings).search(query, k)[1]


def _measure_search(params: Params, gallery: Gallery, name: str, asked: Vectors) -> dict[str, Any]:
    """Time a gallery's index with the encoder's vectors (q, D), projecting them included."""
    k = params.evaluate.latency_k
    latency = measure_latency(
        lambda query: gallery.nearest(name, query[0], k), asked[: params.evaluate.latency_queries]
    )
    throughput = measure_throughput(lambda queries: gallery.nearest_many(name, queries, k), asked)
    return {**latency, "queries_per_s": throughput}


def _measure_embedding(params: Params, tree: Tree, catalog: Catalog) -> dict[str, float | int]:
    embedder = Encoder.open(tree.read(layout.encoder(TIMED_ENCODER))).embedder(params.extract.precision)
    files = np.array(catalog.files(catalog.queries)[:EMBEDDED], dtype=object)

    def embed(file: Any) -> object:
        image = read_image(file[0], params.clean.max_pixels, draft=2 * embedder.network.resize)
        return embedder.embed(for_embedding(image, embedder.network)[None])

    return measure_latency(embed, files)
