import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image
from small_encoders import small_encoder

BUCKET = "pictures"


@pytest.fixture(scope="session")
def bucket() -> Iterator[str]:
    """The address of an empty bucket, served by an S3 server that is a process of its own."""
    pytest.importorskip("obstore", reason="ris[remote] is not installed")
    pytest.importorskip("moto", reason="moto[server] is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    endpoint = f"http://127.0.0.1:{port}"
    with (
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server,
        pytest.MonkeyPatch.context() as patched,
    ):
        try:
            patched.setenv("AWS_ACCESS_KEY_ID", "key")
            patched.setenv("AWS_SECRET_ACCESS_KEY", "secret")
            patched.setenv("AWS_REGION", "us-east-1")
            patched.setenv("AWS_ENDPOINT_URL", endpoint)
            patched.setenv("AWS_ALLOW_HTTP", "true")
            while True:
                assert server.poll() is None
                try:
                    created(f"{endpoint}/{BUCKET}")
                    break
                except OSError:
                    time.sleep(0.1)
            yield f"s3://{BUCKET}"
        finally:
            server.terminate()


def created(url: str) -> None:
    """Make a bucket.

    Raises:
        OSError: the server does not answer.
    """
    urllib.request.urlopen(urllib.request.Request(url, method="PUT"), timeout=60).close()


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder folder with random weights."""
    return small_encoder(tmp_path_factory.mktemp("models") / "encoder")


@pytest.fixture
def photos(tmp_path: Path, texture: Callable[..., Image.Image]) -> Path:
    """A folder of twelve pictures, the last two of the same bytes, and a file that is none."""
    folder = tmp_path / "photos"
    (folder / "a").mkdir(parents=True)
    for number in range(11):
        texture(number, 120, 90).save(folder / ("", "a")[number % 2] / f"{number:02}.png")
    (folder / "a/copy.png").write_bytes((folder / "10.png").read_bytes())
    (folder / "note.jpg").write_text("no picture")
    return folder
