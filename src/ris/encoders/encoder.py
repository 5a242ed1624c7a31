"""An encoder as it is stored and used: a folder that says all that is needed to embed a new picture."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from pydantic import ValidationError
from safetensors.torch import load_file, save
from torch import nn

from ris.artifacts import checksum, read_json, write_json, writing
from ris.config import Network
from ris.encoders import pytorch, runtime
from ris.encoders.backbone import create_for, load_state
from ris.encoders.conversion import converted
from ris.encoders.embedder import Embedder
from ris.errors import RisError

FORMAT = 1
MAX_BYTES = 100_000
"""Of an `encoder.json`; one has some 500."""


@dataclass(frozen=True)
class Encoder:
    """A network with its weights, ready to be trained or to embed."""

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
            identity = {
                "format": FORMAT,
                "weights": checksum(weights),
                **self.network.model_dump(exclude_defaults=True),
            }
            write_json(fresh / "encoder.json", identity)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Read an encoder folder; the checksum is verified before the weights are parsed.

        Raises:
            RisError: not an encoder folder, of another format, or damaged.
        """
        described, weights = folder / "encoder.json", folder / "weights.safetensors"
        if described.is_file() and described.stat().st_size > MAX_BYTES:
            raise RisError(f"{described} has more than {MAX_BYTES} bytes, so it describes no encoder.")
        identity = read_json(described)
        if not isinstance(identity, dict) or identity.pop("format", None) != FORMAT:
            raise RisError(f"{described} has another format; make it anew with `dvc repro`.")
        if not weights.is_file() or checksum(weights) != identity.pop("weights", None):
            raise RisError(f"{weights} is missing or damaged; make it anew with `dvc repro`.")
        try:
            network = Network.model_validate(identity)
        except ValidationError as error:
            raise RisError(f"{described} is damaged; make it anew with `dvc repro`.") from error
        module = create_for(network, weights.stat().st_size, str(weights))
        load_state(module, str(weights), lambda: load_file(weights))
        return cls(network, module)

    def embedder(self, precision: Literal["auto", "bf16", "fp32"] = "auto") -> Embedder:
        """The same network made fast for inference: on a GPU by PyTorch, else on all processors by OpenVINO.

        Args:
            precision: `auto` for bf16 where they compute in it.
        """
        device = pytorch.gpu()
        if precision == "auto":
            precision = "bf16" if pytorch.has_bf16() else "fp32"
        if device is not None:
            return Embedder(self.network, pytorch.on_gpu(self.module, self.network, precision, device))
        model = converted(self.module, self.network)
        return Embedder(self.network, runtime.on_processor(model, precision, os.cpu_count() or 1))
