"""Convolutions that apply their activation themselves: the same bits, or none of it."""

from collections.abc import Iterator

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn

from ris.encoders import fused as under_test
from ris.encoders.encoder import fold_batch_norms
from ris.encoders.fused import FusedConvolution, fused

MODELS = {
    "efficientnet_lite0": lambda: timm.create_model("tf_efficientnet_lite0", num_classes=0),
    "resnet": torchvision.models.resnet18,
}

in_bf16 = pytest.mark.skipif(
    not torch.cpu.get_capabilities().get("avx512_bf16", False),
    reason="PyTorch convolves bf16 by oneDNN only where the processor does",
)


@pytest.fixture(autouse=True)
def one_processor() -> Iterator[None]:
    count = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.inference_mode():
        yield
    torch.set_num_threads(count)


@pytest.fixture(autouse=True)
def fused_is_sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(under_test, "_seconds", lambda module, _: 1.0 / (1 + convolutions(module)))


def convolutions(module: nn.Module) -> int:
    return sum(isinstance(layer, FusedConvolution) for layer in module.modules())


def network(name: str, precision: torch.dtype = torch.bfloat16) -> nn.Module:
    torch.manual_seed(0)
    module = MODELS[name]().eval()
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for values, mean, deviation in ((layer.running_mean, 0, 0.1), (layer.running_var, 1, 0.1)):
                assert values is not None
                values.copy_(torch.randn_like(values) * deviation + mean)
            nn.init.normal_(layer.bias, 0, 1)
    return fold_batch_norms(module).to(precision).to(memory_format=torch.channels_last)


def pictures(count: int, side: int = 96) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randn((count, 3, side, side), generator=generator).to(torch.bfloat16)
    return pixels.contiguous(memory_format=torch.channels_last)


@in_bf16
@pytest.mark.parametrize("name", MODELS)
def test_every_bit_is_the_same(name: str) -> None:
    module = network(name)
    before = sum(isinstance(layer, nn.Conv2d) for layer in module.modules())
    sooner = fused(module, pictures(8))
    assert convolutions(sooner) == before
    assert convolutions(module) == 0
    for count, side in ((1, 96), (3, 96), (8, 96), (2, 129)):
        vectors = module(pictures(count, side))
        assert vectors.std() > 0
        assert torch.equal(sooner(pictures(count, side)), vectors)


@in_bf16
def test_activations_are_not_computed_apart() -> None:
    module = network("efficientnet_lite0")
    sooner = fused(module, pictures(2))
    assert sum(isinstance(layer, nn.ReLU6) for layer in module.modules()) == 33
    assert not any(isinstance(layer, nn.ReLU6) for layer in sooner.modules())


@in_bf16
@pytest.mark.filterwarnings(r"ignore:`torch\.jit\.:FutureWarning")
def test_it_can_be_traced() -> None:
    module = network("efficientnet_lite0")
    traced = torch.jit.trace(fused(module, pictures(2)), pictures(1), check_trace=False)  # type: ignore[no-untyped-call]
    frozen = torch.jit.freeze(traced, optimize_numerics=False)
    assert torch.equal(frozen(pictures(4)), module(pictures(4)))


@in_bf16
def test_one_other_bit_and_the_network_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    module = network("efficientnet_lite0")
    monkeypatch.setitem(under_test.ACTIVATIONS, nn.ReLU6, "relu")
    assert fused(module, pictures(2)) is module


@in_bf16
def test_what_takes_longer_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    module = network("resnet")
    monkeypatch.setattr(under_test, "_seconds", lambda module, _: float(convolutions(module)))
    assert fused(module, pictures(2)) is module


@in_bf16
def test_pytorch_without_the_operator(monkeypatch: pytest.MonkeyPatch) -> None:
    module = network("resnet")
    monkeypatch.setattr(under_test, "_operator", lambda: torch.ops.mkldnn._no_such_operator)
    assert fused(module, pictures(2)) is module


@in_bf16
def test_a_relu_after_a_convolution() -> None:
    module = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.ReLU()).to(torch.bfloat16)
    sooner = fused(module, pictures(2))
    assert [type(layer) for layer in sooner.children()] == [FusedConvolution, nn.Identity]
    assert torch.equal(sooner(pictures(3)), module(pictures(3)))


@in_bf16
def test_a_convolution_that_pads_by_name_stays_as_it_is() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3, padding="same"), nn.Conv2d(4, 4, 1)).to(torch.bfloat16)
    assert [type(layer) for layer in fused(module, pictures(2)).children()] == [nn.Conv2d, FusedConvolution]


@in_bf16
def test_python_without_its_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    def scripted() -> None:
        raise OSError("could not get source code")

    module = network("resnet")
    monkeypatch.setattr(under_test, "_operator", scripted)
    assert fused(module, pictures(2)) is module


def test_in_single_precision_not_a_bit_changes_either() -> None:
    module = network("efficientnet_lite0", torch.float32)
    asked = pictures(8).float()
    assert torch.equal(fused(module, asked)(asked), module(asked))
