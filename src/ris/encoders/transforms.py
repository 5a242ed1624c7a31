"""How a picture becomes what the network sees: resized, cut and standardised."""

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ris.config import Network


def for_embedding(image: Image.Image, network: Network) -> Tensor:
    """Resize an RGB picture's shorter side and cut the central square: (3, crop, crop) uint8.

    Both in one step: only what the square shows is resampled, so a panorama costs no more than a square.
    """
    side = network.crop / network.resize * min(image.size)
    left, top = (image.width - side) / 2, (image.height - side) / 2
    filter = Image.Resampling[network.interpolation.upper()]
    square = (network.crop, network.crop)
    return to_tensor(image.resize(square, filter, box=(left, top, left + side, top + side)))


def to_tensor(image: Image.Image) -> Tensor:
    """An RGB picture as a (3, H, W) uint8 tensor."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def standardise(batch: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """Bring uint8 pixels (B, 3, H, W) to the network's range: float32, same shape, channels last."""
    shift = torch.tensor(mean, device=batch.device).mul_(255).view(1, 3, 1, 1)
    scale = torch.tensor(std, device=batch.device).mul_(255).view(1, 3, 1, 1)
    pixels = batch.to(torch.float32, copy=True).sub_(shift).div_(scale)
    return pixels.contiguous(memory_format=torch.channels_last)
