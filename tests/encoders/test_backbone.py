"""Networks against their libraries' own, and every way in which weights can be the wrong ones."""

import hashlib
import os
import pickle
import re
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
import yaml
from safetensors.torch import save_file
from torch import Tensor, nn

from ris.config import Backbone, Network, Weights
from ris.encoders.backbone import create, last_layer, pretrained_state
from ris.encoders.weights import fetch_weights
from ris.errors import RisError

CONF = Path(__file__).parents[2] / "conf/backbone"
Conf = Callable[[str], Backbone]


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def lively(module: nn.Module) -> nn.Module:
    """Give batch normalisations statistics that do something, as training leaves them."""
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            for values in (layer.bias, layer.running_mean):
                assert isinstance(values, Tensor)
                nn.init.normal_(values, std=0.1)
            assert layer.running_var is not None
            nn.init.uniform_(layer.running_var, 0.5, 1.5)
    return module


@pytest.fixture(scope="module")
def resnet() -> nn.Module:
    """torchvision's own ResNet-50, classifier and all."""
    torch.manual_seed(0)
    return lively(torchvision.models.resnet50(weights=None)).eval()


@pytest.fixture(scope="module")
def published(resnet: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of weights, named as torchvision names them, by the start of its checksum."""
    file = tmp_path_factory.mktemp("published") / "resnet50.pth"
    torch.save(resnet.state_dict(), file)
    return file.rename(file.with_name(f"resnet50-{sha256(file)[:8]}.pth"))


@pytest.fixture
def address(published: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(published.parent))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/{published.name}"
        server.shutdown()
        thread.join()


@pytest.fixture
def small(tiny: Network) -> dict[str, Tensor]:
    """Weights for the tiny network, with its classifier, as a publisher has them."""
    model = torchvision.models.get_model(tiny.model, weights=None)
    state: dict[str, Tensor] = model.state_dict()
    return state


def with_source(backbone: Backbone, source: str | Path, checksum: str | None = None) -> Backbone:
    weights = Weights.model_construct(source=str(source), checksum=checksum)
    return backbone.model_copy(update={"weights": weights})


def agree(state: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return set(state) == set(other) and all(torch.equal(state[name], other[name]) for name in state)


def without_classifier(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in state.items() if not name.startswith("fc.")}


def test_resnet50_is_torchvision_s_own_before_its_classifier(
    backbone: Conf, resnet: nn.Module, address: str, tmp_path: Path
) -> None:
    checksum = f"sha256:{address[-12:-4]}"
    resnet50 = backbone("resnet50").model_copy(update={"weights": Weights(source=address, checksum=checksum)})
    file = fetch_weights(resnet50, tmp_path / "cache")
    assert file is not None
    assert file.parent == tmp_path / "cache"
    module = create(resnet50)
    module.load_state_dict(pretrained_state(resnet50, file))

    pooled: list[Tensor] = []
    resnet.get_submodule("avgpool").register_forward_hook(lambda *step: pooled.append(step[2].flatten(1)))
    pixels = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        resnet(pixels)
        vectors = module.eval()(pixels.contiguous(memory_format=torch.channels_last))
    assert vectors.shape == (2, 2048)
    torch.testing.assert_close(vectors, pooled[0], rtol=1e-4, atol=1e-4 * float(pooled[0].abs().max()))
    assert torch.equal(last_layer(resnet50, file), resnet.state_dict()["fc.weight"])


def test_a_download_with_another_checksum_is_thrown_away(
    backbone: Conf, address: str, tmp_path: Path
) -> None:
    with pytest.raises(RisError, match="checksum"):
        fetch_weights(with_source(backbone("resnet50"), address, "sha256:11ad3fa6"), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_local_file_is_checked(backbone: Conf, published: Path, tmp_path: Path) -> None:
    right = with_source(backbone("resnet50"), published, f"sha256:{published.stem[-8:]}")
    assert fetch_weights(right, tmp_path) == published
    with pytest.raises(RisError, match="checksum"):
        fetch_weights(with_source(right, published, "sha256:11ad3fa6"), tmp_path)
    with pytest.raises(RisError, match=re.escape(str(tmp_path / "absent.pth"))):
        fetch_weights(with_source(right, tmp_path / "absent.pth", "sha256:11ad3fa6"), tmp_path)


def test_random_needs_no_file(backbone: Conf, tmp_path: Path) -> None:
    resnet50 = backbone("resnet50")
    assert fetch_weights(with_source(resnet50, "random:"), tmp_path) is None
    assert last_layer(resnet50, None).shape == (1000, 2048)


def test_a_missing_package_is_named(backbone: Conf, tmp_path: Path) -> None:
    for source in ("package:no_such_weights_model/a.pth", "package:torch/no_such_file.pth"):
        with pytest.raises(RisError, match=r"no-such-weights-model|no_such_file\.pth"):
            fetch_weights(with_source(backbone("efficientnet_lite0"), source, "sha256:00000000"), tmp_path)


def timm_name(published: str) -> str:
    """timm's name for a tensor of EfficientNet-Lite0 in the names of Mingxing Tan's TensorFlow code."""
    depths = [1, 2, 2, 3, 3, 4, 1]
    places = [f"{stage}.{layer}" for stage, depth in enumerate(depths) for layer in range(depth)]
    heads = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2"}
    first = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
    later = {
        "_expand_conv": "conv_pw",
        "_bn0": "bn1",
        "_depthwise_conv": "conv_dw",
        "_bn1": "bn2",
        "_project_conv": "conv_pwl",
        "_bn2": "bn3",
    }
    layer, _, value = published.rpartition(".")
    if not layer.startswith("_blocks."):
        return f"{heads[layer]}.{value}"
    _, block, part = layer.split(".")
    return f"blocks.{places[int(block)]}.{(later if int(block) else first)[part]}.{value}"


def test_lite0_s_weights_come_from_its_package_to_their_places(backbone: Conf, tmp_path: Path) -> None:
    lite0 = backbone("efficientnet_lite0")
    file = fetch_weights(lite0, tmp_path)
    assert file is not None
    published = torch.load(file, weights_only=True)
    expected = {timm_name(name): value for name, value in published.items() if not name.startswith("_fc.")}
    state = pretrained_state(lite0, file)
    assert agree(state, expected)
    create(lite0).load_state_dict(state)
    assert torch.equal(last_layer(lite0, file), published["_fc.weight"])


@pytest.mark.parametrize("file", sorted(CONF.glob("*.yaml")), ids=lambda file: file.stem)
def test_every_backbone_of_conf_builds(file: Path, tmp_path: Path) -> None:
    backbone = Backbone.model_validate(yaml.safe_load(file.read_text()))
    assert backbone.name == file.stem
    module = create(backbone)
    if backbone.weights.source.startswith("package:"):
        weights = fetch_weights(backbone, tmp_path)
        assert weights is not None
        module.load_state_dict(pretrained_state(backbone, weights))
    with torch.no_grad():
        vectors = module.eval()(torch.randn(1, 3, 64, 64))
    assert vectors.shape == (1, backbone.dimension)
    assert vectors.std() > 0


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_both_formats_are_read(tiny: Network, small: dict[str, Tensor], tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"weights{suffix}"
    save_file(small, file) if suffix == ".safetensors" else torch.save(small, file)
    state = pretrained_state(tiny, file)
    assert agree(state, without_classifier(small))
    create(tiny).load_state_dict(state)


@pytest.mark.parametrize("model", ["shufflenet_v2_x1_0", "resnet18"], ids=["other shapes", "other names"])
def test_weights_of_another_backbone_are_refused(tiny: Network, tmp_path: Path, model: str) -> None:
    torch.save(torchvision.models.get_model(model, weights=None).state_dict(), tmp_path / "other.pth")
    with pytest.raises(RisError, match=r"other\.pth holds no weights for shufflenet_v2_x0_5"):
        pretrained_state(tiny, tmp_path / "other.pth")


@pytest.mark.parametrize("change", ["one less", "one more", "two swapped"])
def test_foreign_names_must_fit_in_number_and_shape(
    tiny: Network, small: dict[str, Tensor], tmp_path: Path, change: str
) -> None:
    tensors = list(small.values())
    if change == "one less":
        tensors.pop()
    elif change == "one more":
        tensors.append(torch.zeros(1))
    else:
        tensors[-1], tensors[-2] = tensors[-2], tensors[-1]
    torch.save({f"theirs.{number}": tensor for number, tensor in enumerate(tensors)}, tmp_path / "w.pth")
    with pytest.raises(RisError, match="holds no weights"):
        pretrained_state(tiny, tmp_path / "w.pth")


class Payload:
    """Makes a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("wrapped", ["whole", "among tensors", "bare pickle"])
def test_code_in_a_pickle_does_not_run(
    tiny: Network, small: dict[str, Tensor], tmp_path: Path, wrapped: str
) -> None:
    payload, file = Payload(tmp_path / "ran"), tmp_path / "w.pth"
    if wrapped == "bare pickle":
        file.write_bytes(pickle.dumps(payload, protocol=2))
    else:
        torch.save(payload if wrapped == "whole" else small | {"fc.bias": payload}, file)
    with pytest.raises(RisError, match=r"w\.pth .* was not run"):
        pretrained_state(tiny, file)
    assert not (tmp_path / "ran").exists()
    torch.load(file, weights_only=False) if wrapped != "bare pickle" else pickle.loads(file.read_bytes())
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("kept", [0, 7, 3000, -100])
def test_a_cut_file_is_refused(
    tiny: Network, small: dict[str, Tensor], tmp_path: Path, suffix: str, kept: int
) -> None:
    file = tmp_path / f"w{suffix}"
    save_file(small, file) if suffix == ".safetensors" else torch.save(small, file)
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(RisError, match=f"w{suffix} is damaged"):
        pretrained_state(tiny, file)


@pytest.mark.parametrize("content", [torch.zeros(3), {"epoch": 3}, [torch.zeros(3)]], ids=str)
def test_what_is_no_state_dict_is_refused(tiny: Network, tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(RisError, match=r"w\.pth is no plain state dict"):
        pretrained_state(tiny, tmp_path / "w.pth")


@pytest.mark.parametrize(
    ("library", "model", "message"),
    [
        ("torchvision", "resnet_of_mine", "torchvision has no fitting resnet_of_mine"),
        ("timm", "resnet_of_mine", "timm has no fitting resnet_of_mine"),
        ("torchvision", "alexnet", "torchvision has no fitting alexnet"),
        ("torchvision", "resnet18", "`backbone.dimension` is 1024, but resnet18 gives 512"),
    ],
)
def test_a_model_that_does_not_fit_is_named(tiny: Network, library: str, model: str, message: str) -> None:
    with pytest.raises(RisError, match=message):
        create(tiny.model_copy(update={"library": library, "model": model}))
