"""What `evaluate` times: each index as it is, the approximate one over its settings, and the embedding."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch

from ris.artifacts import read_json
from ris.encoders.encoder import Encoder
from ris.encoders.transforms import for_embedding
from ris.images.decoding import read_image
from ris.indexes.annoy import AnnoyIndex
from ris.indexes.exact import ExactIndex
from ris.lab import layout
from ris.lab.config import Params
from ris.lab.footprint import resident_bytes
from ris.lab.inputs import Catalog, read_index, read_space
from ris.lab.layout import Tree
from ris.lab.reranked import reranked
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
    k = params.evaluate.latency_k
    built = read_json(tree.read(layout.timings("index_knn")))
    built |= read_json(tree.read(layout.timings("index_annoy")))
    search = {}
    for name in layout.INDEXES:
        vectors = read_space(params, tree, catalog, TIMED_ENCODER, layout.projected(name))
        answer = partial(read_index(tree, catalog, name, TIMED_ENCODER, vectors.shape[1]).search, k=k)
        asked = vectors[catalog.queries]
        search[name] = {
            "k": k,
            **measure_latency(answer, asked[: params.evaluate.latency_queries]),
            "queries_per_s": measure_throughput(answer, asked),
            **built[name][TIMED_ENCODER],
            "resident_bytes": resident_bytes(tree.read(layout.index(name, TIMED_ENCODER))),
        }
    if params.reranking.expanded:
        start = time.perf_counter()
        fitted, vectors = reranked(params, tree, catalog, TIMED_ENCODER)
        build_s = round(time.perf_counter() - start, 4)
        answer = partial(fitted.search, k=k)
        asked = vectors[catalog.queries]
        search[layout.RERANKED] = {
            "k": k,
            **measure_latency(answer, asked[: params.evaluate.latency_queries]),
            "queries_per_s": measure_throughput(answer, asked),
            "build_s": build_s,
        }
    extracted = read_json(tree.read(layout.timings("extract")))["images_per_second"]
    verified = read_json(tree.read(layout.timings("same_picture"))).get("picture_to_answer")
    return {
        "search": search,
        **({"same_picture": verified} if verified else {}),
        "embed": _measure_embedding(params, tree, catalog),
        "extract": {"images_per_second": extracted[TIMED_ENCODER]},
    }


def measure_curve(params: Params, tree: Tree, catalog: Catalog) -> pd.DataFrame:
    """Return recall against latency of ANNOY in each space: the library's columns and `index`."""
    settings, gallery = params.evaluate, catalog.gallery
    curves = []
    for name in (name for name, kind in layout.INDEXES.items() if kind == AnnoyIndex.kind):
        vectors = read_space(params, tree, catalog, TIMED_ENCODER, layout.projected(name))
        asked = vectors[catalog.queries][: settings.latency_queries]
        _, exact = ExactIndex.build(vectors[gallery], gallery, {}, params.seed).search(
            asked, settings.latency_k
        )

        def build(n_trees: int, vectors: Any = vectors) -> Callable[..., Any]:
            options = {"n_trees": n_trees, "search_k": -1}
            index = AnnoyIndex.build(vectors[gallery], gallery, options, params.seed)
            return lambda query, search_k: index.with_search_k(search_k).search(query, settings.latency_k)[1]

        curve = recall_latency_curve(
            build, settings.curve_trees, settings.curve_search_k, asked, exact, settings.latency_k
        )
        curves.append(curve.assign(index=name))
    return pd.concat(curves, ignore_index=True)


def _measure_embedding(params: Params, tree: Tree, catalog: Catalog) -> dict[str, float | int]:
    embedder = Encoder.open(tree.read(layout.encoder(TIMED_ENCODER))).embedder(params.extract.precision)
    files = np.array(catalog.files(catalog.queries)[:EMBEDDED], dtype=object)

    def embed(file: Any) -> object:
        image = read_image(file[0], params.clean.max_pixels, draft=2 * embedder.network.resize)
        return embedder.embed(for_embedding(image, embedder.network)[None])

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return measure_latency(embed, files)
    finally:
        torch.set_num_threads(threads)
