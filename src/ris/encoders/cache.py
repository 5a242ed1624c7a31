"""Networks as OpenVINO reads them, kept so that the next process needs no PyTorch."""

import hashlib
import os
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import openvino as ov

from ris.artifacts import checksum, read_json, write_json, writing
from ris.config import Network
from ris.encoders.runtime import core
from ris.errors import RisError

FORMAT = 1


def folder() -> Path:
    """Where things are kept that can be made again: `RIS_CACHE`, or a folder of the user's cache."""
    chosen = os.environ.get("RIS_CACHE")
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ris"


def place(network: Network, weights: str) -> Path:
    """Return the folder of a network, given the checksum of its weights."""
    made_by = [FORMAT, version("openvino"), version("timm"), version("torchvision")]
    described = f"{made_by} {weights} {network.described}"
    return folder() / "networks" / hashlib.sha256(described.encode()).hexdigest()[:32]


def read(place: Path) -> ov.Model | None:
    """Return the network that is kept in a folder; None where there is none, or it is damaged."""
    try:
        sums = read_json(place / "checksums.json")
        files = [place / "network.xml", place / "network.bin"]
        if sums != [checksum(file) for file in files]:
            return None
    except (RisError, OSError):
        return None
    return core().read_model(*files)


def keep(place: Path, model: ov.Model) -> None:
    """Keep a network in a folder; where nothing can be written, nothing happens."""
    with suppress(OSError), writing(place) as fresh:
        fresh.mkdir()
        files = [fresh / "network.xml", fresh / "network.bin"]
        ov.serialize(model, *files)
        write_json(fresh / "checksums.json", [checksum(file) for file in files])
