"""What runs in a process that decodes pictures for another one: see `ris.images.decoders`."""

import json
import resource
import signal
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

from ris.images.camera import names_camera
from ris.images.decoding import UnreadableImage, read_sized


def serve(descriptor: int) -> None:
    """Decode what comes over a connection until its other end closes.

    A request is a JSON object and the file's bytes, the answer a JSON object and, if there are, RGB pixels:
    nothing is unpickled. The system ends this process where a picture takes more than its seconds.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asks.
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    own = _memory()
    line = Connection(descriptor)
    with suppress(EOFError, OSError):
        while True:
            wanted, data = json.loads(line.recv_bytes()), line.recv_bytes()
            allowed = own + len(data) + wanted.pop("memory")
            _limit_memory(allowed)
            signal.setitimer(signal.ITIMER_PROF, wanted.pop("seconds"))
            answer, pixels = _read(data, **wanted)
            signal.setitimer(signal.ITIMER_PROF, 0)
            _limit_memory(None)
            line.send_bytes(json.dumps(answer).encode())
            if pixels is not None:
                line.send_bytes(pixels)
            del data, pixels


def _read(
    data: bytes, max_pixels: int, draft: int | None, camera: bool
) -> tuple[dict[str, object], bytes | None]:
    try:
        if camera:
            return {"camera": names_camera(data, max_pixels)}, b""
        image, size = read_sized(data, max_pixels, draft)
        return {"read": image.size, "size": size, "format": image.format}, image.tobytes()
    except UnreadableImage as error:
        return {"kind": error.kind, "reason": error.reason}, None
    except MemoryError:
        return {"kind": "too_large", "reason": "decoding it takes too much memory"}, None


def _limit_memory(allowed: int | None) -> None:
    """Limit the bytes of address space, as far as whoever started this has not done so already."""
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    wanted = resource.RLIM_INFINITY if allowed is None else allowed
    bounded = [limit for limit in (wanted, hard) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_AS, (min(bounded, default=resource.RLIM_INFINITY), hard))


def _memory() -> int:
    """Return the bytes of address space that this process has taken without any picture."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
