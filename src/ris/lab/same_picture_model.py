"""What a search for a very picture loads: its space and its thresholds, and what they were made for."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ris.artifacts import checksum, read_json, write_json, writing
from ris.copies.calibration import Calibration
from ris.errors import RisError
from ris.indexes.projection import Projection
from ris.lab.config import Params

DECIDING = (
    "candidates",
    "encoder",
    "enough_evidence",
    "n_components",
    "regions",
    "region_weight",
    "views",
    "whiten",
)
"""Settings that make a search what it is."""


def identity(params: Params, catalog_sha256: str, encoders: Mapping[str, Path]) -> dict[str, Any]:
    """Return all that a space and a threshold are made for.

    Args:
        params: of the run.
        catalog_sha256: checksum of the catalog that is searched.
        encoders: the folder of each network whose vectors give the candidates, by name.
    """
    settings = params.same_picture
    return {
        "catalog": catalog_sha256,
        "encoders": {name: checksum(folder / "encoder.json") for name, folder in encoders.items()},
        "normalise": params.extract.normalise,
        "settings": {key: getattr(settings, key) for key in DECIDING},
        "local_features": settings.local_features.model_dump(),
    }


def write_model(
    folder: Path, made_for: Mapping[str, Any], space: Projection, calibrations: Mapping[str, Calibration]
) -> None:
    """Write a space, thresholds by score, and search.json, which says what they are for, see `identity`."""
    with writing(folder) as fresh:
        fresh.mkdir()
        space.save(fresh / "space.npz")
        for score, calibration in calibrations.items():
            calibration.write(fresh / f"{score}.json")
        files = {path.name: checksum(path) for path in sorted(fresh.iterdir())}
        write_json(fresh / "search.json", {**made_for, "files": files})


def is_made(folder: Path) -> bool:
    """Whether there is one: not where nothing was asked."""
    return (folder / "search.json").is_file()


def open_model(folder: Path, made_for: Mapping[str, Any]) -> tuple[Projection, Calibration | None]:
    """Open a space and the threshold of the evidence; None where that was not calibrated.

    Raises:
        RisError: it was made for something else, see `identity`, or a file of it is missing or damaged.
    """
    made = read_json(folder / "search.json")
    files = made.pop("files", {}) if isinstance(made, dict) else {}
    if made != made_for:
        raise RisError(
            f"{folder} was made for another catalog, encoder or other settings of `same_picture`; "
            "run `dvc repro same_picture`."
        )
    for name, expected in files.items():
        if not (folder / name).is_file() or checksum(folder / name) != expected:
            raise RisError(f"{folder / name} is missing or damaged; run `dvc repro same_picture`.")
    calibration = None
    if "evidence.json" in files:
        calibration = Calibration.open(folder / "evidence.json", "evidence", made_for["catalog"])
    return Projection.load(folder / "space.npz"), calibration
