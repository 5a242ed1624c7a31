"""finetune: train the encoder on the gallery's training part, keep the epoch that retrieves best."""

import hashlib
from pathlib import Path

import pandas as pd

from ris.artifacts import checksum, write_table
from ris.config import Params
from ris.encoder import training
from ris.encoder.encoder import Encoder
from ris.encoder.training import Labelled, finetune
from ris.evaluation.metrics import leave_one_out_map_at_r
from ris.pipeline import layout
from ris.pipeline.inputs import Catalog
from ris.pipeline.layout import Tree
from ris.pipeline.runner import run

COLUMNS = ["epoch", "train_loss", "validation_mAP@R", "learning_rate"]


def train(params: Params, tree: Tree) -> dict[str, float]:
    """Write the fine-tuned encoder and its learning curves."""
    catalog = Catalog.read(tree)
    train, validation = (
        Labelled(catalog.files(rows), catalog.labels[rows])
        for rows in (catalog.rows("train"), catalog.rows("validation"))
    )
    pretrained = tree.read(layout.PRETRAINED)
    code = checksum(Path(training.__file__))
    identity = (params.seed, params.finetune, catalog.sha256, checksum(pretrained / "encoder.json"), code)
    unfinished = Path(".ris/finetune") / hashlib.sha256(repr(identity).encode()).hexdigest()[:16]
    trained = finetune(
        Encoder.open(pretrained),
        train,
        validation,
        params.finetune,
        params.seed,
        leave_one_out_map_at_r,
        params.clean.max_pixels,
        unfinished,
    )
    trained.encoder.save(tree.write(layout.FINETUNED))
    history = pd.DataFrame(trained.history, columns=COLUMNS)
    write_table(tree.write(layout.LEARNING_CURVES), history)
    return {"epochs": len(history)}


if __name__ == "__main__":
    run(train)
