import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from omegaconf import OmegaConf

from ris.encoders.backbone import create
from ris.errors import RisError
from ris.indexes.registry import REGISTRY
from ris.lab import config
from ris.lab.compose import composed

PROJECT = Path(__file__).parents[1]
CONF = PROJECT / "conf"


def choices(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def raw(*overrides: str) -> Any:
    return OmegaConf.to_container(composed(CONF, list(overrides)), resolve=True)


def test_the_groups_are_the_known_ones() -> None:
    names = ["backbone", "config.yaml", "data", "debug", "experiment", "logger", "training_sweep.yaml"]
    names.append("tuning.yaml")
    assert sorted(path.name for path in CONF.iterdir()) == names
    assert all(path.suffix == ".yaml" for path in CONF.rglob("*") if path.is_file())


@pytest.mark.parametrize("backbone", choices("backbone"))
@pytest.mark.parametrize("data", choices("data"))
def test_every_choice_composes(data: str, backbone: str) -> None:
    source = ["data.source=pictures"] if data == "folder" else []
    params = config.check(raw(f"data={data}", f"backbone={backbone}", *source))
    assert (params.data.name, params.backbone.name) == (data, backbone)


@pytest.mark.parametrize("experiment", choices("experiment"))
def test_every_experiment_composes_and_its_keys_win(experiment: str) -> None:
    own = yaml.safe_load((CONF / "experiment" / f"{experiment}.yaml").read_text())
    plain = raw()
    for choice in own.pop("defaults"):
        ((group, name),) = choice.items()
        section = group.removeprefix("override /")
        plain[section] = yaml.safe_load((CONF / section / f"{name}.yaml").read_text())
    found = raw(f"experiment={experiment}")
    expected = OmegaConf.merge(plain, own)
    assert OmegaConf.to_container(expected, resolve=True) == found
    config.check(found)


@pytest.mark.parametrize("logger", choices("logger"))
def test_every_logger_composes_and_changes_nothing_else(logger: str) -> None:
    found = raw(f"logger={logger}")
    assert config.check(found).logger.kind == logger
    assert found == {**raw(), "logger": found["logger"]}


@pytest.mark.parametrize("debug", choices("debug"))
def test_debugging_shortens_whatever_experiment(debug: str) -> None:
    for experiment in choices("experiment"):
        params = config.check(raw(f"experiment={experiment}", f"debug={debug}"))
        assert (params.finetune.epochs, params.trainer.limit_train_batches, params.unseen.draws) == (1, 2, ())


def test_an_experiment_gives_way_to_what_is_asked_for_beside_it() -> None:
    own = yaml.safe_load((CONF / "experiment" / "demo.yaml").read_text())["finetune"]
    found = raw("experiment=demo", "finetune.batch_size=7", "backbone=resnet50")
    assert raw()["finetune"]["train_size"] != own["train_size"] == found["finetune"]["train_size"]
    assert (found["finetune"]["batch_size"], found["backbone"]["name"]) == (7, "resnet50")


@pytest.mark.parametrize("backbone", choices("backbone"))
def test_every_backbone_builds(backbone: str) -> None:
    network = config.check(raw(f"backbone={backbone}")).backbone
    module = create(network)
    assert sum(weight.numel() for weight in module.parameters()) > 1_000_000


def test_a_folder_needs_a_source() -> None:
    with pytest.raises(RisError, match=r"data\.source"):
        composed(CONF, ["data=folder"])
    assert raw("data=folder", "data.source=/my/pictures")["data"]["source"] == "/my/pictures"


def flat(section: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(section, dict):
        return {prefix: section}
    return {key: value for name in section for key, value in flat(section[name], f"{prefix}.{name}").items()}


def test_the_default_is_the_committed_experiment() -> None:
    committed = (PROJECT / "params.yaml").read_text()
    assert OmegaConf.to_yaml(composed(CONF, [])) == committed
    assert raw("experiment=lite0") == yaml.safe_load(committed)


@pytest.mark.parametrize(
    "override", ["pca.n_components=64", "finetune.epochs=2", "unseen.draws=[0]", "backbone.crop=192"]
)
def test_an_override_changes_one_parameter(override: str) -> None:
    committed, changed = flat(yaml.safe_load((PROJECT / "params.yaml").read_text())), flat(raw(override))
    assert [key for key in changed if changed[key] != committed[key]] == [f".{override.partition('=')[0]}"]


def test_the_mission_is_an_experiment() -> None:
    params = config.check(raw("experiment=resnet50"))
    assert (params.data.name, params.backbone.name) == ("caltech101", "resnet50")
    assert params.data.source == "https://data.caltech.edu/records/mzrjq-6wc02/files/caltech-101.zip"
    assert params.data.checksum == "md5:3138e1922a9193bfa496528edbbc45d0"


def test_resnet50_s_weights_are_torchvision_s_own() -> None:
    from torchvision.models import ResNet50_Weights

    official = ResNet50_Weights.IMAGENET1K_V2
    transforms = official.transforms()
    backbone = config.check(raw("experiment=resnet50")).backbone
    assert backbone.weights.source == official.url
    published = official.url.removesuffix(".pth").rpartition("-")[2]
    assert re.fullmatch(f"sha256:{published}[0-9a-f]{{56}}", backbone.weights.checksum or "")
    assert [backbone.crop] == transforms.crop_size
    assert [backbone.resize] == transforms.resize_size
    assert backbone.interpolation == transforms.interpolation.value
    assert list(backbone.mean) == transforms.mean
    assert list(backbone.std) == transforms.std


@pytest.mark.parametrize("backbone", [name for name in choices("backbone") if name != "resnet50"])
def test_a_timm_backbone_sees_what_timm_says(backbone: str) -> None:
    import timm

    network = config.check(raw(f"backbone={backbone}")).backbone
    expected = timm.get_pretrained_cfg(network.model)
    assert expected is not None
    assert (3, network.crop, network.crop) == expected.input_size
    # The committed backbone sees the whole of the central square.
    assert network.resize == (
        224 if backbone == "efficientnet_lite0" else int(network.crop / expected.crop_pct)
    )
    assert (network.mean, network.std) == (expected.mean, expected.std)
    assert network.interpolation == expected.interpolation


def test_an_index_has_the_same_parameters_in_a_store_and_by_default_in_the_pipeline() -> None:
    params = config.check(raw())
    kinds = [kind for kind in REGISTRY.values() if kind.stage is not None and kind.defaults]
    assert kinds
    for kind in kinds:
        assert params.index_parameters(kind) == dict(kind.defaults), kind.name
