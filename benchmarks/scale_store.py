"""What a large store costs to open, follow, filter and hold.

Usage: python benchmarks/scale_store.py [--sizes 10000 100000] [--scratch DIR] [--output FILE]

The store's lines are made, not embedded: vectors of 1,280 numbers around a thousand random centres, and
files of one byte whose size and time the store knows. No local features are kept. A sync is compared with
walking the same folder with `os.scandir` and stat-ing its files, in turn, in the same run; the median of each
is told. Stores are kept in `--scratch` for the next time.
"""

import argparse
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
from PIL import Image
from threadpoolctl import threadpool_limits

from ris.artifacts import write_json
from ris.encoders.named import choose
from ris.engine import Filter, SearchEngine
from ris.gallery.catalogue import SCHEMA
from ris.gallery.settings import Settings
from ris.indexes.vectors import Vectors
from ris.store import commits
from ris.store.commits import Commit, Folder
from ris.store.confirmed import confirm
from ris.store.contents import contents_table
from ris.store.folder import walk as store_walk
from ris.store.refit import refit
from ris.store.tables import COLUMNS, CONTENTS, PICTURES, REJECTED, SMALL, Changes, contents_schema

CENTRES = 1000
PART = 20_000
A_FOLDER = 1000
TURNS = 5
QUERIES = 200


def drawn(rng: np.random.Generator, centres: Vectors, count: int) -> Vectors:
    """Draw vectors (count, D) of length 1 around centres (c, D)."""
    vectors = centres[rng.integers(len(centres), size=count)]
    vectors = vectors + 0.03 * rng.standard_normal(vectors.shape, dtype=np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def files(folder: Path, count: int) -> Iterator[tuple[str, os.stat_result]]:
    """Make files of one byte, and yield their paths and what is known of them."""
    for number in range(count):
        path = f"{number // A_FOLDER:05d}/{number:08d}.jpg"
        if number % A_FOLDER == 0:
            (folder / path).parent.mkdir(parents=True)
        (folder / path).write_bytes(b"x")
        yield path, (folder / path).stat()


def made(home: Path, count: int) -> Path:
    """Make a folder and its store, or return those that were made before."""
    identity, _ = choose(None)
    store, folder = home / "store", home / "photos"
    if commits.is_store(store):
        return store
    shutil.rmtree(home, ignore_errors=True)
    store.mkdir(parents=True)
    changes = Changes(
        store,
        Commit(
            format=commits.FORMAT,
            token="0" * 32,
            number=0,
            generation=0,
            identity=identity,
            settings=Settings(same_picture=False),
            folder=Folder(relative="../photos", absolute=str(folder)),
            tables={},
            rows=count,
            contents=count,
            pictures=count,
        ),
    )
    for name in (PICTURES, COLUMNS, REJECTED):
        changes.create(name, SMALL[name])
    changes.create(CONTENTS, contents_schema(identity.network.dimension))
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((CENTRES, identity.network.dimension), dtype=np.float32)
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    found = files(folder, count)
    late = time.time_ns() + 10**12
    for start in range(0, count, PART):
        numbers = np.arange(start + 1, min(start + PART, count) + 1)
        some = [next(found) for _ in numbers]
        sums = [hashlib.sha256(str(number).encode()).digest() for number in numbers]
        sizes = [(640, 480)] * len(some)
        hashes = rng.integers(0, 2**64, len(some), np.uint64)
        vectors = drawn(rng, centres, len(some))
        packed: list[bytes | None] = [None] * len(some)
        changes.append(CONTENTS, contents_table(numbers, sums, sizes, vectors, packed, hashes, identity))
        columns = [
            numbers,
            [path for path, _ in some],
            [path.split("/")[0] for path, _ in some],
            [status.st_size for _, status in some],
            [status.st_mtime_ns for _, status in some],
            [late] * len(some),
            numbers,
            [640] * len(some),
            [480] * len(some),
            sums,
        ]
        changes.append(PICTURES, pa.table(columns, schema=SCHEMA))
    refit(changes, Settings(same_picture=False), lambda *_: None)
    confirm(store, changes.commit(generation=1), folder)
    return store


def walked(folder: Path) -> int:
    """Walk and stat a folder, nothing else."""
    count, waiting = 0, [str(folder)]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir():
                    waiting.append(entry.path)
                else:
                    count += entry.stat().st_size
    return count


def median_seconds(*tasks: Callable[[], object]) -> list[float]:
    """Do tasks in turn, several times; return the median of each."""
    taken: list[list[float]] = [[] for _ in tasks]
    for _ in range(TURNS):
        for task, seconds in zip(tasks, taken, strict=True):
            start = time.perf_counter()
            task()
            seconds.append(time.perf_counter() - start)
    return [statistics.median(seconds) for seconds in taken]


def opened(store: Path) -> dict[str, float]:
    """Open a store in a fresh process; return the seconds beyond the network's, and memory after searches."""
    code = """
import json, sys, time, psutil, numpy as np, torch
from pathlib import Path
from ris.engine import SearchEngine
from ris.store.commits import latest
from ris.store.gallery import StoreGallery
from ris.encoders.named import restore
import faiss, lance
store = Path(sys.argv[1])
restore(latest(store).identity, None)
before = psutil.Process().memory_info().rss
start = time.perf_counter()
gallery = StoreGallery(store)
opened = time.perf_counter() - start
query = np.random.default_rng(1).standard_normal(gallery.network.dimension).astype(np.float32)
query /= np.linalg.norm(query)
start = time.perf_counter()
gallery.nearest("auto", query, 10)
first = time.perf_counter() - start
memory = psutil.Process().memory_info().rss - before
print(json.dumps({"open_s": opened, "first_search_s": first, "memory_mb": memory / 1e6}))
"""

    done = subprocess.run(
        [sys.executable, "-c", code, str(store)], capture_output=True, text=True, check=True
    )
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def measured(count: int, home: Path) -> dict[str, float]:
    """Measure one size."""
    start = time.perf_counter()
    store = made(home, count)
    figures = {"made_s": time.perf_counter() - start, **opened(store)}
    with SearchEngine.open(store) as engine, threadpool_limits(1, user_api="blas"):
        engine.sync()
        walk, own, sync = median_seconds(
            lambda: walked(engine.folder),
            lambda: sum(1 for _ in store_walk(engine.folder, engine.folder, store)),
            engine.sync,
        )
        figures |= {"walk_s": walk, "sync_nothing_s": sync, "sync_nothing_ratio": sync / walk}
        new = []
        first = len(list(engine.folder.glob("new*")))
        for number in range(first, first + TURNS):
            pixels = np.random.default_rng(number).integers(0, 256, (64, 64, 3), np.uint8)
            Image.fromarray(pixels).save(engine.folder / f"new{number}.png")
            start = time.perf_counter()
            assert engine.sync().added == 1
            new.append(time.perf_counter() - start)
        figures["sync_one_beyond_walk_s"] = statistics.median(new) - walk
        figures["sync_one_beyond_its_own_walk_s"] = statistics.median(new) - own
        gallery = engine._gallery
        query = gallery.vectors(np.array([5]))[0]
        label = Filter(labels=("00003",))
        gallery.nearest("auto", query, 10, gallery.catalogue.mask(label))
        plain, filtered = median_seconds(
            lambda: [gallery.nearest("auto", query, 10) for _ in range(QUERIES)],
            lambda: [
                gallery.nearest("auto", query, 10, gallery.catalogue.mask(label)) for _ in range(QUERIES)
            ],
        )
        info = engine.info()
        figures |= {"search_ms": 1000 * plain / QUERIES, "filtered_ms": 1000 * filtered / QUERIES}
        figures["recall"] = 1.0 if info.recall is None else min(info.recall.values())
        figures["gigabytes_on_disk"] = info.bytes / 1e9
    return figures


def main() -> None:
    """Print the figures of each size and, where asked, write them as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--scratch", type=Path, help="where stores are kept; else in a folder that goes")
    parser.add_argument("--output", type=Path, help="write the figures to this JSON file")
    options = parser.parse_args()
    result = {}
    for size in options.sizes:
        with TemporaryDirectory(prefix="ris-scale-") as home:
            place = (options.scratch or Path(home)) / str(size)
            result[str(size)] = {name: round(value, 5) for name, value in measured(size, place).items()}
        print(f"{size:,} pictures")
        for name, value in result[str(size)].items():
            print(f"  {name:<24}{value:12.4f}")
    if options.output:
        write_json(options.output, result)


if __name__ == "__main__":
    main()
