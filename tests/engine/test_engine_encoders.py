"""The encoder that works offline: its vectors, its name, and a search with it from outside the repository."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ris.config import Backbone
from ris.encoders.embedder import Embedder
from ris.encoders.named import BACKBONES, choose, restore
from ris.encoders.transforms import for_embedding
from ris.store.ingest import BATCH, embed_batch

Draw = Callable[..., Image.Image]


@pytest.fixture(scope="module")
def lite0() -> Embedder:
    identity, weights = choose(None)
    assert weights is None
    return restore(identity, None)


def test_named_backbones_are_those_of_conf(backbone: Callable[[str], Backbone]) -> None:
    for name, ours in BACKBONES.items():
        assert ours == backbone(name)


def test_a_vector_does_not_depend_on_its_batch(lite0: Embedder, texture: Draw) -> None:
    pixels = [for_embedding(texture(seed), lite0.network) for seed in range(BATCH)]
    together = embed_batch(lite0, pixels)
    shuffled = np.random.default_rng(0).permutation(BATCH)
    assert np.array_equal(embed_batch(lite0, [pixels[place] for place in shuffled]), together[shuffled])
    for count in range(1, BATCH):
        assert np.array_equal(embed_batch(lite0, pixels[:count]), together[:count])
    strangers = list(np.random.default_rng(1).integers(0, 256, (BATCH - 1, *pixels[0].shape), np.uint8))
    assert np.array_equal(embed_batch(lite0, [pixels[3], *strangers])[0], together[3])


def test_five_lines_from_anywhere(tmp_path: Path, texture: Draw) -> None:
    (tmp_path / "photos").mkdir()
    for seed in range(5):
        texture(seed).save(tmp_path / f"photos/{seed}.jpg", quality=95)
    texture(3).crop((20, 10, 220, 160)).resize((150, 112)).save(tmp_path / "query.jpg", quality=80)
    code = """
from ris import SearchEngine
engine = SearchEngine.build("photos/", "photos.ris")
for hit in engine.search("query.jpg", k=5):
    print(hit.path, hit.distance < 1, hit.same_picture)
print(engine.find("query.jpg").here, engine.info().encoder)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "3.jpg True True" in lines
    assert lines[-1] == "True efficientnet_lite0"


def test_importing_the_engine_imports_no_pytorch() -> None:
    code = "import sys, ris; ris.SearchEngine; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]
