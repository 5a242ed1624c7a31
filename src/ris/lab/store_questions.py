"""Where is this very picture, asked of a store that `ris build` makes, by what answers a person.

By hand over a folder of photographs, without any training:

    python -m ris.lab.store_questions FOLDER [--instances 24] [--photographs 1500] [--to FILE]
"""

import argparse
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydantic import BaseModel
from tqdm import tqdm

from ris.artifacts import write_json
from ris.copies import edits
from ris.engine import SearchEngine
from ris.images.decoding import read_image
from ris.lab.config import Params
from ris.lab.families import FAMILIES, PHOTOGRAPHIC, draw_all
from ris.lab.inputs import Catalog
from ris.metrics.intervals import DECIMALS, exact_interval, recall_summary
from ris.threads import worker_threads

PHOTOGRAPHS, MEMBERS = "photographs", "families"
"""Folders of the pictures that the store is made of."""
FILLERS = 30
"""Photographs outside the store that edits lay a picture on or beside."""
MAX_PIXELS = 50_000_000

Hits: TypeAlias = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class StoreQuestions:
    """What is asked of a store."""

    inside: Sequence[Path]
    """Photographs that the store holds, no two of them near-duplicates; the first are asked for, edited."""
    outside: Sequence[Path]
    """Others: some fill up edits, the rest are shown by members of families."""
    edits: Sequence[str]
    families: Sequence[str]
    instances: int
    """Photographs asked for after each edit, and strangers of each family; the store holds as many others."""
    bootstrap: int
    """Resamples behind the interval of the mean."""
    seed: int
    threads: int | None = None

    @property
    def asked_families(self) -> list[str]:
        """The families, without those for which there are too few photographs outside the store."""
        left = max(0, len(self.outside) - FILLERS)
        kept = []
        for name in self.families:
            wanted = 2 * self.instances + 1 if name in PHOTOGRAPHIC else 0
            if wanted <= left:
                kept.append(name)
                left -= wanted
        return kept


class StoreFigures(BaseModel):
    """What came of it, as reports/metrics.json holds it; `..._ci95` are 95 % intervals, `..._n` counts."""

    mean: float
    """Verified recall@1 over all edits: the best hit is the original, and is said to be here."""
    mean_ci95: list[float]
    """By a bootstrap over pictures."""
    n: int
    per_edit: dict[str, float]
    per_edit_ci95: dict[str, tuple[float, float]]
    """Exact, as of `strangers`."""
    per_edit_n: dict[str, int]
    strangers: dict[str, float]
    """Share of the strangers of each family that are said to be the same picture as one of the store's."""
    strangers_ci95: dict[str, tuple[float, float]]
    strangers_n: dict[str, int]
    strangers_mean: float | None
    """Over families; None where none was asked."""
    chosen_on: list[str]
    """Edits and families by which thresholds may be chosen: every other one."""
    mean_of_others: float | None
    """As `mean`, over the edits that nothing was chosen on."""
    strangers_mean_of_others: float | None
    pictures: int
    """In the store."""


def halves(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Part names into those by which thresholds may be chosen and those that only report: every other one."""
    return list(names[::2]), list(names[1::2])


def ask_store(questions: StoreQuestions, scratch: Path) -> StoreFigures:
    """Build a store in an empty folder; ask it for edited photographs and for strangers of each family."""
    strangers = _lay_out(questions, scratch)
    with SearchEngine.build(scratch / "pictures", scratch / "store.ris", threads=questions.threads) as engine:
        found = _recall(questions, engine)
        with worker_threads(questions.threads or os.cpu_count() or 1) as pool:
            claimed = {
                name: sum(pool.map(partial(_is_claimed, engine), members))
                for name, members in tqdm(strangers.items(), "strangers", disable=None)
            }
        return _figures(questions, found, claimed, len(engine))


def _lay_out(questions: StoreQuestions, scratch: Path) -> dict[str, list[Path]]:
    """Write what the store is made of and, elsewhere, the strangers; return these by family."""
    folder = scratch / "pictures"
    (folder / PHOTOGRAPHS).mkdir(parents=True)
    for number, file in enumerate(questions.inside):
        shutil.copyfile(file, folder / PHOTOGRAPHS / f"{number:05d}{file.suffix}")
    shown = [_read(file) for file in questions.outside[FILLERS:]]
    strangers = {}
    drawn = draw_all(questions.asked_families, 2 * questions.instances, shown, questions.seed)
    for name, members in drawn:
        inside, outside = folder / MEMBERS / name, scratch / "strangers" / name
        for place, some in (
            (inside, members[: questions.instances]),
            (outside, members[questions.instances :]),
        ):
            place.mkdir(parents=True)
            for number, member in enumerate(some):
                member.save(place / f"{number:03d}.png")
        strangers[name] = sorted(outside.iterdir())
    return strangers


def _recall(questions: StoreQuestions, engine: SearchEngine) -> Hits:
    """Return (edits, instances) whether each edited photograph was found, and said to be here."""
    fillers = [_read(file) for file in questions.outside[:FILLERS]]
    originals = [_read(file) for file in questions.inside[: questions.instances]]
    found = np.zeros((len(questions.edits), len(originals)), np.bool_)

    def is_found(name: str, number: int) -> bool:
        rng = edits.generator(name, number, questions.seed)
        others = [fillers[place] for place in rng.permutation(len(fillers))[:3]]
        answer = engine.find(edits.apply(name, originals[number], rng, None, others)[0], 1)
        return bool(answer.here) and Path(answer.hits[0].path).stem == f"{number:05d}"

    with worker_threads(questions.threads or os.cpu_count() or 1) as pool:
        for line, name in enumerate(tqdm(questions.edits, "edits", disable=None)):
            found[line] = list(pool.map(partial(is_found, name), range(len(originals))))
    return found


def _is_claimed(engine: SearchEngine, stranger: Path) -> bool:
    return any(hit.same_picture for hit in engine.find(stranger).hits)


def _figures(questions: StoreQuestions, found: Hits, claimed: dict[str, int], pictures: int) -> StoreFigures:
    summary = recall_summary(found, questions.edits, questions.bootstrap, questions.seed)
    count, asked = found.shape[1], questions.instances
    families = list(claimed)
    strangers = {name: round(hits / asked, DECIMALS) for name, hits in claimed.items()}
    (some_edits, other_edits), (some_families, other_families) = halves(questions.edits), halves(families)
    return StoreFigures(
        mean=summary["mean"],
        mean_ci95=summary["mean_ci95"],
        n=summary["n"],
        per_edit=summary["per_edit"],
        per_edit_ci95={
            name: exact_interval(int(hits.sum()), count)
            for name, hits in zip(questions.edits, found, strict=True)
        },
        per_edit_n=dict.fromkeys(questions.edits, count),
        strangers=strangers,
        strangers_ci95={name: exact_interval(hits, asked) for name, hits in claimed.items()},
        strangers_n=dict.fromkeys(families, asked),
        strangers_mean=_mean(strangers, families),
        chosen_on=[*some_edits, *some_families],
        mean_of_others=_mean(summary["per_edit"], other_edits),
        strangers_mean_of_others=_mean(strangers, other_families),
        pictures=pictures,
    )


def _mean(values: dict[str, float], names: Sequence[str]) -> float | None:
    return round(float(np.mean([values[name] for name in names])), DECIMALS) if names else None


def _read(file: Path) -> Image.Image:
    return read_image(file, MAX_PIXELS)


def of_folder(folder: Path, photographs: int, instances: int, seed: int) -> StoreQuestions:
    """Ask everything, over a sample of a folder's photographs of which no two are the same file.

    Args:
        folder: of JPEG and PNG files, at any depth.
        photographs: that the store holds, at most.
        instances: see `StoreQuestions`.
        seed: of the sample, the edits and the families.
    """
    files = sorted(chain.from_iterable(folder.rglob(f"*.{suffix}") for suffix in ("jpg", "jpeg", "png")))
    drawn = [files[place] for place in np.random.default_rng(seed).permutation(len(files))]
    outside = min(FILLERS + len(PHOTOGRAPHIC) * (2 * instances + 1), len(drawn) // 2)
    inside = drawn[outside : outside + photographs]
    return StoreQuestions(inside, drawn[:outside], list(edits.EDITS), list(FAMILIES), instances, 1000, seed)


def of_catalog(params: Params, catalog: Catalog) -> StoreQuestions:
    """Ask what params.yaml says, of gallery pictures; neither they nor the others have a near-duplicate."""
    settings = params.same_picture.store
    groups = catalog.table["group"].to_numpy()
    alone = np.bincount(groups)[groups] == 1
    drawn = np.random.default_rng(params.seed).permutation(len(groups))
    inside, outside = (
        catalog.files(drawn[alone[drawn] & np.isin(drawn, rows)])
        for rows in (catalog.gallery, catalog.queries)
    )
    return StoreQuestions(
        inside[: settings.photographs],
        outside,
        [name for name in settings.edits if edits.EDITS[name].others <= len(outside)],
        settings.families,
        min(settings.instances, len(inside)),
        params.evaluate.bootstrap,
        params.seed,
        params.same_picture.workers,
    )


def lines(figures: StoreFigures) -> Iterator[str]:
    """Yield the figures as tables of text, by group of edits and by family."""
    for group, members in edits.GROUPS.items():
        asked = [name for name in members if name in figures.per_edit]
        if asked:
            yield f"{group}: {_mean(figures.per_edit, asked):.3f}"
        for name in asked:
            low, high = figures.per_edit_ci95[name]
            yield f"  {name:<24}{figures.per_edit[name]:.3f}  {low:.3f} to {high:.3f}"
    low, high = figures.mean_ci95
    yield f"mean of all edits: {figures.mean:.3f}, {low:.3f} to {high:.3f}, n = {figures.n}"
    yield "strangers said to be the same picture, by family:"
    for name, share in figures.strangers.items():
        low, high = figures.strangers_ci95[name]
        yield f"  {name:<28}{share:.3f}  {low:.3f} to {high:.3f}"
    yield f"mean of all families: {figures.strangers_mean}"


def main() -> None:
    """Run what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m ris.lab.store_questions", description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of photographs")
    parser.add_argument("--instances", type=int, default=24, help="an edit and a family (24)")
    parser.add_argument("--photographs", type=int, default=1500, help="in the store, at most (1500)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--to", type=Path, help="JSON file that the figures are written to")
    given = parser.parse_args()
    questions = of_folder(given.folder, given.photographs, given.instances, given.seed)
    with TemporaryDirectory() as scratch:
        figures = ask_store(questions, Path(scratch))
    if given.to:
        write_json(given.to, figures.model_dump())
    for line in lines(figures):
        print(line)


if __name__ == "__main__":
    main()
