"""Any image model of timm as a backbone: dimension, classifier and stages; stored, opened, made fast."""

from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from torch import nn

from ris.config import Network
from ris.encoders.backbone import check_sees, create, freeze, last_layer, stages
from ris.encoders.encoder import Encoder
from ris.encoders.pytorch import standardise
from ris.errors import RisError

# Architecture, side of its pictures, and the classes of its classifier, 0 where it is not one linear layer.
BUILT = [
    ("test_vit", 160, 1000),
    ("test_efficientnet", 64, 1000),
    ("mobilenetv3_small_050", 64, 1000),
    ("mobilenetv4_conv_small", 64, 1000),
    ("efficientvit_b0", 64, 1000),
    ("ghostnet_050", 64, 1000),
    ("inception_next_atto", 64, 1000),
    ("eva02_tiny_patch14_224", 56, 0),
    ("deit_tiny_distilled_patch16_224", 64, 0),
    ("levit_128s", 224, 0),
    ("regnetx_002", 64, 1000),
    ("mobilevit_xxs", 64, 1000),
    ("hgnetv2_b0", 64, 1000),
    ("dla46_c", 64, 1000),
]
DESCRIBED = [
    ("tf_efficientnet_lite0", 64, 1000),
    ("resnet18", 64, 1000),
    ("resnetv2_18", 64, 1000),
    ("vgg11", 224, 1000),
    ("vit_small_patch14_dinov2", 224, 0),
    ("swin_tiny_patch4_window7_224", 176, 1000),
    ("convnext_atto", 64, 1000),
    ("densenet121", 64, 1000),
    ("edgenext_xx_small", 64, 1000),
    ("mnasnet_small", 64, 1000),
    ("repvgg_a0", 64, 1000),
    ("visformer_tiny", 224, 1000),
    ("mixer_s32_224", 224, 1000),
]


@cache
def network(model: str, side: int) -> Network:
    """Describe a model of timm, with the dimension that a forward pass gives."""
    with torch.device("meta"):
        own, published = timm.create_model(model, num_classes=0).eval(), timm.get_pretrained_cfg(model)
        assert published is not None
        dimension = own(torch.empty(1, *published.input_size)).shape[1]
    return Network(
        name=model,
        library="timm",
        model=model,
        dimension=dimension,
        resize=side,
        crop=side,
        interpolation="bicubic",
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
    )


def lively(module: nn.Module) -> nn.Module:
    """Give batch normalisations statistics that do something, as training leaves them."""
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.normal_(layer.bias, std=0.1)
            layer.running_mean = torch.randn(layer.num_features) * 0.1
            layer.running_var = torch.rand(layer.num_features) + 0.5
    return module.eval()


@pytest.mark.parametrize(("model", "side", "classes"), BUILT + DESCRIBED)
def test_a_model_of_timm_is_described_as_it_is(model: str, side: int, classes: int) -> None:
    """Its vectors, its classifier, and its stages: of a stage, all is frozen or nothing."""
    described = network(model, side)
    check_sees(described, side, "backbone.crop")
    with torch.device("meta"):
        assert last_layer(described, None).shape == (classes, described.dimension)
        module = create(described)
    parts = stages(module)
    assert sorted(name for part in parts for name in part) == sorted(dict(module.named_parameters()))
    frozen = freeze(module, 2)
    still = {name for name, weight in module.named_parameters() if not weight.requires_grad}
    assert still == {*parts[0], *parts[1]}
    assert not any(weight.requires_grad for part in frozen for weight in part.parameters())


@pytest.mark.parametrize(("model", "side", "classes"), BUILT)
def test_a_model_of_timm_is_stored_and_made_fast(model: str, side: int, classes: int, tmp_path: Path) -> None:
    torch.manual_seed(0)
    described = network(model, side)
    assert last_layer(described, None).shape == (classes, described.dimension)
    module = lively(create(described))
    Encoder(described, module).save(tmp_path / "encoder")
    opened = Encoder.open(tmp_path / "encoder")
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, side, side), dtype=np.uint8)
    with torch.no_grad():
        vectors = module(standardise(torch.from_numpy(pixels), described.mean, described.std)).numpy()
    assert vectors.shape == (2, described.dimension)
    found = opened.embedder("fp32").embed(pixels)
    np.testing.assert_allclose(found, vectors, rtol=0, atol=2e-3 * float(np.abs(vectors).max()))


def trained(model: str, side: int, count: int) -> set[str]:
    """What is left to train with some stages frozen, by the first two names of each parameter."""
    with torch.device("meta"):
        module = create(network(model, side))
    freeze(module, count)
    names = (name for name, weight in module.named_parameters() if weight.requires_grad)
    return {".".join(name.split(".")[:2]) for name in names}


def test_a_transformer_s_stem_is_its_tokens_positions_and_patches() -> None:
    everything, without_stem = trained("test_vit", 160, 0), trained("test_vit", 160, 1)
    assert (
        everything - without_stem == {"cls_token", "pos_embed", "patch_embed.proj", "reg_token"} & everything
    )
    assert {"cls_token", "pos_embed", "patch_embed.proj"} <= everything
    assert without_stem - trained("test_vit", 160, 2) == {"blocks.0"}


def test_stages_of_a_swin_and_a_convnext_are_its_own() -> None:
    swin = [trained("swin_tiny_patch4_window7_224", 224, count) for count in range(4)]
    gone = [before - after for before, after in pairwise(swin)]
    assert gone == [{"patch_embed.proj", "patch_embed.norm"}, {"layers.0"}, {"layers.1"}]
    convnext = [trained("convnext_atto", 64, count) for count in range(3)]
    assert [before - after for before, after in pairwise(convnext)] == [
        {"stem.0", "stem.1"},
        {"stages.0"},
    ]


def test_a_network_that_is_not_grouped_from_its_input_on_has_no_stages() -> None:
    with torch.device("meta"):
        assert stages(create(network("efficientvim_m1", 224))) == []


def test_a_side_that_a_network_does_not_take_is_told_in_a_sentence() -> None:
    with pytest.raises(RisError, match=r"`backbone\.crop` is 256, but mixer_s32_224 does not take"):
        check_sees(network("mixer_s32_224", 256), 256, "backbone.crop")


def test_the_dimension_before_the_head_is_refused() -> None:
    wrong = network("mobilenetv3_small_050", 64).model_copy(update={"dimension": 288})
    with pytest.raises(RisError, match=r"`backbone\.dimension` is 288, but mobilenetv3_small_050 gives 1024"):
        create(wrong)
