"""From scores to the answer "this picture is here" at a stated false-positive rate, and how good it is."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ris.artifacts import read_json, write_json
from ris.errors import RisError

Booleans: TypeAlias = npt.NDArray[np.bool_]
Scores: TypeAlias = npt.NDArray[np.float64]
Groups: TypeAlias = npt.NDArray[np.int64]

FORMAT = 1
DECIMALS = 6


@dataclass(frozen=True, eq=False)
class Answers:
    """What a search said of n queries."""

    scores: Scores
    """(n,) of the best gallery picture, the higher the surer: evidence, or minus a distance. Finite."""
    present: Booleans
    """(n,) whether the query's original is in the gallery."""
    correct: Booleans
    """(n,) whether the best gallery picture is that original; False where it is not present."""
    groups: Groups
    """(n,) the near-duplicate group of the picture that the query was made of."""

    def __getitem__(self, chosen: Booleans) -> "Answers":
        """Return the answers to some of the queries."""
        return Answers(self.scores[chosen], self.present[chosen], self.correct[chosen], self.groups[chosen])


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Rate(_Strict):
    """A share with its 95 % interval; None where nothing was asked that it could be a share of."""

    value: float | None
    ci95: list[float] | None
    n: int


class Performance(_Strict):
    """How good the answers above a threshold are."""

    precision: Rate
    """Of the answers "here", those that name the original."""
    recall: Rate
    """Of the queries whose original is in the gallery, those answered with it."""
    false_positive_rate: Rate
    """Of the queries whose original is not in the gallery, those answered "here"."""


class Calibration(_Strict):
    """calibration.json: a picture is here where the score is above the threshold."""

    format: int = FORMAT
    score: str = Field(min_length=1)
    """What was calibrated: `evidence`, or `distance` for minus the distance."""
    catalog: str
    """Checksum of the catalog that was searched."""
    threshold: float
    stated_false_positive_rate: float = Field(gt=0, lt=1)
    chosen: Performance
    """On the half on which the threshold was chosen."""
    reported: Performance
    """On the other half."""

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        write_json(path, self.model_dump())

    @classmethod
    def open(cls, path: Path, score: str, catalog_sha256: str) -> Self:
        """Read a calibration.

        Raises:
            RisError: it is missing or damaged, of another format or score, or of another catalog.
        """
        try:
            calibration = cls.model_validate(read_json(path))
        except ValidationError as error:
            raise RisError(f"{path} is no calibration; remake it with `dvc repro`.") from error
        for name, found, expected in (
            ("format", calibration.format, FORMAT),
            ("score", calibration.score, score),
        ):
            if found != expected:
                raise RisError(f"{path} has {name} {found}, not {expected}; remake it with `dvc repro`.")
        if calibration.catalog != catalog_sha256:
            raise RisError(
                f"{path} was calibrated on another catalog than the present one; remake it with `dvc repro`."
            )
        return calibration


def calibrate(
    answers: Answers,
    score: str,
    catalog_sha256: str,
    *,
    false_positive_rate: float,
    n_resamples: int,
    seed: int,
) -> Calibration:
    """Choose a threshold on one half of the groups, and report on the other.

    Args:
        answers: to queries whose original is in the gallery and to others whose is not.
        score: what is calibrated.
        catalog_sha256: checksum of the catalog that was searched.
        false_positive_rate: stated, above 0 and below 1.
        n_resamples: of the bootstrap.
        seed: of the halves and of the bootstrap.

    Raises:
        RisError: a half holds too few different pictures whose original is absent, see `can_tell`.
    """
    first = halves(answers, seed)
    threshold = choose_threshold(answers[first], false_positive_rate)
    return Calibration(
        score=score,
        catalog=catalog_sha256,
        threshold=threshold,
        stated_false_positive_rate=false_positive_rate,
        chosen=performance(answers[first], threshold, n_resamples, seed),
        reported=performance(answers[~first], threshold, n_resamples, seed),
    )


def halves(answers: Answers, seed: int) -> Booleans:
    """Draw half of the groups, and tell which queries (n,) are of them: a group is never on both sides.

    It is half of those whose original is in the gallery, and half of the others.
    """
    rng = np.random.default_rng(seed)
    drawn = []
    for side in (answers.present, ~answers.present):
        kinds = np.unique(answers.groups[side])
        drawn.append(rng.permutation(kinds)[: (len(kinds) + 1) // 2])
    return np.isin(answers.groups, np.concatenate(drawn))


def can_calibrate(answers: Answers, false_positive_rate: float, seed: int) -> bool:
    """Whether one half can tell the rate, and the other has queries of both kinds to report on."""
    first = halves(answers, seed)
    strangers = different(answers.groups[first & ~answers.present])
    reported = answers.present[~first]
    return can_tell(false_positive_rate, strangers) and bool(reported.any()) and not reported.all()


def different(groups: Groups) -> int:
    """Count the different pictures that queries are made of: a picture under fifteen edits is one."""
    return len(np.unique(groups))


def can_tell(rate: float, strangers: int) -> bool:
    """Whether a false-positive rate can be told from so many different pictures: one of them is that share.

    With fewer, the quantile that the threshold stands for lies beyond the greatest score, and no sample says
    where (Hyndman and Fan 1996, "Sample Quantiles in Statistical Packages"). How far the rate is known from
    so many, `ris.metrics.intervals.exact_interval` tells.
    """
    return _allowed(rate, strangers) >= 1


def choose_threshold(answers: Answers, false_positive_rate: float) -> float:
    """Return the lowest of the absent queries' scores above which at most the stated share of them lies.

    Raises:
        RisError: they are made of too few different pictures, see `can_tell`.
    """
    strangers = different(answers.groups[~answers.present])
    if not can_tell(false_positive_rate, strangers):
        raise RisError(
            f"A false-positive rate of {false_positive_rate:g} cannot be told from {strangers} different "
            "pictures whose original is not in the gallery; ask more of them, or state a higher rate."
        )
    absent = np.sort(answers.scores[~answers.present])[::-1]
    return float(absent[_allowed(false_positive_rate, len(absent))])


def _allowed(false_positive_rate: float, absent: int) -> int:
    return int(false_positive_rate * absent + 1e-9)


def performance(answers: Answers, threshold: float, n_resamples: int, seed: int) -> Performance:
    """Measure the answers above a threshold.

    The intervals are 95 % percentile intervals of a bootstrap over groups, as several queries are made of
    one picture (Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapter 13). A share of
    exactly 0 or 1 has an interval of no width; its n says how far that is to be trusted.

    Args:
        answers: the queries.
        threshold: a picture is here where the score is above it.
        n_resamples: of the bootstrap.
        seed: of the bootstrap.
    """
    here, present = answers.scores > threshold, answers.present
    kinds, codes = np.unique(answers.groups, return_inverse=True)
    generator = np.random.default_rng(seed)
    draws = generator.multinomial(len(kinds), np.full(len(kinds), 1 / len(kinds)), n_resamples)

    def rate(hits: Booleans, among: Booleans) -> Rate:
        n = int(np.count_nonzero(among))
        if n == 0:
            return Rate(value=None, ci95=None, n=0)
        found, asked = (draws @ np.bincount(codes, these, len(kinds)) for these in (hits & among, among))
        bounds = np.quantile(found[asked > 0] / asked[asked > 0], [0.025, 0.975])
        value = np.count_nonzero(hits & among) / n
        return Rate(value=round(value, DECIMALS), ci95=bounds.round(DECIMALS).tolist(), n=n)

    return Performance(
        precision=rate(answers.correct, here),
        recall=rate(here & answers.correct, present),
        false_positive_rate=rate(here, ~present),
    )
