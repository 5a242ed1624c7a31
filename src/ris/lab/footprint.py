"""How much memory an index takes, measured in a process that holds nothing else."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil

from ris.indexes.manifest import read_manifest
from ris.indexes.registry import REGISTRY, Kind, open_index

SEARCHED = 200


def resident_bytes(kind: Kind, folder: Path) -> int:
    """Return the resident memory that opening an index and searching it adds to a fresh process.

    It is searched because an index that is only mapped into memory would seem to take none.
    """
    command = [sys.executable, "-m", "ris.lab.footprint", kind.name, str(folder)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    """Print the growth of this process, in bytes, for the kind of index and its folder that are named."""
    kind, folder = REGISTRY[sys.argv[1]].index, Path(sys.argv[2])
    manifest = read_manifest(folder)
    queries = np.random.default_rng(0).standard_normal((SEARCHED, manifest.dimension), dtype=np.float32)
    process = psutil.Process()
    before = process.memory_info().rss
    index = open_index(folder, kind=kind, dimension=manifest.dimension, made_for=manifest.made_for)
    index.search(queries, k=10)
    print(process.memory_info().rss - before)


if __name__ == "__main__":
    main()
