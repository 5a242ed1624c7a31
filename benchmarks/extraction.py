"""Embedding picture files: the project's way against a plain loop, in one run.

Usage: python benchmarks/extraction.py FOLDER [--backbone efficientnet_lite0] [--count 1000] [--output FILE]

FOLDER holds pictures at any depth. The plain loop opens one picture after the other with Pillow and embeds
batches in bf16 with channels last, decoding and computing in turn. `bare forward` is the network alone on
pictures that are ready.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import OmegaConf
from PIL import Image
from torchvision.transforms import InterpolationMode, v2

from ris.config import Network
from ris.encoders.backbone import create, pretrained_state
from ris.encoders.encoder import Encoder
from ris.encoders.pytorch import has_bf16, standardise
from ris.encoders.transforms import for_embedding
from ris.encoders.weights import fetch_weights
from ris.images.decoding import read_image
from ris.lab import config
from ris.lab.compose import composed

BATCH, WORKERS, ROUNDS = 64, 2, 3


def plain_loop(encoder: Encoder, files: list[Path]) -> np.ndarray[Any, Any]:
    """Decode, resize, crop and embed, one thing after the other: (N, D) float32."""
    network, module = encoder.network, encoder.module.eval()
    prepare = v2.Compose(
        [
            v2.Resize(network.resize, InterpolationMode(network.interpolation)),
            v2.CenterCrop(network.crop),
            v2.PILToTensor(),
        ]
    )
    vectors = []
    for start in range(0, len(files), BATCH):
        images = [Image.open(file).convert("RGB") for file in files[start : start + BATCH]]
        pixels = torch.stack([prepare(image) for image in images])
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=has_bf16()):
            vectors.append(module(standardise(pixels, network.mean, network.std)).float().numpy())
    return np.concatenate(vectors)


def main() -> None:
    """Time the three in turn, several rounds, and print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()

    raw = composed(Path(__file__).parents[1] / "conf", [f"backbone={options.backbone}"])
    backbone = config.check(OmegaConf.to_container(raw, resolve=True)).backbone
    network = Network(**backbone.model_dump(exclude={"weights"}))
    module = create(network)
    weights = fetch_weights(backbone, Path(".ris/downloads"))
    if weights is not None:
        module.load_state_dict(pretrained_state(network, weights))
    encoder = Encoder(network, module)
    embedder = encoder.embedder()

    found = sorted(path for path in options.folder.rglob("*.jpg"))
    files = [found[i] for i in np.random.default_rng(0).permutation(len(found))[: options.count]]
    ready = np.stack([for_embedding(read_image(file, 2**31), network) for file in files[:BATCH]])

    def bare() -> int:
        for _ in range(0, len(files), BATCH):
            embedder.embed(ready)
        return len(ready) * -(-len(files) // BATCH)

    def pipeline() -> int:
        return len(embedder.embed_files(files, BATCH, WORKERS, max_pixels=2**31))

    contestants: dict[str, Callable[[], int]] = {
        "plain loop": lambda: len(plain_loop(encoder, files)),
        "pipeline": pipeline,
        "bare forward": bare,
    }
    speeds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(ROUNDS):
        for name, contestant in contestants.items():
            start = time.perf_counter()
            count = contestant()
            speeds[name].append(count / (time.perf_counter() - start))
    medians = {name: float(np.median(rates)) for name, rates in speeds.items()}
    for name, rate in medians.items():
        ratio = rate / medians["plain loop"]
        print(f"{name:<13}{rate:8.1f} images/s{ratio:7.2f} x the plain loop")
    if options.output:
        result = {
            "backbone": options.backbone,
            "pictures": len(files),
            "rounds": ROUNDS,
            "threads": torch.get_num_threads(),
            "images_per_second": {name: round(rate, 1) for name, rate in medians.items()},
        }
        options.output.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
