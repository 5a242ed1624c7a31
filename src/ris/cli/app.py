"""The command's front door: its subcommands, and what `ris --help` says."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from inspect import cleandoc
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from ris import __version__
from ris.cli.auditing import audit
from ris.cli.calibrating import calibrate
from ris.cli.changing import add, build, refit, relocate, remove, restore, sync
from ris.cli.encoders import encoders
from ris.cli.ending import gracefully
from ris.cli.judging import evaluate
from ris.cli.looking import check, export, info
from ris.cli.reencoding import reencode
from ris.cli.searching import duplicates, find, search
from ris.cli.serving import mcp, serve
from ris.cli.text import plain

PANELS: dict[str, Sequence[Callable[..., None]]] = {
    "Make and change a store": (build, add, remove, sync, refit, calibrate, reencode, relocate, restore),
    "Ask a store": (search, find, duplicates, serve, mcp),
    "Look at a store": (info, check, evaluate, audit, export),
    "Choose a network": (encoders,),
}

INTRODUCTION = """
Search a folder of your own pictures by picture.

A store is a folder that `ris build` makes of your pictures, which are only read. It answers two
questions: which pictures are similar to this one, and where is this very picture, whatever was done to it.
"""

EPILOGUE = """
[bold]From a folder to hits[/bold]

  ris build photos photos.ris       make a store of all pictures in photos
  ris search photos.ris query.jpg   what is similar?
  ris find photos.ris query.jpg     where is this very picture?
  ris serve photos.ris              the same in a browser

[bold]Exit codes[/bold]

  0  done
  1  it could not be done, and one sentence says why
  2  wrong usage
  3  from find alone: a picture is not here

What a command finds goes to stdout, everything else to stderr.
Every command takes --help, and each but mcp --json.
"""


class _Commands(TyperGroup):
    def make_context(self, *arguments: Any, **options: Any) -> Any:
        with _plainly():
            return super().make_context(*arguments, **options)

    def invoke(self, ctx: Any) -> Any:
        with gracefully(), _plainly():
            return super().invoke(ctx)


@contextmanager
def _plainly() -> Iterator[None]:
    """Let no control character of an argument reach the terminal with a message about wrong usage."""
    try:
        yield
    except Exception as error:
        message = getattr(error, "message", None)
        if isinstance(message, str):
            error.message = plain(message)  # type: ignore[attr-defined]
        raise


def _version(wanted: bool) -> None:
    if wanted:
        print(f"ris {__version__}")
        raise typer.Exit


def _introduce(
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None: ...


def _folded(text: str | None) -> str:
    """Join the lines of each paragraph, for a terminal of any width; examples, which are indented, stay."""
    paragraphs = cleandoc(text or "").split("\n\n")
    return "\n\n".join(one if one.startswith(" ") else one.replace("\n", " ") for one in paragraphs)


app = typer.Typer(
    cls=_Commands,
    callback=_introduce,
    help=_folded(INTRODUCTION),
    epilog=_folded(EPILOGUE),
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for panel, commands in PANELS.items():
    for command in commands:
        app.command(help=_folded(command.__doc__), rich_help_panel=panel)(command)
app.command("verify", hidden=True, help="Former name of `check`.")(check)
