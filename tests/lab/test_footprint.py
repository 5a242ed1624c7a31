from pathlib import Path

import numpy as np

from ris.indexes.exact import ExactIndex
from ris.indexes.registry import REGISTRY
from ris.lab.footprint import resident_bytes


def test_an_index_takes_at_least_its_vectors(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).standard_normal((20_000, 256), dtype=np.float32)
    ExactIndex(vectors).save(tmp_path / "index", "sha256:0")
    assert vectors.nbytes < resident_bytes(REGISTRY["knn"], tmp_path / "index") < 6 * vectors.nbytes
