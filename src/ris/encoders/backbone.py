"""Networks without their classifiers, and the state that they start from."""

from collections.abc import Callable, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import timm
import torch
import torchvision
from safetensors import SafetensorError
from safetensors.torch import load_file
from timm.models import group_parameters
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


def create_for(network: Network, weights: int, name: str) -> nn.Module:
    """Build a network as `create` does, for weights that were handed over; a larger one is not built.

    Args:
        network: as whoever handed over the weights describes it.
        weights: how many bytes they have.
        name: of what holds them, for the message.

    Raises:
        DamagedError: the network has more numbers than the weights have bytes.
        RisError: see `create`.
    """
    with torch.device("meta"):
        numbers = sum(tensor.numel() for tensor in create(network).state_dict().values())
    if numbers > weights:
        raise DamagedError(
            f"{name} is damaged, or holds the weights of another network: {weights:,} bytes are too few for "
            f"the {numbers:,} numbers of {network.model}."
        )
    return create(network)


def check_sees(network: Network, side: int, key: str) -> None:
    """Check that a network makes a vector of a picture of `side` x `side` pixels; nothing is computed.

    Raises:
        RisError: it takes other sides, or gives no single vector; `key` is the parameter that is named.
    """
    with torch.device("meta"):
        module = create(network).eval()
        try:
            shape = module(torch.empty(2, 3, side, side)).shape
        except (RuntimeError, AssertionError, ValueError, AttributeError) as error:
            raise RisError(
                f"`{key}` is {side}, but {network.model} does not take pictures of {side} x {side} pixels; "
                "set the side that it was made for."
            ) from error
    if shape != (2, network.dimension):
        raise RisError(
            f"`backbone.model`: {network.model} gives no vector of {network.dimension} numbers for a "
            f"picture, but {tuple(shape[1:])}; take another model."
        )


def stages(module: nn.Module) -> list[list[str]]:
    """Names of a network's parameters from the input on: the stem, with tokens and positions, then by stage.

    timm's own grouping (`timm.models.group_parameters`), in which a transformer's block is a stage where it
    has no larger ones, and the norm or the convolution after the last stage belongs to it. A ResNet of
    torchvision is grouped likewise. Empty where no grouping begins with the parameters that come first.
    """
    if hasattr(module, "group_matcher"):
        matcher = module.group_matcher(coarse=True)  # type: ignore[operator]
    else:
        matcher = {"stem": r"^(?:conv1|bn1)\.", "blocks": r"^layer(\d+)"}
    grouped = group_parameters(module, matcher)
    names = [grouped[number] for number in sorted(grouped)]
    first = next((name for name, _ in module.named_parameters()), None)
    return names if len(names) > 1 and first in names[0] else []


def freeze(module: nn.Module, count: int) -> list[nn.Module]:
    """Keep the first `count` stages from training; return the parts that are theirs alone."""
    frozen = {name for stage in stages(module)[:count] for name in stage}
    for name, weight in module.named_parameters():
        weight.requires_grad_(name not in frozen)
    parts = [part for part in module.modules() if any(True for _ in part.parameters())]
    return [part for part in parts if not any(weight.requires_grad for weight in part.parameters())]


def pretrained_state(network: Network, file: Path) -> dict[str, Tensor]:
    """Read published weights for the network that `create` builds.

    Raises:
        RisError: see `published_state`.
    """
    body, state = create(network).state_dict(), published_state(network, file)
    return {name: state[name] for name in body}


def last_layer(network: Network, file: Path | None) -> Tensor:
    """Read the weights of the classifier that `create` leaves out: (K, dimension), random without a file.

    (0, dimension) where the network has no classifier, or another than one linear layer.

    Raises:
        RisError: see `published_state`.
    """
    module = _with_classifier(network)
    if file is not None:
        module.load_state_dict(published_state(network, file))
    layer = module.fc if network.library == "torchvision" else module.get_classifier()  # type: ignore[operator]
    if not isinstance(layer, nn.Linear | nn.Conv2d) or layer.weight[0].numel() != network.dimension:
        return torch.zeros(0, network.dimension)
    return layer.weight.detach().flatten(1)


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
            module = _of_any_side(network)
            dimension = getattr(module, "head_hidden_size", module.num_features)
            module.get_classifier  # noqa: B018
    except (ValueError, RuntimeError, AttributeError) as error:
        raise RisError(f"`backbone.model`: {network.library} has no fitting {network.model}.") from error
    if dimension != network.dimension:
        raise RisError(f"`backbone.dimension` is {network.dimension}, but {network.model} gives {dimension}.")
    return module  # type: ignore[no-any-return]


def _of_any_side(network: Network) -> nn.Module:
    """Build a model of timm that takes pictures of other sides than its own, where it can be made so."""
    own: dict[str, Any] = {} if network.pooling is None else {"global_pool": network.pooling}
    options: tuple[dict[str, Any], ...] = ({"dynamic_img_size": True}, {"strict_img_size": False})
    for option in options:
        try:
            return timm.create_model(network.model, pretrained=False, **own, **option)
        except TypeError:  # It has no such option.
            continue
    return timm.create_model(network.model, pretrained=False, **own)


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
