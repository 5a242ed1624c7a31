"""The commands that write a store: build, add, remove, sync, refit, relocate, restore."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ris.cli.looking import as_json, tell
from ris.cli.output import say, write, write_json, write_table
from ris.cli.parameters import Json, Ray, Store, Threads
from ris.cli.progress import bars
from ris.cli.text import count, listed

if TYPE_CHECKING:
    from ris.engine import Change, Rejected

_TOLD = 10
"""Rejected files that are listed one by one, at most."""


def build(
    folder: Annotated[Path, typer.Argument(help="Folder of pictures, at any depth.", show_default=False)],
    store: Annotated[
        str,
        typer.Argument(
            help="Folder to be made, or an address such as s3://bucket/photos.ris; where it exists, it must "
            "be empty, or hold a build that was broken off.",
            show_default=False,
        ),
    ],
    encoder: Annotated[
        str | None,
        typer.Option(
            help="A network by name, see `ris encoders`, timm: and the name of one of timm's models, or an "
            "encoder folder that the pipeline made; without it, efficientnet_lite0, which is installed with "
            "this package.",
            show_default=False,
        ),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            help="File of a named encoder's weights, or a folder with model.safetensors; without it, the "
            "publisher's are loaded.",
            show_default=False,
        ),
    ] = None,
    accept_licence: Annotated[
        bool,
        typer.Option("--accept-licence", help="Accept the licence of weights that ask for it."),
    ] = False,
    device: Annotated[
        Literal["cpu", "cuda", "mps"],
        typer.Option(help="What embeds pictures, now and later; mps was never run."),
    ] = "cpu",
    no_same_picture: Annotated[
        bool,
        typer.Option(
            "--no-same-picture",
            help="Do not keep what proves the very same picture, some 36 kB a picture.",
        ),
    ] = False,
    copies_encoder: Annotated[
        str | None,
        typer.Option(
            help="Another one, by which `ris find` and `ris duplicates` look for copies; named likewise.",
            show_default=False,
        ),
    ] = None,
    regions: Annotated[
        bool,
        typer.Option(
            "--regions",
            help="Let `ris find` look for regions of each picture, too, which finds more of small crops: six "
            "pictures are embedded for each, and some 26 kB kept.",
        ),
    ] = False,
    indexes: Annotated[
        list[str],
        typer.Option(
            "--index",
            help="An approximate index to build beside those that the store chooses, such as annoy; may be "
            "repeated.",
            show_default=False,
        ),
    ] = [],  # noqa: B006
    ray: Ray = None,
    threads: Threads = None,
    json: Json = False,
) -> None:
    """Make a store of all pictures in a folder.

    Every picture is read once; the folder is not changed. Files that are no pictures are listed. A build that
    was broken off goes on where it was.

    [bold]Examples[/bold]

      ris build photos photos.ris
      ris build photos photos.ris --encoder models/encoder
      ris build photos photos.ris --encoder models/encoder --copies-encoder efficientnet_lite0 --regions
      ris build photos photos.ris --encoder dinov2_small
      ris build photos photos.ris --no-same-picture
      ris build photos photos.ris --index annoy
      ris build /mnt/photos s3://bucket/photos.ris --ray auto
    """
    from ris.engine import SearchEngine

    if encoder is None:
        say("No encoder was named, so it is efficientnet_lite0, which works offline.")
    with (
        bars() as progress,
        SearchEngine.build(
            folder,
            store,
            encoder=encoder,
            weights=weights,
            accept_licence=accept_licence,
            device=device,
            copies_encoder=copies_encoder,
            same_picture=not no_same_picture,
            regions=regions,
            indexes=indexes,
            ray=ray,
            threads=threads,
            progress=progress,
        ) as engine,
    ):
        rejected = engine.rejected()
        if json:
            write_json(as_json(engine.info(), rejected))
        else:
            _tell_rejected(rejected)
            tell(engine.info(), [])


def add(
    store: Store,
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH...", help="Files and folders in the store's folder of pictures.", show_default=False
        ),
    ],
    threads: Threads = None,
    json: Json = False,
) -> None:
    """Add pictures that lie in the store's folder.

    Files that are in the store already are read again. `ris sync` finds by itself what is new.

    [bold]Example[/bold]

      ris add photos.ris photos/holidays/IMG_0001.jpg photos/2024
    """
    from ris.engine import SearchEngine

    with bars() as progress, SearchEngine.open(store, threads=threads) as engine:
        _tell_change(engine.add(paths, progress=progress), json)


def remove(
    store: Store,
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH...",
            help="Pictures and folders as `ris search` prints them, relative to the folder of pictures.",
            show_default=False,
        ),
    ],
    json: Json = False,
) -> None:
    """Take pictures out of the store; their files stay.

    `ris sync` adds those again whose files still lie in the folder.

    [bold]Example[/bold]

      ris remove photos.ris holidays/IMG_0001.jpg 2024
    """
    from ris.engine import SearchEngine

    with SearchEngine.open(store) as engine:
        _tell_change(engine.remove(paths), json)


def sync(
    store: Store,
    watch: Annotated[bool, typer.Option("--watch", help="Go on until interrupted.")] = False,
    columns: Annotated[
        Path | None,
        typer.Option(
            help="A CSV or Parquet table with a column `path` and columns of your own, for --where.",
            show_default=False,
        ),
    ] = None,
    allow_removals: Annotated[
        bool,
        typer.Option(
            "--allow-removals",
            help="Take pictures away however many are gone. Without it, a folder that lacks more than half "
            "of them is taken for a disk that is not mounted.",
        ),
    ] = False,
    checksum: Annotated[
        bool,
        typer.Option(
            "--checksum",
            help="Read every file again. Without it, one of the same size and time of change is taken for "
            "unchanged.",
        ),
    ] = False,
    ray: Ray = None,
    threads: Threads = None,
    json: Json = False,
) -> None:
    """Bring the store to what its folder holds now.

    New, changed, moved and deleted files are recognised by their content, and only what is new is embedded.
    The store is the old one until all is done. With --json and --watch, each change is a line.

    [bold]Examples[/bold]

      ris sync photos.ris
      ris sync photos.ris --watch
      ris sync photos.ris --columns captions.csv
    """
    from ris.engine import SearchEngine

    if watch and ray is not None:
        raise typer.BadParameter("a cluster does not watch; leave one of --watch and --ray out")
    with SearchEngine.open(store, threads=threads) as engine:
        if watch:
            say(f"Watching {engine.folder}; Ctrl-C ends it.")
            for change in engine.watch(allow_removals=allow_removals):
                _tell_change(change, json)
        else:
            with bars() as progress:
                change = engine.sync(
                    allow_removals=allow_removals, checksum=checksum, ray=ray, progress=progress
                )
            _tell_change(change, json)
        if columns:
            say(f"{columns} has a line for {count(engine.set_columns(columns), 'picture')} of the store.")


def refit(store: Store, json: Json = False) -> None:
    """Fit the spaces of a store anew to all that it holds now.

    A store does so by itself where it has doubled. What no picture shows any more is left out.

    [bold]Example[/bold]

      ris refit photos.ris
    """
    from ris.engine import SearchEngine

    with bars() as progress, SearchEngine.open(store) as engine:
        engine.refit(progress=progress)
        if json:
            write_json(as_json(engine.info(), engine.rejected()))
        else:
            tell(engine.info(), [])


def relocate(
    store: Store,
    folder: Annotated[Path, typer.Argument(help="The folder of pictures.", show_default=False)],
    json: Json = False,
) -> None:
    """Say where the pictures of a store lie.

    After their folder was moved or renamed; and once for a store that was built elsewhere, as nothing that
    such a store names is read before.

    [bold]Example[/bold]

      ris relocate photos.ris /mnt/photos
    """
    from ris.engine import SearchEngine

    with SearchEngine.open(store) as engine:
        engine.relocate(folder)
        if json:
            write_json({"store": str(engine.location), "folder": str(engine.folder)})
        else:
            write(f"The pictures of {store} lie in {engine.folder}.")


def restore(
    store: Store,
    version: Annotated[
        int | None,
        typer.Option(
            min=1, help="The version to restore; without it, those kept are listed.", show_default=False
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Undo: make a former version of a store the newest one.

    A store keeps its last hundred commits. No file of the folder is touched, and what is undone is kept as
    well. `ris sync` brings the store to its folder again.

    [bold]Examples[/bold]

      ris restore photos.ris
      ris restore photos.ris --version 12
    """
    from ris.engine import SearchEngine

    with SearchEngine.open(store) as engine:
        if version is not None:
            engine.restore(version)
            say(f"Version {version} is restored: {count(len(engine), 'picture')}.")
        kept = engine.versions()
    if json:
        write_json([asdict(one) for one in kept])
    elif version is None:
        rows = [[f"{one.number}", _moment(one.written), f"{one.pictures:,}"] for one in kept]
        write_table(["version", "written", "pictures"], rows, numeric=(0, 2))


def _moment(seconds: float | None) -> str:
    return "" if seconds is None else f"{datetime.fromtimestamp(seconds):%Y-%m-%d %H:%M:%S}"


def _tell_change(change: "Change", json: bool) -> None:
    if json:
        write_json(asdict(change))
        return
    _tell_rejected(change.rejected)
    done = listed(
        {name: getattr(change, name) for name in ("added", "changed", "moved", "removed", "unchanged")}
    )
    write(f"{done or 'Nothing to do'} ({change.seconds:.1f} s).")


def _tell_rejected(rejected: "Sequence[Rejected]") -> None:
    if not rejected:
        return
    say(f"{count(len(rejected), 'file')} cannot be used:")
    for one in rejected[:_TOLD]:
        say(f"  {one.path}: {one.reason}")
    if len(rejected) > _TOLD:
        say(f"  and {len(rejected) - _TOLD:,} more; `ris info --json` lists them all.")
