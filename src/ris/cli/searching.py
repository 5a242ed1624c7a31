"""The commands that ask a store: search, find, duplicates."""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypedDict

import typer

from ris.cli.ending import FAILED, NOT_HERE
from ris.cli.output import JsonList, results, say, write, write_json, write_table
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
    Like,
    MaxBytes,
    MinBytes,
    MinSide,
    Output,
    Part,
    Queries,
    RayComparing,
    Store,
    Unlike,
    Urls,
    chosen,
)
from ris.cli.progress import bars
from ris.cli.showing import small
from ris.cli.text import count, size
from ris.errors import RisError

if TYPE_CHECKING:
    from ris.cli.contact_sheet import Shown, Strip
    from ris.engine import (
        ChangedPair,
        Difference,
        DuplicateGroup,
        Filter,
        Finding,
        Hit,
        Opened,
        SearchEngine,
        TextAnswer,
    )

_NOTES = {
    "same_picture": "the same picture",
    "changed_version": "a changed version",
    "same_template": "the same template",
}
"""What a contact sheet says of a hit, by its relation."""
_MARKS = {
    "same_picture": "yes",
    "changed_version": "changed version",
    "same_template": "no, one template",
    "not_proven": "no",
}
"""What the table says of a hit, by its relation."""
_TOGETHER = 8
"""Pictures that are searched with at once; their answers come together."""


def search(
    store: Store,
    pictures: Queries = [],  # noqa: B006
    text: Annotated[
        str | None,
        typer.Option(
            metavar="WORDS",
            help="Search with words instead: the things that the default network knows.",
            show_default=False,
        ),
    ] = None,
    like: Like = [],  # noqa: B006
    unlike: Unlike = [],  # noqa: B006
    k: Hits = 10,
    index: Index = "auto",
    max_distance: Annotated[
        float | None,
        typer.Option(min=0, max=2, help="Of a hit; 0 is identical.", show_default=False),
    ] = None,
    collapse: Annotated[
        bool, typer.Option("--collapse", help="Show near-duplicates among the hits as one.")
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
    """Find what is similar to a picture, or what some words name.

    Prints the nearest first, with their distances and which of them are proven to be the very same picture. A
    terminal of all colours also shows them; --output writes a contact sheet. Hits that are right or wrong go
    back as --like and --unlike; several --like without another picture are searched with together.

    [bold]Examples[/bold]

      ris search photos.ris query.jpg
      ris search photos.ris query.jpg -k 30 --output hits.html
      ris search photos.ris query.jpg --label cats --label dogs --max-distance 0.9
      ris search photos.ris query.jpg --box 0.25 0.25 0.75 0.75
      ris search photos.ris row:12 --collapse
      ris search photos.ris query.jpg --like row:4 --like row:17 --unlike row:9
      ris search photos.ris --like red.jpg --like bicycle.jpg
      ris search photos.ris --text "musical instrument"
      curl -s https://example.org/a.jpg | ris search photos.ris - --json
    """
    from ris.engine import SearchEngine

    if (pictures and text is not None) or not (pictures or like or text is not None):
        raise typer.BadParameter("give pictures, or words by --text")
    if box is not None and not pictures:
        why = "a part is of one picture" if text is None else "words have no part"
        raise typer.BadParameter(why, param_hint="--box")
    _check_rows([*pictures, *like, *unlike])
    with SearchEngine.open(store, urls=urls) as engine:
        filter = chosen(label, folder, min_side, min_bytes, max_bytes, after, before, where)
        engine.count(filter)  # a wrong filter is reported once, before the first answer
        marks = _Marks(like=_marked(like, engine), unlike=_marked(unlike, engine))
        if text is not None:
            found = engine.search_text(
                text, k, index=index, max_distance=max_distance, where=filter, collapse=collapse, **marks
            )
            _tell_words(text, found, _Report(engine, None, output, json))
            return
        options = _Options(
            k=k,
            index=index,
            max_distance=max_distance,
            where=filter,
            collapse=collapse,
            verify=not no_verify,
        )
        report = _Report(engine, box, output, json)
        if not pictures:
            hits = engine.search(marks["like"], unlike=marks["unlike"], **options)
            entry = {"like": like, "hits": [_entry(hit) for hit in hits]}
            report.answer(f"{' and '.join(like)}: {count(len(hits), 'similar picture')}", None, hits, entry)
        for names in (pictures[start : start + _TOGETHER] for start in range(0, len(pictures), _TOGETHER)):
            queries = [_query(name, engine, box) for name in names]
            answers = iter(
                _hits([one for one in queries if not isinstance(one, RisError)], engine, box, options, marks)
            )
            for name, query in zip(names, queries, strict=True):
                if isinstance(query, RisError):
                    report.fail(name, query)
                else:
                    hits = next(answers)
                    entry = {"query": name, "hits": [_entry(hit) for hit in hits]}
                    report.answer(f"{name}: {count(len(hits), 'similar picture')}", query, hits, entry)
        report.end("Similar pictures")
    if report.failed:
        raise typer.Exit(FAILED)


def find(
    store: Store,
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
    Exits with 3 where one of these pictures is not here.

    [bold]Examples[/bold]

      ris find photos.ris query.jpg
      ris find photos.ris query.jpg --output proof.png
      ris find photos.ris new/*.jpg --json
      ris find photos.ris query.jpg > /dev/null && echo known
    """
    from ris.engine import SearchEngine

    _check_rows(pictures)
    with SearchEngine.open(store, urls=urls) as engine:
        if not engine.info().local_features:
            raise RisError(
                f"{store} was built with --no-same-picture, so nothing can be proven; build it anew without, "
                "or use `ris search`."
            )
        filter = chosen(label, folder, min_side, min_bytes, max_bytes, after, before, where)
        engine.count(filter)  # as in search
        report, here = _Report(engine, box, output, json), True
        for name in pictures:
            query = _query(name, engine, box)
            if isinstance(query, RisError):
                report.fail(name, query)
                continue
            finding = engine.find(query, k, where=filter, box=_left_to_cut(query, box))
            here &= bool(finding.here)
            entry = {"query": name, **asdict(finding), "hits": [_entry(hit) for hit in finding.hits]}
            report.answer(_verdict(name, finding), query, finding.hits, entry)
        report.end("Where it is")
    if report.failed:
        raise typer.Exit(FAILED)
    if not here:
        raise typer.Exit(NOT_HERE)


def duplicates(
    store: Store,
    changed: Annotated[
        bool, typer.Option("--changed", help="List changed versions instead, and where they differ.")
    ] = False,
    ray: RayComparing = None,
    output: Output = None,
    json: Json = False,
) -> None:
    """Find groups of pictures that are one picture.

    Re-encoded, resized, cropped, turned or mirrored: proven by geometry and by the pixels. Of each group one
    is suggested to be kept, and why; no file is touched. A picture in which something is covered or replaced
    is in no group: --changed lists such pairs.

    [bold]Examples[/bold]

      ris duplicates photos.ris
      ris duplicates photos.ris --output duplicates.html
      ris duplicates photos.ris --json | jq -r '.[].keep.path'
      ris duplicates photos.ris --changed --output changed.html
      ris duplicates s3://bucket/photos.ris --ray auto
    """
    from ris.engine import SearchEngine

    with bars() as progress, SearchEngine.open(store) as engine:
        groups, pairs = engine.duplicates(ray=ray, progress=progress), engine.changed_versions()
        if json:
            write_json([asdict(one) for one in (pairs if changed else groups)])
        elif changed:
            _print_pairs(pairs)
        else:
            _print_groups(groups)
            if pairs:
                write()
                write(f"Apart from them {count(len(pairs), 'pair')} of changed versions: see --changed.")
        if output and changed:
            _write_pairs(output, pairs, engine)
        elif output:
            _write_groups(output, groups, engine)


class _Marks(TypedDict):
    like: "list[Opened | int]"
    unlike: "list[Opened | int]"


class _Options(TypedDict):
    k: int
    index: str
    max_distance: float | None
    where: "Filter | None"
    collapse: bool
    verify: bool


class _Report:
    """Answers as they come: printed, and kept small for a contact sheet where one is wanted."""

    def __init__(self, engine: "SearchEngine", box: Part | None, output: Path | None, json: bool) -> None:
        self.failed = False
        """Whether a query could not be read."""
        self._engine, self._box, self._output = engine, box, output
        self._list = JsonList() if json else None
        self._strips: list[Strip] = []

    def answer(self, heading: str, query: "Opened | int | None", hits: "Sequence[Hit]", entry: Any) -> None:
        """Write the answer to a picture, or to words, as a JSON entry or for people."""
        from ris.cli.contact_sheet import Strip
        from ris.cli.terminal import show, shows_pictures

        if self._list is not None:
            self._list.add(entry)
        else:
            write(heading)
            if hits:
                _write_hits(hits)
            if shows_pictures(results()):
                shown = _shown(query, self._box, hits, self._engine)
                show(results(), [(one.name, one.picture) for one in shown])
            sys.stdout.flush()
        if self._output:
            self._strips.append(Strip(heading, _shown(query, self._box, hits, self._engine)))

    def fail(self, name: str, error: RisError) -> None:
        """Report why a query cannot be read."""
        self.failed = True
        say(f"error: {error}")
        if self._list is not None:
            self._list.add({"query": name, "error": str(error)})

    def end(self, title: str) -> None:
        """Write what is written when all are answered."""
        from ris.cli.contact_sheet import write_sheet

        if self._list is not None:
            self._list.end()
        if self._output:
            write_sheet(self._output, title, self._strips)
            say(f"The contact sheet is {self._output}.")


def _check_rows(pictures: "Sequence[str]") -> None:
    for name in pictures:
        kind, _, row = name.partition(":")
        if kind == "row" and not (row.isascii() and row.isdecimal()):
            raise typer.BadParameter(f"{name} is no row; give `row:` and its number, such as row:12.")


def _query(name: str, engine: "SearchEngine", box: Part | None) -> "Opened | int | RisError":
    """Return what the engine takes for what was given on the command line, or why it takes it for nothing.

    A picture is read and cut; of one of the store's own, which is looked at without reading it, only its row
    is returned.
    """
    try:
        if name == "-":
            return _from_stdin(engine, box)
        kind, _, row = name.partition(":")
        if kind != "row":
            return engine.open_query(name, box)
        if box is None:
            engine.picture(int(row))
        else:
            engine.read(int(row), box)
        return int(row)
    except RisError as error:
        return error


def _from_stdin(engine: "SearchEngine", box: Part | None) -> "Opened":
    from ris.images.decoding import UnreadableImage

    if sys.stdin is None:
        raise RisError("Nothing can be read from stdin, as it is closed; name a file, or pipe a picture in.")
    try:
        data = sys.stdin.buffer.read()
    except (OSError, ValueError) as error:
        raise RisError(
            f"Nothing can be read from stdin ({error}); name a file, or pipe a picture in."
        ) from error
    try:
        return engine.open_query(data, box)
    except UnreadableImage as error:
        raise UnreadableImage(error.kind, error.reason, "What came from stdin") from error


def _marked(names: "Sequence[str]", engine: "SearchEngine") -> "list[Opened | int]":
    """Return pictures that were marked right or wrong; one that cannot be read ends the command."""
    marked = []
    for name in names:
        query = _query(name, engine, None)
        if isinstance(query, RisError):
            raise query
        marked.append(query)
    return marked


def _left_to_cut(query: "Opened | int", box: Part | None) -> Part | None:
    """Return the box for a row; a picture that was read is cut already."""
    return box if isinstance(query, int) else None


def _hits(
    queries: "Sequence[Opened | int]",
    engine: "SearchEngine",
    box: Part | None,
    options: _Options,
    marks: _Marks,
) -> "Sequence[list[Hit]]":
    if box is None and len(queries) > 1 and not any(marks.values()):
        return engine.search_many(queries, **options)
    return [engine.search(one, box=_left_to_cut(one, box), **options, **marks) for one in queries]


def _verdict(name: str, finding: "Finding") -> str:
    proven = [hit.path for hit in finding.hits if hit.same_picture]
    changed = [hit.path for hit in finding.hits if hit.here and not hit.same_picture]
    if proven:
        more = f"; changed versions: {', '.join(changed)}" if changed else ""
        return f"{name} is here: {', '.join(proven)}{more}"
    if changed:
        return f"{name} is here in a changed version: {', '.join(changed)}"
    return f"{name} is not here."


def _tell_words(text: str, found: "TextAnswer", report: _Report) -> None:
    """Write the answer to words: what they were taken for, and the hits."""
    heading = f"{text}, taken for {', '.join(found.meant)}: {count(len(found.hits), 'picture')}"
    if found.ignored:
        heading += f"; not understood: {', '.join(found.ignored)}"
    hits = [_entry(hit) for hit in found.hits]
    entry = {"text": text, "meant": found.meant, "ignored": found.ignored, "hits": hits}
    report.answer(heading, None, found.hits, entry)
    report.end("Similar pictures")


def _mark(hit: "Hit") -> str:
    if hit.relation is None:
        return ""
    mark = _MARKS[hit.relation]
    if hit.difference is not None and hit.here:
        mark += f", {hit.difference.share:.0%} differs"
    return mark + (", mirrored" if hit.mirrored and hit.relation != "not_proven" else "")


def _entry(hit: "Hit") -> dict[str, object]:
    """Return a hit for JSON."""
    values = asdict(hit)
    score = values.pop("evidence")
    return {**values, "match_score": score, "same_picture": hit.same_picture}


def _write_hits(hits: "Sequence[Hit]") -> None:
    heads = ["", "distance", "same picture", "row", "path"]
    rows = [
        [f"{place}", f"{hit.distance:.3f}", _mark(hit), f"{hit.row}", hit.path]
        for place, hit in enumerate(hits, 1)
    ]
    if any(hit.copies for hit in hits):
        heads.append("near-duplicates")
        for row, hit in zip(rows, hits, strict=True):
            row.append(", ".join(copy.path for copy in hit.copies))
    write_table(heads, rows, numeric=(0, 1, 3))


def _shown(
    query: "Opened | int | None", box: Part | None, hits: "Sequence[Hit]", engine: "SearchEngine"
) -> "list[Shown]":
    """Return the query, where it is a picture, and its hits as they are shown."""
    from ris.cli.contact_sheet import Shown, shrunk

    shown = []
    if query is not None:
        shown.append(Shown(shrunk(engine.read(query, _left_to_cut(query, box))), "the query"))
    for place, hit in enumerate(hits, 1):
        notes = [f"{place}: distance {hit.distance:.3f}"]
        if hit.relation in _NOTES:
            notes.append(_NOTES[hit.relation] + (", mirrored" if hit.mirrored else ""))
        if hit.difference is not None and hit.here:
            notes.append(_differing(hit.difference))
        if hit.copies:
            notes.append(f"and {count(len(hit.copies), 'near-duplicate', 'near-duplicates')}")
        boxes = hit.difference.boxes if hit.difference is not None and hit.here else ()
        picture = small(hit.picture, engine, hit.outline, boxes)
        shown.append(Shown(picture, hit.path, tuple(notes), hit.here))
    return shown


def _print_groups(groups: "Sequence[DuplicateGroup]") -> None:
    write(f"{count(len(groups), 'group')} of pictures that are one picture.")
    for group in groups:
        write()
        for picture in group.pictures:
            write(f"{'keep' if picture == group.keep else '':<6}{picture.path}")
        write(f"      ({group.why})")


def _print_pairs(pairs: "Sequence[ChangedPair]") -> None:
    write(f"{count(len(pairs), 'pair')} of changed versions of one picture; neither is spare.")
    for pair in pairs:
        write()
        write(pair.one.path)
        write(pair.other.path)
        write(f"      ({_differing(pair.difference)})")


def _differing(difference: "Difference") -> str:
    return f"{difference.share:.0%} differs, in {count(len(difference.boxes), 'place')}"


def _write_pairs(output: Path, pairs: "Sequence[ChangedPair]", engine: "SearchEngine") -> None:
    from ris.cli.contact_sheet import Shown, Strip, write_sheet

    strips = []
    for number, pair in enumerate(pairs, 1):
        sides = (pair.one, pair.difference.query_boxes), (pair.other, pair.difference.boxes)
        shown = [Shown(small(picture, engine, boxes=boxes), picture.path) for picture, boxes in sides]
        strips.append(Strip(f"{number}: {_differing(pair.difference)}", shown))
    write_sheet(output, "Changed versions of one picture", strips)
    say(f"The contact sheet is {output}.")


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
            shown.append(Shown(small(picture, engine), picture.path, tuple(notes), kept))
        strips.append(Strip(f"{number}: {count(len(shown), 'picture')}", shown))
    write_sheet(output, "Pictures that are one picture", strips)
    say(f"The contact sheet is {output}.")
