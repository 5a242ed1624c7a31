"""The commands that ask a store: search, find, duplicates."""

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ris.cli.ending import NOT_HERE
from ris.cli.output import results, say, write, write_json, write_table
from ris.cli.parameters import (
    After,
    Before,
    Box,
    Columns,
    Folders,
    Hits,
    Index,
    Json,
    Labels,
    MaxBytes,
    MinBytes,
    MinSide,
    Output,
    Part,
    Queries,
    Readable,
    Urls,
    chosen,
)
from ris.cli.progress import bars
from ris.cli.text import count, size
from ris.errors import RisError

if TYPE_CHECKING:
    from PIL import Image

    from ris.cli.contact_sheet import Shown
    from ris.engine import DuplicateGroup, Finding, Hit, Picture, Query, SearchEngine


def search(
    store: Readable,
    pictures: Queries,
    k: Hits = 10,
    index: Annotated[
        Index,
        typer.Option(
            help="Exact (knn), approximate (annoy), on all dimensions or few (_pca); asked again with the "
            "first answers (reranked)."
        ),
    ] = "auto",
    max_distance: Annotated[
        float | None, typer.Option(min=0, max=2, help="Of a hit; 0 is identical.", show_default=False)
    ] = None,
    collapse: Annotated[
        bool, typer.Option("--collapse", help="Show near-copies among the hits as one.")
    ] = False,
    no_verify: Annotated[
        bool, typer.Option("--no-verify", help="Do not look which hits are the very same picture: faster.")
    ] = False,
    box: Box = None,
    urls: Urls = False,
    output: Output = None,
    label: Labels = [],  # noqa: B006
    folder: Folders = [],  # noqa: B006
    min_side: MinSide = None,
    min_bytes: MinBytes = None,
    max_bytes: MaxBytes = None,
    after: After = None,
    before: Before = None,
    where: Columns = [],  # noqa: B006
    json: Json = False,
) -> None:
    """Find what is similar to a picture.

    Prints the nearest first, with their distances and which of them are proven to be the very same picture. A
    terminal of all colours also shows them; --output writes a contact sheet.

    [bold]Examples[/bold]

      ris search photos.ris query.jpg
      ris search photos.ris query.jpg -k 30 --output hits.html
      ris search photos.ris query.jpg --label cats --label dogs --max-distance 0.9
      ris search photos.ris query.jpg --box 0.25 0.25 0.75 0.75
      ris search photos.ris row:12 --collapse
      curl -s https://example.org/a.jpg | ris search photos.ris - --json
    """
    from ris.engine import SearchEngine

    with SearchEngine.open(store, urls=urls) as engine:
        filter = chosen(label, folder, min_side, min_bytes, max_bytes, after, before, where)
        answers = []
        for name in pictures:
            query = _query(name, engine)
            hits = engine.search(
                query,
                k,
                index=index,
                max_distance=max_distance,
                where=filter,
                collapse=collapse,
                verify=not no_verify,
                box=box,
            )
            heading = f"{name}: {count(len(hits), 'similar picture')}"
            answers.append(_Answer(heading, query, box, hits))
        if json:
            found = zip(pictures, answers, strict=True)
            write_json([{"query": name, "hits": [asdict(hit) for hit in one.hits]} for name, one in found])
        _show(answers, engine, "Similar pictures", output, quiet=json)


def find(
    store: Readable,
    pictures: Queries,
    k: Hits = 10,
    box: Box = None,
    urls: Urls = False,
    output: Output = None,
    label: Labels = [],  # noqa: B006
    folder: Folders = [],  # noqa: B006
    min_side: MinSide = None,
    min_bytes: MinBytes = None,
    max_bytes: MaxBytes = None,
    after: After = None,
    before: Before = None,
    where: Columns = [],  # noqa: B006
    json: Json = False,
) -> None:
    """Find where this very picture is, whatever was done to it.

    Finds originals of pictures that were cropped, resized, turned, mirrored, re-encoded or put into another.
    Exits with 3 where one of the pictures asked for is not here.

    [bold]Examples[/bold]

      ris find photos.ris query.jpg
      ris find photos.ris query.jpg --output proof.png
      ris find photos.ris new/*.jpg --json
      ris find photos.ris query.jpg > /dev/null && echo known
    """
    from ris.engine import SearchEngine

    with SearchEngine.open(store, urls=urls) as engine:
        if not engine.info().local_features:
            raise RisError(
                f"{store} was built with --no-same-picture, so nothing can be proven; build it anew without, "
                "or use `ris search`."
            )
        filter = chosen(label, folder, min_side, min_bytes, max_bytes, after, before, where)
        queries = [_query(name, engine) for name in pictures]
        findings = [engine.find(query, k, where=filter, box=box) for query in queries]
        if json:
            found = zip(pictures, findings, strict=True)
            write_json([{"query": name, **asdict(one)} for name, one in found])
        answers = [
            _Answer(_verdict(name, one), query, box, one.hits)
            for name, query, one in zip(pictures, queries, findings, strict=True)
        ]
        _show(answers, engine, "Where it is", output, quiet=json)
    if not all(one.here for one in findings):
        raise typer.Exit(NOT_HERE)


def duplicates(store: Readable, output: Output = None, json: Json = False) -> None:
    """Find groups of pictures that are one picture.

    Re-encoded, resized, cropped, turned or mirrored: proven by geometry. Of each group one is suggested to be
    kept, and why; no file is touched.

    [bold]Examples[/bold]

      ris duplicates photos.ris
      ris duplicates photos.ris --output duplicates.html
      ris duplicates photos.ris --json | jq -r '.[].keep.path'
    """
    from ris.engine import SearchEngine

    with bars() as progress, SearchEngine.open(store) as engine:
        groups = engine.duplicates(progress=progress)
        if json:
            write_json([asdict(group) for group in groups])
        else:
            write(f"{count(len(groups), 'group')} of pictures that are one picture.")
            for group in groups:
                write()
                for picture in group.pictures:
                    write(f"{'keep' if picture == group.keep else '':<6}{picture.path}")
                write(f"      ({group.why})")
        if output:
            _write_groups(output, groups, engine)


@dataclass(frozen=True, eq=False)
class _Answer:
    heading: str
    query: "Query"
    box: Part | None
    hits: "Sequence[Hit]"


def _query(name: str, engine: "SearchEngine") -> "Query":
    """Return what the engine takes for what was given on the command line."""
    if name == "-":
        return sys.stdin.buffer.read()
    if name.startswith(("http://", "https://")):
        return engine.read(name)
    kind, _, row = name.partition(":")
    if kind == "row":
        if not row.isdecimal():
            raise typer.BadParameter(f"{name} is no row; give `row:` and its number, such as row:12.")
        return int(row)
    return name


def _verdict(name: str, finding: "Finding") -> str:
    if not finding.here:
        return f"{name} is not here."
    proven = [hit.path for hit in finding.hits if hit.same_picture]
    return f"{name} is here: {', '.join(proven)}"


def _mark(hit: "Hit") -> str:
    if hit.same_picture is None:
        return ""
    if not hit.same_picture:
        return "no"
    return "yes, mirrored" if hit.mirrored else "yes"


def _show(
    answers: "Sequence[_Answer]", engine: "SearchEngine", title: str, output: Path | None, *, quiet: bool
) -> None:
    """Print answers, as pictures too where the terminal shows them, and write them to a contact sheet."""
    from ris.cli.contact_sheet import Strip, write_sheet
    from ris.cli.terminal import show, shows_pictures

    console = results()
    for answer in () if quiet else answers:
        write(answer.heading)
        if answer.hits:
            _write_hits(answer.hits)
        if shows_pictures(console):
            show(console, [(one.name, one.picture) for one in _shown(answer, engine)])
    if output:
        write_sheet(output, title, [Strip(one.heading, _shown(one, engine)) for one in answers])
        say(f"The contact sheet is {output}.")


def _write_hits(hits: "Sequence[Hit]") -> None:
    heads = ["", "distance", "same picture", "row", "path"]
    rows = [
        [f"{place}", f"{hit.distance:.3f}", _mark(hit), f"{hit.row}", hit.path]
        for place, hit in enumerate(hits, 1)
    ]
    if any(hit.copies for hit in hits):
        heads.append("near-copies")
        for row, hit in zip(rows, hits, strict=True):
            row.append(", ".join(copy.path for copy in hit.copies))
    write_table(heads, rows, numeric=(0, 1, 3))


def _shown(answer: "_Answer", engine: "SearchEngine") -> "list[Shown]":
    """Return the query and its hits as they are shown."""
    from ris.cli.contact_sheet import Shown, shrunk

    shown = [Shown(shrunk(engine.read(answer.query, answer.box)), "the query")]
    for place, hit in enumerate(answer.hits, 1):
        notes = [f"{place}: distance {hit.distance:.3f}"]
        if hit.same_picture:
            notes.append("the same picture" + (", mirrored" if hit.mirrored else ""))
        if hit.copies:
            notes.append(f"and {count(len(hit.copies), 'near-copy', 'near-copies')}")
        shown.append(
            Shown(_small(hit.picture, engine, hit.outline), hit.path, tuple(notes), bool(hit.same_picture))
        )
    return shown


def _small(
    picture: "Picture", engine: "SearchEngine", outline: "list[tuple[float, float]] | None" = None
) -> "Image.Image":
    """Read a picture of the store as it is shown; an empty one where its file is gone."""
    from ris.cli.contact_sheet import CELL, empty, shrunk
    from ris.engine import NoSuchPictureError
    from ris.images.decoding import UnreadableImage

    try:
        image = engine.image(picture.row, CELL)
    except (NoSuchPictureError, UnreadableImage):
        return empty()
    return shrunk(image, outline, (picture.width, picture.height))


def _write_groups(output: Path, groups: "Sequence[DuplicateGroup]", engine: "SearchEngine") -> None:
    from ris.cli.contact_sheet import Shown, Strip, write_sheet

    strips = []
    for number, group in enumerate(groups, 1):
        shown = []
        for picture in group.pictures:
            kept = picture == group.keep
            notes = [f"{picture.width} x {picture.height}, {size(picture.bytes)}"]
            if kept:
                notes.append(f"to keep: {group.why}")
            shown.append(Shown(_small(picture, engine), picture.path, tuple(notes), kept))
        strips.append(Strip(f"{number}: {count(len(shown), 'picture')}", shown))
    write_sheet(output, "Pictures that are one picture", strips)
    say(f"The contact sheet is {output}.")
