"""The commands that look at a store: info, verify, export."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ris.cli.output import say, write, write_json
from ris.cli.parameters import Json, Readable
from ris.cli.progress import bars
from ris.cli.text import count, size

if TYPE_CHECKING:
    from ris.engine import Info, Rejected


def info(store: Readable, json: Json = False) -> None:
    """Tell what a store holds and how it was made.

    [bold]Examples[/bold]

      ris info photos.ris
      ris info photos.ris --json
    """
    from ris.engine import SearchEngine

    with SearchEngine.open(store) as engine:
        if json:
            write_json(as_json(engine.info(), engine.rejected()))
        else:
            tell(engine.info(), engine.rejected())


def verify(store: Readable, json: Json = False) -> None:
    """Check every checksum and every row of a store.

    Exits with 1 where something is wrong, after a line for each.

    [bold]Example[/bold]

      ris verify photos.ris
    """
    from ris.engine import SearchEngine
    from ris.errors import RisError

    with SearchEngine.open(store) as engine:
        problems = engine.verify()
    if json:
        write_json({"whole": not problems, "problems": problems})
    else:
        for problem in problems or ["The store is whole."]:
            write(problem)
    if problems:
        raise RisError(f"{store} has {count(len(problems), 'problem')}; sync it, or build it anew.")


def export(
    store: Readable,
    folder: Annotated[
        Path, typer.Argument(help="Folder to be made; where it exists, it must be empty.", show_default=False)
    ],
    json: Json = False,
) -> None:
    """Write the catalogue and the vectors for other programs.

    Parquet and NumPy files, and what TensorBoard's embedding projector reads.

    [bold]Example[/bold]

      ris export photos.ris exported
    """
    from ris.engine import SearchEngine

    with bars() as progress, SearchEngine.open(store) as engine:
        engine.export(folder, progress=progress)
    files = {
        path.relative_to(folder).as_posix(): path.stat().st_size
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    if json:
        write_json({"folder": str(folder), "files": files})
        return
    for name, length in files.items():
        write(f"{folder / name}  {size(length)}")


def as_json(info: "Info", rejected: "Sequence[Rejected]") -> dict[str, Any]:
    """Return what is told of a store, for other programs."""
    return {**asdict(info), "rejected_files": [asdict(one) for one in rejected]}


def tell(info: "Info", rejected: "Sequence[Rejected]") -> None:
    """Write what is told of a store, a line each."""
    proof = "not kept"
    if info.local_features and info.threshold is None:
        proof = "kept, not calibrated"
    elif info.local_features and info.false_positive_rate is not None:
        proof = f"kept; threshold chosen for {info.false_positive_rate:.1%} wrongly said to be here"
    lines = {
        "Store": f"{info.store}, {size(info.bytes)}{', read-only' if info.read_only else ''}",
        "Pictures": f"{count(info.pictures, 'picture')} of {info.folder}",
        "Labels": f"{info.labels:,}",
        "Columns": ", ".join(info.columns) or "none",
        "Encoder": f"{info.encoder}, {info.dimension} dimensions, {info.precision}",
        "Indexes": ", ".join(info.indexes) or "none",
        "Same picture": proof,
        "Not used": count(info.rejected, "file"),
    }
    for name, value in lines.items():
        write(f"{name + ':':<14}{value}")
    for one in rejected:
        write(f"{'':<14}{one.path}: {one.reason}")
    if not info.pictures:
        say("The store holds no picture; put some into its folder and run `ris sync`.")
