"""The named encoders: what the registry says is what timm says, and each embeds as timm's own pipeline."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import torchvision
from PIL import Image
from safetensors.torch import load, save_file
from timm.data.config import resolve_data_config
from timm.data.transforms_factory import create_transform
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from ris.encoders import cache
from ris.encoders.backbone import create
from ris.encoders.named import choose, restore
from ris.encoders.registry import ENTRIES, Entry, check_licence, named
from ris.encoders.transforms import for_embedding
from ris.errors import RisError

OF_TIMM = [name for name, entry in ENTRIES.items() if entry.library == "timm"]
NOT_OF_THE_HUB = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
"""Prepared by the numbers of the models' own publisher."""


def multiplications(module: nn.Module, side: int) -> float:
    module.eval()
    with FlopCounterMode(display=False) as counter:
        module(torch.empty(1, 3, side, side, device="meta"))
    return float(counter.get_total_flops()) / 2


def reference(entry: Entry, **options: object) -> nn.Module:
    """Build a named encoder without this project's code."""
    if entry.library == "torchvision":
        return torchvision.models.get_model(entry.model, weights=None)  # type: ignore[no-any-return]
    pooling = {} if entry.pooling is None else {"global_pool": entry.pooling}
    return timm.create_model(entry.model, **pooling, **options)  # type: ignore[arg-type]


def pooled(module: nn.Module, pixels: Tensor) -> Tensor:
    with torch.no_grad():
        if hasattr(module, "forward_head"):
            return module.forward_head(module.forward_features(pixels), pre_logits=True)  # type: ignore[operator, no-any-return]
        vectors: list[Tensor] = []
        module.get_submodule("avgpool").register_forward_hook(
            lambda *step: vectors.append(step[2].flatten(1))
        )
        module(pixels)
        return vectors[0]


@pytest.mark.parametrize("name", ENTRIES)
def test_cost_and_dimension_are_as_the_registry_says(name: str) -> None:
    lite0, entry = ENTRIES["efficientnet_lite0"], ENTRIES[name]
    with torch.device("meta"):
        module, least = create(entry.network), create(lite0.network)
    vectors = module.eval()(torch.empty(1, 3, entry.crop, entry.crop, device="meta"))
    assert vectors.shape == (1, entry.dimension)
    cost = multiplications(module, entry.crop) / multiplications(least, lite0.crop)
    assert entry.cost == pytest.approx(cost, abs=0.05)


@pytest.mark.parametrize("name", [name for name in OF_TIMM if name not in NOT_OF_THE_HUB])
def test_pictures_are_prepared_as_timm_s_data_config_says(name: str) -> None:
    entry = ENTRIES[name]
    published = timm.get_pretrained_cfg(entry.model)
    assert published is not None
    config = resolve_data_config(pretrained_cfg=published.to_dict())  # type: ignore[no-untyped-call]
    assert config["crop_mode"] == "center"
    assert (entry.mean, entry.std, entry.interpolation) == (
        config["mean"],
        config["std"],
        config["interpolation"],
    )
    side = 224 if "dinov2" in name else config["input_size"][1]
    assert (entry.crop, entry.resize) == (side, int(side / config["crop_pct"]))
    assert entry.weights.source == f"hub:{published.hf_hub_id}"
    assert (entry.terms is None) == (published.license == "apache-2.0")


@pytest.mark.parametrize("name", ENTRIES)
def test_every_entry_is_loaded_and_embeds_as_its_library_does(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Random weights in the publisher's form, through the file, the store's bytes and OpenVINO."""
    monkeypatch.setenv("RIS_CACHE", str(tmp_path / "cache"))
    entry = ENTRIES[name]
    if "vit" in entry.model:  # Twelve equal blocks show no more than two, and take six times as long.
        monkeypatch.setattr(timm, "create_model", partial(timm.create_model, depth=2))
    torch.manual_seed(0)
    own = reference(entry).eval()
    for layer in own.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.weight, 0.7, 1.3)
            layer.running_var = torch.rand(layer.num_features) * 0.5 + 0.75
    file = tmp_path / "model.safetensors"
    save_file(own.state_dict(), file)
    monkeypatch.setitem(ENTRIES, name, entry.model_copy(update={"weights": unchecked(entry)}))
    identity, weights = choose(name, weights=tmp_path, accept_licence=True)
    assert weights is not None
    assert not identity.packaged
    assert {*load(weights)} <= {*own.state_dict()}
    embedder = restore(identity.model_copy(update={"precision": "fp32"}), weights)

    noise = np.random.default_rng(0).integers(0, 256, (7, 9, 3), dtype=np.uint8)
    picture = Image.fromarray(noise).resize((360, 300), Image.Resampling.BICUBIC)
    found = embedder.embed(for_embedding(picture, entry.network)[None])[0]
    prepare = create_transform(
        (3, entry.crop, entry.crop),
        crop_pct=entry.crop / entry.resize,
        mean=entry.mean,
        std=entry.std,
        interpolation=entry.interpolation,
    )
    sees = own
    if "dinov2" in name:  # timm's way to another side: the positions are resampled when the weights are read.
        of_file = {"pretrained": True, "pretrained_cfg_overlay": {"file": str(file)}}
        sees = reference(entry, img_size=entry.crop, **of_file).eval()
    expected = pooled(sees, prepare(picture)[None])[0].numpy()
    agreement = found @ expected / np.linalg.norm(found) / np.linalg.norm(expected)
    assert agreement > 0.999
    assert np.linalg.norm(found - expected) < 0.05 * np.linalg.norm(expected)


def unchecked(entry: Entry) -> object:
    return entry.weights.model_copy(update={"checksum": None})


def test_any_model_of_timm_is_described_by_timm() -> None:
    entry = named("timm:vit_small_patch16_224.augreg_in21k_ft_in1k")
    assert (entry.dimension, entry.crop, entry.resize) == (384, 224, 248)
    assert (entry.mean, entry.licence, entry.terms) == ((0.5, 0.5, 0.5), "apache-2.0", None)
    assert entry.weights.source == "hub:timm/vit_small_patch16_224.augreg_in21k_ft_in1k"
    assert named("timm:convnext_atto").model == "convnext_atto.d2_in1k"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("mobileclip_s0", "mobileclip_s0 is refused: its weights are licensed for research alone"),
        ("timm:vit_small_patch16_dinov3_qkvb.eupe_lvd1689m", "research that is not commercial"),
        ("tinyclip", "its two towers need open_clip"),
        ("dinov2_smal", "nor a name of `ris encoders`; dinov2_small is; give one of these"),
        ("timm:convnext_atom", "timm has no model convnext_atom; near it are convnext_atto"),
        ("timm:vit_so400m_patch14_siglip_378.webli_ft_in1k", "does not see the central square"),
        ("timm:test_vit2x", "timm has no model"),
    ],
)
def test_what_cannot_be_had_is_one_sentence(name: str, sentence: str) -> None:
    with pytest.raises(RisError, match=r".") as told:
        named(name)
    assert sentence in str(told.value)


def test_a_licence_is_shown_and_must_be_accepted(tmp_path: Path) -> None:
    with pytest.raises(RisError, match=r"DINOv3 License, https://ai\.meta\.com\S*; read it"):
        choose("dinov3_small", weights=tmp_path)
    check_licence(ENTRIES["dinov3_small"], accepted=True)
    with pytest.raises(RisError, match=r"comes under the cc-by-nc-4\.0"):
        check_licence(named("timm:convnextv2_atto.fcmae_ft_in1k"), accepted=False)


def test_a_file_of_another_network_is_refused(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(2)}, tmp_path / "model.safetensors")
    with pytest.raises(RisError, match="holds no weights for vit_small_patch14_dinov2"):
        choose("dinov2_small", weights=tmp_path)
    with pytest.raises(RisError, match="is missing"):
        choose("dinov2_small", weights=tmp_path / "absent")
    with pytest.raises(RisError, match="11ad3fa6 is expected"):
        choose("resnet50", weights=tmp_path)
    assert not (cache.folder() / "weights" / "model.safetensors").exists()
