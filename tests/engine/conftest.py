from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from PIL import Image

from ris.config import Network
from ris.copies import threshold
from ris.copies.calibration import Calibration, Performance, Rate
from ris.encoders.backbone import create
from ris.encoders.encoder import Encoder
from ris.engine import SearchEngine

Draw = Callable[..., Image.Image]


@pytest.fixture(scope="session", autouse=True)
def calibrated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A threshold of the tests' own, whatever the package's is."""
    nothing = Rate(value=None, ci95=None, n=0)
    unknown = Performance(precision=nothing, recall=nothing, false_positive_rate=nothing)
    calibration = Calibration(
        score="evidence",
        catalog="sha256:none",
        threshold=5.0,
        stated_false_positive_rate=0.01,
        chosen=unknown,
        reported=unknown,
    )
    file = tmp_path_factory.mktemp("threshold") / "threshold.json"
    calibration.write(file)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(threshold, "FILE", file)
        yield


def small_network() -> Network:
    """A network of 96 dimensions for pictures of 32 pixels."""
    return Network(
        name="small",
        library="timm",
        model="test_resnet",
        dimension=96,
        resize=32,
        crop=32,
        interpolation="bilinear",
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
    )


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder folder with random weights, that embeds in milliseconds."""
    torch.manual_seed(0)
    network = small_network()
    folder = tmp_path_factory.mktemp("models") / "encoder"
    Encoder(network, create(network)).save(folder)
    return folder


@pytest.fixture(scope="session")
def copies_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another one, by which copies are looked for."""
    torch.manual_seed(1)
    network = small_network()
    folder = tmp_path_factory.mktemp("models") / "copies"
    Encoder(network, create(network)).save(folder)
    return folder


@pytest.fixture
def photos(tmp_path: Path, texture: Draw) -> Path:
    """A folder of twelve pictures, four in each of a/, b/ and the top."""
    folder = tmp_path / "photos"
    for number in range(12):
        file = folder / ("", "a", "b")[number % 3] / f"{number:02d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        texture(number, 120, 90).save(file)
    return folder


@pytest.fixture
def built(photos: Path, tmp_path: Path, encoder: Path) -> Iterator[SearchEngine]:
    """The store of `photos`."""
    with SearchEngine.build(photos, tmp_path / "photos.ris", encoder=encoder, threads=2) as engine:
        yield engine
