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
from ris.encoders.encoder import Encoder
from ris.encoders.pytorch import has_bf16
from ris.lab import layout, training
from ris.lab.config import Params
from ris.lab.inputs import Catalog, Integers
from ris.lab.layout import Tree
from ris.lab.loggers import logger_of
from ris.lab.runner import run
from ris.lab.training import Labelled, Running, Training
from ris.lab.unseen import held_out, write_rows
from ris.metrics.retrieval import leave_one_out_map_at_r

UNFINISHED = Path(".ris/finetune")
"""Where trainings stand, by what decides them, until the stage is whole."""
ALL = "all"
"""Name of the training over all classes; the others have the numbers of their draws."""
COLUMNS = ["epoch", "train_loss", "validation_mAP@R", "learning_rate"]


def finetune(params: Params, tree: Tree) -> dict[str, Any]:
    """Write the fine-tuned encoder, its learning curves, and the encoders of the draws."""
    catalog = Catalog.read(tree)
    pretrained = tree.read(layout.PRETRAINED)
    held = [held_out(params, catalog, draw) for draw in params.unseen.draws]
    if any(len(one.classes) < params.unseen.classes for one in held):
        counts, total = ", ".join(str(len(one.classes)) for one in held), len(catalog.classes)
        print(f"`unseen.classes` is {params.unseen.classes}; of {total} classes {counts} are held out.")
    known = [one.known(catalog.gallery) for one in held]
    unfinished = UNFINISHED / _identity(params, catalog, pretrained)
    # Nothing is written before the last training: of several processes, only the first comes this far.
    fitted, *without = [
        trained(params, catalog, rows, pretrained, unfinished / str(number))
        for number, rows in zip([ALL, *params.unseen.draws], [catalog.gallery, *known], strict=True)
    ]
    fitted.encoder.save(tree.write(layout.FINETUNED))
    history = pd.DataFrame(fitted.history, columns=COLUMNS)
    write_table(tree.write(layout.LEARNING_CURVES), history)
    with writing(tree.write(layout.UNSEEN)) as fresh:
        fresh.mkdir()
        for draw, rows, one in zip(params.unseen.draws, known, without, strict=True):
            one.encoder.save(fresh / str(draw))
            write_rows(fresh / f"{draw}.json", rows, catalog)
    shutil.rmtree(unfinished, ignore_errors=True)
    return {"epochs": len(history), "epochs_unseen": [len(one.history) for one in without]}


def _identity(params: Params, catalog: Catalog, pretrained: Path) -> str:
    """Name all that decides the trainings, the precision and the number of threads that they sum with too."""
    code = checksum(Path(training.__file__))
    start = checksum(pretrained / "encoder.json")
    sums = (params.threads, has_bf16())
    seeds = (params.seed, params.training_seed)
    decisive = (seeds, params.unseen, params.finetune, params.trainer, catalog.sha256, start, code, sums)
    return hashlib.sha256(repr(decisive).encode()).hexdigest()[:16]


def trained(
    params: Params, catalog: Catalog, rows: Integers, pretrained: Path, checkpoints: Path
) -> Training:
    """Train on those of the rows that are for training, validate on the others."""
    name = checkpoints.name
    trainer = params.trainer if name == ALL else params.trainer.model_copy(update={"resume": None})
    numbers = np.unique(catalog.labels[rows], return_inverse=True)[1]
    train, validation = (
        Labelled(catalog.files(rows[chosen]), numbers[chosen])
        for chosen in (np.isin(rows, catalog.rows(split)) for split in ("train", "validation"))
    )
    return training.finetune(
        Encoder.open(pretrained),
        train,
        validation,
        params.finetune,
        params.training_seed,
        leave_one_out_map_at_r,
        params.clean.max_pixels,
        checkpoints,
        Running(trainer, logger_of(params.logger, name)),
    )


if __name__ == "__main__":
    run(finetune)
