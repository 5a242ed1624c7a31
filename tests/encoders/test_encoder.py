"""The stored encoder, and its fast path against the plain one: one by one, nothing folded, fp32."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn

from ris.config import Backbone, Network
from ris.encoders.backbone import create, pretrained_state
from ris.encoders.embedder import Embedder
from ris.encoders.encoder import Encoder
from ris.encoders.runtime import Precision, has_bf16
from ris.encoders.transforms import for_embedding
from ris.encoders.weights import fetch_weights
from ris.errors import RisError

LIMIT = 1_000_000
in_bf16 = pytest.mark.skipif(not has_bf16(), reason="this processor does not compute in bf16")
Vectors = npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def lite0(backbone: Callable[[str], Backbone], tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    """EfficientNet-Lite0 with its ImageNet weights, for pictures of 64 pixels."""
    settings = backbone("efficientnet_lite0")
    weights = fetch_weights(settings, tmp_path_factory.mktemp("cache"))
    assert weights is not None
    network = Network(**settings.model_dump(exclude={"weights"}) | {"resize": 80, "crop": 64})
    module = create(network)
    module.load_state_dict(pretrained_state(network, weights))
    return Encoder(network, module)


@pytest.fixture(scope="module")
def files(
    tmp_path_factory: pytest.TempPathFactory, noise: Callable[[int, int, int], Image.Image]
) -> list[Path]:
    """Pictures that resize and cut to whole pixels, so that every right way gives the same ones."""
    folder = tmp_path_factory.mktemp("pictures")
    sizes = [(80, 80), (160, 160), (160, 80), (80, 120), (240, 160)]
    for number in range(17):
        noise(*sizes[number % len(sizes)], number).save(folder / f"{number:02d}.png")
    return sorted(folder.iterdir())


def plain(encoder: Encoder, file: Path) -> Vectors:
    network = encoder.network
    image = Image.open(file).convert("RGB")
    scale = network.resize / min(image.size)
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BICUBIC)
    left, top = (image.width - network.crop) // 2, (image.height - network.crop) // 2
    pixels = np.asarray(image.crop((left, top, left + network.crop, top + network.crop))) / 255
    batch = torch.tensor((pixels - network.mean) / network.std, dtype=torch.float32).permute(2, 0, 1)[None]
    with torch.no_grad():
        vector: Vectors = copy.deepcopy(encoder.module).eval()(batch)[0].numpy()
    return vector


@pytest.fixture(scope="module")
def reference(lite0: Encoder, files: list[Path]) -> Vectors:
    vectors = np.stack([plain(lite0, file) for file in files])
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    assert (unit @ unit.T)[~np.eye(len(unit), dtype=bool)].max() < 0.95  # else a swap would not be seen
    return vectors


def error(vectors: Vectors, reference: Vectors) -> float:
    """Largest distance from the reference, as a share of the reference's length."""
    distances = np.linalg.norm(vectors - reference, axis=1) / np.linalg.norm(reference, axis=1)
    return float(distances.max())


def cosines(vectors: Vectors, reference: Vectors) -> npt.NDArray[Any]:
    lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(reference, axis=1)
    return np.asarray(np.sum(vectors * reference, axis=1) / lengths)


def perturbed(module: nn.Module) -> nn.Module:
    """Give batch normalisations statistics that do something, as training leaves them."""
    torch.manual_seed(0)
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for values, middle, width in ((layer.weight, 1, 0.5), (layer.bias, 0, 0.2)):
                nn.init.uniform_(values, middle - width, middle + width)
            assert layer.running_mean is not None
            assert layer.running_var is not None
            nn.init.uniform_(layer.running_mean, -0.2, 0.2)
            nn.init.uniform_(layer.running_var, 0.5, 1.5)
    return module.eval()


def test_save_and_open_give_the_very_same_vectors(tiny: Network, files: list[Path], tmp_path: Path) -> None:
    encoder = Encoder(tiny, perturbed(create(tiny)))
    encoder.save(tmp_path / "encoder")
    opened = Encoder.open(tmp_path / "encoder")
    assert sorted(file.name for file in (tmp_path / "encoder").iterdir()) == [
        "encoder.json",
        "weights.safetensors",
    ]
    assert opened.network == tiny
    before, after = (e.embedder("fp32").embed_files(files, 4, 0, LIMIT) for e in (encoder, opened))
    assert np.array_equal(before, after)


def test_saving_twice_gives_the_same_bytes(tiny: Network, tmp_path: Path) -> None:
    encoder = Encoder(tiny, create(tiny))
    for name in ("one", "two"):
        encoder.save(tmp_path / name)
    for name in ("encoder.json", "weights.safetensors"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_encoder_json_says_all_that_is_needed(
    lite0: Encoder, files: list[Path], reference: Vectors, tmp_path: Path
) -> None:
    lite0.save(tmp_path / "encoder")
    identity = json.loads((tmp_path / "encoder/encoder.json").read_text())
    assert identity["library"] == "timm"
    module = timm.create_model(identity["model"], num_classes=0)
    module.load_state_dict(load_file(tmp_path / "encoder/weights.safetensors"))
    keys = ("name", "library", "model", "dimension", "resize", "crop", "interpolation", "mean", "std")
    rebuilt = Encoder(Network(**{key: identity[key] for key in keys}), module)
    vectors = np.stack([plain(rebuilt, file) for file in files[:3]])
    assert error(vectors, reference[:3]) < 1e-4


def flip_byte(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-100] ^= 1
    file.write_bytes(content)


def edit(**changes: object) -> Callable[[Path], None]:
    def change(file: Path) -> None:
        file.write_text(json.dumps(json.loads(file.read_text()) | changes))

    return change


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("weights.safetensors", flip_byte, r"weights\.safetensors is missing or damaged"),
        ("weights.safetensors", Path.unlink, r"weights\.safetensors is missing or damaged"),
        ("encoder.json", Path.unlink, r"encoder\.json is missing"),
        ("encoder.json", lambda file: file.write_text("{"), r"encoder\.json is not valid JSON"),
        ("encoder.json", edit(format=2), r"encoder\.json has another format"),
        ("encoder.json", edit(crop="wide"), r"encoder\.json is damaged"),
        ("encoder.json", edit(weights=None), r"weights\.safetensors is missing or damaged"),
        ("encoder.json", edit(dimension=7), "dimension"),
        ("encoder.json", edit(model="shufflenet_v2_x1_5"), r"weights\.safetensors is damaged, or"),
        ("encoder.json", lambda file: file.write_text("[]"), r"encoder\.json has another format"),
    ],
)
def test_a_damaged_folder_is_refused(
    tiny: Network, tmp_path: Path, name: str, damage: Callable[[Path], None], message: str
) -> None:
    Encoder(tiny, create(tiny)).save(tmp_path / "encoder")
    damage(tmp_path / "encoder" / name)
    with pytest.raises(RisError, match=message):
        Encoder.open(tmp_path / "encoder")


def test_embedding_leaves_the_encoder_as_it_was(tiny: Network, files: list[Path]) -> None:
    encoder = Encoder(tiny, perturbed(create(tiny)))
    before: dict[str, Tensor] = copy.deepcopy(encoder.module.state_dict())
    encoder.embedder().embed_files(files[:2], 2, 0, LIMIT)
    after = encoder.module.state_dict()
    assert set(before) == set(after)
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_fp32_agrees_with_the_plain_path(lite0: Encoder, files: list[Path], reference: Vectors) -> None:
    vectors = lite0.embedder("fp32").embed_files(files, 16, 0, LIMIT)
    assert vectors.dtype == np.float32
    assert vectors.flags.c_contiguous
    assert vectors.shape == (17, 1280)
    assert error(vectors, reference) < 1e-4


@in_bf16
def test_bf16_agrees_with_the_plain_path(lite0: Encoder, files: list[Path], reference: Vectors) -> None:
    vectors = lite0.embedder("bf16").embed_files(files, 16, 0, LIMIT)
    assert vectors.dtype == np.float32
    assert cosines(vectors, reference).min() >= 0.995


def test_pictures_of_any_size_and_jpeg_agree_with_the_plain_path(
    lite0: Encoder, noise: Callable[[int, int, int], Image.Image], tmp_path: Path
) -> None:
    for number, size in enumerate([(301, 199), (97, 131), (1001, 700), (640, 480)]):
        noise(*size, number).save(tmp_path / f"{number}.jpg", quality=95)
    details = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(details).resize((320, 320), Image.Resampling.BICUBIC).save(tmp_path / "details.jpg")
    files = sorted(tmp_path.iterdir())
    vectors = lite0.embedder("fp32").embed_files(files, 4, 0, LIMIT)
    expected = np.stack([plain(lite0, file) for file in files])
    assert cosines(vectors, expected).min() >= 0.98


@pytest.mark.parametrize("precision", ["fp32", pytest.param("bf16", marks=in_bf16)])
def test_batch_size_changes_no_bit(lite0: Encoder, files: list[Path], precision: Precision) -> None:
    embedder = lite0.embedder(precision)
    single, *others = (embedder.embed_files(files, size, 0, LIMIT) for size in (1, 3, 16))
    for vectors in others:
        assert np.array_equal(vectors, single)


def test_workers_change_nothing(lite0: Encoder, files: list[Path]) -> None:
    embedder = lite0.embedder("fp32")
    alone, beside = (embedder.embed_files(files, 4, workers, LIMIT) for workers in (0, 1))
    assert np.array_equal(alone, beside)


def test_rows_follow_the_files(lite0: Encoder, files: list[Path], reference: Vectors) -> None:
    order = np.random.default_rng(0).permutation(len(files))
    vectors = lite0.embedder("fp32").embed_files([files[row] for row in order], 4, 1, LIMIT)
    assert error(vectors, reference[order]) < 1e-4


@pytest.mark.parametrize("workers", [0, 1])
def test_a_file_that_is_no_picture_is_named(
    tiny: Network, files: list[Path], tmp_path: Path, workers: int
) -> None:
    (tmp_path / "text.jpg").write_text("no picture")
    embedder = Encoder(tiny, create(tiny)).embedder("fp32")
    with pytest.raises(RisError) as caught:
        embedder.embed_files([*files[:3], tmp_path / "text.jpg"], 2, workers, LIMIT)
    assert str(caught.value).startswith(f"{tmp_path / 'text.jpg'} cannot be used as a picture")
    assert "\n" not in str(caught.value)


def test_weights_that_are_not_finite_are_refused(tiny: Network) -> None:
    module = create(tiny)
    next(module.parameters()).data[0] = torch.nan
    with pytest.raises(RisError, match="Weights of tiny are not finite"):
        Encoder(tiny, module).embedder("fp32")


def test_a_vector_that_is_not_finite_is_refused(tiny: Network, files: list[Path]) -> None:
    embedder = Embedder(tiny, lambda pixels: np.full((len(pixels), 3), np.nan, np.float32))
    with pytest.raises(RisError, match=r"The vector of .*00\.png is not finite"):
        embedder.embed_files(files[:2], 2, 0, LIMIT)


def test_all_looks_at_a_file_stand_together(tiny: Network, tmp_path: Path, noise: Any) -> None:
    files = [tmp_path / f"{number}.png" for number in range(5)]
    for number, file in enumerate(files):
        noise(80, 60, number).save(file)

    def halves(image: Image.Image) -> list[Image.Image]:
        return [image.crop((0, 0, 40, 60)), image.crop((40, 0, 80, 60))]

    embedder = Encoder(tiny, create(tiny)).embedder("fp32")
    vectors = embedder.embed_files(files, 3, 0, 10**6, halves)
    assert vectors.shape == (10, tiny.dimension)
    for number, file in enumerate(files):
        for place, half in enumerate(halves(Image.open(file))):
            alone = embedder.embed(for_embedding(half, tiny)[None])[0]
            assert np.array_equal(vectors[2 * number + place], alone)
