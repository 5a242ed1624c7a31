import os
import re
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ris.engine import Filter, SearchEngine

Ris = Callable[..., Any]


def rows(out: str) -> list[list[str]]:
    """Read the lines of a table back, split where two spaces or more stand."""
    lines = out.split("─\n")[-1].splitlines()
    return [re.split(r"\s{2,}", line.strip()) for line in lines]


def test_search_prints_the_nearest_first(ris: Ris, store: Path, query: Path) -> None:
    ended = ris("search", store, query, "-k", 4)
    with SearchEngine.open(store) as engine:
        hits = engine.search(query, 4)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith(f"{query}: 4 similar pictures\n")
    assert rows(ended.out) == [
        [f"{place}", f"{hit.distance:.3f}", "yes" if hit.same_picture else "no", f"{hit.row}", hit.path]
        for place, hit in enumerate(hits, 1)
    ]
    assert hits[0].path == "cactus/image_0001.jpg"
    assert hits[0].same_picture
    assert "\x1b" not in ended.out, "no colours where nobody sees them"


def test_search_as_json_is_what_the_engine_answers(
    ris: Ris, store: Path, query: Path, stranger: Path
) -> None:
    answer = ris("search", store, query, stranger, "--json").json
    with SearchEngine.open(store) as engine:
        for given, entry in zip((query, stranger), answer, strict=True):
            assert entry["query"] == str(given)
            expected = [{**asdict(hit), "same_picture": hit.same_picture} for hit in engine.search(given)]
            for hit in expected:
                hit["match_score"] = hit.pop("evidence")
                hit["outline"] = hit["outline"] and [list(corner) for corner in hit["outline"]]
            assert entry["hits"] == expected


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        (["--index", "reranked", "--no-verify"], {"index": "reranked", "verify": False}),
        (["--max-distance", "1.1"], {"max_distance": 1.1}),
        (["--collapse"], {"collapse": True}),
        (["--box", "0.1", "0.2", "0.6", "1"], {"box": (0.1, 0.2, 0.6, 1.0)}),
        (["--label", "fish", "--label", "cactus"], {"where": Filter(labels=("fish", "cactus"))}),
        (["--folder", "balloon/"], {"where": Filter(folders=("balloon",))}),
        (["--min-side", "150"], {"where": Filter(min_side=150)}),
        (["--min-bytes", "6000", "--max-bytes", "9000"], {"where": Filter(min_bytes=6000, max_bytes=9000)}),
        (["--after", "2001-01-01", "--before", "2002-01-01T12:00:00"], {"where": Filter(min_bytes=10**9)}),
    ],
)
def test_every_option_reaches_the_engine(
    ris: Ris, store: Path, query: Path, options: list[str], settings: dict[str, object]
) -> None:
    (answer,) = ris("search", store, query, "--json", "-k", 30, *options).json
    with SearchEngine.open(store) as engine:
        expected = engine.search(query, 30, **settings)  # type: ignore[arg-type]
        everything = engine.search(query, 30)
    assert [(hit["picture"]["path"], hit["distance"]) for hit in answer["hits"]] == [
        (hit.path, hit.distance) for hit in expected
    ]
    plain = [(hit.path, hit.distance, hit.same_picture, hit.copies) for hit in everything]
    assert plain != [(hit.path, hit.distance, hit.same_picture, hit.copies) for hit in expected]


def test_times_are_those_of_this_place(ris: Ris, own: Path, query: Path) -> None:
    file = own / "photos/fish/image_0002.jpg"
    moment = datetime(2001, 6, 1, 12).timestamp()
    os.utime(file, (moment, moment))
    ris("sync", "photos.ris")
    (answer,) = ris(
        "search",
        "photos.ris",
        query,
        "--json",
        "--after",
        "2001-06-01T11:59:59",
        "--before",
        "2001-06-01T12:00:01",
    ).json
    assert [hit["picture"]["path"] for hit in answer["hits"]] == ["fish/image_0002.jpg"]


def test_columns_of_ones_own_filter(ris: Ris, own: Path, query: Path) -> None:
    (own / "mine.csv").write_text("path,owner\nfish/image_0001.jpg,Ada\nfish/image_0002.jpg,Grace = H.\n")
    told = ris("sync", "photos.ris", "--columns", "mine.csv")
    assert told.code == 0
    assert "2 pictures" in told.err
    for value, path in (("Ada", "fish/image_0001.jpg"), ("Grace = H.", "fish/image_0002.jpg")):
        (answer,) = ris("search", "photos.ris", query, "--json", "--where", f"owner={value}").json
        assert [hit["picture"]["path"] for hit in answer["hits"]] == [path]
    assert "owner" in ris("info", "photos.ris").out


def test_a_query_comes_from_stdin_or_is_a_row(ris: Ris, store: Path, query: Path) -> None:
    (from_file,) = ris("search", store, query, "--json").json
    (from_stdin,) = ris("search", store, "-", "--json", stdin=query.read_bytes()).json
    assert from_stdin["hits"] == from_file["hits"]
    row = from_file["hits"][0]["picture"]["row"]
    (from_row,) = ris("search", store, f"row:{row}", "--json", "-k", 50).json
    assert row not in [hit["picture"]["row"] for hit in from_row["hits"]]
    assert len(from_row["hits"]) == 21


def test_near_duplicates_are_shown_as_one(ris: Ris, store: Path) -> None:
    with SearchEngine.open(store) as engine:
        fish = next(one for one in engine.pictures() if one.path == "fish/image_0002.jpg")
    apart = ris("search", store, f"row:{fish.row}", "-k", 30).out
    folded = ris("search", store, f"row:{fish.row}", "-k", 30, "--collapse").out
    assert "near-duplicates" in folded
    assert "near-duplicates" not in apart
    assert len(rows(apart)) == len(rows(folded)) + 1


def test_find_says_where_it_is(ris: Ris, store: Path, query: Path) -> None:
    ended = ris("find", store, query)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith(f"{query} is here: cactus/image_0001.jpg\n")
    (answer,) = ris("find", store, query, "--json").json
    assert answer["here"] is True
    assert answer["hits"][0]["picture"]["path"] == "cactus/image_0001.jpg"
    outline = answer["hits"][0]["outline"]
    width, height = answer["hits"][0]["picture"]["width"], answer["hits"][0]["picture"]["height"]
    for corner, (x, y) in zip(outline, ((1, 1), (11, 1), (11, 11), (1, 11)), strict=True):
        assert corner == pytest.approx((x * width / 12, y * height / 12), abs=4)
    assert 0 < answer["false_positive_rate"] < 1


def test_find_ends_with_3_where_one_is_not_here(ris: Ris, store: Path, query: Path, stranger: Path) -> None:
    ended = ris("find", store, stranger)
    assert (ended.code, ended.err) == (3, "")
    assert ended.out.startswith(f"{stranger} is not here.\n")
    both = ris("find", store, query, stranger, "--json")
    assert both.code == 3
    assert [one["here"] for one in both.json] == [True, False]


@pytest.mark.usefixtures("own")
def test_find_needs_local_features(ris: Ris, query: Path) -> None:
    assert ris("build", "photos", "plain.ris", "--no-same-picture").code == 0
    for command in (("find", "plain.ris", query), ("duplicates", "plain.ris")):
        ended = ris(*command)
        assert (ended.code, ended.out) == (1, "")
        assert ended.err.startswith("error: ")
    ended = ris("search", "plain.ris", query, "-k", 2)
    assert [len(row) for row in rows(ended.out)] == [4, 4], "no mark where nothing was looked at"


def test_duplicates_are_grouped(ris: Ris, store: Path) -> None:
    groups = ris("duplicates", store, "--json").json
    assert [[one["path"] for one in group["pictures"]] for group in groups] == [
        ["crop.png", "fish/image_0001.jpg"]
    ]
    assert groups[0]["keep"]["path"] == "fish/image_0001.jpg"
    ended = ris("duplicates", store)
    assert ended.out.splitlines()[0] == "1 group of pictures that are one picture."
    assert "keep  fish/image_0001.jpg\n" in ended.out
    assert "\n      crop.png\n" in ended.out
    assert groups[0]["why"] in ended.out


@pytest.mark.parametrize("command", ["search", "find"])
@pytest.mark.parametrize("suffix", [".html", ".png"])
def test_a_contact_sheet_shows_the_query_and_the_hits(
    ris: Ris, store: Path, query: Path, tmp_path: Path, command: str, suffix: str
) -> None:
    sheet = tmp_path / f"sheet{suffix}"
    ended = ris(command, store, query, "-k", 5, "--output", sheet, "--json")
    assert ended.code == 0
    assert len(ended.json[0]["hits"]) == 5
    assert ended.err == f"The contact sheet is {sheet}.\n"
    if suffix == ".html":
        text = sheet.read_text()
        assert text.count("<img") == 6
        assert text.count('class="marked"') == 1
        assert "cactus/image_0001.jpg" in text
        assert "the same picture" in text
    else:
        assert Image.open(sheet).size[0] > 1000


def test_duplicates_are_shown_side_by_side(ris: Ris, store: Path, tmp_path: Path) -> None:
    assert ris("duplicates", store, "--output", tmp_path / "groups.html").code == 0
    text = (tmp_path / "groups.html").read_text()
    assert text.count("<img") == 2
    assert "to keep" in text


def test_a_picture_whose_file_is_gone_is_an_empty_square(ris: Ris, own: Path, query: Path) -> None:
    (own / "photos/cactus/image_0001.jpg").unlink()
    assert ris("search", "photos.ris", query, "-o", "sheet.html").code == 0
    assert (own / "sheet.html").read_text().count("<img") == 11


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--index", "lsh"], "lsh"),
        (["-k", "0"], "--hits"),
        (["--box", "0.5", "0", "0.4", "1"], "left before right"),
        (["--box", "0", "0", "2", "1"], "0 to 1"),
        (["--where", "owner"], "COLUMN=VALUE"),
        (["--output", "sheet.pdf"], ".html or .png"),
        (["--after", "yesterday"], "--after"),
        (["--before", "0001-01-01"], "after the year 1"),
        (["--nonsense"], "--nonsense"),
        (["--max-distance", "nan"], "--max-distance"),
    ],
)
def test_wrong_usage_ends_with_2(ris: Ris, store: Path, query: Path, arguments: list[str], told: str) -> None:
    ended = ris("search", store, query, *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert told in ended.err


@pytest.mark.parametrize("given", ["row:x", "row:", "row:-1"])
def test_a_row_is_a_number(ris: Ris, store: Path, given: str) -> None:
    ended = ris("search", store, given)
    assert (ended.code, ended.out) == (2, "")


@pytest.mark.parametrize("given", ["nothing.jpg", "row:9999", "http://127.0.0.1/a.jpg", __file__])
def test_what_is_no_picture_is_told_in_a_sentence(ris: Ris, store: Path, given: str) -> None:
    for command in ("search", "find"):
        ended = ris(command, store, given)
        assert (ended.code, ended.out) == (1, "")
        assert ended.err.startswith("error: ")
        assert ended.err.count("\n") == 1


def test_addresses_of_this_network_are_not_fetched(ris: Ris, store: Path) -> None:
    ended = ris("search", store, "http://127.0.0.1:9/a.jpg", "--urls")
    assert ended.code == 1
    assert "127.0.0.1 is no public host that answers" in ended.err


def test_a_sheet_that_cannot_be_written_is_told(ris: Ris, store: Path, query: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ended = ris("search", store, query, "--json", "-o", tmp_path / "file" / "sheet.png")
    assert ended.code == 1
    assert ended.err.startswith("error: ")
    assert ended.err.count("\n") == 1


@pytest.fixture
def incoming(query: Path, stranger: Path, tmp_path: Path) -> list[Path]:
    """Pictures of which some are none: a text, a cut one, one that is not there, a folder, an empty file."""
    (tmp_path / "text.jpg").write_text("No picture.")
    (tmp_path / "cut.jpg").write_bytes(query.read_bytes()[:-300])
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "folder.jpg").mkdir()
    bad = [tmp_path / f"{name}.jpg" for name in ("text", "cut", "gone", "folder", "empty")]
    return [bad[0], query, stranger, bad[1], bad[2], query, stranger, bad[3], query, bad[4], stranger]


@pytest.mark.parametrize("options", [[], ["--box", "0", "0", "0.9", "1"]])
def test_each_of_many_pictures_has_its_own_answer(
    ris: Ris, store: Path, incoming: list[Path], query: Path, stranger: Path, options: list[str]
) -> None:
    good = {str(query), str(stranger)}
    alone: dict[str, Any] = {}
    for command in ("search", "find"):
        for one in good:
            (alone[one],) = ris(command, store, one, "-k", 3, "--json", *options).json
        ended = ris(command, store, *incoming, "-k", 3, "--json", *options)
        assert ended.code == 1
        assert [entry["query"] for entry in ended.json] == [str(one) for one in incoming]
        sentences = ended.err.splitlines()
        assert len(sentences) == 5
        for entry in ended.json:
            if entry["query"] in good:
                assert entry == alone[entry["query"]]
            else:
                assert set(entry) == {"query", "error"}
                assert entry["query"] in entry["error"]
                assert f"error: {entry['error']}" == sentences.pop(0)


def test_the_readable_ones_of_many_are_printed_and_shown(
    ris: Ris, store: Path, incoming: list[Path], query: Path, stranger: Path, tmp_path: Path
) -> None:
    sheet = tmp_path / "sheet.html"
    ended = ris("find", store, *incoming, "-k", 1, "-o", sheet)
    assert ended.code == 1
    assert ended.err.count("error: ") == 5
    headings = [line for line in ended.out.splitlines() if " here" in line]
    assert headings == [
        f"{one} is here: cactus/image_0001.jpg" if one == query else f"{one} is not here."
        for one in incoming
        if one in (query, stranger)
    ]
    assert sheet.read_text().count("<h2>") == 6


def test_a_filter_that_cannot_be_is_told_once(ris: Ris, store: Path, query: Path) -> None:
    for command in ("search", "find"):
        ended = ris(command, store, query, query, "--where", "owner=Ada", "--json")
        assert (ended.code, ended.out) == (1, "")
        assert ended.err.count("\n") == 1


def test_a_row_does_not_find_itself_in_a_part_of_it_or_among_others(
    ris: Ris, store: Path, query: Path
) -> None:
    answers = ris("search", store, "row:3", query, "row:4", "--json", "-k", 50).json
    boxed = ris(
        "search", store, "row:3", query, "row:4", "--json", "-k", 50, "--box", "0", "0", "1", "0.9"
    ).json
    for found in (answers, boxed):
        rows = [{hit["picture"]["row"] for hit in one["hits"]} for one in found]
        assert [len(one) for one in rows] == [21, 22, 21]
        assert 3 not in rows[0]
        assert 4 not in rows[2]


def test_what_comes_from_stdin_is_named(ris: Ris, store: Path) -> None:
    for content in (b"", b"No picture."):
        ended = ris("find", store, "-", stdin=content)
        assert (ended.code, ended.out) == (1, "")
        assert ended.err.startswith("error: What came from stdin cannot be used as a picture: ")


def test_no_control_character_of_an_argument_is_printed(ris: Ris, store: Path, query: Path) -> None:
    odd = "\x1b[31mred\x07\x9b"
    for arguments in (
        ("search", store, f"row:{odd}"),
        ("search", store, query, f"--{odd}"),
        ("search", store, query, "--index", odd),
        ("search", store, query, "--box", "0", "0", "1", odd),
        (odd,),
        (f"--{odd}",),
        ("info", odd),
        ("find", store, f"{odd}.jpg"),
        ("find", store, f"{odd}.jpg", "--json"),
        ("search", store, query, "--where", f"{odd}=1"),
        ("build", odd, odd),
    ):
        ended = ris(*arguments)
        assert ended.code in (1, 2)
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", ended.out + ended.err), arguments
