"""Runs commands on stores, each in a fork of this process, which ends at a chosen write.

Reads a line of JSON for each from standard input, and answers by one. The encoders and the decoder are
stand-ins that start neither threads nor processes, so that a fork is ready within milliseconds and writes
what any other process does.
"""

import ctypes
import hashlib
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import ris.engine
from ris import reencoding
from ris.config import Network
from ris.copies import threshold
from ris.copies.calibration import Calibration, Performance, Rate
from ris.encoders.embedder import Embedder
from ris.encoders.named import Identity, OpenEncoder
from ris.encoders.transforms import Pixels
from ris.engine import RERANKED, SearchEngine
from ris.errors import RisError
from ris.images import decoders, decoding
from ris.indexes.vectors import Vectors
from ris.store import checking, commits, ingest, refit, writing

SIDE = 8
WEIGHTS = b"weights of no network " * 200


def embedder(network: Network) -> Embedder:
    """Return one whose vectors are the pixels, with a mark of the network that it stands for."""
    mark = np.frombuffer(hashlib.sha256(network.name.encode()).digest(), np.uint8).astype(np.float32)

    def compute(pixels: Pixels) -> Vectors:
        flat = pixels.reshape(len(pixels), -1).astype(np.float32)
        values = np.concatenate([flat, np.tile(mark, (len(flat), 1))], axis=1)
        return np.asarray(values / 255, np.float32)

    return Embedder(network, compute)


def opened(encoder: Any, *_: object) -> tuple[OpenEncoder, bytes]:
    """Stand in for `ris.engine._opened`."""
    network = Network(
        name=str(encoder),
        library="timm",
        model="none",
        dimension=3 * SIDE * SIDE + 32,
        resize=SIDE,
        crop=SIDE,
        interpolation="bilinear",
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
    )
    weights = f"sha256:{hashlib.sha256(WEIGHTS).hexdigest()}"
    identity = Identity(
        network=network, weights=weights, runtime="openvino", precision="fp32", packaged=False
    )
    return OpenEncoder(identity, embedder(network)), WEIGHTS


def restored(identity: Identity, weights: bytes | None, threads: int = 1) -> Embedder:  # noqa: ARG001
    """Stand in for `ris.encoders.named.restore`."""
    if weights != WEIGHTS:
        raise RisError("The store's encoder is damaged; build the store anew.")
    return embedder(identity.network)


def prepare(folder: Path) -> None:
    """Put the stand-ins in place, and have tables compacted and versions cleaned after few changes."""
    vars(ris.engine).update(_opened=opened, restore=restored)
    vars(checking)["restore"] = restored
    vars(ingest)["read_sized"] = decoding.read_sized
    decoders.start = lambda: None
    writing.COMMITTED = 5
    writing.CLEANED = 1
    commits.KEPT = 4
    refit.PARTS = 2
    nothing = Rate(value=None, ci95=None, n=0)
    unknown = Performance(precision=nothing, recall=nothing, false_positive_rate=nothing)
    threshold.FILE = folder / "threshold.json"
    Calibration(
        score="evidence",
        catalog="sha256:none",
        threshold=5.0,
        stated_false_positive_rate=0.01,
        chosen=unknown,
        reported=unknown,
    ).write(threshold.FILE)


def build(home: Path) -> None:
    """Build a store that has all that one can have."""
    SearchEngine.build(
        home / "photos",
        home / "store",
        encoder="first",
        copies_encoder="copies",
        regions=True,
        indexes=("annoy",),
        threads=1,
    ).close()


def on_engine(change: Callable[[SearchEngine], object]) -> Callable[[Path], None]:
    """Return a command that changes a store that is there."""

    def changed(home: Path) -> None:
        with SearchEngine.open(home / "store", threads=1) as engine:
            change(engine)

    return changed


def remove(*paths: str) -> Callable[[SearchEngine], object]:
    """Return what removes pictures."""
    return lambda engine: engine.remove(paths)


def reencode(home: Path) -> None:
    """Make a store with another encoder, without the comparison, which only reads."""
    with SearchEngine.open(home / "store", threads=1) as now:
        now.reencoded(home / "store.reencoded", "second").close()


def columns(engine: SearchEngine) -> object:
    """Give each picture a value in a column."""
    return engine.set_columns(pd.DataFrame({"path": [one.path for one in engine.pictures()], "who": "me"}))


COMMANDS: dict[str, Callable[[Path], object]] = {
    "build": build,
    "sync": on_engine(lambda engine: engine.sync()),
    "add": on_engine(lambda engine: engine.add([engine.folder / "later"])),
    "remove": on_engine(remove("00.png")),
    "remove and compact": on_engine(remove("a")),
    "refit": on_engine(lambda engine: engine.refit()),
    "columns": on_engine(columns),
    "map": on_engine(lambda engine: engine.map()),
    "relocate": on_engine(lambda engine: engine.relocate(engine.folder.parent / "albums")),
    "restore": on_engine(lambda engine: engine.restore(engine.versions()[-1].number)),
    "reencode": reencode,
    "take": lambda home: reencoding.take(home / "store"),
    "discard": lambda home: reencoding.discard(home / "store"),
}


def content(store: Path) -> dict[str, Any]:
    """Return all that a store holds of its pictures; `whole` is False for a build that has not ended."""
    with SearchEngine.open(store, threads=1) as engine:
        gallery = engine._gallery
        found: dict[str, Any] = {"problems": engine.verify(), "whole": engine.info().unread is None}
        if not found["whole"]:
            return found
        rows, vectors = engine.vectors()
        shown = gallery.shown[gallery.catalogue.by_path]
        arrays = [rows, vectors]
        if gallery.candidates is not None and gallery.candidates.regions is not None:
            of_regions = gallery.candidates.regions.vectors.reshape(gallery.count, 5, -1)
            arrays += [gallery.candidates.whole.vectors[shown], of_regions[shown]]
        # Re-ranking asks every content, also those that no picture shows yet.
        for index in (one for one in engine.indexes if one != RERANKED):
            arrays += list(engine.nearest(vectors[:2], 3, index))
        features = gallery.feature_bytes(shown.tolist())
        found |= {
            "pictures": [(one.row, one.path, one.sha256) for one in engine.pictures()],
            "rejected": [(one.path, one.reason) for one in engine.rejected()],
            "encoder": engine.info().encoder,
            "folder": str(engine.folder),
            "columns": engine.columns(),
            "map": "map" in gallery.commit.tables,
            "arrays": hashlib.sha256(
                b"".join(np.ascontiguousarray(one).tobytes() for one in arrays)
            ).hexdigest(),
            "features": hashlib.sha256(b"".join(data for data, *_ in features)).hexdigest(),
        }
        return found


def digest(parts: Iterable[bytes]) -> str:
    """Return the SHA-256 of parts."""
    return hashlib.sha256(b"".join(parts)).hexdigest()


def state(home: Path) -> dict[str, Any]:
    """Return what lies in a home: the stores in it, each with what it holds, or why it cannot be opened."""
    found: dict[str, Any] = {}
    for place in sorted(home.glob("store*")):
        try:
            found[place.name] = content(place)
        except RisError as error:
            found[place.name] = {"error": str(error)}
    return found


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Do what a request asks."""
    home, shim = Path(request["home"]), ctypes.CDLL(os.environ["LD_PRELOAD"])
    shim.fault_notes.restype = ctypes.c_char_p
    if request["command"] == "state":
        return {"state": state(home)}
    shim.fault_at(os.fsencode(home / "store"), ctypes.c_long(request["fault"]))
    try:
        COMMANDS[request["command"]](home)
    except RisError as error:
        return {"error": str(error)}
    return {"calls": os.fsdecode(shim.fault_notes()).replace(str(home), "").splitlines()}


def forked(request: dict[str, Any]) -> dict[str, Any]:
    """Do it in a fork; `ended` is its exit code."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(writer, json.dumps(run(request)).encode())
        except BaseException:
            os.write(writer, json.dumps({"foreign": traceback.format_exc()}).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as answer:
        text = answer.read()
    _, status = os.waitpid(child, 0)
    return {"ended": os.waitstatus_to_exitcode(status)} | (json.loads(text) if text else {})


if __name__ == "__main__":
    prepare(Path(sys.argv[1]))
    for line in sys.stdin:
        print(json.dumps(forked(json.loads(line))), flush=True)
