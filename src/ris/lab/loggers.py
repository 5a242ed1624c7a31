"""Lightning's loggers, by name: each keeps the learning curves of a training for a tool of its own."""

from collections.abc import Callable
from pathlib import Path

from pytorch_lightning.loggers import CSVLogger, Logger, MLFlowLogger, TensorBoardLogger, WandbLogger

from ris.errors import RisError
from ris.lab import config

PACKAGES = {"tensorboard": "tensorboard", "mlflow": "mlflow", "wandb": "wandb", "dvclive": "dvclive"}
"""What must be installed for a kind, none of which comes with the lab."""


def logger_of(settings: config.Logger, name: str) -> Logger | None:
    """Make the logger of one training; None where none is wanted.

    Args:
        settings: which, and where it writes.
        name: of the training.

    Raises:
        RisError: its package is not installed.
    """
    if settings.kind == "none":
        return None
    try:
        return _KINDS[settings.kind](settings, name)
    except ModuleNotFoundError as error:
        package = PACKAGES[settings.kind]
        raise RisError(
            f"`logger={settings.kind}` needs {package}, which is not installed; `pip install {package}`."
        ) from error


def _csv(settings: config.Logger, name: str) -> Logger:
    return CSVLogger(settings.folder, "csv", name)


def _tensorboard(settings: config.Logger, name: str) -> Logger:
    return TensorBoardLogger(settings.folder, "tensorboard", name)


def _mlflow(settings: config.Logger, name: str) -> Logger:
    if settings.uri is not None:
        return MLFlowLogger(settings.project, name, settings.uri)
    folder = Path(settings.folder).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    place = (folder / "mlflow").as_uri()
    return MLFlowLogger(settings.project, name, f"sqlite:///{folder / 'mlflow.db'}", artifact_location=place)


def _wandb(settings: config.Logger, name: str) -> Logger:
    return WandbLogger(name, settings.folder, project=settings.project)


def _dvclive(settings: config.Logger, name: str) -> Logger:
    from dvclive.lightning import DVCLiveLogger

    place = Path(settings.folder) / "dvclive" / name
    logger: Logger = DVCLiveLogger(dir=str(place), save_dvc_exp=False)
    return logger


_KINDS: dict[str, Callable[[config.Logger, str], Logger]] = {
    "csv": _csv,
    "tensorboard": _tensorboard,
    "mlflow": _mlflow,
    "wandb": _wandb,
    "dvclive": _dvclive,
}
