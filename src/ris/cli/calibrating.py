"""The command that fits the answer "this very picture" to a collection: calibrate."""

import csv
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ris.cli.output import say, write, write_json, write_table
from ris.cli.parameters import Json, Store, Threads, _sheet
from ris.cli.progress import bars
from ris.cli.text import count
from ris.errors import RisError

if TYPE_CHECKING:
    from ris.engine import Calibrated, SearchEngine
    from ris.gallery.calibrating import Verdicts
    from ris.types import Pair

COLUMNS = ("one", "other", "edit", "match_score", "taken_for_copies", "same")
SAID = {"yes": True, "no": False}


def calibrate(
    store: Store,
    rate: Annotated[
        float, typer.Option(help="Share of strangers that may wrongly be said to be here.")
    ] = 0.01,
    pictures: Annotated[int, typer.Option(min=1, help="Queries for each edit.")] = 24,
    strangers: Annotated[int, typer.Option(min=1, help="Queries searched for in the rest, at most.")] = 600,
    edits: Annotated[
        list[str] | None, typer.Option("--edit", help="An edit; all without it.", show_default=False)
    ] = None,
    judged: Annotated[
        Path | None,
        typer.Option(
            help="CSV file of the pairs to be judged: it is written, and what stands in its column `same`, "
            "yes or no, is read first.",
            show_default=False,
        ),
    ] = None,
    sheet: Annotated[
        Path | None,
        typer.Option(
            callback=_sheet, help="Contact sheet of these pairs, .html or .png.", show_default=False
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the sample and of the edits.")] = 0,
    threads: Threads = None,
    json: Json = False,
) -> None:
    """Choose the threshold of "this very picture" over the store's own pictures.

    A sample of them is edited and searched for. Each is also searched for as a stranger: in the rest of the
    store, without itself and its copies. The threshold is chosen on one half of the strangers and reported on
    the other, and the store keeps it. Where they are too few for the rate, it stays as it was, and the exit
    code is 1.

    Look at the pairs with the highest score: write `yes` or `no` into the column `same` of the --judged file,
    and calibrate again.

    [bold]Examples[/bold]

      ris calibrate photos.ris
      ris calibrate photos.ris --judged pairs.csv --sheet pairs.html
      ris calibrate photos.ris --rate 0.001 --strangers 6000 --edit crop25 --edit jpeg10
    """
    from ris.copies.edits import EDITS
    from ris.engine import SearchEngine
    from ris.gallery.calibrating import pictures_needed

    verdicts = _read(judged) if judged and judged.is_file() else {}
    with bars() as progress, SearchEngine.open(store, threads=threads) as engine:
        found = engine.calibrate(
            rate,
            pictures=pictures,
            strangers=strangers,
            edits=edits or tuple(EDITS),
            verdicts=verdicts,
            seed=seed,
            progress=progress,
        )
        if judged:
            _write_pairs(judged, found, verdicts)
        if sheet:
            _write_sheet(sheet, found, engine)
    if json:
        write_json(asdict(found))
    else:
        _tell(found)
    if found.threshold is None:
        raise RisError(
            f"A rate of {rate:.2%} takes {pictures_needed(rate):,} different pictures, and as many others to "
            f"report on; there are {found.chosen_on:,}. The threshold stays as it was."
        )


def _tell(found: "Calibrated") -> None:
    whose = "at the new threshold" if found.threshold is not None else "at the threshold that holds"
    write(f"Found again and said to be here, {whose}, of {count(found.pictures, 'picture')} each:")
    write_table(["edit", "recall"], [[name, f"{share:.3f}"] for name, share in found.recall.items()])
    write()
    for rate, threshold in found.thresholds.items():
        chosen = "too few pictures" if threshold is None else f"match score above {threshold:.2f}"
        write(f"Threshold for {rate:.1%} of strangers wrongly said to be here: {chosen}")
    if found.claimed_ci95 is not None:
        low, high = found.claimed_ci95
        write(
            f"Of {count(found.reported_on, 'other picture')}, {found.claimed} were wrongly said to be here, "
            f"as they are or edited: 95 % interval {low:.2%} to {high:.2%}."
        )
    write(f"{count(len(found.copies), 'pair')} were taken for copies and did not count; look at them, too.")
    for pair in found.strangers[:10]:
        write(f"  {pair.match_score:6.2f}  {pair.query.path} ({pair.edit})  {pair.found.path}")
    say("The pairs above have the highest score; --judged lets you say which are one picture after all.")


def _read(file: Path) -> "Verdicts":
    """Read what a person said of pairs.

    Raises:
        RisError: the file is no such table.
    """
    try:
        with file.open(newline="", encoding="utf-8") as stream:
            lines = list(csv.DictReader(stream))
        said = {(line["one"], line["other"]): line["same"].strip().lower() for line in lines}
    except (KeyError, AttributeError, UnicodeDecodeError, csv.Error) as error:
        raise RisError(f"{file} is no table of pairs; let `ris calibrate --judged` write it.") from error
    for pair, word in said.items():
        if word and word not in SAID:
            raise RisError(f"{file} says {word!r} of {pair[0]} and {pair[1]}; write yes or no, or nothing.")
    return {pair: SAID[word] for pair, word in said.items() if word}


def _write_pairs(file: Path, found: "Calibrated", verdicts: "Verdicts") -> None:
    from ris.artifacts import writing

    said = {pair: "yes" if same else "no" for pair, same in verdicts.items()}
    with writing(file) as fresh, fresh.open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream)
        table.writerow(COLUMNS)
        for copies, pairs in ((True, found.copies), (False, found.strangers)):
            for pair in pairs:
                one, other = pair.query.path, pair.found.path
                word = said.pop((one, other), "") or said.pop((other, one), "")
                table.writerow(
                    [one, other, pair.edit, f"{pair.match_score:.4f}", "yes" if copies else "no", word]
                )
        table.writerows([one, other, "", "", "", word] for (one, other), word in said.items())


def _write_sheet(path: Path, found: "Calibrated", engine: "SearchEngine") -> None:
    from ris.cli.contact_sheet import Shown, Strip, shrunk, write_sheet

    def shown(pair: "Pair") -> list[Shown]:
        return [Shown(shrunk(engine.image(one.row)), one.path) for one in (pair.query, pair.found)]

    strips = [
        Strip(
            f"{'taken for copies' if copies else pair.edit}, match score {pair.match_score:.2f}", shown(pair)
        )
        for copies, pairs in ((True, found.copies), (False, found.strangers))
        for pair in pairs
    ]
    write_sheet(path, "Which of these pairs are one picture?", strips)
