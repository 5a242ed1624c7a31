"""Encoder folders with random weights, that embed in milliseconds."""

from pathlib import Path

import torch

from ris.config import Network
from ris.encoders.backbone import create
from ris.encoders.encoder import Encoder

DIMENSIONS = {"test_resnet": 96, "test_efficientnet": 256}
"""By the name of a model of timm."""


def small_encoder(folder: Path, model: str = "test_resnet", side: int = 32, seed: int = 0) -> Path:
    """Make one that sees pictures of a side in pixels, in a folder, and return this."""
    torch.manual_seed(seed)
    network = Network(
        name=model,
        library="timm",
        model=model,
        dimension=DIMENSIONS[model],
        resize=side,
        crop=side,
        interpolation="bilinear",
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
    )
    Encoder(network, create(network)).save(folder)
    return folder
