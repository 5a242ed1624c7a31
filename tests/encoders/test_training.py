"""Fine-tuning on a few small pictures: learning, choosing, stopping, and being killed and started again."""

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import Tensor

from ris.config import Network
from ris.encoders.backbone import create
from ris.encoders.encoder import Encoder
from ris.encoders.pytorch import has_bf16, standardise
from ris.encoders.transforms import for_embedding
from ris.errors import RisError
from ris.images.decoding import read_image
from ris.lab import config
from ris.lab.config import Augment, Finetune
from ris.lab.loggers import logger_of
from ris.lab.training import (
    WHOLE,
    Crops,
    Judge,
    Labelled,
    RetrievalModule,
    Running,
    Training,
    draw_epoch,
    finetune,
    warmup_cosine,
)
from ris.metrics.retrieval import leave_one_out_map_at_r

Vectors = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]

LIMIT = 1_000_000
SETTINGS = Finetune(
    epochs=3,
    frozen_stages=0,
    batch_size=8,
    train_size=32,
    learning_rate=3e-3,
    weight_decay=0.01,
    warmup_share=0.1,
    temperature=0.1,
    label_smoothing=0.0,
    distillation=0.0,
    pretrained_share=0.0,
    class_balance=0.5,
    ema_decay=0.5,
    patience=10,
    workers=0,
    augment=Augment(min_area=0.6, flip=0.5, jitter=0.2, grayscale=0.1),
)


def draw(folder: Path, per_class: int, seed: int) -> Labelled:
    """Patches of any grey, tinted by class."""
    folder.mkdir()
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(3), per_class)
    files = [folder / f"{number:02d}.png" for number in range(len(labels))]
    for file, label in zip(files, labels, strict=True):
        patches = np.repeat(rng.integers(30, 200, (5, 5, 1)) * rng.uniform(0.4, 1), 3, axis=2)
        patches[..., label] += 70
        picture = Image.fromarray(patches.clip(0, 255).astype(np.uint8))
        picture.resize((40, 40), Image.Resampling.NEAREST).save(file)
    return Labelled(files, labels)


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory) -> Labelled:
    return draw(tmp_path_factory.mktemp("data") / "train", 8, 0)


@pytest.fixture(scope="module")
def validation(tmp_path_factory: pytest.TempPathFactory) -> Labelled:
    return draw(tmp_path_factory.mktemp("data") / "validation", 4, 1)


@pytest.fixture(autouse=True)
def _torch_as_it_was() -> Iterator[None]:
    """Lightning makes all of torch deterministic."""
    yield
    torch.use_deterministic_algorithms(False)


def fresh(network: Network) -> Encoder:
    torch.manual_seed(7)
    return Encoder(network, create(network))


def run(
    network: Network,
    train: Labelled,
    validation: Labelled,
    checkpoints: Path,
    judge: Judge = leave_one_out_map_at_r,
    seed: int = 0,
    running: Running | None = None,
    **changes: Any,
) -> Training:
    settings = SETTINGS.model_copy(update=changes)
    encoder = fresh(network)
    torch.seed()  # what was drawn before must not matter
    return finetune(
        encoder, train, validation, settings, seed, judge, LIMIT, checkpoints, running or Running()
    )


def weights(training: Training) -> dict[str, Tensor]:
    state: dict[str, Tensor] = training.encoder.module.state_dict()
    return state


def same(one: Training, other: Training) -> bool:
    ours, theirs = weights(one), weights(other)
    equal = set(ours) == set(theirs) and all(torch.equal(ours[name], theirs[name]) for name in ours)
    return equal and one.history == other.history


@pytest.fixture(scope="module")
def uninterrupted(
    tiny: Network, train: Labelled, validation: Labelled, tmp_path_factory: pytest.TempPathFactory
) -> Training:
    return run(tiny, train, validation, tmp_path_factory.mktemp("run") / "checkpoints")


def unit_vectors(encoder: Encoder, data: Labelled) -> Vectors:
    vectors = encoder.embedder("fp32").embed_files(data.files, 4, 0, LIMIT)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def test_training_lowers_the_loss_and_retrieves_better(
    tiny: Network, train: Labelled, validation: Labelled, tmp_path: Path
) -> None:
    encoder = fresh(tiny.model_copy(update={"model": "resnet18", "dimension": 512}))
    before = leave_one_out_map_at_r(unit_vectors(encoder, validation), validation.labels)
    colours_stay = SETTINGS.augment.model_copy(update={"jitter": 0.0, "grayscale": 0.0})
    settings = SETTINGS.model_copy(
        update={"epochs": 2, "learning_rate": 1e-3, "ema_decay": 0.0, "augment": colours_stay}
    )
    training = finetune(
        encoder, train, validation, settings, 0, leave_one_out_map_at_r, LIMIT, tmp_path / "checkpoints"
    )
    first, last = (epoch["train_loss"] for epoch in training.history)
    assert last < 0.5 * first
    after = leave_one_out_map_at_r(unit_vectors(training.encoder, validation), validation.labels)
    assert after > before + 0.1
    assert after == pytest.approx(max(epoch["validation_mAP@R"] for epoch in training.history), abs=0.05)


def test_history_has_an_entry_an_epoch(uninterrupted: Training) -> None:
    assert [epoch["epoch"] for epoch in uninterrupted.history] == [1, 2, 3]
    assert all(np.isfinite(list(epoch.values())).all() for epoch in uninterrupted.history)
    rates = [epoch["learning_rate"] for epoch in uninterrupted.history]
    # Three epochs of 24 pictures in batches of 8 are 9 steps, of which the first is warm-up.
    expected = [SETTINGS.learning_rate * warmup_cosine(step, 9, 0.1) for step in (3, 6, 9)]
    np.testing.assert_allclose(rates, expected, atol=1e-12)


def test_no_epochs_keep_the_very_same_weights(
    tiny: Network, train: Labelled, validation: Labelled, tmp_path: Path
) -> None:
    training = run(tiny, train, validation, tmp_path / "checkpoints", epochs=0)
    assert same(training, Training(fresh(tiny)))
    assert not (tmp_path / "checkpoints").exists()


@pytest.mark.parametrize("workers", [0, 1])
def test_repeats_bit_for_bit_whatever_the_workers(
    tiny: Network,
    train: Labelled,
    validation: Labelled,
    tmp_path: Path,
    uninterrupted: Training,
    workers: int,
) -> None:
    assert same(run(tiny, train, validation, tmp_path / "checkpoints", workers=workers), uninterrupted)


def test_another_seed_trains_otherwise(
    tiny: Network, train: Labelled, validation: Labelled, tmp_path: Path
) -> None:
    one, other = (run(tiny, train, validation, tmp_path / str(seed), seed=seed, epochs=1) for seed in (0, 1))
    assert not same(one, other)


def test_the_moving_average_is_kept_and_trains_nothing(
    tiny: Network, train: Labelled, validation: Labelled, tmp_path: Path, uninterrupted: Training
) -> None:
    last = run(tiny, train, validation, tmp_path / "checkpoints", ema_decay=0.0)
    ours, theirs = ([epoch["train_loss"] for epoch in training.history] for training in (last, uninterrupted))
    assert ours == theirs
    assert any(
        not torch.equal(tensor, weights(uninterrupted)[name]) for name, tensor in weights(last).items()
    )


def test_the_kept_weights_are_an_average_with_those_of_the_start(
    tiny: Network, train: Labelled, validation: Labelled, tmp_path: Path, uninterrupted: Training
) -> None:
    start = weights(Training(fresh(tiny)))
    quarter = weights(run(tiny, train, validation, tmp_path / "quarter", pretrained_share=0.25))
    for name, tensor in weights(uninterrupted).items():
        if tensor.is_floating_point():
            expected = 0.75 * tensor + 0.25 * start[name]
            torch.testing.assert_close(quarter[name], expected, atol=1e-6, rtol=1e-5)


def test_distillation_holds_vectors_where_they_were(
    tiny: Network, train: Labelled, validation: Labelled, tmp_path: Path, uninterrupted: Training
) -> None:
    held = run(tiny, train, validation, tmp_path / "held", distillation=100.0)
    before = unit_vectors(fresh(tiny), validation)
    cosines = [
        (unit_vectors(training.encoder, validation) * before).sum(axis=1).mean()
        for training in (uninterrupted, held)
    ]
    assert cosines[1] > cosines[0]


def test_frozen_stages_stay_as_they_were_and_the_others_learn(
    tiny: Network, train: Labelled, validation: Labelled, tmp_path: Path
) -> None:
    network = tiny.model_copy(update={"model": "resnet18", "dimension": 512})
    before, trained = (
        fresh(network).module,
        run(network, train, validation, tmp_path, epochs=1, frozen_stages=3),
    )
    old, new = before.state_dict(), trained.encoder.module.state_dict()
    changed = {name.partition(".")[0] for name, tensor in old.items() if not torch.equal(tensor, new[name])}
    assert changed == {"layer3", "layer4"}


def test_a_stage_must_be_left_to_train(
    tiny: Network, train: Labelled, validation: Labelled, tmp_path: Path
) -> None:
    with pytest.raises(RisError, match=r"`finetune.frozen_stages` is 9, but .* has \d stages"):
        run(tiny, train, validation, tmp_path, frozen_stages=9)


def test_every_epoch_draws_its_own_crops(
    tiny: Network, train: Labelled, monkeypatch: pytest.MonkeyPatch
) -> None:
    fewer = Labelled(train.files[:18], train.labels[:18])
    module = RetrievalModule(fresh(tiny), 3, SETTINGS, seed=0, judge=leave_one_out_map_at_r)
    epochs = []
    for epoch in (0, 1, 1):
        monkeypatch.setattr(RetrievalModule, "current_epoch", epoch)
        epochs.append(Crops(fewer, module, LIMIT))
    first, second, again = epochs
    # Sizes 8, 8 and 2, half balanced: 7.2, 7.2 and 3.6 of 18.
    assert np.bincount(fewer.labels[first.order]).tolist() == [7, 7, 4]
    assert not np.array_equal(first.order, second.order)
    assert not np.array_equal(first.seeds, second.seeds)
    assert len(set(first.seeds)) == len(first)
    for position in range(len(second)):
        assert torch.equal(second[position][0], again[position][0])
        assert second[position][1] == fewer.labels[second.order[position]]


def test_a_run_draws_anew_for_each_epoch(
    tiny: Network, train: Labelled, validation: Labelled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []

    def spy(labels: Labels, balance: float, seed: Sequence[int]) -> Labels:
        drawn.append(list(seed))
        return draw_epoch(labels, balance, seed)

    monkeypatch.setattr("ris.lab.training.draw_epoch", spy)
    run(tiny, train, validation, tmp_path / "checkpoints", seed=5)
    assert [seed for number, seed in enumerate(drawn) if seed not in drawn[:number]] == [
        [5, 0],
        [5, 1],
        [5, 2],
    ]


def test_validation_that_cannot_judge_is_refused(
    tiny: Network, train: Labelled, validation: Labelled, tmp_path: Path
) -> None:
    for few in (Labelled(validation.files[::4], validation.labels[::4]), Labelled([], validation.labels[:0])):
        with pytest.raises(RisError, match="No class has two validation pictures"):
            run(tiny, train, few, tmp_path / "checkpoints")


@pytest.mark.parametrize("workers", [0, 1])
def test_a_file_that_is_no_picture_any_more_is_named(
    tiny: Network, train: Labelled, validation: Labelled, tmp_path: Path, workers: int
) -> None:
    (tmp_path / "text.jpg").write_text("no picture")
    spoiled = Labelled([tmp_path / "text.jpg", *train.files[1:]], train.labels)
    with pytest.raises(RisError) as caught:
        run(tiny, spoiled, validation, tmp_path / "checkpoints", workers=workers)
    assert str(caught.value).startswith(f"{tmp_path / 'text.jpg'} cannot be used as a picture")
    assert "\n" not in str(caught.value)


class Interrupted(Exception):  # noqa: N818
    pass


def judge_until(call: int, end: Callable[[], None]) -> Judge:
    """Judge as always, but end the run in the given validation, counted from 1."""
    calls = iter(range(1, call + 1))

    def judge(vectors: Vectors, labels: Labels) -> float:
        if next(calls) == call:
            end()
        return leave_one_out_map_at_r(vectors, labels)

    return judge


def interrupt() -> None:
    raise Interrupted


@pytest.mark.parametrize("call", [1, 3])
def test_an_interrupted_run_ends_like_one_that_was_not(
    tiny: Network, train: Labelled, validation: Labelled, tmp_path: Path, uninterrupted: Training, call: int
) -> None:
    with pytest.raises(Interrupted):
        run(tiny, train, validation, tmp_path / "checkpoints", judge_until(call, interrupt))
    assert same(run(tiny, train, validation, tmp_path / "checkpoints"), uninterrupted)


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def run_and_be_killed(network: Network, train: Labelled, validation: Labelled, checkpoints: Path) -> None:
    run(network, train, validation, checkpoints, judge_until(2, kill))


def test_a_killed_run_goes_on_from_its_last_epoch(
    tiny: Network, train: Labelled, validation: Labelled, tmp_path: Path, uninterrupted: Training
) -> None:
    process = get_context("spawn").Process(
        target=run_and_be_killed, args=(tiny, train, validation, tmp_path / "checkpoints")
    )
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert (tmp_path / "checkpoints/last.ckpt").is_file()

    judged: list[int] = []

    def judge(vectors: Vectors, labels: Labels) -> float:
        judged.append(len(vectors))
        return leave_one_out_map_at_r(vectors, labels)

    assert same(run(tiny, train, validation, tmp_path / "checkpoints", judge), uninterrupted)
    assert judged == [12, 12]
    assert same(run(tiny, train, validation, tmp_path / "checkpoints", judge), uninterrupted)
    assert judged == [12, 12]


def scripted(scores: Sequence[float], seen: list[Vectors]) -> Judge:
    """Give the scores in turn, and keep the vectors that were judged."""
    turns = iter(scores)

    def judge(vectors: Vectors, _labels: Labels) -> float:
        seen.append(vectors)
        return next(turns)

    return judge


@pytest.mark.parametrize("ema_decay", [0.0, 0.5])
@pytest.mark.parametrize("scores", [[0.1, 0.9, 0.2], [0.3, 0.1, 0.2]])
def test_the_best_epoch_is_kept(
    tiny: Network,
    train: Labelled,
    validation: Labelled,
    tmp_path: Path,
    scores: list[float],
    ema_decay: float,
) -> None:
    seen: list[Vectors] = []
    training = run(
        tiny, train, validation, tmp_path / "checkpoints", scripted(scores, seen), ema_decay=ema_decay
    )
    images = [read_image(file, LIMIT, draft=2 * tiny.resize) for file in validation.files]
    pixels = torch.stack([torch.from_numpy(for_embedding(image, tiny)) for image in images])
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=has_bf16()):
        vectors = training.encoder.module(standardise(pixels, tiny.mean, tiny.std))
    vectors = torch.nn.functional.normalize(vectors.float()).numpy()
    distances = [float(np.abs(vectors - epoch).max()) for epoch in seen]
    best = int(np.argmax(scores))
    assert int(np.argmin(distances)) == best
    assert distances[best] < 0.1 * sorted(distances)[1]


def test_a_run_that_stopped_early_stays_stopped(
    tiny: Network, train: Labelled, validation: Labelled, tmp_path: Path
) -> None:
    seen: list[Vectors] = []
    judge = scripted([0.9, 0.2, 0.1, 1.0], seen)
    first = run(tiny, train, validation, tmp_path / "checkpoints", judge, epochs=5, patience=2)
    assert len(seen) == 3
    assert same(run(tiny, train, validation, tmp_path / "checkpoints", judge, epochs=5, patience=2), first)
    assert len(seen) == 3


def test_the_judge_sees_unit_vectors_and_their_labels(
    tiny: Network, train: Labelled, validation: Labelled, tmp_path: Path
) -> None:
    judged: list[tuple[Vectors, Labels]] = []

    def judge(vectors: Vectors, labels: Labels) -> float:
        judged.append((vectors, labels))
        return 0.0

    run(tiny, train, validation, tmp_path / "checkpoints", judge, epochs=1)
    ((vectors, labels),) = judged
    assert vectors.shape == (12, 1024)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(labels, validation.labels)


@pytest.mark.parametrize(("patience", "epochs_run"), [(1, 2), (2, 4)])
def test_stops_after_patience_epochs_without_a_better_one(
    tiny: Network, train: Labelled, validation: Labelled, tmp_path: Path, patience: int, epochs_run: int
) -> None:
    scores = [0.5, 0.4, 0.4, 0.9] if patience == 1 else [0.5, 0.6, 0.6, 0.1, 0.9]
    judge = scripted(scores, [])
    training = run(tiny, train, validation, tmp_path / "checkpoints", judge, epochs=5, patience=patience)
    assert [epoch["validation_mAP@R"] for epoch in training.history] == scores[:epochs_run]


class Payload:
    """Makes a folder when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.marker),)


def test_a_checkpoint_with_code_in_it_does_not_run(
    tiny: Network, train: Labelled, validation: Labelled, tmp_path: Path
) -> None:
    (tmp_path / "checkpoints").mkdir()
    torch.save({"state_dict": Payload(tmp_path / "ran")}, tmp_path / "checkpoints/last.ckpt")
    with pytest.raises(RisError, match=r"last\.ckpt is damaged; delete its folder"):
        run(tiny, train, validation, tmp_path / "checkpoints")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_checkpoint_that_was_cut_off_is_told_of(
    tiny: Network, train: Labelled, validation: Labelled, tmp_path: Path, share: float
) -> None:
    last = tmp_path / "checkpoints/last.ckpt"
    with pytest.raises(Interrupted):
        run(tiny, train, validation, last.parent, judge_until(2, interrupt))
    content = last.read_bytes()
    last.write_bytes(content[: int(share * len(content))])
    with pytest.raises(RisError, match=r"last\.ckpt is damaged; delete its folder"):
        run(tiny, train, validation, last.parent)


def logged(kind: str, folder: Path, uri: str | None = None) -> Running:
    settings = config.Logger(kind=kind, folder=str(folder), project="tests", uri=uri)
    return Running(logger=logger_of(settings, "all"))


def test_a_csv_logger_is_told_of_every_epoch_and_changes_nothing(
    tiny: Network, train: Labelled, validation: Labelled, tmp_path: Path, uninterrupted: Training
) -> None:
    running = logged("csv", tmp_path / "logs")
    assert same(run(tiny, train, validation, tmp_path / "run", running=running), uninterrupted)
    table = pd.read_csv(tmp_path / "logs/csv/all/metrics.csv")
    epochs = table.dropna(subset=["validation_score"])
    names = {
        "train_loss": "train_loss",
        "validation_score": "validation_mAP@R",
        "learning_rate": "learning_rate",
    }
    assert table["loss"].count() == 3 * 3
    for name, ours in names.items():
        assert epochs[name].tolist() == pytest.approx([one[ours] for one in uninterrupted.history], abs=1e-6)


def test_tensorboard_is_told_of_every_epoch(
    tiny: Network, train: Labelled, validation: Labelled, tmp_path: Path, uninterrupted: Training
) -> None:
    reason = "tensorboard is not installed"
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator", reason=reason)
    running = logged("tensorboard", tmp_path / "logs")
    assert same(run(tiny, train, validation, tmp_path / "run", running=running), uninterrupted)
    read = events.EventAccumulator(str(tmp_path / "logs/tensorboard/all"))
    read.Reload()
    scores = [event.value for event in read.Scalars("validation_score")]
    assert scores == pytest.approx([one["validation_mAP@R"] for one in uninterrupted.history], abs=1e-6)


def test_a_local_mlflow_is_told_of_every_epoch(
    tiny: Network, train: Labelled, validation: Labelled, tmp_path: Path, uninterrupted: Training
) -> None:
    mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed")
    running = logged("mlflow", tmp_path / "logs")
    assert same(run(tiny, train, validation, tmp_path / "run", running=running), uninterrupted)
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'logs/mlflow.db'}")
    (found,) = client.search_runs([client.get_experiment_by_name("tests").experiment_id])
    scores = [one.value for one in client.get_metric_history(found.info.run_id, "validation_score")]
    assert scores == pytest.approx([one["validation_mAP@R"] for one in uninterrupted.history], abs=1e-6)


def test_a_logger_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "dvclive.lightning", None)
    with pytest.raises(RisError, match=r"`logger=dvclive` needs dvclive, .*; `pip install dvclive`\."):
        logged("dvclive", tmp_path)


def test_limits_shorten_a_training(
    tiny: Network, train: Labelled, validation: Labelled, tmp_path: Path
) -> None:
    judged: list[int] = []

    def judge(vectors: Vectors, labels: Labels) -> float:
        judged.append(len(vectors))
        return leave_one_out_map_at_r(vectors, labels)

    limits = WHOLE.model_copy(update={"limit_train_batches": 2, "limit_val_batches": 0.5})
    training = run(tiny, train, validation, tmp_path / "run", judge, running=Running(limits), batch_size=6)
    assert judged == [6, 6, 6]
    rates = [epoch["learning_rate"] for epoch in training.history]
    expected = [SETTINGS.learning_rate * warmup_cosine(step, 6, 0.1) for step in (2, 4, 6)]
    np.testing.assert_allclose(rates, expected, atol=1e-12)


def test_a_training_goes_on_from_a_checkpoint_elsewhere(
    tiny: Network, train: Labelled, validation: Labelled, tmp_path: Path
) -> None:
    whole = run(tiny, train, validation, tmp_path / "whole", scripted([0.1, 0.2, 0.3], []))
    with pytest.raises(Interrupted):
        run(tiny, train, validation, tmp_path / "first", judge_until(2, interrupt))
    kept = (tmp_path / "first/last.ckpt").rename(tmp_path / "kept.ckpt")
    running = Running(WHOLE.model_copy(update={"resume": kept}))
    second = run(tiny, train, validation, tmp_path / "second", scripted([0.2, 0.3], []), running=running)
    assert same(Training(second.encoder, whole.history), whole)
    assert [epoch["epoch"] for epoch in second.history] == [1, 2, 3]
    ended = Running(WHOLE.model_copy(update={"resume": tmp_path / "second/last.ckpt"}))
    with pytest.raises(RisError, match=r"had all its epochs.*raise `finetune\.epochs`"):
        run(tiny, train, validation, tmp_path / "third", running=ended)


def test_a_checkpoint_that_does_not_fit_is_refused(
    tiny: Network, train: Labelled, validation: Labelled, tmp_path: Path
) -> None:
    nowhere = Running(WHOLE.model_copy(update={"resume": tmp_path / "nowhere.ckpt"}))
    with pytest.raises(RisError, match=r"There is no checkpoint .*nowhere\.ckpt"):
        run(tiny, train, validation, tmp_path / "run", running=nowhere)
    other = tmp_path / "other.ckpt"
    torch.save({"state_dict": {"body.weight": torch.zeros(3)}}, other)
    with pytest.raises(RisError, match="of another network or other classes"):
        run(
            tiny,
            train,
            validation,
            tmp_path / "run",
            running=Running(WHOLE.model_copy(update={"resume": other})),
        )
