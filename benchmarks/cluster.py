"""What a second node of a Ray cluster saves of a build, and what a lost one costs.

Usage: python benchmarks/cluster.py [FOLDER] [--count 400] [--turns 3] [--output FILE]

FOLDER holds pictures at any depth; without it, `--count` pictures of 640 x 480 pixels are drawn. The nodes
are processes of this machine, each of one processor, so that it needs three that are idle: the coordinator
works, too. One node and two build the same folder in turn, with the default encoder, and the median of each
is told; before each, a few pictures are built, so that the workers have started. Then two nodes build it, and
one of them is killed when half of the pictures are done: embedded again is, at most, what was begun twice.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import ray
from PIL import Image, ImageFilter
from ray.cluster_utils import Cluster

from ris.artifacts import write_json
from ris.engine import SearchEngine
from ris.store import cluster
from ris.store.folder import File
from ris.store.ingest import Reading
from ris.types import Progress

SIZE = (640, 480)
COARSE = (40, 30)
FIRST = 4 * cluster.HANDED
"""Pictures that are built so that the workers have started."""


def draw(folder: Path, count: int, seed: int) -> None:
    """Write pictures with many corners."""
    folder.mkdir()
    rng = np.random.default_rng(seed)
    for number in range(count):
        coarse = rng.integers(0, 256, (COARSE[1], COARSE[0], 3), np.uint8)
        image = Image.fromarray(coarse).resize(SIZE, Image.Resampling.NEAREST)
        image.filter(ImageFilter.GaussianBlur(1)).save(folder / f"{number:06d}.jpg", quality=90)


def noting(log: Path) -> Callable[[tuple[Any], list[File]], list[Reading]]:
    """Return what workers do, with a line to a file for each picture before it is done."""

    def work_on(recipe: tuple[Any], files: list[File]) -> list[Reading]:
        with log.open("a") as lines:
            lines.write("".join(f"{file.path}\n" for file in files))
        return cluster.work_on(recipe, files)

    return work_on


def set_nodes(nodes: Cluster, count: int) -> None:
    """Give the cluster so many nodes of one processor."""
    while len(nodes.worker_nodes) > count:
        nodes.remove_node(next(iter(nodes.worker_nodes)))
    while len(nodes.worker_nodes) < count:
        nodes.add_node(num_cpus=1)
    nodes.wait_for_nodes()


def build(folder: Path, store: Path, nodes: Cluster, progress: Progress | None = None) -> float:
    """Return the seconds of a build."""
    started = time.perf_counter()
    SearchEngine.build(folder, store, threads=1, ray=nodes.address, progress=progress).close()
    return time.perf_counter() - started


def measured(folder: Path, scratch: Path, turns: int) -> dict[str, Any]:
    """Measure all of it on one cluster."""
    first, log = scratch / "first", scratch / "begun"
    draw(first, FIRST, seed=1)
    seconds: dict[int, list[float]] = {1: [], 2: []}
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        ray.init(nodes.address, log_to_driver=False)
        for turn in range(turns):
            for count, took in seconds.items():
                set_nodes(nodes, count)
                build(first, scratch / f"first-{turn}-{count}.ris", nodes)
                took.append(build(folder, scratch / f"{turn}-{count}.ris", nodes))
        with SearchEngine.open(scratch / "0-1.ris") as engine:
            pictures = len(engine)
        killed: list[int] = []

        def kill(_: str, done: int, total: int) -> None:
            if done >= total // 2 and not killed:
                killed.append(done)
                nodes.remove_node(next(iter(nodes.worker_nodes)), allow_graceful=False)

        with patch.object(cluster, "work_on", noting(log)):
            build(folder, scratch / "killed.ris", nodes, kill)
    finally:
        ray.shutdown()
        nodes.shutdown()
    begun = log.read_text().splitlines()
    one, two = (statistics.median(took) for took in seconds.values())
    return {
        "pictures": pictures,
        "load_1_minute": os.getloadavg()[0],
        "one_node_s": one,
        "two_nodes_s": two,
        "times_as_fast": one / two,
        "killed_after": killed[0],
        "embedded_again_at_most": len(begun) - len(set(begun)),
    }


def main() -> None:
    """Measure, and write JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?", help="of pictures; drawn without it")
    parser.add_argument("--count", type=int, default=400, help="pictures that are drawn")
    parser.add_argument("--turns", type=int, default=3, help="builds by one node, and by two")
    parser.add_argument("--output", type=Path, help="write the figures to this JSON file")
    given = parser.parse_args()
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.folder
        if folder is None:
            folder = Path(scratch) / "photos"
            draw(folder, given.count, seed=0)
        results = measured(folder, Path(scratch), given.turns)
    for name, value in results.items():
        print(f"{name:24} {value:,.2f}" if isinstance(value, float) else f"{name:24} {value:,}")
    if given.output:
        write_json(given.output, results)


if __name__ == "__main__":
    main()
