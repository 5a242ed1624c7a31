"""A person's own folder, 8 classes of 25 pictures, through every stage with the committed settings.

Only what costs time is changed: a small network without weights, small pictures, one epoch, no edits.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf
from PIL import Image

from ris.lab import config, layout
from ris.lab.compose import composed
from ris.lab.layout import Tree
from ris.lab.runner import timed
from ris.lab.stages.clean import clean
from ris.lab.stages.evaluate import evaluate
from ris.lab.stages.extract import extract
from ris.lab.stages.fetch import fetch
from ris.lab.stages.finetune import finetune
from ris.lab.stages.index import index
from ris.lab.stages.pca import pca
from ris.lab.stages.same_picture import same_picture
from ris.lab.stages.tsne import tsne

CONF = Path(__file__).parents[2] / "conf"
CHEAP = (
    "backbone.model=test_efficientnet",
    "backbone.dimension=256",
    "backbone.resize=32",
    "backbone.crop=32",
    "backbone.weights.source='random:'",
    "backbone.weights.checksum=null",
    "threads=1",
    "clean.near_duplicates.enabled=false",
    "clean.workers=1",
    "finetune.epochs=1",
    "finetune.frozen_stages=1",
    "finetune.train_size=32",
    "finetune.workers=0",
    "extract.workers=0",
    "same_picture.enabled=false",
    "evaluate.bootstrap=20",
    "evaluate.latency_queries=5",
    "evaluate.curve_trees=[5]",
    "evaluate.curve_search_k=[100]",
    "evaluate.sample_queries=1",
    "tsne.max_iter=250",
)


def draw(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    for label in range(8):
        (folder / f"class {label}").mkdir(parents=True)
        tint = rng.integers(40, 216, 3)
        for number in range(25):
            pixels = tint + rng.normal(0, 40, (40, 40, 3))
            picture = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
            picture.save(folder / f"class {label}" / f"{number}.png")
    return folder


def test_eight_classes_of_25_pictures_go_through_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = draw(tmp_path / "mine")
    here = tmp_path / "tree"
    here.mkdir()
    monkeypatch.chdir(here)
    raw = composed(CONF, ["data=folder", f"data.source={source}", *CHEAP])
    params, tree = config.check(OmegaConf.to_container(raw)), Tree(here, here)
    indexes = [index(name) for name in layout.INDEX_STAGES]
    for stage in (fetch, clean, finetune, extract, pca, *indexes, same_picture, tsne, evaluate):
        timed(stage, stage.__name__, params, tree)
    told = capsys.readouterr().out
    assert "`unseen.classes` is 21; of 8 classes 4, 4, 4 are held out." in told
    assert "finetuned_unseen0: 96 components wanted, 80 kept: there are no more." in told
    assert "pretrained: 512 components wanted, 160 kept: there are no more." in told
    metrics = json.loads((here / layout.METRICS).read_text())
    assert metrics["unseen_class"]["pretrained"]["knn_pca"]["mAP@R"]["n_classes"] == 12
    assert "macro_new_to_imagenet" not in metrics["unseen_class"]["pretrained"]["knn_pca"]["mAP@R"]
    assert "12 classes were held out in 3 draws" in (here / layout.REPORT).read_text()
