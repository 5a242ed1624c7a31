from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image
from small_encoders import small_encoder

from ris.copies import threshold
from ris.copies.calibration import Calibration, Performance, Rate
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


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder folder with random weights."""
    return small_encoder(tmp_path_factory.mktemp("models") / "encoder")


@pytest.fixture(scope="session")
def copies_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another one, by which copies are looked for."""
    return small_encoder(tmp_path_factory.mktemp("models") / "copies", seed=1)


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
