import copy
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from ris.errors import RisError
from ris.lab import config

RAW = yaml.safe_load((Path(__file__).parents[2] / "params.yaml").read_text())
OPTIONAL = {"data.checksum", "data.root", "data.background", "backbone.weights.checksum"}
TEXTS = ["data.name", "data.attribution", "data.source", "data.root", "backbone.name", "backbone.model"]
MISSING = object()


def walk(section: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in section.items():
        yield prefix + name, value
        if isinstance(value, dict):
            yield from walk(value, f"{prefix}{name}.")


KEYS = dict(walk(RAW))
SECTIONS = [key for key, value in KEYS.items() if isinstance(value, dict)]
LEAVES = [key for key in KEYS if key not in SECTIONS]
NUMBERS = [key for key in LEAVES if isinstance(KEYS[key], int | float) and not isinstance(KEYS[key], bool)]


def changed(**values: Any) -> dict[str, Any]:
    """All of params.yaml with other values; `__` stands for the dot of a key, MISSING takes it away."""
    raw: dict[str, Any] = copy.deepcopy(RAW)
    for key, value in values.items():
        *parents, last = key.split("__")
        section = raw
        for parent in parents:
            section = section[parent]
        if value is MISSING:
            del section[last]
        else:
            section[last] = value
    return raw


def told(key: str, value: Any) -> str:
    with pytest.raises(RisError) as caught:
        config.check(changed(**{key.replace(".", "__"): value}))
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert sentence[-1] in ".?"
    assert len(sentence) < 400
    return sentence


def test_what_is_checked_is_what_was_written() -> None:
    params = config.check(RAW)
    assert params.pca.n_components == RAW["pca"]["n_components"]
    assert params.evaluate.k == tuple(RAW["evaluate"]["k"])
    assert params.backbone.weights.checksum == RAW["backbone"]["weights"]["checksum"]
    with pytest.raises(ValidationError):
        params.pca.whiten = True  # type: ignore[misc]


@pytest.mark.parametrize("key", [key for key in KEYS if key not in OPTIONAL])
def test_a_missing_key_is_named(key: str) -> None:
    assert told(key, MISSING).startswith(f"Key `{key}` is missing; ")


@pytest.mark.parametrize("section", ["", *(f"{section}." for section in SECTIONS)])
def test_an_unknown_key_is_named_with_those_that_are_known(section: str) -> None:
    sentence = told(f"{section}xyzzy", 1)
    assert sentence.startswith(f"Unknown key `{section}xyzzy`; known here: ")
    left_out = {"pooling"} if section == "backbone." else set()
    known = {*(KEYS[section[:-1]] if section else RAW), *left_out}
    assert set(sentence.removesuffix(".").partition("known here: ")[2].split(", ")) == set(known)


@pytest.mark.parametrize("key", [key for key in KEYS if len(key.rpartition(".")[2]) > 3])
def test_a_misspelt_key_leads_to_the_right_one(key: str) -> None:
    typo = key[:-1]
    raw = changed(**{typo.replace(".", "__"): KEYS[key], key.replace(".", "__"): MISSING})
    with pytest.raises(RisError) as caught:
        config.check(raw)
    assert str(caught.value) == f"Unknown key `{typo}`; did you mean `{key}`?"


@pytest.mark.parametrize("key", LEAVES)
def test_a_section_in_place_of_a_value_is_refused(key: str) -> None:
    assert told(key, {"a": 1}).startswith(f"Bad value for `{key}`: ")


@pytest.mark.parametrize("key", SECTIONS)
def test_a_value_in_place_of_a_section_is_refused(key: str) -> None:
    for value in (3, None, "caltech101", [1]):
        assert told(key, value) == f"Bad value for `{key}`: it must be a section of keys (got {value!r})."


@pytest.mark.parametrize("key", NUMBERS)
def test_what_is_no_number_is_refused(key: str) -> None:
    for value in ("many", None, True, [1], float("nan"), float("inf")):
        sentence = told(key, value)
        assert sentence.startswith(f"Bad value for `{key}`: ")
        assert sentence.endswith(f" (got {value!r}).")


@pytest.mark.parametrize("key", TEXTS)
def test_what_is_no_text_is_refused(key: str) -> None:
    for value in (5, True, ["a"]):
        assert told(key, value).startswith(f"Bad value for `{key}`: ")


@pytest.mark.parametrize(
    ("key", "low", "high"),
    [
        ("seed", -1, 2**31),
        ("training_seed", -1, 2**31),
        ("index_seed", -1, 2**31),
        ("threads", 0, None),
        ("index_recall", 0.0, 1.0),
        ("data.max_files", 0, None),
        ("data.max_bytes", 0, None),
        ("backbone.dimension", 0, None),
        ("backbone.resize", 7, 2049),
        ("backbone.crop", 7, 2049),
        ("clean.max_pixels", 0, None),
        ("clean.min_class_size", 2, None),
        ("clean.near_duplicates.min_inliers", 3, None),
        ("clean.near_duplicates.min_similarity", 0.0, 1.0),
        ("clean.query_share", 0.0, 1.0),
        ("clean.validation_share", 0.0, 1.0),
        ("clean.workers", 0, None),
        ("finetune.epochs", -1, None),
        ("finetune.batch_size", 1, None),
        ("finetune.train_size", 31, 1025),
        ("finetune.learning_rate", 0.0, None),
        ("finetune.weight_decay", -0.1, None),
        ("finetune.warmup_share", -0.1, 1.0),
        ("finetune.temperature", 0.0, None),
        ("finetune.label_smoothing", -0.1, 1.0),
        ("finetune.distillation", -0.1, None),
        ("finetune.pretrained_share", -0.1, 1.1),
        ("finetune.class_balance", -0.1, 1.1),
        ("finetune.ema_decay", -0.1, 1.0),
        ("finetune.patience", 0, None),
        ("finetune.workers", -1, None),
        ("finetune.augment.min_area", 0.0, 1.1),
        ("finetune.augment.flip", -0.1, 1.1),
        ("trainer.devices", 0, 1.5),
        ("trainer.limit_train_batches", 0, 1.5),
        ("trainer.limit_val_batches", 0.0, 1.5),
        ("extract.batch_size", 0, None),
        ("extract.workers", -1, None),
        ("pca.shrinkage", 0.0, 1.1),
        ("pca.sharpness", -0.1, None),
        ("index_annoy.n_trees", 0, None),
        ("index_annoy.search_k", -2, None),
        ("same_picture.candidates", 0, None),
        ("same_picture.enough_evidence", 0, None),
        ("same_picture.local_features.gallery", 0, None),
        ("same_picture.local_features.side", 7, 2049),
        ("same_picture.queries", 0, None),
        ("same_picture.absent", 0, None),
        ("same_picture.false_positive_rate", 0.0, 1.0),
        ("same_picture.edits.crop25", 0.0, 1.1),
        ("same_picture.edits.rot90", 45, 360),
        ("evaluate.bootstrap", 0, None),
        ("evaluate.sample_queries", 0, None),
        ("tsne.n_components", 0, None),
        ("tsne.perplexity", 1.0, None),
        ("tsne.max_iter", 249, None),
    ],
)
def test_bounds(key: str, low: float, high: float | None) -> None:
    for value in (low, high):
        if value is not None:
            assert told(key, value).endswith(f" (got {value!r}).")
            assert f"`{key}`" in told(key, value)


def test_bounds_that_are_allowed() -> None:
    config.check(changed(seed=0, finetune__epochs=0, extract__workers=0, index_annoy__search_k=-1))


@pytest.mark.parametrize(
    ("key", "value", "named", "said"),
    [
        ("backbone.library", "keras", "backbone.library", "'torchvision' or 'timm'"),
        ("backbone.interpolation", "area", "backbone.interpolation", "'bilinear' or 'bicubic'"),
        ("extract.precision", "fp16", "extract.precision", "'auto', 'bf16' or 'fp32'"),
        ("trainer.precision", "bf16", "trainer.precision", "'auto', 'bf16-mixed', '16-mixed' or '32-true'"),
        ("logger.kind", "neptune", "logger.kind", "'wandb' or 'dvclive'"),
        ("pca.whiten", "perhaps", "pca.whiten", "valid number"),
        ("data.source", "", "data.source", "at least 1 character"),
        ("data.background", "noise", "data.background", "valid list"),
        ("data.background", [1], "data.background.0", "valid string"),
        ("backbone.mean", [0.5, "x", 0.5], "backbone.mean.1", "valid number"),
        ("backbone.mean", [0.5] * 4, "backbone.mean", "list should have at most 3 items"),
        ("backbone.std", [0.5, 0.5, 0], "backbone.std.2", "greater than 0"),
        ("same_picture.encoder", "resnet", "same_picture.encoder", "'finetuned', 'pretrained' or 'both'"),
        ("evaluate.k", [], "evaluate.k", "list should have at least 1 item"),
        ("evaluate.k", [1, 0], "evaluate.k.1", "greater than or equal to 1"),
        ("evaluate.curve_trees", [], "evaluate.curve_trees", "list should have at least 1 item"),
        ("evaluate.curve_search_k", [-1], "evaluate.curve_search_k.0", "greater than or equal to 1"),
    ],
)
def test_choices_and_lists(key: str, value: Any, named: str, said: str) -> None:
    sentence = told(key, value)
    assert sentence.startswith(f"Bad value for `{named}`: ")
    assert said in sentence


@pytest.mark.parametrize("value", [0, -3, 1.5, 1.0, 0.0, "many", None, [64]])
def test_components_that_are_neither_a_number_nor_a_share(value: Any) -> None:
    assert told("pca.n_components", value) == (
        "Bad value for `pca.n_components`: it must be a whole number of dimensions from 1, "
        f"or a share of variance between 0 and 1 (got {value!r})."
    )


@pytest.mark.parametrize("value", [1, 64, 0.95])
def test_components_as_a_number_or_a_share(value: float) -> None:
    components = config.check(changed(pca__n_components=value)).pca.n_components
    assert components == value
    assert type(components) is type(value)


@pytest.mark.parametrize(
    "value", ["abc", "md5:123", "md5:" + "g" * 32, "sha256:1234567", "sha256:" + "a" * 65, "sha1:" + "a" * 40]
)
@pytest.mark.parametrize("key", ["data.checksum", "backbone.weights.checksum"])
def test_checksums_that_are_none(key: str, value: str) -> None:
    assert told(key, value).startswith(f"Bad value for `{key}`: string should match pattern ")


@pytest.mark.parametrize("value", ["md5:" + "0" * 32, "sha256:11ad3fa6", "sha256:" + "a" * 64])
def test_checksums(value: str) -> None:
    assert config.check(changed(data__checksum=value)).data.checksum == value


def test_values_that_contradict_each_other() -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        (
            {"backbone__resize": 200, "backbone__crop": 224},
            "Bad value for `backbone`: crop 224 is larger than resize 200.",
        ),
        (
            {"evaluate__k": [1, 5], "evaluate__latency_k": 10},
            "Bad value for `evaluate`: latency_k 10 is not among k [1, 5].",
        ),
        (
            {"evaluate__k": [10], "evaluate__latency_k": 10, "evaluate__neighbours": 11},
            "Bad value for `evaluate`: neighbours 11 is more than the largest k, 10.",
        ),
        (
            {"backbone__weights": {"source": "weights.pth"}},
            "Bad value for `backbone.weights`: needs a checksum unless its source is 'random:' or a 'hub:'.",
        ),
    ]
    for values, sentence in cases:
        with pytest.raises(RisError) as caught:
            config.check(changed(**values))
        assert str(caught.value) == sentence
    config.check(changed(backbone__resize=224, backbone__crop=224))
    config.check(changed(backbone__weights={"source": "random:"}))


@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        ("pca.n_component", "Unknown key `pca.n_component`; did you mean `pca.n_components`?"),
        ("finetun", "Unknown key `finetun`; did you mean `finetune`?"),
        ("finetun.epochs", "Unknown key `finetun`; did you mean `finetune`?"),
        (
            "backbone.weights.sourc",
            "Unknown key `backbone.weights.sourc`; did you mean `backbone.weights.source`?",
        ),
        (
            "pca.seed",
            "Unknown key `pca.seed`; known here: n_components, whiten, shrinkage, sharpness, normalise, "
            "pretrained.",
        ),
        (
            "pca.n_components.x",
            "Unknown key `pca.n_components.x`; `pca.n_components` is a value, set that.",
        ),
        (
            "backbone.weights",
            "`backbone.weights` is a section; set the keys in it (source, checksum), or choose it in conf/.",
        ),
    ],
)
def test_keys_that_cannot_be_set(key: str, sentence: str) -> None:
    with pytest.raises(RisError) as caught:
        config.check_key(key)
    assert str(caught.value) == sentence


@pytest.mark.parametrize("key", LEAVES)
def test_every_key_can_be_set(key: str) -> None:
    config.check_key(key)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"seed: [", "is not valid YAML: "),
        (b"\xff\xfe\x00", "is not valid YAML: "),
        (b"seed: !!python/object/apply:os.getcwd []", "is not valid YAML: "),
        (b"- seed", "must hold sections such as `data` and `pca`"),
        (b"seed", "must hold sections such as `data` and `pca`"),
        (b"", "must hold sections such as `data` and `pca`"),
    ],
)
def test_a_file_that_holds_no_parameters(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(content)
    with pytest.raises(RisError) as caught:
        config.load(path)
    assert "params.yaml" in str(caught.value)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(RisError, match=r"params.yaml is missing; run from the project's root"):
        config.load(tmp_path / "params.yaml")


def test_a_file_is_read_as_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(RAW | {"seed": 7}))
    assert config.load(path) == config.check(RAW | {"seed": 7})


@pytest.fixture
def _no_local_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in [name for name in os.environ if name.startswith("RIS_")]:
        monkeypatch.delenv(variable)


@pytest.mark.usefixtures("_no_local_sources")
def test_local_sources_replace_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    address, checksum = "https://example.invalid/a", "sha256:12345678"
    remote = config.check(
        changed(data__source=address, backbone__weights={"source": address, "checksum": checksum})
    )
    assert config.localised(remote) == remote
    monkeypatch.setenv("RIS_DATA_SOURCE", "here.zip")
    monkeypatch.setenv("RIS_WEIGHTS_SOURCE", "here.pth")
    local = config.localised(remote)
    assert (local.data.source, local.data.checksum) == ("here.zip", remote.data.checksum)
    assert (local.backbone.weights.source, local.backbone.weights.checksum) == ("here.pth", checksum)
    monkeypatch.setenv("RIS_DATA_CHECKSUM", "md5:" + "5" * 32)
    monkeypatch.setenv("RIS_WEIGHTS_CHECKSUM", "sha256:87654321")
    local = config.localised(remote)
    assert local.data.checksum == "md5:" + "5" * 32
    assert local.backbone.weights.checksum == "sha256:87654321"
    assert local.model_copy(update={"data": remote.data, "backbone": remote.backbone}) == remote


@pytest.mark.usefixtures("_no_local_sources")
def test_what_is_no_address_stays_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATA_SOURCE", "DATA_CHECKSUM", "WEIGHTS_SOURCE", "WEIGHTS_CHECKSUM"):
        monkeypatch.setenv(f"RIS_{name}", "elsewhere")
    for data, weights in (("pictures", "package:weights/a.pth"), ("drawn:", "random:")):
        values = {
            "data__source": data,
            "backbone__weights": {"source": weights, "checksum": "sha256:12345678"},
        }
        params = config.check(changed(**values))
        assert config.localised(params) == params


@pytest.mark.usefixtures("_no_local_sources")
def test_local_sources_are_checked_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RIS_DATA_CHECKSUM", "12345678")
    with pytest.raises(RisError) as caught:
        config.localised(config.check(changed(data__source="https://example.invalid/a")))
    assert "RIS_DATA_CHECKSUM" in str(caught.value)
    assert "`data.checksum`" in str(caught.value)
    assert "\n" not in str(caught.value)
