"""The commands that look at a store: info, check, export."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ris.cli.output import say, write, write_json
from ris.cli.parameters import Json, Store
from ris.cli.progress import bars
from ris.cli.text import count, size

if TYPE_CHECKING:
    from ris.engine import Info, Rejected


def info(store: Store, json: Json = False) -> None:
    """Show what a store holds and how it was made.

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


def check(
    store: Store,
    recall: Annotated[
        bool,
        typer.Option(
            "--recall",
            help="Also measure how many of the ten nearest pictures a search finds, without a filter and "
            "with random ones.",
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Check every checksum and every row of a store.

    Exits with 1 where something is wrong, after a line for each.

    [bold]Examples[/bold]

      ris check photos.ris
      ris check photos.ris --recall
    """
    from ris.engine import SearchEngine
    from ris.errors import RisError

    with SearchEngine.open(store) as engine:
        problems = engine.check()
        measured = engine.recall() if recall and not problems else None
    if json:
        write_json({"whole": not problems, "problems": problems} | ({"recall": measured} if measured else {}))
    else:
        for problem in problems or ["The store is whole."]:
            write(problem)
        for share, value in (measured or {}).items():
            write(f"Recall@10 where {float(share):.1%} of the pictures are let through: {value:.4f}")
    if problems:
        raise RisError(
            f"{store} has {count(len(problems), 'problem')}; sync it, or delete it and build it anew."
        )


def export(
    store: Store,
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
    """Return the facts of a store as JSON."""
    return {**asdict(info), "rejected_files": [asdict(one) for one in rejected]}


def tell(info: "Info", rejected: "Sequence[Rejected]") -> None:
    """Write the facts of a store, a line each."""
    proof = "not kept"
    if info.local_features and info.threshold is None:
        proof = "kept, not calibrated"
    elif info.local_features and info.false_positive_rate is not None:
        rate = f"{info.false_positive_rate:.1%} wrongly said to be here"
        proof = f"kept; threshold {info.threshold:.2f} for {rate}: {info.threshold_over}"
    encoder = f"{info.encoder}, {info.dimension} dimensions, {info.precision}"
    if info.copies_encoder is not None:
        encoder += f"; for copies another one, {info.copies_encoder}"
    spaces = "none yet"
    if info.space_version is not None and info.space_fitted_to is not None:
        spaces = f"version {info.space_version}, fitted to {count(info.space_fitted_to, 'content')}"
    lines = {
        "Store": f"{info.store}, {size(info.bytes)}",
        "Pictures": f"{count(info.pictures, 'picture')} of {info.folder}",
        "Labels": f"{info.labels:,}",
        "Columns": ", ".join(info.columns) or "none",
        "Encoder": encoder,
        "Indexes": ", ".join(info.indexes) or "none",
        "Auto": info.auto,
        "Spaces": spaces,
        "Same picture": proof,
        "Not used": count(info.rejected, "file"),
    }
    for name, value in lines.items():
        write(f"{name + ':':<14}{value}")
    for one in rejected:
        write(f"{'':<14}{one.path}: {one.reason}")
    if info.recall is not None:
        found = ", ".join(f"{share}: {value:.3f}" for share, value in info.recall.items())
        write(f"{'Recall@10:':<14}{found}")
    if info.unread is not None:
        say(f"Its building was broken off with {count(info.unread, 'file')} to read; `ris build` goes on.")
    elif not info.pictures:
        say("The store holds no picture; put some into its folder and run `ris sync`.")
