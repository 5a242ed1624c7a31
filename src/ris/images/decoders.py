"""Pictures read as `ris.images.decoding` reads them, in processes that a file may hang, fill or crash."""

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Semaphore
from typing import Any, TypeAlias

from PIL import Image

from ris.errors import RisError
from ris.images.decoding import Size, UnreadableImage, content

SECONDS = 10.0
"""Of processor time that one picture may take, however busy the machine is."""
MEMORY = 512_000_000
"""Bytes that a picture may take beside its file, and as many more as its pixels need."""
BYTES_A_PIXEL = 16
"""JPEG 2000 takes four for each of three channels while it is decoded."""
PATIENCE = 90.0
"""Seconds in all until a decoder is given up that has not even used up its processor time."""

Decoded: TypeAlias = tuple[Image.Image, Size]
Answer: TypeAlias = tuple[dict[str, Any], bytes]
"""What the process says, and pixels."""

_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from ris.images.decoding_process import serve; serve(int(sys.argv[2]))"
)
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def read_image(source: Path | bytes, max_pixels: int, draft: int | None = None) -> Image.Image:
    """Read a picture as `ris.images.decoding.read_image` does, in a process of its own.

    Raises:
        UnreadableImage: it is no picture, or its decoder takes too long, too much memory, or ends.
    """
    return read_sized(source, max_pixels, draft)[0]


def read_sized(source: Path | bytes, max_pixels: int, draft: int | None = None) -> Decoded:
    """Read a picture as `read_image` does, and return with it the size that it has without `draft`."""
    answer, pixels = _asked(source, max_pixels, draft, camera=False)
    image = Image.frombytes("RGB", tuple(answer["read"]), pixels)
    image.format = answer["format"]
    return image, tuple(answer["size"])


def names_camera(source: Path | bytes, max_pixels: int) -> bool:
    """Tell whether a picture file names the camera that took it, as `ris.images.camera.names_camera` does."""
    try:
        return bool(_asked(source, max_pixels, draft=None, camera=True)[0]["camera"])
    except UnreadableImage:
        return False


def _asked(source: Path | bytes, max_pixels: int, draft: int | None, camera: bool) -> Answer:
    """Have a process read a file, or see whether it names a camera."""
    name, data = content(source)
    memory = MEMORY + BYTES_A_PIXEL * max_pixels
    wanted = {
        "max_pixels": max_pixels,
        "draft": draft,
        "camera": camera,
        "seconds": SECONDS,
        "memory": memory,
    }
    with _decoders.one() as decoder:
        answer = decoder.ask(name, data, wanted)
        if answer is None:  # What ended it may have come from outside, and have nothing to do with the file.
            answer = decoder.ask(name, data, wanted)
        if answer is None:
            raise UnreadableImage("unreadable", "decoding it ends the process that decodes it", name)
        return answer


class _Decoder:
    """A process that decodes one picture at a time; a new one where it has ended."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", _START, json.dumps(sys.path), str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=os.environ | _ONE_THREAD,
            )
        self._line = Connection(ours.detach())

    def ask(self, name: str, data: bytes, wanted: Mapping[str, float | None]) -> Answer | None:
        """Return the answer to a file, and its pixels; None where the process ended.

        Raises:
            UnreadableImage: it says why, or is late.
            RisError: it does not start.
        """
        try:
            self._line.send_bytes(json.dumps(wanted).encode())
            self._line.send_bytes(data)
            if not self._line.poll(PATIENCE):
                raise TimeoutError
            answer = json.loads(self._line.recv_bytes())
            if "kind" in answer:
                raise UnreadableImage(answer["kind"], answer["reason"], name)
            return answer, self._line.recv_bytes()
        except UnreadableImage:
            raise
        except TimeoutError:
            self.end()
            self._start()
            raise _late(name) from None
        except (EOFError, OSError, ValueError, LookupError, TypeError):
            code = self.end()
            self._start()
            if code == -signal.SIGPROF:
                raise _late(name) from None
            if code > 0:
                raise RisError(f"The process that decodes pictures ended with exit code {code}.") from None
            return None
        except BaseException:
            self.end()
            self._start()
            raise

    def end(self) -> int:
        """End the process; return its exit code, or what ended it before, below 0."""
        self._line.close()
        try:
            return self._process.wait(1)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


class _Decoders:
    """Those of this process, started when they are needed and kept."""

    def __init__(self) -> None:
        self._room = Semaphore((os.cpu_count() or 1) + 4)
        self._idle: list[_Decoder] = []

    @contextmanager
    def one(self) -> Iterator[_Decoder]:
        """Yield a decoder that nobody else uses meanwhile."""
        with self._room:
            decoder = self._free()
            try:
                yield decoder
            finally:
                self._idle.append(decoder)

    def start(self) -> None:
        """Have one ready, so that the first picture does not wait for it."""
        self._idle.append(self._free())

    def _free(self) -> _Decoder:
        try:
            return self._idle.pop()
        except IndexError:
            return _Decoder()

    def end(self) -> None:
        """End those that are idle; the others end by themselves when this process has ended."""
        while self._idle:
            self._idle.pop().end()


def _late(name: str) -> UnreadableImage:
    return UnreadableImage("too_large", f"decoding it takes more than {SECONDS:g} seconds", name)


_decoders = _Decoders()
start = _decoders.start
atexit.register(_decoders.end)
os.register_at_fork(after_in_child=_decoders.__init__)  # type: ignore[misc]
