"""Decoding in other processes: the same pixels, and nothing that a file does there reaches this one."""

import multiprocessing
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import hostile
import numpy as np
import psutil
import pytest
from PIL import Image

from ris.images import decoders, decoding
from ris.images.decoders import read_image, read_sized
from ris.images.decoding import UnreadableImage

LIMIT = 50_000_000
SIDE = 4000
SMALL = hostile.jpeg()
SLOW = hostile.black_jp2(4000)


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    decoders._decoders.end()
    yield
    decoders._decoders.end()


def processes() -> list[psutil.Process]:
    """Those that decode for this one."""
    return [one for one in psutil.Process().children() if "decoding_process" in " ".join(one.cmdline())]


@pytest.mark.parametrize("draft", [None, 40])
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "GIF", "AVIF", "JPEG2000", "BMP"])
def test_pixels_sizes_and_forms_are_those_of_decoding_here(form: str, draft: int | None) -> None:
    random = np.random.default_rng(1)
    data = hostile.stored(Image.fromarray(random.integers(0, 256, (120, 170, 3), dtype=np.uint8)), form)
    (image, size), (here, size_here) = read_sized(data, LIMIT, draft), decoding.read_sized(data, LIMIT, draft)
    np.testing.assert_array_equal(np.asarray(image), np.asarray(here))
    assert (size, image.size, image.format) == (size_here, here.size, here.format)


def test_reasons_are_those_of_decoding_here(tmp_path: Path) -> None:
    file = tmp_path / "no.jpg"
    file.write_bytes(b"no picture")
    for source in (
        b"",
        b"no picture",
        SMALL[:-40],
        hostile.png(300, 300)[:50],
        tmp_path / "no.jpg",
        tmp_path / "gone",
    ):
        with pytest.raises(UnreadableImage) as here:
            decoding.read_image(source, LIMIT)
        with pytest.raises(UnreadableImage) as there:
            read_image(source, LIMIT)
        assert (str(there.value), there.value.kind) == (str(here.value), here.value.kind)


def test_what_takes_too_long_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(decoders, "SECONDS", 0.1)
    with pytest.raises(UnreadableImage, match=r"decoding it takes more than 0\.1 seconds") as caught:
        read_image(SLOW, LIMIT)
    assert caught.value.kind == "too_large"
    assert read_image(SMALL, LIMIT).size == (64, 64)
    assert len(processes()) == 1


def test_what_takes_too_much_memory_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(decoders, "MEMORY", 20_000_000)
    monkeypatch.setattr(decoders, "BYTES_A_PIXEL", 0)
    with pytest.raises(UnreadableImage, match="decoding it takes too much memory") as caught:
        read_image(hostile.png(5000, 5000, colours=6), LIMIT)
    assert caught.value.kind == "too_large"
    assert read_image(SMALL, LIMIT).size == (64, 64)


def test_a_process_that_was_killed_is_replaced() -> None:
    for number in (signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM):
        assert read_image(SMALL, LIMIT).size == (64, 64)
        (process,) = processes()
        process.send_signal(number)
        process.wait()
    assert read_image(SMALL, LIMIT).size == (64, 64)


def test_a_process_that_ends_with_every_try_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoders._Decoder, "ask", lambda *_: None)
    with pytest.raises(UnreadableImage, match="decoding it ends the process that decodes it"):
        read_image(SMALL, LIMIT)


def test_a_forked_process_has_decoders_of_its_own() -> None:
    assert read_image(SMALL, LIMIT).size == (64, 64)
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply(read_size, (SMALL,)) == (64, 64)
    assert read_image(SMALL, LIMIT).size == (64, 64)


def read_size(data: bytes) -> tuple[int, int]:
    """Read a picture, in whatever process."""
    return read_image(data, LIMIT).size


def test_decoders_end_with_their_process() -> None:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        read_image(SMALL, LIMIT)
        os.write(writer, f"{processes()[0].pid}".encode())
        os._exit(0)
    os.waitpid(child, 0)
    left = int(os.read(reader, 20))
    for end in (reader, writer):
        os.close(end)
    _, alive = psutil.wait_procs([psutil.Process(left)] if psutil.pid_exists(left) else [], timeout=20)
    assert not alive


@pytest.mark.parametrize(
    "data",
    [
        hostile.png(SIDE, SIDE, bits=16),
        hostile.png(SIDE, SIDE, colours=6),
        hostile.png(SIDE, SIDE, bits=16, colours=2),
        hostile.stored(Image.new("RGB", (SIDE, SIDE)), "WEBP", quality=1, method=0),
    ],
    ids=["grey 16", "RGBA", "RGB 16", "WebP"],
)
def test_memory_is_bounded_by_the_pixels(data: bytes) -> None:
    """Sixteen bytes for each pixel, whatever its kind, and 50 MB for the rest."""
    read_image(SMALL, LIMIT)
    (process,) = processes()
    before = process.memory_info().rss
    assert read_image(data, LIMIT, draft=1280).size == (2000, 2000)
    status = Path(f"/proc/{process.pid}/status").read_text()
    peak = 1024 * int(status.split("VmHWM:")[1].split()[0])
    assert peak - before < decoders.BYTES_A_PIXEL * SIDE * SIDE + 50e6
