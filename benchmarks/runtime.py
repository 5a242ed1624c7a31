"""Embedding pictures that are ready: OpenVINO against PyTorch as it comes, in one run.

Usage: python benchmarks/runtime.py [--model tf_efficientnet_lite0] [--threads 1] [--rounds 5] [--output FILE]

Random weights and pixels, `BATCH` at once and one alone, in fp32 and, where the processor computes in it, in
bf16. All take turns. PyTorch computes a batch at once, with channels last; OpenVINO each picture alone.
"""

import argparse
import time
from functools import partial
from pathlib import Path

import numpy as np
import timm
import torch

from ris.artifacts import write_json
from ris.config import Network
from ris.encoders.backbone import create
from ris.encoders.conversion import converted
from ris.encoders.embedder import Compute
from ris.encoders.pytorch import on_gpu
from ris.encoders.runtime import Precision, has_bf16, on_processor
from ris.indexes.vectors import Vectors

BATCH, SIDE, ALONE = 32, 224, 6


def network(model: str) -> Network:
    """Describe a model of timm."""
    half = (0.5, 0.5, 0.5)
    dimension = timm.create_model(model, num_classes=0).num_features
    return Network(
        name=model,
        library="timm",
        model=model,
        dimension=dimension,
        resize=SIDE,
        crop=SIDE,
        interpolation="bicubic",
        mean=half,
        std=half,
    )


def contestants(model: str, threads: int) -> dict[str, Compute]:
    """Return what computes, by name."""
    described = network(model)
    module = create(described).eval()
    ours = converted(module, described)
    precisions: list[Precision] = ["fp32", "bf16"] if has_bf16() else ["fp32"]
    found: dict[str, Compute] = {}
    for precision in precisions:
        found[f"PyTorch {precision}"] = on_gpu(module, described, precision, "cpu")
        found[f"OpenVINO {precision}"] = on_processor(ours, precision, threads)
    return found


def cosines(one: Vectors, other: Vectors) -> Vectors:
    """Cosines of rows (n, D), (n, D) -> (n,)."""
    return np.asarray((one * other).sum(axis=1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1))


def main() -> None:
    """Print milliseconds a picture, and write them as JSON where asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="tf_efficientnet_lite0")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(options.threads)
    computing = contestants(options.model, options.threads)
    pixels = np.random.default_rng(0).integers(0, 256, (BATCH, 3, SIDE, SIDE), np.uint8)
    vectors = {name: compute(pixels) for name, compute in computing.items()}
    spent: dict[str, dict[str, list[float]]] = {name: {"batch": [], "alone": []} for name in computing}
    for _ in range(options.rounds):
        for name, compute in computing.items():
            for way, calls in (
                ("batch", [partial(compute, pixels)]),
                ("alone", [partial(compute, pixels[row : row + 1]) for row in range(ALONE)]),
            ):
                start = time.perf_counter()
                count = sum(len(call()) for call in calls)
                spent[name][way].append(1000 * (time.perf_counter() - start) / count)
    result = {
        name: {way: float(np.median(times)) for way, times in ways.items()} for name, ways in spent.items()
    }
    reference = vectors["PyTorch fp32"]
    for name, ways in result.items():
        apart = float((1 - cosines(vectors[name], reference)).max())
        speeds = f"{ways['batch']:9.1f} ms in batches{ways['alone']:9.1f} ms alone"
        print(f"{name:<16}{speeds}, 1 - cosine {apart:.1e}")
    if options.output:
        settings = {"model": options.model, "threads": options.threads, "batch": BATCH}
        write_json(options.output, settings | {"ms_per_picture": result})


if __name__ == "__main__":
    main()
