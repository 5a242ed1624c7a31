"""Networks run by PyTorch: on a GPU, and wherever one is trained."""

import copy

import torch
from torch import Tensor, nn

from ris.config import Network
from ris.encoders import runtime
from ris.encoders.embedder import Compute, Device
from ris.encoders.runtime import Precision
from ris.encoders.transforms import Pixels
from ris.indexes.vectors import Vectors


def gpu() -> Device | None:
    """Return the graphics processor of this machine; None where PyTorch sees none."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else None


def has_bf16() -> bool:
    """Whether that which PyTorch computes on, a GPU or the processor, computes in bf16 by itself."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return runtime.has_bf16()


def for_inference(module: nn.Module, precision: Precision, device: Device) -> nn.Module:
    """Return a copy of a network that only computes."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    return copy.deepcopy(module).eval().to(device, dtype)


def on_gpu(module: nn.Module, network: Network, precision: Precision, device: Device) -> Compute:
    """Make a network ready to compute, all pictures that it is given at once.

    A vector depends on those beside it by the rounding of the precision.
    """
    ready = for_inference(module, precision, device)
    dtype = next(ready.parameters()).dtype

    @torch.inference_mode()
    def compute(pixels: Pixels) -> Vectors:
        batch = standardise(torch.from_numpy(pixels).to(device), network.mean, network.std).to(dtype)
        return ready(batch).float().cpu().numpy()  # type: ignore[no-any-return]

    return compute


def standardise(batch: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """Bring uint8 pixels (B, 3, H, W) to the network's range: float32, same shape, channels last."""
    shift = torch.tensor(mean, device=batch.device).mul_(255).view(1, 3, 1, 1)
    scale = torch.tensor(std, device=batch.device).mul_(255).view(1, 3, 1, 1)
    pixels = batch.to(torch.float32, copy=True).sub_(shift).div_(scale)
    return pixels.contiguous(memory_format=torch.channels_last)
