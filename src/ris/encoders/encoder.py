"""An encoder as it is stored and used: a folder that says all that is needed to embed a new picture."""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from PIL import Image
from pydantic import ValidationError
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from ris.artifacts import checksum, read_json, write_json, writing
from ris.config import Network
from ris.encoders.allocator import reuse_memory
from ris.encoders.backbone import create
from ris.encoders.transforms import for_embedding, standardise
from ris.errors import RisError
from ris.images.decoding import read_image

FORMAT = 1

Looks = Callable[[Image.Image], Sequence[Image.Image]]
"""A picture to the pictures that are embedded of it, as many for every one."""


def whole(image: Image.Image) -> list[Image.Image]:
    """The picture itself."""
    return [image]


@dataclass(frozen=True)
class Encoder:
    """A network with its weights, ready to embed."""

    network: Network
    module: nn.Module
    """(B, 3, H, W) float -> (B, dimension) float."""

    def save(self, folder: Path) -> None:
        """Write `weights.safetensors` and `encoder.json` as one folder."""
        with writing(folder) as fresh:
            fresh.mkdir()
            weights = fresh / "weights.safetensors"
            state = self.module.state_dict()
            weights.write_bytes(save({name: tensor.contiguous() for name, tensor in state.items()}))
            identity = {"format": FORMAT, "weights": checksum(weights), **self.network.model_dump()}
            write_json(fresh / "encoder.json", identity)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Read an encoder folder; the checksum is verified before the weights are parsed.

        Raises:
            RisError: not an encoder folder, of another format, or damaged.
        """
        identity = read_json(folder / "encoder.json")
        weights = folder / "weights.safetensors"
        if not isinstance(identity, dict) or identity.pop("format", None) != FORMAT:
            raise RisError(f"{folder / 'encoder.json'} has another format; make it anew with `dvc repro`.")
        if not weights.is_file() or checksum(weights) != identity.pop("weights", None):
            raise RisError(f"{weights} is missing or damaged; make it anew with `dvc repro`.")
        try:
            network = Network.model_validate(identity)
            module = create(network)
            module.load_state_dict(load_file(weights))
        except (ValidationError, RuntimeError) as error:
            raise RisError(f"{folder / 'encoder.json'} is damaged; make it anew with `dvc repro`.") from error
        return cls(network, module)

    def embedder(self, precision: str = "auto") -> "Embedder":
        """The same network made fast for inference.

        Args:
            precision: `bf16`, `fp32`, or `auto` for bf16 where the processor computes in it.
        """
        reuse_memory()
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        dtype = (
            torch.bfloat16 if precision == "bf16" or (precision == "auto" and has_bf16()) else torch.float32
        )
        module = fold_batch_norms(copy.deepcopy(self.module).eval())
        return Embedder(self.network, module.to(device, dtype), device, dtype)


@dataclass(frozen=True)
class Embedder:
    """Pixels in, vectors out."""

    network: Network
    module: nn.Module
    device: torch.device
    dtype: torch.dtype

    @torch.inference_mode()
    def embed(self, pixels: Tensor) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Embed prepared pictures: (B, 3, crop, crop) uint8 -> (B, dimension) float32."""
        batch = standardise(pixels.to(self.device), self.network.mean, self.network.std).to(self.dtype)
        return self.module(batch).float().cpu().numpy()  # type: ignore[no-any-return]

    def embed_files(
        self, files: Sequence[Path], batch_size: int, workers: int, max_pixels: int, looks: Looks = whole
    ) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Embed picture files in their order, all looks at one together: (N · looks, dimension) float32.

        Decoding runs in `workers` processes beside the network. A vector does not depend on `workers`, and
        on `batch_size` only by the rounding of the precision.

        Raises:
            RisError: a file cannot be read any more, or a vector is not finite.
        """
        loader = DataLoader(Pictures(files, self.network, max_pixels, looks), batch_size, num_workers=workers)
        with worker_errors_told():
            batches = [
                self.embed(pixels)
                for batch in tqdm(loader, "embedding", unit="batch", disable=None)
                for pixels in batch.flatten(end_dim=1).split(batch_size)
            ]
        vectors = np.concatenate(batches)
        if not np.isfinite(vectors).all():
            row = int(np.flatnonzero(~np.isfinite(vectors).all(axis=1))[0]) * len(files) // len(vectors)
            raise RisError(f"The vector of {files[row]} is not finite; retrain with a lower learning rate.")
        return vectors


class Pictures(Dataset[Tensor]):
    """Picture files as the network sees them: (looks, 3, crop, crop) uint8 each."""

    def __init__(
        self, files: Sequence[Path], network: Network, max_pixels: int, looks: Looks = whole
    ) -> None:
        self.files, self.network, self.max_pixels, self.looks = files, network, max_pixels, looks

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Tensor:
        draft = 2 * self.network.resize if self.looks is whole else None
        image = read_image(self.files[index], self.max_pixels, draft)
        return torch.stack([for_embedding(look, self.network) for look in self.looks(image)])


@contextmanager
def worker_errors_told() -> Iterator[None]:
    """Tell what went wrong in a DataLoader's worker as it was told there, without the traceback around it."""
    try:
        yield
    except (RisError, RuntimeError) as error:
        if "in DataLoader worker process" not in str(error):
            raise
        raise RisError(str(error).strip().splitlines()[-1].partition(": ")[2]) from error


def has_bf16() -> bool:
    """Whether this machine's processor or GPU computes in bf16 by itself."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu.get_capabilities().get("avx512_bf16", False))


def fold_batch_norms(module: nn.Module) -> nn.Module:
    """Fold each batch normalisation that follows a convolution into it, in place, for inference.

    The same function up to rounding, with a third less to compute. A layer's own activation, as timm's
    BatchNormAct2d has it, is kept.
    """
    children = list(module.named_children())
    for (name, layer), (next_name, following) in pairwise(children):
        if isinstance(layer, nn.Conv2d) and isinstance(following, nn.BatchNorm2d):
            setattr(module, name, fuse_conv_bn_eval(layer, following))
            setattr(module, next_name, getattr(following, "act", nn.Identity()))
    for child in module.children():
        fold_batch_norms(child)
    return module
