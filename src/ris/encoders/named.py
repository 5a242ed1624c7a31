"""Which network embeds a store's pictures, and that it stays the same one."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict

from pydantic import ValidationError

from ris.artifacts import checksum
from ris.config import Backbone, Network, Section
from ris.download import verify
from ris.encoders import cache, hub, runtime
from ris.encoders.embedder import Device, Embedder
from ris.encoders.registry import ENTRIES, Entry, check_licence, named
from ris.encoders.runtime import Precision
from ris.encoders.weights import fetch_weights
from ris.errors import RisError
from ris.extras import require
from ris.indexes.projection import normalise
from ris.indexes.vectors import Vectors
from ris.types import BadQueryError, DamagedError

if TYPE_CHECKING:
    import openvino as ov
    from torch import nn


# PyTorch is an extra, and the larger part of a start: only functions that cannot do without import it.

Runtime: TypeAlias = Literal["openvino", "pytorch"]
"""What computes: the first on a processor, the second on a GPU."""

DEFAULT = "efficientnet_lite0"


BACKBONES = {
    name: entry.backbone for name, entry in ENTRIES.items() if entry.weights.source.startswith("package:")
}
"""Those whose weights a package of the index carries, by name.

Lite0 sees pictures resized to 224, all of their shorter side, as in the committed run; at its training it saw
crops of 256."""

CONVERTED = Path(__file__).parent / "networks"
"""Networks that come with the package, in the form of `ris.encoders.cache`, in folders of their names."""


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
    published: str | None = None
    """Checksum of the publisher's file, where the store keeps weights that have a name."""

    @property
    def seal(self) -> str:
        """What vectors of this encoder are marked with."""
        return self.model_dump_json(exclude_defaults=True)


@dataclass(frozen=True, eq=False)
class OpenEncoder:
    """An encoder that is open."""

    identity: Identity
    embedder: Embedder


def choose(
    encoder: str | Path | None,
    device: Device = "cpu",
    weights: Path | None = None,
    accept_licence: bool = False,
) -> tuple[Identity, bytes | None]:
    """Find the encoder that a new store is asked to have.

    Args:
        encoder: an encoder folder, or a name that `ris.encoders.registry.named` knows; None for `DEFAULT`.
        device: what computes.
        weights: file of a named one's weights, or a folder that holds `model.safetensors`; None for the
            publisher's.
        accept_licence: whether a licence that has to be accepted is.

    Returns:
        Who it is, and the weights that the store must keep, as safetensors.

    Raises:
        RisError: there is no such one, or it is damaged, or there is no such device.
    """
    computing = _computing(device)
    if encoder is not None and Path(encoder).is_dir():
        return _of_folder(Path(encoder), weights, computing)
    entry = named(str(encoder or DEFAULT))
    check_licence(entry, accept_licence)
    if weights is None and entry.name in BACKBONES:
        return _packaged(BACKBONES[entry.name], computing), None
    require("torch", to=f"use {entry.name}")
    return _published(entry, weights, computing)


def _of_folder(folder: Path, weights: Path | None, computing: _Computing) -> tuple[Identity, bytes]:
    if weights is not None:
        raise RisError(f"{folder} is an encoder with its own weights; leave the file of weights out.")
    require("torch", to=f"use the encoder {folder}")
    from ris.encoders.encoder import Encoder

    network, own = Encoder.open(folder).network, (folder / "weights.safetensors").read_bytes()
    return Identity(network=network, weights=_sha256(own), packaged=False, **computing), own


def _published(entry: Entry, weights: Path | None, computing: _Computing) -> tuple[Identity, bytes]:
    """Bring the weights that a name stands for into the form in which a store keeps them."""
    from safetensors.torch import save

    from ris.encoders.backbone import pretrained_state

    if weights is not None:
        file = weights / hub.FILE if weights.is_dir() else weights
        verify(file, entry.weights.checksum)
    else:
        found = fetch_weights(entry, cache.folder() / "weights")
        assert found is not None
        file = found
    own = save(pretrained_state(entry.network, file))
    identity = Identity(
        network=entry.network, weights=_sha256(own), packaged=False, published=checksum(file), **computing
    )
    return identity, own


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
        RisError: nothing here computes as it was computed there, or PyTorch is needed and not installed.
    """
    network = identity.network
    if identity.packaged:
        _check_packaged(identity)
    elif weights is None or _sha256(weights) != identity.weights:
        raise DamagedError("The store's encoder is damaged; build the store anew.")
    model = None
    if identity.packaged and identity.runtime == "openvino":
        model = cache.read(CONVERTED / network.name)
    if model is None:
        require("torch", to=f"use {network.name}")
        file = _packaged_file(identity) if identity.packaged else None
        if identity.runtime == "pytorch":
            return _on_gpu(identity, weights, file)
        model = _converted(identity, weights, file)
    return Embedder(network, runtime.on_processor(model, identity.precision, threads))


def directions(identity: Identity) -> Vectors:
    """Return where a store's network has each of ImageNet's thousand classes: (1000, D) of length 1.

    Raises:
        BadQueryError: it has no such classes, or the store does not know where.
    """
    if not identity.packaged:
        able = ", ".join(name for name in BACKBONES if ENTRIES[name].words)
        raise BadQueryError(
            f"Words say nothing to the store's encoder, {identity.network.name}; build a store with one of "
            f"{able}, or search by a picture."
        )
    _check_packaged(identity)
    require("torch", to="search with words", error=BadQueryError)
    from ris.encoders.backbone import last_layer

    return normalise(last_layer(identity.network, _packaged_file(identity)).numpy())


def _converted(identity: Identity, weights: bytes | None, file: Path | None) -> "ov.Model":
    place = cache.place(identity.network, identity.weights)
    model = cache.read(place)
    if model is None:
        from ris.encoders.conversion import converted

        model = converted(_module(identity.network, weights, file), identity.network)
        cache.keep(place, model)
    return model


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

    from ris.encoders.backbone import create, create_for, load_state, pretrained_state

    if file is not None:
        module = create(network)
        module.load_state_dict(pretrained_state(network, file))
        return module
    assert weights is not None
    module = create_for(network, len(weights), "The store's encoder")
    load_state(module, "The store's encoder", lambda: load(weights))
    return module


def _computing(device: Device) -> _Computing:
    if device == "cpu":
        return {"runtime": "openvino", "precision": "bf16" if runtime.has_bf16() else "fp32"}
    require("torch", to=f"use {device}")
    from ris.encoders import pytorch

    if pytorch.gpu() != device:
        raise RisError(f"PyTorch sees no {device} on this machine; leave `device` out to use the processor.")
    return {"runtime": "pytorch", "precision": "bf16" if pytorch.has_bf16() else "fp32"}


def _packaged(backbone: Backbone, computing: _Computing) -> Identity:
    network = Network(**backbone.model_dump(exclude={"weights"}))
    return Identity(network=network, weights=str(backbone.weights.checksum), packaged=True, **computing)


def _check_packaged(identity: Identity) -> None:
    name = identity.network.name
    backbone = BACKBONES.get(name)
    computing: _Computing = {"runtime": identity.runtime, "precision": identity.precision}
    if backbone is None or identity != _packaged(backbone, computing):
        raise DamagedError(
            f"The store was made with another {name} than this version has, whose vectors do not "
            "belong together; build it anew."
        )


def _packaged_file(identity: Identity) -> Path:
    file = fetch_weights(BACKBONES[identity.network.name], Path())
    assert file is not None
    return file


def _sha256(weights: bytes) -> str:
    return f"sha256:{hashlib.sha256(weights).hexdigest()}"
