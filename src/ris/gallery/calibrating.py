"""A threshold for a collection: its pictures are asked for after edits, and of the rest as strangers."""

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import TypeAlias

import numpy as np
from PIL import Image
from scipy.stats import binom

from ris.copies import edits
from ris.copies.calibration import (
    Answers,
    Booleans,
    Scores,
    different,
    halves,
)
from ris.copies.edits import UNEDITED
from ris.errors import RisError
from ris.gallery.catalogue import Positions
from ris.gallery.gallery import Gallery
from ris.metrics.intervals import exact_interval
from ris.threads import in_order
from ris.types import BadQueryError, Calibrated, Finding, Hit, Pair, Picture, Progress

Find: TypeAlias = Callable[[Image.Image, Positions], Finding]
"""From a picture, and the positions that do not count, to the answer for which any evidence is enough; from
several threads at once."""
Verdicts: TypeAlias = Mapping[tuple[str, str], bool]
"""What a person says of two paths: whether they are one picture."""

RATES = (0.05, 0.01, 0.001)
"""Stated rates whose thresholds are told beside the one that is kept."""
DOUBT = 0.05
"""Chance that a threshold keeps the rate on the half that chooses and not in truth, at most."""
SHOWN = 24
"""Pairs of strangers with the highest scores that are shown, at most."""


@dataclass(frozen=True, eq=False)
class Collection:
    """What is calibrated."""

    pictures: Sequence[Picture]
    """By position."""
    contents: Positions
    """(n,) what each shows."""
    threshold: float
    """Evidence above which two pictures are one now: so copies are told from strangers."""
    read: Callable[[int], Image.Image]
    """The picture at a position, RGB."""
    find: Find


@dataclass(frozen=True)
class Plan:
    """What is asked."""

    rate: float
    """Stated, of strangers that are said to be here."""
    pictures: int
    """Asked for after each edit."""
    strangers: int
    """Asked of the rest, at most."""
    edits: Sequence[str]
    seed: int
    verdicts: Verdicts


@dataclass(frozen=True, eq=False)
class _Asked:
    """A query of a position, and what it was answered with."""

    position: int
    edit: str
    hit: Hit | None
    """None where nothing was proven."""

    @property
    def evidence(self) -> float:
        return 0.0 if self.hit is None else self.hit.evidence


@dataclass(frozen=True, eq=False)
class _Alone:
    """A picture without its copies: these, and what it was answered as a stranger."""

    copies: list[Hit]
    without: Positions
    asked: list[_Asked]


def check_plan(plan: Plan, gallery: Gallery) -> None:
    """Refuse what cannot be asked.

    Raises:
        RisError: the gallery keeps no local features, or has too few pictures.
        BadQueryError: an edit is unknown, there is none, or the rate is no share.
    """
    unknown = [name for name in plan.edits if name not in edits.EDITS]
    if unknown or not plan.edits:
        raise BadQueryError(
            f"There is no edit {unknown[0]}; there are {', '.join(edits.EDITS)}."
            if unknown
            else "No edit was named; name at least one."
        )
    if not 0 < plan.rate < 1:
        raise BadQueryError(f"rate is {plan.rate:g}, but it must be between 0 and 1, such as 0.01.")
    if gallery.features is None:
        raise RisError(
            "The store keeps no local features, so that nothing can be proven; build it with them."
        )
    needed = 1 + max(edits.EDITS[name].others for name in plan.edits)
    if gallery.count < max(2, needed):
        raise RisError(f"The store has {gallery.count} different pictures; these edits need {needed}.")


def calibrate_collection(
    collection: Collection, plan: Plan, pool: Executor, progress: Progress | None = None
) -> Calibrated:
    """Choose a threshold for a stated rate on one half of a sample of pictures, and report on the other.

    A picture is a stranger where it and the copies of it that are proven, or that a person says there are,
    do not count; it is asked as it is and after one edit. Where the strangers are too few different pictures
    for the rate, see `most_above`, no threshold is chosen.
    """
    of_contents = np.unique(collection.contents, return_index=True)[1]
    drawn = np.random.default_rng(plan.seed).permutation(of_contents)[: plan.strangers].tolist()
    alone: dict[int, _Alone] = {}
    work = partial(_alone, collection, plan)
    for position, one in zip(drawn, in_order(pool, work, drawn, lead=8), strict=True):
        alone[position] = one
        _told(progress, "asking strangers", len(alone), len(drawn))
    wanted = list(product(drawn[: plan.pictures], plan.edits))
    found: list[tuple[_Asked, bool]] = []
    for answer in in_order(pool, lambda one: _edited(collection, plan, alone[one[0]], *one), wanted, lead=8):
        found.append(answer)
        _told(progress, "asking for edited pictures", len(found), len(wanted))
    return _calibrated(collection, plan, found, alone)


def _alone(collection: Collection, plan: Plan, position: int) -> _Alone:
    """Ask a picture of the rest until no copy of it is left, then as a stranger, as it is and edited."""
    image = collection.read(position)
    without = np.flatnonzero(collection.contents == collection.contents[position])
    copies: list[Hit] = []
    while True:
        hits = collection.find(image, without).hits
        new = [hit for hit in hits if _is_copy(collection, plan, position, hit)]
        if not new:
            break
        copies += new
        rows = {hit.row for hit in new}
        places = [place for place, one in enumerate(collection.pictures) if one.row in rows]
        without = np.union1d(without, places)
    asked = [_Asked(position, UNEDITED, _same(hits))]
    # By no edit that shows other pictures, whose copies would be rightly found.
    names = [name for name in plan.edits if not edits.EDITS[name].others]
    if names:
        name = names[position % len(names)]
        edited = _find_edited(collection, plan, name, position, without)
        asked.append(_Asked(position, name, _same(edited.hits)))
    return _Alone(copies, without, asked)


def _is_copy(collection: Collection, plan: Plan, position: int, hit: Hit) -> bool:
    one, other = collection.pictures[position].path, hit.path
    said = plan.verdicts.get((one, other), plan.verdicts.get((other, one)))
    proven = bool(hit.here) and hit.evidence > collection.threshold
    return proven if said is None else said


def _edited(
    collection: Collection, plan: Plan, alone: _Alone, position: int, name: str
) -> tuple[_Asked, bool]:
    """Ask for a picture after an edit: the answer, and whether it is that picture or a copy of it."""
    answer = _find_edited(collection, plan, name, position, np.zeros(0, np.int64))
    best = answer.hits[0] if answer.here else None
    rows = {collection.pictures[place].row for place in alone.without}
    return _Asked(position, name, best), best is not None and best.row in rows


def _find_edited(collection: Collection, plan: Plan, name: str, position: int, without: Positions) -> Finding:
    """Ask for a picture after an edit; other pictures that the edit lays it on or beside do not count."""
    rng = edits.generator(name, position, plan.seed)
    different_ones = np.flatnonzero(collection.contents != collection.contents[position])
    others = rng.permutation(different_ones)[: edits.EDITS[name].others]
    shown = np.flatnonzero(np.isin(collection.contents, collection.contents[others]))
    images = [collection.read(int(place)) for place in others]
    image = edits.apply(name, collection.read(position), rng, None, images)[0]
    return collection.find(image, np.union1d(without, shown))


def _same(hits: Sequence[Hit]) -> Hit | None:
    """Return the hit that is said to be here, with most evidence."""
    return max((hit for hit in hits if hit.here), key=lambda hit: hit.evidence, default=None)


def _calibrated(
    collection: Collection,
    plan: Plan,
    found: Sequence[tuple[_Asked, bool]],
    alone: Mapping[int, _Alone],
) -> Calibrated:
    strangers = [asked for one in alone.values() for asked in one.asked]
    every = [asked for asked, _ in found] + strangers
    present = np.arange(len(every)) < len(found)
    answers = Answers(
        np.array([one.evidence for one in every]),
        present,
        np.array([right for _, right in found] + [False] * len(strangers), np.bool_),
        # Those asked for and those asked of the rest are halved apart, though they may be the same pictures.
        np.array([one.position for one in every], np.int64) + len(collection.pictures) * present,
    )
    first = halves(answers, plan.seed)
    chosen = answers[first]
    highest = _highest(chosen[~chosen.present])
    told = {
        rate: float(highest[most]) if (most := most_above(rate, len(highest))) >= 0 else None
        for rate in sorted({*RATES, plan.rate}, reverse=True)
    }
    threshold = told[plan.rate]
    used = collection.threshold if threshold is None else threshold
    claimed, reported = _claimed(answers[~first & ~present], used)
    right = answers.correct & (answers.scores > used)
    names = np.array([one.edit for one in every])
    return Calibrated(
        threshold=threshold,
        rate=plan.rate,
        thresholds=told,
        pictures=len({asked.position for asked, _ in found}),
        recall={name: _share(right, present & (names == name)) for name in plan.edits},
        chosen_on=len(highest),
        reported_on=reported,
        claimed=claimed,
        claimed_ci95=exact_interval(claimed, reported) if reported else None,
        strangers=_pairs(collection, strangers)[:SHOWN],
        copies=_pairs(
            collection,
            [_Asked(place, UNEDITED, hit) for place, one in alone.items() for hit in one.copies],
        ),
    )


def most_above(rate: float, strangers: int) -> int:
    """Return how many of so many pictures may score above a threshold that keeps a rate; -1 if too few.

    With 95 % confidence, whatever the scores' distribution: the most by which the upper end of the exact
    interval of their share is no more than the rate (Clopper & Pearson 1934; Wilks 1941, "Determination of
    sample sizes for setting tolerance limits"). It takes `log(0.05) / log(1 - rate)` pictures: some 3 / rate.
    """
    below = int(binom.ppf(DOUBT, strangers, rate))
    return below if binom.cdf(below, strangers, rate) <= DOUBT else below - 1


def pictures_needed(rate: float) -> int:
    """Return the fewest different pictures that can tell a rate, see `most_above`."""
    return math.ceil(math.log(DOUBT) / math.log1p(-rate))


def _highest(strangers: Answers) -> Scores:
    """Return the highest score (p,) of each different picture, the highest first."""
    kinds, codes = np.unique(strangers.groups, return_inverse=True)
    highest = np.full(len(kinds), -np.inf)
    np.maximum.at(highest, codes, strangers.scores)
    return -np.sort(-highest)


def _claimed(strangers: Answers, threshold: float) -> tuple[int, int]:
    """Return of how many different pictures a query was said to be here, and how many there are."""
    return (
        different(strangers.groups[strangers.scores > threshold]),
        different(strangers.groups),
    )


def _share(hits: Booleans, among: Booleans) -> float:
    return round(float(hits[among].mean()), 6) if among.any() else 0.0


def _pairs(collection: Collection, asked: Sequence[_Asked]) -> list[Pair]:
    """Return what was answered with some evidence, the most first, each pair of pictures once."""
    pairs: dict[frozenset[str], Pair] = {}
    for one in sorted(asked, key=lambda one: -one.evidence):
        if one.hit is not None and one.evidence > 0:
            query = collection.pictures[one.position]
            pair = Pair(query, one.edit, one.hit.picture, one.evidence)
            pairs.setdefault(frozenset((query.path, one.hit.path)), pair)
    return list(pairs.values())


def _told(progress: Progress | None, what: str, done: int, total: int) -> None:
    if progress is not None:
        progress(what, done, total)
