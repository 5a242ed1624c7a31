import resource
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import numpy as np
import pytest
import yaml
from omegaconf import OmegaConf
from PIL import Image, ImageFilter

from ris.config import Backbone, Network
from ris.lab.compose import composed
from ris.lab.runner import Stage, run

CONF = Path(__file__).parents[1] / "conf"


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache of the tests' own."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("RIS_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session", autouse=True)
def state_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A state folder of the tests' own, for what `ris.store.confirmed` notes."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(scope="session")
def backbone() -> Callable[[str], Backbone]:
    """Read conf/backbone/NAME.yaml."""
    return lambda name: Backbone.model_validate(yaml.safe_load((CONF / f"backbone/{name}.yaml").read_text()))


@pytest.fixture(scope="session")
def tiny() -> Network:
    """A network that trains in seconds."""
    return Network(
        name="tiny",
        library="torchvision",
        model="shufflenet_v2_x0_5",
        dimension=1024,
        resize=32,
        crop=32,
        interpolation="bilinear",
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
    )


@pytest.fixture(scope="session")
def noise() -> Callable[[int, int, int], Image.Image]:
    """Draw a picture of coloured patches: width, height, seed."""

    def draw(width: int, height: int, seed: int) -> Image.Image:
        patches = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), dtype=np.uint8)
        return Image.fromarray(patches).resize((width, height), Image.Resampling.BICUBIC)

    return draw


@pytest.fixture(scope="session")
def small_params() -> str:
    """Text of params.yaml for a few small pictures in ./pictures and a network of random weights."""
    overrides = (
        "data=folder",
        "data.source=pictures",
        "backbone=efficientnet_lite0",
        "backbone.resize=256",
        "backbone.weights.source='random:'",
        "backbone.weights.checksum=null",
        "clean.min_class_size=3",
        "clean.near_duplicates.enabled=false",
        "clean.workers=1",
        "experiment=resnet50",
        "pca.n_components=4",
        "pca.pretrained.n_components=4",
        "index_annoy.n_trees=3",
        "index_annoy.search_k=100",
        "threads=1",
    )
    return OmegaConf.to_yaml(composed(CONF, list(overrides)))


@pytest.fixture
def tree(tmp_path: Path, small_params: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working tree of its own, entered, with nothing in it but params.yaml."""
    folder = tmp_path / "tree"
    folder.mkdir()
    (folder / "params.yaml").write_text(small_params)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def invoke(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., CompletedProcess[str]]]:
    """Run a stage in the working folder as its command line does, without the imports of a new process."""

    def invoke(stage: Stage, *arguments: str) -> CompletedProcess[str]:
        monkeypatch.setattr(sys, "argv", ["stage.py", *arguments])
        capsys.readouterr()
        code: Any = 0
        try:
            run(stage)
        except SystemExit as ended:
            code = ended.code
        return CompletedProcess(arguments, code, *capsys.readouterr())

    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield invoke
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def refused(invoke: Callable[..., CompletedProcess[str]]) -> Callable[..., str]:
    """Run a stage that must end with exit code 1 and one sentence, and return the sentence."""

    def refused(stage: Stage, *arguments: str) -> str:
        ended = invoke(stage, *arguments)
        assert ended.returncode == 1, ended
        assert ended.stderr.startswith("error: "), ended
        assert ended.stderr.count("\n") == 1, ended
        assert "Traceback" not in ended.stderr, ended
        return ended.stderr.removeprefix("error: ").rstrip("\n")

    return refused


@pytest.fixture(scope="session")
def full_disk() -> Callable[[], AbstractContextManager[None]]:
    """While it is entered, no file grows beyond 4 KB, which ends a write as a full disk does."""

    @contextmanager
    def limited() -> Iterator[None]:
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    return limited


@pytest.fixture(scope="session")
def texture() -> Callable[..., Image.Image]:
    """Draw a picture with many corners: seed, width, height."""

    def draw(seed: int, width: int = 240, height: int = 180) -> Image.Image:
        rng = np.random.default_rng(seed)
        image = Image.fromarray(rng.integers(0, 256, (15, 20, 3), dtype=np.uint8)).resize((width, height))
        for _ in range(60):
            x, y, w, h = (
                int(value) for value in rng.integers((0, 0, 5, 5), (width - 10, height - 10, 30, 30))
            )
            red, green, blue = (int(value) for value in rng.integers(0, 256, 3))
            image.paste((red, green, blue), (x, y, x + w, y + h))
        return image.filter(ImageFilter.GaussianBlur(1))

    return draw
