"""Convolutions that apply their activation themselves, for a network that only computes.

PyTorch has oneDNN convolve, then goes over the result once more for the activation, and brings the weights
into oneDNN's order at each call. Its compiler does neither, by the operator that is used here, but it needs
a C++ compiler on the user's machine.
"""

import copy
import timeit
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from typing import Any, TypeAlias

import torch
from timm.layers.conv2d_same import Conv2dSame
from timm.layers.padding import pad_same
from torch import Tensor, nn

Shapes: TypeAlias = dict[nn.Module, list[int]]
"""Layers to the shape of what they are given."""

ACTIVATIONS = {nn.ReLU: "relu", nn.ReLU6: "hardtanh"}
"""By their names in oneDNN; rounding before or after them is the same."""


def fused(module: nn.Module, example: Tensor) -> nn.Module:
    """Return a network that computes the same to the last bit of finite values, but sooner.

    Call it in inference mode, and where as many processors compute as will later: in which order weights lie
    depends on that.

    Args:
        module: as `ris.encoders.encoder.fold_batch_norms` leaves it; it is not changed.
        example: (B, 3, H, W) of the network's precision, to try it with.

    Returns:
        The network itself where no other is the same and sooner.
    """
    if example.device.type != "cpu" or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return module
    candidate, batches = copy.deepcopy(module), (example[:1], example)
    try:
        _fuse(candidate, _shapes(candidate, example[:1]))
        equal = all(torch.equal(candidate(batch), module(batch)) for batch in batches)
    except (AttributeError, RuntimeError, OSError):
        # The operator is not public and may come to differ; scripting it needs this file's source.
        return module
    sooner = equal and all(_seconds(candidate, batch) < _seconds(module, batch) for batch in batches)
    return candidate if sooner else module


class FusedConvolution(nn.Module):
    """A convolution and the activation after it, if any."""

    weight: Tensor
    bias: Tensor | None

    def __init__(self, layer: nn.Conv2d, activation: str, shape: list[int]) -> None:
        super().__init__()
        self.same = isinstance(layer, Conv2dSame)
        self.kernel = list(layer.kernel_size)
        self.stride, self.dilation = list(layer.stride), list(layer.dilation)
        self.padding = [int(pixels) for pixels in layer.padding]
        self.groups, self.activation = layer.groups, activation
        weight = torch.ops.mkldnn._reorder_convolution_weight(
            layer.weight.detach(), self.padding, self.stride, self.dilation, self.groups, shape
        )
        self.register_buffer("weight", weight)
        self.register_buffer("bias", None if layer.bias is None else layer.bias.detach())

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C', H', W')."""
        if self.same:
            x = pad_same(x, self.kernel, self.stride, self.dilation)
        return _operator()(  # type: ignore[no-any-return]
            x, self.weight, self.bias, self.padding, self.stride, self.dilation, self.groups, self.activation
        )


def _convolve(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    padding: list[int],
    stride: list[int],
    dilation: list[int],
    groups: int,
    activation: str,
) -> Tensor:
    bounds: list[int | float | complex | None] = [0.0, 6.0]
    convolved: Tensor = torch.ops.mkldnn._convolution_pointwise(
        x, weight, bias, padding, stride, dilation, groups, activation, bounds, ""
    )
    return convolved


@cache
def _operator() -> Callable[..., Any]:
    # Tracing knows no lists of such numbers as the bounds; what was scripted it takes as it is.
    return torch.jit.script(_convolve)


def _fuse(module: nn.Module, shapes: Shapes) -> None:
    children = [*module.named_children(), ("", nn.Identity())]
    for (name, layer), (next_name, following) in pairwise(children):
        if isinstance(layer, nn.Conv2d) and layer in shapes and not isinstance(layer.padding, str):
            activation = ACTIVATIONS.get(type(following))
            setattr(module, name, FusedConvolution(layer, activation or "none", shapes[layer]))
            if activation:
                setattr(module, next_name, nn.Identity())
        else:
            _fuse(layer, shapes)


def _shapes(module: nn.Module, example: Tensor) -> Shapes:
    """Return what each convolution is given of an example (B, 3, H, W)."""
    shapes: Shapes = {}

    def note(layer: nn.Module, given: tuple[Tensor, ...], _: Tensor) -> None:
        shapes[layer] = list(given[0].shape)

    hooks = [layer.register_forward_hook(note) for layer in module.modules() if isinstance(layer, nn.Conv2d)]
    module(example)
    for hook in hooks:
        hook.remove()
    return shapes


def _seconds(module: nn.Module, batch: Tensor) -> float:
    return min(timeit.repeat(lambda: module(batch), number=1, repeat=3))
