"""The command that judges a store: evaluate."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ris.cli.output import write, write_json, write_table
from ris.cli.parameters import Json
from ris.cli.progress import bars
from ris.cli.text import count
from ris.errors import RisError

if TYPE_CHECKING:
    from ris.engine import Progress, SearchEngine
    from ris.indexes.vectors import Positions, Vectors
    from ris.metrics.retrieval import Integers

KS = (1, 5, 10)
N_RESAMPLES = 1000
SEED = 0
SHOWN = ("precision@1", "precision@10", "mAP@R", "recall@10", "ann_recall@10")
"""Metrics in the table; JSON has all."""


def evaluate(
    pictures: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER|STORE",
            help="A folder of pictures with one folder a label, or a store of one.",
            show_default=False,
        ),
    ],
    encoder: Annotated[
        str | None,
        typer.Option(help="As in `ris build`, for a folder.", show_default=False),
    ] = None,
    json: Json = False,
) -> None:
    """Measure how good a search is at your own labels.

    Each picture's label is the name of the folder that it lies in. Every picture is searched for in all
    others, and a hit is right where its label is the query's. Near-duplicates of the query do not count,
    neither for nor against. A folder is made into a store that is thrown away afterwards.

    micro is the mean over queries, macro the mean over labels; in brackets their 95 % intervals by bootstrap
    over queries.

    [bold]Examples[/bold]

      ris evaluate photos.ris
      ris evaluate photos --encoder models/encoder --json
    """
    with bars() as progress, _opened(pictures, encoder, progress) as engine:
        judged = _judged(engine, progress)
    if json:
        write_json(judged)
    else:
        _tell(judged)


@contextmanager
def _opened(pictures: Path, encoder: str | None, progress: "Progress | None") -> Iterator["SearchEngine"]:
    """Open a store, or make one of a folder for as long as it is needed."""
    from ris.engine import SearchEngine, is_store

    if is_store(pictures):
        if encoder is not None:
            raise typer.BadParameter(f"{pictures} is a store and has its encoder.", param_hint="--encoder")
        with SearchEngine.open(pictures) as engine:
            yield engine
        return
    with TemporaryDirectory(prefix="ris-") as holder:
        store = Path(holder) / "store"
        with SearchEngine.build(pictures, store, encoder=encoder, progress=progress) as engine:
            yield engine


def _judged(engine: "SearchEngine", progress: "Progress | None") -> dict[str, Any]:
    """Ask every index of a store every picture: what was asked, and each metric's averages."""
    import numpy as np

    from ris.copies.grouping import group_ids
    from ris.indexes.registry import RERANKED, approximated
    from ris.metrics.judge import UNLABELLED, Judged, Question, codes, judge

    catalogue, info = engine.pictures(), engine.info()
    position = {picture.row: place for place, picture in enumerate(catalogue)}
    found = engine.duplicates(progress=progress) if info.local_features else []
    pairs = [
        (position[group.pictures[0].row], position[other.row])
        for group in found
        for other in group.pictures[1:]
    ]
    labels = codes([picture.label for picture in catalogue])
    groups = group_ids(np.array(pairs, np.int64).reshape(-1, 2), len(catalogue))
    question = Question.leave_one_out(labels, groups)
    if not len(question.queries):
        raise RisError(
            f"No label in {engine.folder} has two different pictures; put pictures into one folder a label."
        )
    labelled = int(np.count_nonzero(labels != UNLABELLED))
    judged: dict[str, Judged] = {}
    rows, vectors = engine.vectors()
    places = {row: place for place, row in enumerate(rows.tolist())}
    for index in engine.indexes:
        other = approximated(index)
        exact = judged[other].nearest if other in judged else None
        done = partial(_answered, progress, index, len(question.queries)) if progress else None

        def search(asked: "Integers", k: int, index: str = index) -> "tuple[Vectors, Positions]":
            # Passing over near-duplicates of the query is not enough: they would speak for their neighbours.
            copies = [rows[groups == groups[one]] for one in asked] if index == RERANKED.name else None
            distances, found = engine.nearest(vectors[asked], k, index, copies)
            return distances, np.vectorize(lambda row: places.get(row, -1), otypes=[np.int64])(found)

        judged[index] = judge(search, question, KS, N_RESAMPLES, SEED, exact, done)
    return {
        "encoder": info.encoder,
        "pictures": len(catalogue),
        "labels": len(np.unique(labels[question.queries])),
        "queries": len(question.queries),
        "not_asked": {"no_label": len(catalogue) - labelled, "alone": labelled - len(question.queries)},
        "near_duplicates": {
            "looked_for": info.local_features,
            "groups": len(found),
            "pictures": sum(len(group.pictures) for group in found),
        },
        "indexes": {index: one.summary for index, one in judged.items()},
    }


def _answered(progress: "Progress", index: str, queries: int, done: int) -> None:
    progress(f"judging {index}", done, queries)


def _tell(judged: dict[str, Any]) -> None:
    queries, copies, left_out = judged["queries"], judged["near_duplicates"], judged["not_asked"]
    summary = f"{count(queries, 'query', 'queries')} of {count(judged['labels'], 'label')}"
    write(f"{summary}, encoder {judged['encoder']}.")
    if copies["looked_for"]:
        write(
            f"Near-duplicates: {count(copies['groups'], 'group')} of {count(copies['pictures'], 'picture')}, "
            "which do not count for each other."
        )
    else:
        write("Near-duplicates were not looked for: the store was built with --no-same-picture.")
    for reason, words in (
        ("no_label", "at the top of the folder"),
        ("alone", "without another of the label"),
    ):
        if left_out[reason]:
            write(f"Not judged: {count(left_out[reason], 'picture')} {words}.")
    rows = [
        [index, metric, *(_averaged(averages, average) for average in ("micro", "macro"))]
        for index, metrics in judged["indexes"].items()
        for metric, averages in metrics.items()
        if metric in SHOWN
    ]
    write()
    write_table(["index", "metric", "micro", "macro"], rows)


def _averaged(averages: "Mapping[str, Any]", average: str) -> str:
    low, high = averages[f"{average}_ci95"]
    return f"{averages[average]:.3f} ({low:.3f} to {high:.3f})"
