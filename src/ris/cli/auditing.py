"""The command that looks for what is wrong in a labelled collection: audit."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ris.cli.output import say, write, write_json, write_table
from ris.cli.parameters import Json, Output, Store
from ris.cli.progress import bars
from ris.cli.showing import small
from ris.cli.text import count

if TYPE_CHECKING:
    from ris.audit.findings import Audit
    from ris.cli.contact_sheet import Strip
    from ris.engine import SearchEngine

_RELATIONS = {"same_picture": "one picture", "changed_version": "changed version"}
_MEASURES = {
    "black": "99 % of it is at most {:.0f} of 255",
    "blank": "deviation {:.1f} of 255",
    "blurred": "blur {:.2f}",
}


def audit(
    store: Store,
    label: Annotated[
        str,
        typer.Option(
            metavar="folder|COLUMN",
            help="Whence the labels: the folder that a picture lies in, or a column of your own table.",
        ),
    ] = "folder",
    split: Annotated[
        str | None,
        typer.Option(
            metavar="folder|COLUMN",
            help="Whence the split: the first folder of a picture's path, or a column of your own table.",
            show_default=False,
        ),
    ] = None,
    output: Output = None,
    json: Json = False,
) -> None:
    """Find what is wrong in a labelled collection.

    Near-duplicates that stand on two sides of a split, labels that the neighbours contradict, pictures that
    are unlike all others of their label, and pictures that are black, blank or blurred. No file is touched.

    [bold]Examples[/bold]

      ris audit photos.ris
      ris audit photos.ris --split folder --output audit.html
      ris audit photos.ris --label breed --split fold --json
    """
    from ris.engine import SearchEngine

    with bars() as progress, SearchEngine.open(store) as engine:
        found = engine.audit(label, split, progress=progress)
        if json:
            write_json(asdict(found))
        else:
            _tell(found)
        if output:
            write_report(output, found, engine)
            say(f"The report is {output}.")


def write_report(path: Path, found: "Audit", engine: "SearchEngine") -> None:
    """Write all that an audit found, with its pictures, as a contact sheet.

    Args:
        path: ends in .html or .png.
        found: by the engine.
        engine: whose pictures they are.
    """
    from ris.cli.contact_sheet import write_sheet

    strips = [
        *_leaks(found, engine),
        *_labels(found, engine),
        *_outliers(found, engine),
        *_flawed(found, engine),
    ]
    write_sheet(path, f"Audit: {_summary(found)}", strips)


def _summary(found: "Audit") -> str:
    leaks = [] if found.leaks is None else [count(len(found.leaks), "leak")]
    wrong = count(len(found.mislabelled), "contradicted label")
    rest = count(len(found.outliers), "outlier"), count(len(found.flawed), "flawed picture")
    return f"{', '.join([*leaks, wrong, *rest])} in {count(found.pictures, 'picture')}"


def _tell(found: "Audit") -> None:
    write(f"{_summary(found)}.")
    if not found.proven:
        write("Of near-duplicates only files of the same bytes are known: the store keeps no local features.")
    if found.unlabelled:
        write(f"Without a label: {count(found.unlabelled, 'picture')}.")
    if found.alone:
        write(f"Without another of the label, and so not judged by it: {count(found.alone, 'picture')}.")
    if found.unread:
        write(f"Gone or changed since, so sync: {', '.join(found.unread)}.")
    _table("On several sides of the split", ["", "side", "path", "proven"], _leak_rows(found), (0,))
    rows = [
        [one.label, one.suggested, f"{one.support:.0%}", f"{one.against:.0%}", one.picture.path]
        for one in found.mislabelled
    ]
    heads = ["label", "neighbours say", "agree", "contradict", "path"]
    _table("Labels that the neighbours contradict", heads, rows, (2, 3))
    rows = [
        [one.label, f"{one.distance:.2f}", f"{one.score:.1f}", one.picture.path] for one in found.outliers
    ]
    _table("Outliers", ["label", "distance", "score", "path"], rows, (1, 2))
    rows = [[one.kind, _MEASURES[one.kind].format(one.value), one.picture.path] for one in found.flawed]
    _table("Black, blank or blurred", ["", "measured", "path"], rows)


def _table(
    title: str, heads: Sequence[str], rows: Sequence[Sequence[str]], numeric: Sequence[int] = ()
) -> None:
    if rows:
        write()
        write(f"{title}:")
        write_table(heads, rows, numeric)


def _leak_rows(found: "Audit") -> list[list[str]]:
    return [
        [f"{number}" if first else "", side, picture.path, _RELATIONS[leak.relation] if first else ""]
        for number, leak in enumerate(found.leaks or [], 1)
        for first, side, picture in zip(
            [True, *[False] * len(leak.sides)], leak.sides, leak.pictures, strict=False
        )
    ]


def _leaks(found: "Audit", engine: "SearchEngine") -> "Iterator[Strip]":
    from ris.cli.contact_sheet import Shown, Strip

    for number, leak in enumerate(found.leaks or [], 1):
        shown = [
            Shown(small(picture, engine), picture.path, (side,))
            for side, picture in zip(leak.sides, leak.pictures, strict=True)
        ]
        yield Strip(f"Leak {number}: {_RELATIONS[leak.relation]} on several sides of the split", shown)


def _labels(found: "Audit", engine: "SearchEngine") -> "Iterator[Strip]":
    from ris.cli.contact_sheet import Shown, Strip

    for number, one in enumerate(found.mislabelled, 1):
        heading = f"Label {number}: {one.label}, but {one.against:.0%} of its neighbours are {one.suggested}"
        shown = [Shown(small(one.picture, engine), one.picture.path, (one.label,), marked=True)]
        shown += [Shown(small(near, engine), near.path, (one.suggested,)) for near in one.neighbours]
        yield Strip(heading, shown)


def _outliers(found: "Audit", engine: "SearchEngine") -> "Iterator[Strip]":
    from ris.cli.contact_sheet import Shown, Strip

    shown: list[Shown] = [
        Shown(small(one.picture, engine), one.picture.path, (one.label, f"score {one.score:.1f}"))
        for one in found.outliers
    ]
    if shown:
        yield Strip(f"Outliers: {count(len(shown), 'picture')} unlike all others of their label", shown)


def _flawed(found: "Audit", engine: "SearchEngine") -> "Iterator[Strip]":
    from ris.cli.contact_sheet import Shown, Strip

    for kind, measured in _MEASURES.items():
        shown: list[Shown] = [
            Shown(small(one.picture, engine), one.picture.path, (measured.format(one.value),))
            for one in found.flawed
            if one.kind == kind
        ]
        if shown:
            yield Strip(f"{kind.capitalize()}: {count(len(shown), 'picture')}", shown)
