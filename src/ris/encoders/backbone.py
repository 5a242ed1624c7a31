"""Networks without their classifiers, and the state that they start from."""

from collections.abc import Callable, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import cast

import timm
import torch
import torchvision
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from ris.config import Network
from ris.errors import RisError
from ris.types import DamagedError


def create(network: Network) -> nn.Module:
    """Build a network with random weights whose forward gives pooled vectors, (B, 3, H, W) -> (B, dimension).

    Raises:
        RisError: the library has no such model, or the model's dimension is another.
    """
    module = _with_classifier(network)
    if network.library == "timm":
        module.reset_classifier(0)  # type: ignore[operator]
    else:
        module.fc = nn.Identity()
    return module.to(memory_format=torch.channels_last)


def stages(module: nn.Module) -> list[nn.Module]:
    """The parts of an EfficientNet or a ResNet from the input on: the stem, then stage by stage.

    Of another network none is known.
    """
    layers = dict(module.named_children())
    later = [layer for name, layer in layers.items() if name.startswith("layer")]
    later += layers.get("blocks", nn.Sequential()).children()
    stem = nn.ModuleList(layers[name] for name in ("conv_stem", "conv1", "bn1") if name in layers)
    return [stem, *later] if later else []


def pretrained_state(network: Network, file: Path) -> dict[str, Tensor]:
    """Read published weights for the network that `create` builds.

    Raises:
        RisError: see `published_state`.
    """
    body, state = create(network).state_dict(), published_state(network, file)
    return {name: state[name] for name in body}


def last_layer(network: Network, file: Path | None) -> Tensor:
    """Read the weights of the classifier that `create` leaves out: (K, dimension), random without a file.

    Raises:
        RisError: see `published_state`.
    """
    module = _with_classifier(network)
    if file is not None:
        module.load_state_dict(published_state(network, file))
    layer = module.fc if network.library == "torchvision" else module.get_classifier()  # type: ignore[operator]
    return cast(nn.Linear, layer).weight.detach()


def published_state(network: Network, file: Path) -> dict[str, Tensor]:
    """Read published weights for a network with its classifier.

    Tensors are matched by name or, where the publisher named them otherwise, in order: their number and
    every shape must fit.

    Args:
        network: the network that the weights are for.
        file: a state dict, as safetensors or in PyTorch's format; it is read without running any code.

    Raises:
        RisError: the file is damaged, holds more than tensors, or belongs to another network.
    """
    wanted = _with_classifier(network).state_dict()
    state = _read_state(file)
    if set(state) != set(wanted):
        state = dict(zip(wanted, state.values(), strict=False)) if len(state) == len(wanted) else {}
    if not state or any(state[name].shape != tensor.shape for name, tensor in wanted.items()):
        raise RisError(
            f"{file} holds no weights for {network.model}: its tensors have other names and shapes; "
            "set `backbone.weights.source` to this network's own file."
        )
    return {name: state[name].to(tensor.dtype).contiguous() for name, tensor in wanted.items()}


def load_state(module: nn.Module, name: str, read: Callable[[], dict[str, Tensor]]) -> None:
    """Load the weights that a network was saved with.

    Args:
        module: as `create` made it; it takes them.
        name: of what holds them, for the message.
        read: reads them.

    Raises:
        DamagedError: they are no safetensors, or those of another network.
    """
    try:
        module.load_state_dict(read())
    except (SafetensorError, RuntimeError, ValueError, TypeError, LookupError, OSError) as error:
        raise DamagedError(f"{name} is damaged, or holds the weights of another network.") from error


def _with_classifier(network: Network) -> nn.Module:
    # To timm, and to the hub behind it, a name with these is an address or a folder.
    if any(letter in network.model for letter in ":/\\"):
        raise RisError(f"`backbone.model`: {network.model!r} is no name of a model of {network.library}.")
    try:
        if network.library == "torchvision":
            module = torchvision.models.get_model(network.model, weights=None)
            dimension = module.fc.in_features
        else:
            module = timm.create_model(network.model, pretrained=False)
            dimension = module.num_features
    except (ValueError, RuntimeError, AttributeError) as error:
        raise RisError(f"`backbone.model`: {network.library} has no fitting {network.model}.") from error
    if dimension != network.dimension:
        raise RisError(f"`backbone.dimension` is {network.dimension}, but {network.model} gives {dimension}.")
    return module  # type: ignore[no-any-return]


def _read_state(file: Path) -> dict[str, Tensor]:
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        state = torch.load(file, map_location="cpu", weights_only=True)
    except (UnpicklingError, SafetensorError, RuntimeError, EOFError, ValueError) as error:
        raise RisError(
            f"{file} is damaged or holds more than tensors, and was not run; take the publisher's own file."
        ) from error
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise RisError(f"{file} is no plain state dict; take the publisher's own file.")
    return dict(state)
