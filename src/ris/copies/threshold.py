"""From how much evidence on a picture counts as the very same one."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from ris.artifacts import read_json
from ris.copies.calibration import Calibration
from ris.types import DamagedError

FILE = Path(__file__).with_name("threshold.json")
"""The calibration that comes with this package, over edits and strangers of Caltech 101."""


@dataclass(frozen=True)
class Threshold:
    """A picture is the same one where there is more evidence."""

    evidence: float
    """See `ris.copies.relations.Related`."""
    false_positive_rate: float
    """Stated when it was calibrated."""
    over: str = ""
    """Whose it is, and over what it was chosen."""


def packaged() -> Threshold:
    """Read the threshold that comes with this package.

    Raises:
        DamagedError: it is missing or damaged.
    """
    try:
        return of(Calibration.model_validate(read_json(FILE)), "the package's")
    except ValidationError as error:
        raise DamagedError(f"{FILE} is damaged; install this package anew.") from error


def of(calibration: Calibration, whose: str) -> Threshold:
    """Return the threshold that was calibrated."""
    over = f"{whose}, chosen over {calibration.chosen.false_positive_rate.n} queries with strangers"
    return Threshold(calibration.threshold, calibration.stated_false_positive_rate, over)
