import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from ris.cli.app import app
from ris.engine import SearchEngine
from ris.lab.data.drawn import draw_files

LABELS = {"balloon": 5, "butterfly": 4, "cactus": 6, "fish": 6}


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed, which is one line of JSON and nothing else."""
        assert self.out.endswith("\n")
        assert self.out.count("\n") == 1
        assert self.out.isascii()
        return json.loads(self.out)


Ris = Callable[..., Ended]


@pytest.fixture(scope="session")
def ris() -> Ris:
    """Run the command in this process, as it runs where neither output is a terminal."""

    def run(*arguments: object, stdin: bytes | None = None) -> Ended:
        result = CliRunner().invoke(app, [str(one) for one in arguments], input=stdin, prog_name="ris")
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Ended(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture(scope="session")
def drawn() -> dict[str, Image.Image]:
    """A few of the built-in pictures by their paths."""
    pictures: dict[str, Image.Image] = {}
    for path, content in islice(draw_files(1), 150):
        label = path.split("/")[0]
        if sum(one.startswith(f"{label}/") for one in pictures) < LABELS.get(label, 0):
            pictures[path] = Image.open(BytesIO(content)).convert("RGB")
    assert len(pictures) == sum(LABELS.values())
    return pictures


@pytest.fixture(scope="session")
def photos(drawn: dict[str, Image.Image], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of four labels, a crop of a fish at the top, a file that is no picture; and `photos.ris`."""
    folder = tmp_path_factory.mktemp("session") / "photos"
    for path, picture in drawn.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        picture.save(file, quality=92)
    crop(drawn["fish/image_0001.jpg"]).save(folder / "crop.png")
    (folder / "cactus" / "note.jpg").write_text("Photograph the other cactus, too.")
    SearchEngine.build(folder, folder.with_suffix(".ris")).close()
    return folder


@pytest.fixture(scope="session")
def store(photos: Path) -> Path:
    """The store of `photos`, only to be read."""
    return photos.with_suffix(".ris")


@pytest.fixture(scope="session")
def with_annoy(ris: Ris, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of `photos` that has ANNOY beside its own indexes, only to be read."""
    store = tmp_path_factory.mktemp("annoy") / "photos.ris"
    assert ris("build", photos, store, "--index", "annoy", "--index", "annoy_pca").code == 0
    return store


@pytest.fixture
def own(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with `photos` and `photos.ris` of its own, entered."""
    shutil.copytree(photos.parent, tmp_path / "own")
    monkeypatch.chdir(tmp_path / "own")
    return tmp_path / "own"


@pytest.fixture(scope="session")
def query(drawn: dict[str, Image.Image], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture of the store, cropped and encoded anew."""
    file = tmp_path_factory.mktemp("query") / "query.jpg"
    crop(drawn["cactus/image_0001.jpg"]).save(file, quality=80)
    return file


@pytest.fixture(scope="session")
def stranger(texture: Callable[..., Image.Image], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture that is in no store."""
    file = tmp_path_factory.mktemp("stranger") / "stranger.jpg"
    texture(77).save(file)
    return file


def crop(picture: Image.Image) -> Image.Image:
    """Cut off a sixth of each side."""
    width, height = picture.size
    return picture.crop((width // 12, height // 12, width * 11 // 12, height * 11 // 12))
