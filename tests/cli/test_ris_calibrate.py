"""`ris calibrate`: what it tells, what it refuses, and what a person says of pairs."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

Ris = Callable[..., Any]

QUICK = ("--pictures", 1, "--strangers", 40, "--edit", "jpeg10")


def lines(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_a_rate_that_cannot_be_told_is_refused_and_pairs_are_shown(ris: Ris, own: Path) -> None:
    ended = ris("calibrate", "photos.ris", *QUICK, "--judged", "pairs.csv", "--sheet", "pairs.html")
    assert ended.code == 1
    assert (
        "A rate of 1.00% takes 299 different pictures, and as many others to report on; there are 11."
        in ended.err
    )
    assert "jpeg10" in ended.out
    assert "Threshold for 5.0% of strangers wrongly said to be here: too few pictures" in ended.out
    taken = [line for line in lines(own / "pairs.csv") if line["taken_for_copies"] == "yes"]
    assert {taken[0]["one"], taken[0]["other"]} == {"crop.png", "fish/image_0001.jpg"}
    assert "Which of these pairs are one picture?" in (own / "pairs.html").read_text()
    assert "the package&#39;s" not in ended.out


def test_what_a_person_says_of_a_pair_is_kept_and_counts(ris: Ris, own: Path) -> None:
    pairs = own / "pairs.csv"
    pairs.write_text("one,other,same\ncrop.png,fish/image_0001.jpg, No\n")
    ended = ris("calibrate", "photos.ris", *QUICK, "--rate", 0.25, "--judged", pairs, "--json")
    assert ended.code == 0
    assert ended.json["copies"] == []
    assert ended.json["threshold"] is not None
    same = {frozenset((line["one"], line["other"])): line["same"] for line in lines(pairs)}
    assert same[frozenset(("crop.png", "fish/image_0001.jpg"))] == "no"
    told = ris("info", "photos.ris").out
    assert "for 25.0% wrongly said to be here: this store's, chosen over 11 of its pictures" in told


def test_a_table_that_is_none_is_refused(ris: Ris, own: Path) -> None:
    (own / "other.csv").write_text("name,size\na,1\n")
    ended = ris("calibrate", "photos.ris", *QUICK, "--judged", "other.csv")
    assert (ended.code, ended.out) == (1, "")
    assert "other.csv is no table of pairs; let `ris calibrate --judged` write it." in ended.err
    (own / "other.csv").write_text("one,other,same\na,b,perhaps\n")
    ended = ris("calibrate", "photos.ris", *QUICK, "--judged", "other.csv")
    assert "other.csv says 'perhaps' of a and b; write yes or no, or nothing." in ended.err
