"""Another encoder for a store: a second store beside it, compared with it, and taken in its place or not."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from ris.copies import edits
from ris.engine import SearchEngine, is_store
from ris.errors import RisError
from ris.metrics.intervals import macro
from ris.metrics.judge import codes
from ris.metrics.retrieval import precision_at_k
from ris.store import reencode as stores
from ris.store.commits import locked
from ris.store.storage import place_of
from ris.types import Picture, Progress

K = 10
"""Hits that are compared, and by which labels are judged."""
PICTURES = 200
"""Pictures that are searched with, at most."""
EDITED = 12
"""Pictures that are looked for after each edit, at most."""
EDITS = ("jpeg10", "down64", "crop25", "rot15", "caption", "grey_dark")
SEED = 0

Which: TypeAlias = Literal["now", "new"]


@dataclass(frozen=True)
class Comparison:
    """Two stores of one folder by different encoders, over a sample of its pictures."""

    encoders: dict[Which, str]
    pictures: int
    """Of both, that were searched with."""
    agreement: float
    """Mean share of the first ten hits that both find."""
    labels: int
    """Of the pictures that were searched with, with another picture of theirs in the store."""
    precision: dict[Which, float] | None
    """Mean over labels of precision@10, the share of the first ten hits, or of as many as there are of the
    label, that bear the query's label; near-duplicates count. None where there are no two labels."""
    edited: int
    """Edited pictures that were looked for."""
    found: dict[Which, float] | None
    """Share of them that were found first and said to be here. None where no local features are kept."""


def reencode(
    store: str | Path,
    encoder: str | Path,
    *,
    weights: str | Path | None = None,
    accept_licence: bool = False,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Make a second store with another encoder beside a store, and compare the two.

    The store answers as before; see `take` and `discard`. Local features, rows, the user's own columns and
    options are those of the store. Broken off and called again, it goes on where it was.

    Args:
        store: made here, or relocated; see `SearchEngine.relocate`.
        encoder: see `SearchEngine.build`.
        weights: likewise.
        accept_licence: likewise.
        threads: likewise.
        progress: see `Progress`.

    Raises:
        RisError: the store has that encoder already, or a second one of another encoder is there; or as
            `SearchEngine.build`.
    """
    place = _local(store)
    file = None if weights is None else Path(weights)
    with (
        SearchEngine.open(place, threads=threads) as now,
        now.reencoded(stores.beside(place), encoder, file, accept_licence, progress) as new,
    ):
        return compare(now, new, progress)


def compare(now: SearchEngine, new: SearchEngine, progress: Progress | None = None) -> Comparison:
    """Compare two stores of one folder."""
    shared = {picture.path: picture.row for picture in new.pictures()}
    common = [one for one in now.pictures() if one.path in shared]
    sample = [common[i] for i in np.random.default_rng(SEED).permutation(len(common))[:PICTURES]]
    answers: dict[Which, list[list[Picture]]] = {}
    for which, engine in _both(now, new):
        rows = [one.row if which == "now" else shared[one.path] for one in sample]
        hits = engine.search_many(rows, K, verify=False, progress=progress)
        answers[which] = [[hit.picture for hit in some] for some in hits]
    overlaps = [
        len({one.path for one in some} & {one.path for one in others}) / max(1, len(some))
        for some, others in zip(answers["now"], answers["new"], strict=True)
    ]
    counts = now.labels()
    judged = {one.label for one in sample if _has_another(one, counts)}
    found = _found(now, new, sample[:EDITED], progress)
    return Comparison(
        {which: engine.info().encoder for which, engine in _both(now, new)},
        len(sample),
        round(float(np.mean(overlaps)), 4) if overlaps else 1.0,
        len(judged),
        {which: _precision(sample, hits, counts) for which, hits in answers.items()}
        if len(judged) > 1
        else None,
        len(EDITS) * len(sample[:EDITED]),
        found,
    )


def take(store: str | Path) -> Path:
    """Put the second store in the place of the first; return where the first lies from now on.

    Whoever has the store open must open it again. Broken off and called again, it ends what it began.

    Raises:
        RisError: there is no second store, or it is not whole.
        BusyError: somebody writes to the store.
    """
    return stores.take(_local(store))


def discard(store: str | Path) -> Path:
    """Delete the second store; return where it lay. Broken off and called again, it ends what it began.

    Raises:
        RisError: there is none.
        BusyError: it is being made.
    """
    new = stores.beside(_local(store))
    gone = new.with_name(f"{new.name}.discarded")
    begun = gone.exists()
    if begun:
        shutil.rmtree(gone)
    if is_store(new):
        with locked(new):
            new.rename(gone)
        shutil.rmtree(gone)
    elif not begun:
        raise RisError(f"{new} holds no store, so there is nothing to discard.")
    return new


def _local(store: str | Path) -> Path:
    place = place_of(store)
    if isinstance(place, Path):
        return place
    raise RisError(f"{store} is an address; build a store with the other encoder at another one.")


def _both(now: SearchEngine, new: SearchEngine) -> Sequence[tuple[Which, SearchEngine]]:
    return ("now", now), ("new", new)


def _precision(sample: Sequence[Picture], hits: Sequence[Sequence[Picture]], counts: dict[str, int]) -> float:
    """Return the mean over labels of precision@10."""
    asked = [pair for pair in zip(sample, hits, strict=True) if _has_another(pair[0], counts)]
    relevant = np.zeros((len(asked), K), np.bool_)
    for line, (one, some) in enumerate(asked):
        relevant[line, : len(some)] = [hit.label == one.label for hit in some]
    others = np.array([counts[one.label] - 1 for one, _ in asked])
    return macro(precision_at_k(relevant, others, K), codes([one.label for one, _ in asked]))


def _has_another(picture: Picture, counts: dict[str, int]) -> bool:
    return bool(picture.label) and counts.get(picture.label, 0) > 1


def _found(
    now: SearchEngine, new: SearchEngine, sample: Sequence[Picture], progress: Progress | None
) -> dict[Which, float] | None:
    """Return the share of edited pictures that are found first and said to be here."""
    if not sample or not now.info().local_features:
        return None
    hits: dict[Which, list[bool]] = {"now": [], "new": []}
    for number, (one, name) in enumerate((one, name) for one in sample for name in EDITS):
        image = now.image(one.row)
        edited = edits.apply(name, image, edits.generator(name, one.row, SEED))[0]
        for which, engine in _both(now, new):
            answer = engine.find(edited, 1)
            hits[which].append(bool(answer.here) and answer.hits[0].picture.sha256 == one.sha256)
        if progress is not None:
            progress("looking for edited pictures", number + 1, len(EDITS) * len(sample))
    return {which: round(float(np.mean(some)), 4) for which, some in hits.items()}
