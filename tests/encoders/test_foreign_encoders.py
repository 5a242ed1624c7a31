"""An encoder folder from elsewhere is data: nothing is fetched for it, and each damage is one sentence."""

import hashlib
import json
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ris.artifacts import checksum
from ris.config import Network
from ris.encoders.backbone import create
from ris.encoders.encoder import MAX_BYTES, Encoder
from ris.encoders.named import Identity, restore
from ris.errors import RisError


@pytest.fixture(scope="module")
def folder(tiny: Network, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("handed over") / "encoder"
    Encoder(tiny, create(tiny)).save(place)
    return place


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        pytest.fail("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def opened_with(folder: Path, text: str) -> str:
    """Open a copy of the folder with another encoder.json; return the sentence that it ends with."""
    copy = folder.with_name("copy")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder, copy)
    (copy / "encoder.json").write_text(text)
    with pytest.raises(RisError) as caught:
        Encoder.open(copy)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("library", ["timm", "torchvision"])
@pytest.mark.parametrize(
    "model",
    ["hf-hub:someone/model", "hf_hub:someone/model", "local-dir:/tmp", "https://a.example/", "../x", ":"],
)
def test_a_model_is_a_name_in_the_registry(folder: Path, library: str, model: str) -> None:
    described = json.loads((folder / "encoder.json").read_text()) | {"library": library, "model": model}
    assert "is no name of a model" in opened_with(folder, json.dumps(described))


FREE = ("name", "resize", "crop", "interpolation", "mean", "std", "format")
FIELDS = (*FREE, "weights", "library", "model", "dimension")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(field=st.sampled_from(FIELDS) | st.text(max_size=10), value=VALUES)
def test_any_value_of_a_field_is_taken_or_refused(folder: Path, field: str, value: Any) -> None:
    described = json.loads((folder / "encoder.json").read_text()) | {field: value}
    copy = folder.with_name("changed")
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    (copy / "weights.safetensors").symlink_to(folder / "weights.safetensors")
    (copy / "encoder.json").write_text(json.dumps(described))
    try:
        Encoder.open(copy)
    except RisError as error:
        assert "\n" not in str(error)  # noqa: PT017
    else:
        assert field in FREE


def test_a_description_is_bounded_before_it_is_read(folder: Path) -> None:
    assert f"more than {MAX_BYTES} bytes" in opened_with(folder, "[" * (MAX_BYTES + 1))
    assert "not valid JSON" in opened_with(folder, "[" * MAX_BYTES)


def test_a_network_larger_than_its_weights_is_not_built(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of 2.5 GB where the folder has a few MB."""
    giant = {"library": "timm", "model": "vit_huge_patch14_224", "dimension": 1280, "crop": 32}
    described = json.loads((folder / "encoder.json").read_text()) | giant
    built: list[torch.device] = []
    create_model = timm.create_model

    def created(*arguments: Any, **options: Any) -> Any:
        built.append(torch.get_default_device())
        return create_model(*arguments, **options)

    monkeypatch.setattr(timm, "create_model", created)
    told = opened_with(folder, json.dumps(described))
    assert "bytes are too few for the 630,764,800 numbers of vit_huge_patch14_224." in told
    assert built
    assert {device.type for device in built} == {"meta"}

    weights = (folder / "weights.safetensors").read_bytes()
    network = Network(**{key: one for key, one in described.items() if key not in ("format", "weights")})
    identity = Identity(
        network=network,
        weights=f"sha256:{hashlib.sha256(weights).hexdigest()}",
        runtime="openvino",
        precision="fp32",
        packaged=False,
    )
    with pytest.raises(
        RisError, match=r"The store's encoder is damaged, .* too few for the 630,764,800 numbers"
    ):
        restore(identity, weights)


@pytest.mark.parametrize("cut", [0, 4, 8, 100, -1, "noise"])
def test_corrupt_weights_of_the_right_checksum_are_one_sentence(folder: Path, cut: int | str) -> None:
    copy = folder.with_name("corrupt")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder, copy)
    weights = copy / "weights.safetensors"
    data = weights.read_bytes()
    weights.write_bytes(b"\xff" * 16 + data[16:] if isinstance(cut, str) else data[:cut])
    described = json.loads((copy / "encoder.json").read_text()) | {"weights": checksum(weights)}
    (copy / "encoder.json").write_text(json.dumps(described))
    with pytest.raises(
        RisError, match=r"weights\.safetensors is damaged, or holds the weights of another network"
    ):
        Encoder.open(copy)
