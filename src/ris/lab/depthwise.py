"""Depthwise convolutions whose gradients are quick on a CPU in bf16.

oneDNN, which computes PyTorch's convolutions on x86, is ten times and more slower than it need be for two
gradients in bf16: that of the input where the stride is 2, and that of a 5 x 5 kernel. Both are taken here
from convolutions that it is quick at. `benchmarks/training_step.py` compares the two.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from timm.layers.conv2d_same import Conv2dSame
from timm.layers.padding import get_same_padding
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, pixels: Tensor, kernel: Tensor, stride: int, margins: list[int]) -> Tensor:
        padded = pad(pixels, margins).contiguous(memory_format=torch.channels_last)
        ctx.save_for_backward(padded, kernel)
        ctx.stride, ctx.margins = stride, margins
        return conv2d(padded, kernel, stride=stride, groups=len(kernel))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        padded, kernel = ctx.saved_tensors
        of_pixels = of_kernel = None
        if ctx.needs_input_grad[0]:
            of_padded = _of_padded(gradient, kernel, padded.shape, ctx.stride)
            left, right, top, bottom = ctx.margins
            height, width = of_padded.shape[2:]
            of_pixels = of_padded[:, :, top : height - bottom, left : width - right]
            of_pixels = of_pixels.contiguous(memory_format=torch.channels_last)
        if ctx.needs_input_grad[1]:
            of_kernel = _of_kernel(gradient, kernel, padded, ctx.stride)
        return of_pixels, of_kernel, None, None


def _of_padded(gradient: Tensor, kernel: Tensor, shape: torch.Size, stride: int) -> Tensor:
    """Gradient of the input: that of the output, spread out to stride 1, convolved with the turned kernel."""
    size = kernel.shape[-1]
    height, width = shape[2] - size + 1, shape[3] - size + 1
    spread = gradient
    if stride > 1:
        spread = torch.empty(
            (*shape[:2], height, width), dtype=gradient.dtype, memory_format=torch.channels_last
        ).zero_()
        spread[:, :, ::stride, ::stride] = gradient
    return conv2d(spread, kernel.flip(2, 3), padding=size - 1, groups=len(kernel))


def _of_kernel(gradient: Tensor, kernel: Tensor, padded: Tensor, stride: int) -> Tensor:
    """Gradient of the kernel: a 5 x 5 one is put together from four 3 x 3 ones, which overlap."""
    size = kernel.shape[-1]
    if size == 3:
        return _of_small_kernel(gradient, kernel, padded, stride)
    height, width = padded.shape[2] - 2, padded.shape[3] - 2
    whole = torch.empty_like(kernel)
    for top in (0, 2):
        for left in (0, 2):
            seen = padded[:, :, top : top + height, left : left + width]
            small = kernel[:, :, :3, :3].contiguous(memory_format=torch.channels_last)
            part = _of_small_kernel(gradient, small, seen, stride)
            whole[:, :, top : top + 3, left : left + 3] = part
    return whole


def _of_small_kernel(gradient: Tensor, kernel: Tensor, padded: Tensor, stride: int) -> Tensor:
    padded = padded.contiguous(memory_format=torch.channels_last)
    grads = torch.ops.aten.convolution_backward(
        gradient, padded, kernel, bias_sizes=None, stride=[stride] * 2, padding=[0, 0], dilation=[1, 1],
        transposed=False, output_padding=[0, 0], groups=len(kernel), output_mask=[False, True, False],
    )  # fmt: skip
    return cast(Tensor, grads[1])


class _QuickConv2d(nn.Conv2d):
    plain = nn.Conv2d.forward

    def forward(self, input: Tensor) -> Tensor:
        if input.device.type != "cpu":
            return self.plain(input)
        kernel = self.weight
        if torch.is_autocast_enabled("cpu"):
            input, kernel = (part.to(torch.get_autocast_dtype("cpu")) for part in (input, kernel))
        return cast(Tensor, _Depthwise.apply(input, kernel, self.stride[0], self._margins(input)))

    def _margins(self, _input: Tensor) -> list[int]:
        return [self.kernel_size[0] // 2] * 4


class _QuickConv2dSame(Conv2dSame, _QuickConv2d):
    plain = Conv2dSame.forward
    forward = _QuickConv2d.forward

    def _margins(self, input: Tensor) -> list[int]:
        rows, columns = (
            get_same_padding(length, self.kernel_size[0], self.stride[0], 1) for length in input.shape[2:]
        )
        return [columns // 2, columns - columns // 2, rows // 2, rows - rows // 2]


_QUICK: dict[type[nn.Conv2d], type[nn.Conv2d]] = {nn.Conv2d: _QuickConv2d, Conv2dSame: _QuickConv2dSame}


@contextmanager
def quickened(module: nn.Module) -> Iterator[None]:
    """Give each depthwise convolution of a network the quicker gradients meanwhile; its function stays."""
    slow = [layer for layer in module.modules() if isinstance(layer, nn.Conv2d) and _is_slow(layer)]
    kinds = [type(layer) for layer in slow]
    for layer, kind in zip(slow, kinds, strict=True):
        layer.__class__ = _QUICK[kind]
    try:
        yield
    finally:
        for layer, kind in zip(slow, kinds, strict=True):
            layer.__class__ = kind


def _is_slow(layer: nn.Conv2d) -> bool:
    size = layer.kernel_size[0]
    depthwise = layer.groups == layer.in_channels == layer.out_channels
    square = layer.kernel_size in ((3, 3), (5, 5)) and layer.stride in ((1, 1), (2, 2))
    centred = isinstance(layer, Conv2dSame) or layer.padding == (size // 2, size // 2)
    slow = size == 5 or layer.stride == (2, 2)
    return (
        type(layer) in _QUICK
        and depthwise
        and square
        and centred
        and slow
        and layer.dilation == (1, 1)
        and layer.bias is None
    )
