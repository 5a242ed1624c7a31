"""Arguments and options that several commands share."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from ris.indexes.registry import NOTES, IndexName

if TYPE_CHECKING:
    from ris.engine import Filter

_FILTER = "Which pictures count"

Part: TypeAlias = tuple[float, float, float, float]


def _part(box: Part | None) -> Part | None:
    if box is not None:
        left, top, right, bottom = box
        if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
            raise typer.BadParameter("give shares from 0 to 1, left before right and top before bottom")
    return box


def _values(given: list[str]) -> list[str]:
    if not all(one.partition("=")[0] and "=" in one for one in given):
        raise typer.BadParameter("give COLUMN=VALUE")
    return given


def _moment(time: datetime | None) -> datetime | None:
    try:
        if time is not None:
            time.timestamp()
    except (ValueError, OverflowError, OSError) as error:
        raise typer.BadParameter("give a time after the year 1") from error
    return time


def _sheet(path: Path | None) -> Path | None:
    if path is not None and path.suffix not in (".html", ".png"):
        raise typer.BadParameter("its name must end in .html or .png")
    return path


# No `Path`, in which an address would lose one of its slashes.
Store = Annotated[str, typer.Argument(help="The store: its folder or address.", show_default=False)]
Like = Annotated[
    list[str],
    typer.Option(
        metavar="PICTURE",
        help="A picture that is right, a file or row:NUMBER: search nearer to it; may be repeated.",
        show_default=False,
    ),
]
Unlike = Annotated[
    list[str],
    typer.Option(
        metavar="PICTURE",
        help="A picture that is wrong: search further from it; may be repeated.",
        show_default=False,
    ),
]
Queries = Annotated[
    list[str],
    typer.Argument(
        metavar="PICTURE...",
        help="Picture files; `-` reads one from stdin, `row:12` is picture 12 of the store.",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for other programs.")]
Threads = Annotated[
    int | None,
    typer.Option(min=1, help="Threads that read pictures; one a processor without it.", show_default=False),
]
Ray = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Have a Ray cluster read and embed the pictures: auto, or HOST:6379 of its head. Its workers "
        "see the folder at the same path.",
        show_default=False,
    ),
]
RayComparing = Annotated[
    str | None,
    typer.Option(
        "--ray",
        metavar="ADDRESS",
        help="Have a Ray cluster compare the pictures: auto, or HOST:6379 of its head. Its workers see the "
        "store and the folder at the same paths.",
        show_default=False,
    ),
]
Hits = Annotated[int, typer.Option("-k", "--hits", min=1, help="Hits wanted.")]
Index = Annotated[
    IndexName, typer.Option(help=f"What to search by, of what the store has; auto lets it choose. {NOTES}.")
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", callback=_sheet, help="Write a contact sheet: a file ending in .html or .png."
    ),
]
Urls = Annotated[bool, typer.Option("--urls", help="A picture may also be an http or https address.")]
Box = Annotated[
    Part | None,
    typer.Option(
        callback=_part,
        metavar="LEFT TOP RIGHT BOTTOM",
        help="Search with this part of the picture, in shares of its sides: its left half is 0 0 0.5 1.",
    ),
]

Labels = Annotated[
    list[str],
    typer.Option("--label", help="With this label; may be repeated.", rich_help_panel=_FILTER),
]
Folders = Annotated[
    list[str],
    typer.Option(
        "--folder",
        help="In this folder, at any depth, relative to the folder of pictures; may be repeated.",
        rich_help_panel=_FILTER,
    ),
]
MinSide = Annotated[
    int | None,
    typer.Option(min=1, help="With a shorter side of so many pixels or more.", rich_help_panel=_FILTER),
]
MinBytes = Annotated[
    int | None, typer.Option(min=0, help="Whose file is not smaller.", rich_help_panel=_FILTER)
]
MaxBytes = Annotated[
    int | None, typer.Option(min=0, help="Whose file is not larger.", rich_help_panel=_FILTER)
]
After = Annotated[
    datetime | None,
    typer.Option(callback=_moment, help="Whose file was changed after this time.", rich_help_panel=_FILTER),
]
Before = Annotated[
    datetime | None,
    typer.Option(callback=_moment, help="Whose file was changed before this time.", rich_help_panel=_FILTER),
]
Columns = Annotated[
    list[str],
    typer.Option(
        "--where",
        callback=_values,
        metavar="COLUMN=VALUE",
        help="With this value in your own table (`ris sync --columns`); may be repeated.",
        rich_help_panel=_FILTER,
    ),
]


def chosen(
    labels: list[str],
    folders: list[str],
    min_side: int | None,
    min_bytes: int | None,
    max_bytes: int | None,
    after: datetime | None,
    before: datetime | None,
    columns: list[str],
) -> "Filter | None":
    """Return the filter that the options describe, None where they describe none."""
    from ris.engine import Filter

    given = Filter(
        labels=tuple(labels),
        folders=tuple(folders),
        min_bytes=min_bytes,
        max_bytes=max_bytes,
        min_side=min_side,
        modified_after=after.timestamp() if after else None,
        modified_before=before.timestamp() if before else None,
        columns={name: value for name, _, value in (one.partition("=") for one in columns)},
    )
    return None if given == Filter() else given
