import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import httpx
import pytest
from PIL import Image

from ris.engine import SearchEngine
from ris.serve import Settings
from ris.serve.server import bound, configured

Draw = Callable[..., Image.Image]

FOLDERS = ("beach", "city", "forest/deep", "forest/edge")
EACH = 8
NASTY = "<img src=x onerror=alert(1)>.png"
"""A file name that would be a picture of its own in a page that echoes it as HTML."""
COPY = "beach/copy of 3.jpg"
"""A part of beach/3.png, turned a little: the same picture, once more."""
TOKEN = "a token for tests"
INDEXES = ("knn", "knn_pca", "annoy", "annoy_pca", "reranked")
"""Of the store that is served."""


@dataclass(frozen=True)
class Live:
    """A server that runs."""

    url: str
    engine: SearchEngine
    settings: Settings
    client: httpx.Client


def encoded(image: Image.Image, form: str = "PNG") -> bytes:
    """Return a picture as a file's bytes."""
    stream = BytesIO()
    image.save(stream, form)
    return stream.getvalue()


@contextmanager
def running(engine: SearchEngine, settings: Settings) -> Iterator[Live]:
    """Serve an engine on a free port of this machine for a while."""
    server = configured(engine, settings)
    with bound(settings) as listener:
        port = listener.getsockname()[1]
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{port}"
        with httpx.Client(base_url=url, timeout=60) as client:
            while not server.started or client.get("/ready").status_code != 200:
                assert thread.is_alive(), "the server did not start"
                time.sleep(0.05)
            yield Live(url, engine, settings, client)
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive(), "the server did not end"


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory, texture: Draw) -> Path:
    """A folder with `pictures` and `store`, a store of them with the network that is installed."""
    root = tmp_path_factory.mktemp("served")
    pictures = root / "pictures"
    for number, folder in enumerate(FOLDERS):
        (pictures / folder).mkdir(parents=True)
        for place in range(EACH):
            width, height = ((240, 180), (180, 240), (300, 150))[place % 3]
            drawn = texture(100 * number + place, width, height)
            drawn.save(pictures / folder / f"{place}.png")
    copied = Image.open(pictures / "beach/3.png").rotate(4, Image.Resampling.BICUBIC)
    copied.crop((30, 20, 200, 150)).save(pictures / COPY, quality=85)
    texture(999).save(pictures / "city" / NASTY)
    (pictures / "city" / "broken.jpg").write_bytes(b"no picture")
    SearchEngine.build(pictures, root / "store", indexes=("annoy", "annoy_pca"), threads=2).close()
    return root


@pytest.fixture(scope="session")
def engine(made: Path) -> Iterator[SearchEngine]:
    """The store, open."""
    with SearchEngine.open(made / "store", threads=2) as engine:
        yield engine


@pytest.fixture(scope="session")
def live(engine: SearchEngine) -> Iterator[Live]:
    """The store as it is served, with limits that no test of its own reaches."""
    settings = Settings(port=0, token=TOKEN, requests_per_second=10_000, burst=10_000)
    with running(engine, settings) as live:
        yield live


@pytest.fixture
def own(made: Path, tmp_path: Path) -> Iterator[Live]:
    """A copy of the store that may be changed, as it is served."""
    shutil.copytree(made, tmp_path / "own")
    with (
        SearchEngine.open(tmp_path / "own" / "store", threads=2) as engine,
        running(engine, Settings(port=0, token=TOKEN)) as live,
    ):
        yield live


@pytest.fixture(scope="session")
def row(engine: SearchEngine) -> Callable[[str], int]:
    """Return the row of a path."""
    return lambda path: next(one.row for one in engine.pictures() if one.path == path)


@pytest.fixture(scope="session")
def part(made: Path) -> bytes:
    """A part of forest/deep/1.png, enlarged: a file's bytes."""
    picture = Image.open(made / "pictures/forest/deep/1.png")
    return encoded(picture.crop((20, 30, 160, 200)).resize((280, 340)), "JPEG")


@pytest.fixture(scope="session")
def stranger(texture: Draw) -> bytes:
    """A picture that is not in the store: a file's bytes."""
    return encoded(texture(12345))
