"""The quicker gradients against PyTorch's own."""

import copy

import pytest
import timm
import torch
from timm.layers.conv2d_same import Conv2dSame
from torch import Tensor, nn

from ris.lab.depthwise import quickened

SIZES = [(9, 12), (8, 7), (3, 5)]


def gradients(layer: nn.Module, pixels: Tensor) -> tuple[Tensor, ...]:
    """The output, and the gradients of a weighted sum of it by the input and every weight."""
    pixels = pixels.clone().requires_grad_()
    output = layer(pixels)
    weights = torch.linspace(-1, 1, output.numel(), dtype=output.dtype).view_as(output)
    return output, *torch.autograd.grad((output * weights).sum(), [pixels, *layer.parameters()])


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("kind", [nn.Conv2d, Conv2dSame])
def test_output_and_gradients_are_the_plain_ones(
    kind: type[nn.Conv2d], kernel: int, stride: int, size: tuple[int, int]
) -> None:
    torch.manual_seed(0)
    padding = kernel // 2 if kind is nn.Conv2d else 0
    layer = kind(6, 6, kernel, stride, padding, groups=6, bias=False).double()
    pixels = torch.randn(2, 6, *size, dtype=torch.double)
    expected = gradients(layer, pixels)
    with quickened(layer):
        assert (type(layer) is not kind) == (kernel == 5 or stride == 2)
        found = gradients(layer, pixels)
    assert type(layer) is kind
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", [nn.Conv2d, Conv2dSame])
def test_elsewhere_than_on_a_cpu_it_is_the_plain_layer(kind: type[nn.Conv2d]) -> None:
    padding = 1 if kind is nn.Conv2d else 0
    layer = kind(6, 6, 3, 2, padding, groups=6, bias=False, device="meta")
    pixels = torch.empty(2, 6, 9, 12, device="meta")
    expected = layer(pixels).shape
    with quickened(layer):
        assert type(layer) is not kind
        assert layer(pixels).shape == expected == (2, 6, 5, 6)


def test_a_whole_network_learns_the_same_and_is_given_back_as_it_was() -> None:
    torch.manual_seed(0)
    plain = timm.create_model("tf_efficientnet_lite0", num_classes=0).double().eval()
    quick = copy.deepcopy(plain)
    kinds = [type(layer) for layer in quick.modules()]
    pixels = torch.randn(2, 3, 64, 64, dtype=torch.double)
    expected = gradients(plain, pixels)
    with quickened(quick):
        assert sum(type(layer) is not kind for layer, kind in zip(quick.modules(), kinds, strict=True)) == 11
        found = gradients(quick, pixels)
    assert [type(layer) for layer in quick.modules()] == kinds
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(6, 6, 5, padding=2, groups=6),  # a bias
        nn.Conv2d(6, 6, 5, padding=2, groups=3, bias=False),  # not depthwise
        nn.Conv2d(6, 6, 7, padding=3, groups=6, bias=False),
        nn.Conv2d(6, 6, 5, padding=4, dilation=2, groups=6, bias=False),
        nn.Conv2d(6, 6, 5, padding=1, groups=6, bias=False),
    ],
)
def test_other_convolutions_stay(layer: nn.Conv2d) -> None:
    with quickened(layer):
        assert type(layer) is nn.Conv2d


def test_half_precision_is_that_of_autocast() -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(6, 6, 5, 2, 2, groups=6, bias=False)
    pixels = torch.randn(2, 6, 16, 16)
    with torch.autocast("cpu", torch.bfloat16):
        expected = gradients(layer, pixels)
        with quickened(layer):
            found = gradients(layer, pixels)
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype
        torch.testing.assert_close(one, other, rtol=0.02, atol=0.05)
