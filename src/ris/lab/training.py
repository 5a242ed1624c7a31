"""Fine-tuning as a Lightning run: a cosine classifier over the pooled vector, judged by retrieval."""

import logging
import math
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Self, cast

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import (
    Callback,
    EarlyStopping,
    EMAWeightAveraging,
    ModelCheckpoint,
)
from pytorch_lightning.loggers import Logger
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize
from torch.utils.data import DataLoader, Dataset

from ris.config import Network
from ris.encoders.backbone import check_sees, freeze, stages
from ris.encoders.encoder import Encoder
from ris.encoders.pytorch import for_inference, gpu, has_bf16, standardise
from ris.encoders.runtime import Precision
from ris.encoders.transforms import for_embedding
from ris.errors import RisError
from ris.images.decoding import read_image
from ris.lab.allocator import reuse_memory
from ris.lab.augmentation import for_training
from ris.lab.config import Finetune, Trainer
from ris.lab.depthwise import quickened

Integers = np.ndarray[Any, np.dtype[np.int64]]
Judge = Callable[[np.ndarray[Any, np.dtype[np.float32]], Integers], float]
"""Vectors of length 1 (n, D) and class numbers (n,) to a score."""


WHOLE = Trainer(
    accelerator="auto",
    devices="auto",
    precision="auto",
    limit_train_batches=1.0,
    limit_val_batches=1.0,
    resume=None,
)
"""All of a training, on what there is."""


@dataclass(frozen=True)
class Labelled:
    """Picture files and the class number of each."""

    files: Sequence[Path]
    labels: Integers
    """(n,) class numbers, from 0 without gaps over training and validation together."""


@dataclass
class Training:
    """What a run gives: the encoder, and its history of one entry an epoch."""

    encoder: Encoder
    history: list[dict[str, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Running:
    """What a training runs on, and who is told of it."""

    trainer: Trainer = WHOLE
    logger: Logger | None = None


BY_ITSELF = Running()


class CosineClassifier(nn.Module):
    """Scores as cosines over a temperature, so that directions and not lengths carry the class.

    Wang et al., NormFace, 2017, arXiv 1704.06369.
    """

    def __init__(self, dimension: int, classes: int, temperature: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(classes, dimension))
        nn.init.normal_(self.weight, std=dimension**-0.5)
        self.temperature = temperature

    def forward(self, vectors: Tensor) -> Tensor:
        """(B, dimension) -> (B, classes)."""
        return normalize(vectors.float()) @ normalize(self.weight).T / self.temperature


class RetrievalModule(pl.LightningModule):
    """Trains by classification, validates by how well the vectors retrieve."""

    def __init__(self, encoder: Encoder, classes: int, settings: Finetune, seed: int, judge: Judge) -> None:
        super().__init__()
        self.body = encoder.module
        self.network = encoder.network
        self.head = CosineClassifier(encoder.network.dimension, classes, settings.temperature)
        self.settings, self.seed, self.judge = settings, seed, judge
        self.frozen = freeze(self.body, settings.frozen_stages)
        # In a list, so that it is neither trained nor averaged nor saved.
        self._teacher = [teacher(encoder)] if settings.distillation else []
        self.history: list[dict[str, float]] = []
        self._losses: list[Tensor] = []
        self._validated: list[tuple[Tensor, Tensor, Tensor]] = []
        self.train()

    def train(self, mode: bool = True) -> Self:
        """As any module's, but a frozen layer's batch statistics stay frozen too."""
        super().train(mode)
        for layer in self.frozen:
            layer.eval()
        return self

    def on_train_epoch_start(self) -> None:
        # An epoch's randomness comes from its number alone: a run that was killed repeats itself exactly.
        torch.manual_seed(self.seed + self.current_epoch)
        self._losses.clear()

    def training_step(self, batch: tuple[Tensor, Tensor], _index: int) -> Tensor:
        pixels, labels = batch
        pixels = standardise(pixels, self.network.mean, self.network.std)
        vectors = self.body(pixels)
        loss = cross_entropy(self.head(vectors), labels, label_smoothing=self.settings.label_smoothing)
        for taught in self._teacher:
            loss = loss + self.settings.distillation * apartness(vectors, taught(pixels))
        self._losses.append(loss.detach())
        self.log("loss", loss.detach())
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor, Tensor], _index: int) -> None:
        pixels, labels, rows = batch
        vectors = normalize(self.body(standardise(pixels, self.network.mean, self.network.std)).float())
        self._validated.append((vectors, labels, rows))

    def on_validation_epoch_end(self) -> None:
        vectors, labels, rows = (self._gathered(parts) for parts in zip(*self._validated, strict=True))
        self._validated.clear()
        first = np.unique(rows, return_index=True)[1]  # a distributed sampler may repeat rows
        score = self.judge(vectors[first], labels[first])
        self.log("validation_score", score)
        epoch = {
            "epoch": self.current_epoch + 1,
            "train_loss": round(float(torch.stack(self._losses).mean()), 6),
            "validation_mAP@R": round(score, 6),
            "learning_rate": self.trainer.optimizers[0].param_groups[0]["lr"],
        }
        self.log("train_loss", epoch["train_loss"])
        self.log("learning_rate", epoch["learning_rate"])
        self.history.append(epoch)
        self.print(*(f"{name} {value:.6g}" for name, value in epoch.items()), sep=", ", flush=True)

    def _gathered(self, parts: Sequence[Tensor]) -> np.ndarray[Any, Any]:
        own = torch.cat(list(parts))
        everywhere = cast(Tensor, self.all_gather(own))
        return everywhere.reshape(-1, *own.shape[1:]).cpu().numpy()

    def configure_optimizers(self) -> Any:
        settings = self.settings
        trained = [weight for weight in self.parameters() if weight.requires_grad]
        decayed = [weight for weight in trained if weight.ndim > 1]
        plain = [weight for weight in trained if weight.ndim <= 1]
        groups: list[dict[str, Any]] = [{"params": decayed}, {"params": plain, "weight_decay": 0.0}]
        optimiser = torch.optim.AdamW(groups, settings.learning_rate, weight_decay=settings.weight_decay)
        steps = int(self.trainer.estimated_stepping_batches)
        scheduler = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda step: warmup_cosine(step, steps, settings.warmup_share)
        )
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["history"] = self.history

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.history = checkpoint["history"]


def teacher(encoder: Encoder) -> Callable[[Tensor], Tensor]:
    """Return what an encoder's network gives for standardised pictures now, whatever is done to it later."""
    precision: Precision = "bf16" if has_bf16() else "fp32"
    module = for_inference(encoder.module, precision, gpu() or "cpu")
    dtype = next(module.parameters()).dtype

    @torch.no_grad()
    def taught(pixels: Tensor) -> Tensor:
        vectors: Tensor = module(pixels.to(dtype))
        return vectors.float()

    return taught


def apartness(vectors: Tensor, taught: Tensor) -> Tensor:
    """Mean of 1 - cosine between vectors (B, D) and those of the teacher (B, D)."""
    return (1 - (normalize(vectors.float()) * normalize(taught)).sum(dim=1)).mean()


class StillStopped(EarlyStopping):
    """Early stopping that a run taken up again after its end does not forget."""

    def on_train_start(self, trainer: pl.Trainer, _module: pl.LightningModule) -> None:
        trainer.should_stop = trainer.should_stop or self.wait_count >= self.patience


class Crops(Dataset[tuple[Tensor, int]]):
    """One epoch of training pictures: which, in which order and how changed follows from the seed alone."""

    def __init__(self, data: Labelled, module: RetrievalModule, max_pixels: int) -> None:
        settings, epoch = module.settings, module.current_epoch
        self.data, self.max_pixels, self.draft = data, max_pixels, 2 * settings.train_size
        self.transform = for_training(settings.augment, settings.train_size, module.network.interpolation)
        self.order = draw_epoch(data.labels, settings.class_balance, seed=[module.seed, epoch])
        self.seeds = np.random.default_rng([module.seed, epoch, 1]).integers(2**63, size=len(self.order))

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, position: int) -> tuple[Tensor, int]:
        row = self.order[position]
        image = read_image(self.data.files[row], self.max_pixels, draft=self.draft)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(self.seeds[position]))
            return self.transform(image), int(self.data.labels[row])


class Held(Dataset[tuple[Tensor, int, int]]):
    """Validation pictures as they will be embedded, with class and row."""

    def __init__(self, data: Labelled, network: Network, max_pixels: int) -> None:
        self.data, self.network, self.max_pixels = data, network, max_pixels

    def __len__(self) -> int:
        return len(self.data.files)

    def __getitem__(self, row: int) -> tuple[Tensor, int, int]:
        image = read_image(self.data.files[row], self.max_pixels, draft=2 * self.network.resize)
        pixels = torch.from_numpy(for_embedding(image, self.network))
        return pixels, int(self.data.labels[row]), row


class Pictured(pl.LightningDataModule):
    """Training and validation pictures; the training order is drawn anew for each epoch."""

    def __init__(
        self, train: Labelled, validation: Labelled, module: RetrievalModule, max_pixels: int
    ) -> None:
        super().__init__()
        self.train, self.validation, self.module, self.max_pixels = train, validation, module, max_pixels

    def train_dataloader(self) -> DataLoader[tuple[Tensor, int]]:
        settings = self.module.settings
        crops = Crops(self.train, self.module, self.max_pixels)
        batch_size = min(settings.batch_size, len(crops))
        return DataLoader(crops, batch_size, num_workers=settings.workers, drop_last=True)

    def val_dataloader(self) -> DataLoader[tuple[Tensor, int, int]]:
        settings = self.module.settings
        held = Held(self.validation, self.module.network, self.max_pixels)
        return DataLoader(held, settings.batch_size, num_workers=settings.workers)


def finetune(
    encoder: Encoder,
    train: Labelled,
    validation: Labelled,
    settings: Finetune,
    seed: int,
    judge: Judge,
    max_pixels: int,
    checkpoints: Path,
    running: Running = BY_ITSELF,
) -> Training:
    """Fine-tune an encoder, keeping the weights of the epoch that retrieves best on validation.

    Interrupted at any point and called again with the same arguments, it goes on from the last epoch and ends
    with the same weights as a run never interrupted; called again after its end, it trains no more.

    Args:
        encoder: where to start from; its module is changed.
        judge: scores validation vectors; higher is better.
        checkpoints: folder of the run, for the caller to remove once the encoder is safe elsewhere.
        running: see `Running`; of its checkpoint to resume, the run's own, if there is one, takes the place.

    Raises:
        RisError: validation cannot judge, a picture cannot be read any more, or a checkpoint is of another
            training.
    """
    if settings.epochs == 0:
        return Training(encoder)
    if len(validation.labels) == 0 or np.bincount(validation.labels).max() < 2:
        raise RisError(
            "No class has two validation pictures to judge the training by; add pictures, raise "
            "`clean.validation_share`, or set `finetune.epochs=0`."
        )
    known = len(stages(encoder.module))
    if 0 < settings.frozen_stages >= known:
        raise RisError(
            f"`finetune.frozen_stages` is {settings.frozen_stages}, but {encoder.network.name} has {known} "
            "stages that are known and one must be left to train; lower it."
        )
    check_sees(encoder.network, settings.train_size, "finetune.train_size")
    reuse_memory()
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    pl.seed_everything(seed, workers=True, verbose=False)
    classes = int(max(train.labels.max(), validation.labels.max())) + 1
    start = {name: tensor.clone() for name, tensor in encoder.module.state_dict().items()}
    module = RetrievalModule(encoder, classes, settings, seed, judge)
    trainer = _trainer(settings, checkpoints, running)
    own = checkpoints / "last.ckpt"
    last = own if own.is_file() else running.trainer.resume
    if last is not None:
        _check_checkpoint(last, module)
    pictures = Pictured(train, validation, module, max_pixels)
    with worker_errors_told(), quickened(module), warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", r"Found \d+ module\(s\) in eval mode"
        )  # those frozen are meant to be
        trainer.fit(module, pictures, ckpt_path=last, weights_only=True)
    if not trainer.is_global_zero:
        raise SystemExit(0)
    best = checkpoints / "best.ckpt"
    if not best.is_file():
        raise RisError(
            f"{last} had all its epochs, so there is nothing to go on with; raise `finetune.epochs`."
        )
    module.load_state_dict(_read_checkpoint(best)["state_dict"])
    body = module.body.cpu().eval()
    body.load_state_dict(averaged(body.state_dict(), start, settings.pretrained_share))
    return Training(Encoder(encoder.network, body), module.history)


def _trainer(settings: Finetune, checkpoints: Path, running: Running) -> pl.Trainer:
    """Make Lightning's trainer of a run."""
    score, chosen = "validation_score", running.trainer
    callbacks: list[Callback] = [
        ModelCheckpoint(checkpoints, "best", score, mode="max", enable_version_counter=False),
        ModelCheckpoint(checkpoints, "last", enable_version_counter=False),
        StillStopped(score, mode="max", patience=settings.patience),
    ]
    if settings.ema_decay > 0:
        callbacks.append(EMAWeightAveraging(decay=settings.ema_decay))
    precision = chosen.precision
    if precision == "auto":
        precision = "bf16-mixed" if has_bf16() else "32-true"
    return pl.Trainer(
        accelerator=chosen.accelerator,
        devices=chosen.devices,
        precision=precision,
        limit_train_batches=chosen.limit_train_batches,
        limit_val_batches=chosen.limit_val_batches,
        max_epochs=settings.epochs,
        callbacks=callbacks,
        deterministic=True,
        gradient_clip_val=1.0,
        num_sanity_val_steps=0,
        reload_dataloaders_every_n_epochs=1,
        logger=running.logger or False,
        log_every_n_steps=1,
        enable_model_summary=False,
        enable_progress_bar=sys.stderr.isatty(),
        default_root_dir=checkpoints,
    )


@contextmanager
def worker_errors_told() -> Iterator[None]:
    """Tell what went wrong in a DataLoader's worker as it was told there, without the traceback around it."""
    try:
        yield
    except (RisError, RuntimeError) as error:
        if "in DataLoader worker process" not in str(error):
            raise
        raise RisError(str(error).strip().splitlines()[-1].partition(": ")[2]) from error


def _read_checkpoint(file: Path) -> dict[str, Any]:
    """Read a checkpoint; one that is cut off or otherwise damaged is told of."""
    try:
        state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
    except (EOFError, RuntimeError, UnpicklingError) as error:
        raise RisError(f"{file} is damaged; delete its folder, and this training starts anew.") from error
    return state


def _check_checkpoint(file: Path, module: RetrievalModule) -> None:
    """Check that a run can go on from a checkpoint.

    Raises:
        RisError: it is missing, damaged, or of another network or other classes.
    """
    if not file.is_file():
        raise RisError(f"There is no checkpoint {file}; `trainer.resume` names one, or is null.")
    state = _read_checkpoint(file).get("state_dict", {})
    own = module.state_dict()
    if {name: one.shape for name, one in state.items()} != {name: one.shape for name, one in own.items()}:
        raise RisError(f"{file} is of another network or other classes; name a checkpoint of this training.")


def averaged(trained: Mapping[str, Tensor], start: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """Average two states of one network: `share` of `start`, the rest of `trained`; counters are `trained`'s.

    Wortsman et al., Robust Fine-Tuning of Zero-Shot Models, 2022, arXiv 2109.01903.
    """
    return {
        name: torch.lerp(tensor, start[name], share) if tensor.is_floating_point() else tensor
        for name, tensor in trained.items()
    }


def draw_epoch(labels: Integers, balance: float, seed: Sequence[int]) -> Integers:
    """Draw as many rows as there are: class c in proportion to (its size)^(1 - balance).

    Within a class every row comes before any comes twice.

    Args:
        labels: (n,) class numbers.
        balance: 0 draws classes as they are, 1 all alike.
        seed: decides the order and who comes.

    Returns:
        (n,) rows in random order.
    """
    rng = np.random.default_rng(seed)
    classes, sizes = np.unique(labels, return_counts=True)
    shares = sizes ** (1.0 - balance)
    bounds = np.round(np.cumsum(shares) / shares.sum() * len(labels)).astype(int)
    rows = []
    for label, quota in zip(classes, np.diff(bounds, prepend=0), strict=True):
        members = np.flatnonzero(labels == label)
        rounds = [rng.permutation(members) for _ in range(quota // len(members) + 1)]
        rows.append(np.concatenate(rounds)[:quota])
    return rng.permutation(np.concatenate(rows))


def warmup_cosine(step: int, steps: int, warmup_share: float) -> float:
    """Factor on the learning rate: a straight rise, then half a cosine down to 0."""
    warmup = max(1, round(steps * warmup_share))
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1.0 + math.cos(math.pi * min(1.0, (step - warmup) / max(1, steps - warmup))))
