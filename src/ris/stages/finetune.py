"""finetune: train the encoder on the gallery's training part, keep the epoch that retrieves best.

Beside it, an encoder for each draw of unseen classes, trained the same way without them.
"""

import hashlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ris.artifacts import checksum, write_table, writing
from ris.config import Params
from ris.encoder import training
from ris.encoder.encoder import Encoder
from ris.encoder.training import Labelled, Training, finetune
from ris.evaluation.metrics import leave_one_out_map_at_r
from ris.pipeline import layout
from ris.pipeline.inputs import Catalog, Integers
from ris.pipeline.layout import Tree
from ris.pipeline.runner import run
from ris.pipeline.unseen import held_out, write_rows

UNFINISHED = Path(".ris/finetune")
"""Where trainings stand, by what decides them, until the stage is whole."""
COLUMNS = ["epoch", "train_loss", "validation_mAP@R", "learning_rate"]


def train(params: Params, tree: Tree) -> dict[str, Any]:
    """Write the fine-tuned encoder, its learning curves, and the encoders of the draws."""
    catalog = Catalog.read(tree)
    with writing(tree.write(layout.UNSEEN)) as fresh:
        fresh.mkdir()
        epochs = []
        for draw in range(params.unseen.draws):
            held = held_out(params, catalog, draw)
            rows = held.known(catalog.gallery)
            trained = _trained(params, tree, catalog, rows)
            trained.encoder.save(fresh / str(draw))
            write_rows(fresh / f"{draw}.json", rows, catalog)
            epochs.append(len(trained.history))
    trained = _trained(params, tree, catalog, catalog.gallery)
    trained.encoder.save(tree.write(layout.FINETUNED))
    history = pd.DataFrame(trained.history, columns=COLUMNS)
    write_table(tree.write(layout.LEARNING_CURVES), history)
    shutil.rmtree(UNFINISHED, ignore_errors=True)
    return {"epochs": len(history), "epochs_unseen": epochs}


def _trained(params: Params, tree: Tree, catalog: Catalog, rows: Integers) -> Training:
    """Train on those of the rows that are for training, validate on the others."""
    numbers = np.unique(catalog.labels[rows], return_inverse=True)[1]
    train, validation = (
        Labelled(catalog.files(rows[chosen]), numbers[chosen])
        for chosen in (np.isin(rows, catalog.rows(split)) for split in ("train", "validation"))
    )
    pretrained = tree.read(layout.PRETRAINED)
    code = checksum(Path(training.__file__))
    pictures = hashlib.sha256(rows.tobytes()).hexdigest()
    identity = (
        params.seed,
        params.finetune,
        catalog.sha256,
        pictures,
        checksum(pretrained / "encoder.json"),
        code,
    )
    unfinished = UNFINISHED / hashlib.sha256(repr(identity).encode()).hexdigest()[:16]
    return finetune(
        Encoder.open(pretrained),
        train,
        validation,
        params.finetune,
        params.seed,
        leave_one_out_map_at_r,
        params.clean.max_pixels,
        unfinished,
    )


if __name__ == "__main__":
    run(train)
