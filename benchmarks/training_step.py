"""One step of training: PyTorch's gradients against the quicker ones of depthwise convolutions, in one run.

Usage: python benchmarks/training_step.py [--model tf_efficientnet_lite0] [--size 160] [--output FILE]

Random weights and pixels, batches of 64, in bf16 where the processor computes in it. Both take turns, first
with the C library's allocator as it is, then with memory kept (`ris.lab.allocator`).
"""

import argparse
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np
import timm
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ris.artifacts import write_json
from ris.encoders.pytorch import has_bf16
from ris.lab.allocator import reuse_memory
from ris.lab.depthwise import quickened

BATCH, CLASSES, ROUNDS = 64, 101, 6


def step(network: nn.Module, pixels: Tensor, labels: Tensor) -> None:
    """Forward and backward."""
    with torch.autocast("cpu", torch.bfloat16, enabled=has_bf16()):
        scores = network(pixels)
    torch.autograd.backward(cross_entropy(scores.float(), labels))


def measured(network: nn.Module, pixels: Tensor, labels: Tensor) -> dict[str, float]:
    """Return pictures a second by contestant, the median of some rounds after one to warm up."""
    contestants: dict[str, AbstractContextManager[None]] = {"plain": nullcontext()}
    speeds: dict[str, list[float]] = {"plain": [], "quickened": []}
    for _ in range(ROUNDS + 1):
        contestants["quickened"] = quickened(network)
        for name, contestant in contestants.items():
            with contestant:
                start = time.perf_counter()
                step(network, pixels, labels)
                speeds[name].append(len(pixels) / (time.perf_counter() - start))
    return {name: float(np.median(rates[1:])) for name, rates in speeds.items()}


def main() -> None:
    """Print both, and write them as JSON where asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="tf_efficientnet_lite0")
    parser.add_argument("--size", type=int, default=160)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    torch.manual_seed(0)
    network = timm.create_model(options.model, num_classes=CLASSES).to(memory_format=torch.channels_last)
    pixels = torch.randn(BATCH, 3, options.size, options.size).to(memory_format=torch.channels_last)
    labels = torch.randint(CLASSES, (BATCH,))
    found = measured(network, pixels, labels)
    reuse_memory()
    found |= {f"{name}, memory kept": rate for name, rate in measured(network, pixels, labels).items()}
    for name, rate in found.items():
        print(f"{name:<24}{rate:8.1f} pictures/s{rate / found['plain']:7.2f} x plain")
    if options.output:
        settings = {"model": options.model, "size": options.size, "threads": torch.get_num_threads()}
        write_json(options.output, settings | {"pictures_per_second": found})


if __name__ == "__main__":
    main()
