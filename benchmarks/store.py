"""What a store costs to keep up to date, to ask, to open and to hold in memory, beside what to judge it by.

Usage: python benchmarks/store.py FOLDER [--count 1000] [--many 5000] [--output FILE]

FOLDER holds pictures at any depth; some of them are copied, so that they may be changed. All of it in one
run, with the default encoder on all processors:

- sync after 1 % of the files got other content, beside the full build of the same folder;
- from a picture's file to hits, by `search` and by `find`, beside the network alone on a picture that is
  ready, one at a time, in an order drawn anew for each query;
- opening the store, beside loading its network, in turn;
- the memory of a process that opened a store and asked it in every way, with and without ANNOY, whose files
  are mapped and count as far as they were read, beside one of the network and the vectors alone, all of them
  embedding pictures. This is a store of `--many` pictures of a few pixels, drawn for it and embedded at 32
  pixels, since what counts is their number.
"""

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import psutil
import torch
from PIL import Image

from ris.artifacts import write_json
from ris.encoders.backbone import create
from ris.encoders.encoder import Encoder
from ris.encoders.named import choose, restore
from ris.encoders.transforms import for_embedding
from ris.engine import INDEXES, SearchEngine

CHANGED = 0.01
SYNCS, OPENINGS, QUERIES, PROCESSES = 3, 5, 100, 3
SMALL = 32
"""Side of the pictures that are embedded for the measurement of memory, pixels."""
MIB = 2**20

Result = TypeVar("Result")


def timed(call: Callable[[], Result]) -> tuple[float, Result]:
    """Return the seconds that a call takes, and what it returns."""
    started = time.perf_counter()
    result = call()
    return time.perf_counter() - started, result


def build_and_sync(pictures: Path, store: Path) -> dict[str, Any]:
    """Return the seconds of a build, and of syncs without a change and after some."""
    build_s, engine = timed(lambda: SearchEngine.build(pictures, store))
    with engine:
        n_changed = max(1, round(CHANGED * len(engine)))
        unchanged, changed = [], []
        rng = np.random.default_rng(0)
        for _ in range(SYNCS):
            unchanged.append(timed(engine.sync)[0])
            for row in rng.choice([picture.row for picture in engine.pictures()], n_changed, replace=False):
                turned = engine.image(int(row)).transpose(Image.Transpose.ROTATE_180)
                turned.save(engine.file(int(row)), "JPEG", quality=90)
            seconds, change = timed(engine.sync)
            assert change.changed == n_changed
            changed.append(seconds)
        return {
            "pictures": len(engine),
            "changed": n_changed,
            "build_s": build_s,
            "sync_s": float(np.median(changed)),
            "sync_unchanged_s": float(np.median(unchanged)),
        }


def latencies(store: Path) -> dict[str, dict[str, float]]:
    """Return p50 and p95 in milliseconds of a picture's way, by what answers."""
    rng = np.random.default_rng(0)
    with SearchEngine.open(store) as engine:
        rows = rng.choice([picture.row for picture in engine.pictures()], QUERIES).tolist()
        identity, _ = choose(engine.info().encoder)
        embedder = restore(identity, None)
        ready = {row: for_embedding(engine.image(row), identity.network)[None] for row in rows}
        contestants: dict[str, Callable[[int], object]] = {
            "network alone": lambda row: embedder.embed(ready[row]),
            "search": lambda row: engine.search(engine.file(row)),
            "find": lambda row: engine.find(engine.file(row)),
        }
        milliseconds: dict[str, list[float]] = {name: [] for name in contestants}
        for answer in contestants.values():
            answer(rows[0])
        for row in rows:
            for name in rng.permutation(list(contestants)):
                milliseconds[name].append(1000 * timed(lambda: contestants[name](row))[0])  # noqa: B023
    return {
        name: {"p50_ms": float(np.median(times)), "p95_ms": float(np.percentile(times, 95))}
        for name, times in milliseconds.items()
    }


def openings(store: Path) -> dict[str, float]:
    """Return the median seconds of opening a store, and of loading its network alone."""
    with SearchEngine.open(store) as engine:
        encoder = engine.info().encoder
    network, opened = [], []
    for _ in range(OPENINGS):
        network.append(timed(lambda: restore(*choose(encoder)))[0])
        seconds, engine = timed(lambda: SearchEngine.open(store))
        opened.append(seconds)
        engine.close()
    return {"network_s": float(np.median(network)), "open_s": float(np.median(opened))}


def draw_many(folder: Path, count: int) -> None:
    """Write pictures of 4 x 4 pixels, a thousand to a folder."""
    rng = np.random.default_rng(0)
    for number in range(count):
        file = folder / f"{number // 1000:04}" / f"{number:07}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)).save(file)


def small_encoder(folder: Path) -> None:
    """Write the default encoder as one of random weights that looks at smaller pictures."""
    torch.manual_seed(0)
    network = choose(None)[0].network.model_copy(update={"name": "small", "resize": SMALL, "crop": SMALL})
    Encoder(network, create(network)).save(folder)


def memory_of_network(encoder: Path, count: int) -> int:
    """Return the bytes of this process once it holds a network, and as many vectors as there are pictures."""
    identity, weights = choose(encoder)
    embedder = restore(identity, weights)
    vectors = np.ones((count, identity.network.dimension), np.float32)
    for _ in range(3):
        embedder.embed(np.zeros((9, 3, SMALL, SMALL), np.uint8))
    assert len(vectors)
    return int(psutil.Process().memory_info().rss)


def memory_of_store(store: Path, indexes: tuple[str, ...]) -> int:
    """Return the bytes of this process once it has opened a store and asked some indexes, and `find`."""
    with SearchEngine.open(store) as engine:
        for picture in engine.pictures(limit=3):
            for index in indexes:
                engine.search(engine.file(picture.row), index=index)
            engine.find(engine.file(picture.row))
        return int(psutil.Process().memory_info().rss)


def apart(call: Callable[..., int], *arguments: Any) -> int:
    """Return the median of what a call returns in processes of its own."""
    with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as pool:
        return int(np.median([pool.submit(call, *arguments).result() for _ in range(PROCESSES)]))


def memory(many: int, scratch: Path) -> dict[str, Any]:
    """Return the mebibytes of a network and vectors alone, and how many more a store of them takes."""
    small_encoder(scratch / "encoder")
    draw_many(scratch / "many", many)
    with SearchEngine.build(scratch / "many", scratch / "many.ris", encoder=scratch / "encoder") as engine:
        count = len(engine)
    alone = apart(memory_of_network, scratch / "encoder", count)
    exact, every = (
        apart(memory_of_store, scratch / "many.ris", indexes) for indexes in (INDEXES[:2], INDEXES)
    )
    return {
        "pictures": count,
        "alone_mib": alone / MIB,
        "exact_more_mib": (exact - alone) / MIB,
        "every_index_more_mib": (every - alone) / MIB,
    }


def main() -> None:
    """Print the figures and, where asked, write them as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=1000, help="pictures that are copied")
    parser.add_argument(
        "--many", type=int, default=5000, help="pictures of the store that memory is taken of"
    )
    parser.add_argument("--output", type=Path, help="write the figures to this JSON file")
    options = parser.parse_args()
    files = sorted(path for path in options.folder.rglob("*") if path.is_file())
    chosen = np.random.default_rng(0).permutation(len(files))[: options.count]
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        for number in chosen:
            copy = scratch / "pictures" / files[number].relative_to(options.folder)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(files[number], copy)
        store = scratch / "pictures.ris"
        synced = build_and_sync(scratch / "pictures", store)
        figures = {
            "sync": synced,
            "latency": latencies(store),
            "open": openings(store),
            "memory": memory(options.many, scratch),
        }

    print(
        f"{synced['pictures']} pictures, {psutil.cpu_count()} processors, {torch.get_num_threads()} of torch"
    )
    print(f"build           {synced['build_s']:9.2f} s")
    for name, what in (("sync_s", f"{synced['changed']} changed"), ("sync_unchanged_s", "none changed")):
        share = synced[name] / synced["build_s"]
        print(f"sync, {what:<13}{synced[name]:6.2f} s{share:8.1%} of the build")
    alone = figures["latency"]["network alone"]["p50_ms"]
    for name, times in figures["latency"].items():
        p50, p95 = times["p50_ms"], times["p95_ms"]
        print(f"{name:<16}{p50:9.1f} ms p50{p95:9.1f} ms p95{p50 - alone:9.1f} ms more")
    opened, network = figures["open"]["open_s"], figures["open"]["network_s"]
    print(
        f"open            {opened:9.2f} s, its network alone {network:.2f} s, {opened - network:.2f} s more"
    )
    held = figures["memory"]
    print(
        f"memory          {held['exact_more_mib']:9.0f} MiB more than network and vectors, with ANNOY "
        f"{held['every_index_more_mib']:.0f} MiB more; {held['pictures']} pictures"
    )
    if options.output:
        write_json(options.output, {"torch_threads": torch.get_num_threads(), **figures})


if __name__ == "__main__":
    main()
