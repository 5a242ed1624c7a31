"""The command that changes the encoder of a store: reencode."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ris.cli.output import say, write, write_json, write_table
from ris.cli.parameters import Json, Store, Threads
from ris.cli.progress import bars
from ris.cli.text import count

if TYPE_CHECKING:
    from ris.reencoding import Comparison, Which


def reencode(
    store: Store,
    encoder: Annotated[
        str | None, typer.Option(help="The other encoder, as in `ris build`.", show_default=False)
    ] = None,
    take: Annotated[
        bool, typer.Option("--take", help="Put the store that was made in the place of the first.")
    ] = False,
    discard: Annotated[bool, typer.Option("--discard", help="Delete the store that was made.")] = False,
    weights: Annotated[Path | None, typer.Option(help="As in `ris build`.", show_default=False)] = None,
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="Accept the licence of weights that ask for it.")
    ] = False,
    threads: Threads = None,
    json: Json = False,
) -> None:
    """Try another encoder on a store, and change to it or not.

    A second store is made beside the first, which answers as before; broken off, it goes on when it is called
    again. Then both are compared: on the labels that are the names of the folders, on how far their hits
    agree, and on how many edited pictures are found again. You decide: --take or --discard.

    [bold]Examples[/bold]

      ris reencode photos.ris --encoder efficientnet_lite2
      ris reencode photos.ris --take
      ris reencode photos.ris --discard
    """
    from ris import reencoding

    if (encoder is not None) + take + discard != 1:
        raise typer.BadParameter("give one of --encoder, --take and --discard")
    if encoder is not None:
        with bars() as progress:
            found = reencoding.reencode(
                store,
                encoder,
                weights=weights,
                accept_licence=accept_licence,
                threads=threads,
                progress=progress,
            )
        if json:
            write_json(asdict(found))
        else:
            _tell(store, found)
        return
    done = reencoding.take(store) if take else reencoding.discard(store)
    if json:
        write_json({"before" if take else "discarded": str(done)})
    elif take:
        write(f"{store} has the other encoder now; the store before is {done}: delete it when you are sure.")
        say(f"What changed in the folder meanwhile, `ris sync {store}` brings.")
    else:
        write(f"{done} is deleted; {store} is as it was.")


def _tell(store: str, found: "Comparison") -> None:
    rows = []
    if found.precision is not None:
        rows.append([f"precision@10, {count(found.labels, 'label')}", *_two(found.precision)])
    if found.found is not None:
        rows.append([f"found again, of {count(found.edited, 'edited picture')}", *_two(found.found)])
    if rows:
        write_table(
            ["", f"now: {found.encoders['now']}", f"new: {found.encoders['new']}"], rows, numeric=(1, 2)
        )
        write()
    write(
        f"Of the first ten hits of {count(found.pictures, 'picture')}, both find {found.agreement:.0%} alike."
    )
    say(f"To change to the new one: ris reencode {store} --take; to keep the old: --discard.")


def _two(values: "dict[Which, float]") -> list[str]:
    return [f"{values['now']:.3f}", f"{values['new']:.3f}"]
