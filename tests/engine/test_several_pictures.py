"""A search with several pictures, and with marks of what is right and wrong, against the formula by hand."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from ris.cli.app import app
from ris.engine import Hit, SearchEngine
from ris.errors import RisError

Floats = np.ndarray[Any, np.dtype[np.float64]]


def unit(vector: Floats) -> Floats:
    return np.asarray(vector / np.linalg.norm(vector))


def nearest(engine: SearchEngine, query: Floats, without: Sequence[int]) -> tuple[list[int], Floats]:
    """Rows by their distance to a query, and these distances, from all vectors of the store."""
    rows, vectors = engine.vectors()
    distances = np.linalg.norm(vectors - unit(query), axis=1)
    order = [i for i in np.argsort(distances, kind="stable") if rows[i] not in without]
    return [int(rows[i]) for i in order], distances[order]


def vectors_of(engine: SearchEngine, *rows: int) -> Floats:
    known, vectors = engine.vectors()
    return vectors[[int(np.flatnonzero(known == row)[0]) for row in rows]].astype(np.float64)


def assert_answers(engine: SearchEngine, hits: Sequence[Hit], query: Floats, without: Sequence[int]) -> None:
    rows, distances = nearest(engine, query, without)
    assert [hit.row for hit in hits] == rows[: len(hits)]
    np.testing.assert_allclose([hit.distance for hit in hits], distances[: len(hits)], atol=1e-5)


@pytest.mark.parametrize("weights", [None, [1.0, 0.25, -0.5], [2e300, 5e299, -1e300]])
def test_several_pictures_are_searched_with_by_their_weighted_sum(
    built: SearchEngine, weights: list[float] | None
) -> None:
    rows = [4, 7, 10]
    hits = built.search(rows, 20, weights=weights, index="knn")
    factors = np.array([1, 0.25, -0.5]) if weights else np.ones(3)
    assert_answers(built, hits, factors @ vectors_of(built, *rows), rows)
    assert len(hits) == len(built) - 3
    assert all(hit.relation is None for hit in hits)


def test_files_and_rows_may_be_mixed(built: SearchEngine, photos: Path) -> None:
    one, other = built.picture(3), built.picture(7)
    from_files = built.search([photos / one.path, 7], 20)
    assert [hit.row for hit in from_files if hit.row != 3] == [hit.row for hit in built.search([3, 7], 20)]
    assert 3 in [hit.row for hit in from_files]
    assert other.row not in [hit.row for hit in from_files]


def test_marks_move_the_query_by_rocchios_formula(built: SearchEngine) -> None:
    right, wrong = [4, 9], [2, 5, 6]
    hits = built.search(10, 20, like=right, unlike=wrong, index="knn", verify=False)
    query, *others = vectors_of(built, 10, *right, *wrong)
    moved = unit(query) + np.mean(others[:2], axis=0) - 0.5 * np.mean(others[2:], axis=0)
    assert_answers(built, hits, moved, [10, *right, *wrong])


def test_without_marks_a_search_is_as_ever(built: SearchEngine) -> None:
    assert built.search(10, 20, like=[], unlike=()) == built.search(10, 20)


def test_what_is_proven_of_the_query_stays_proven(built: SearchEngine, photos: Path) -> None:
    same = built.picture(3)
    (first, *_) = built.search(photos / same.path, 20, like=[8])
    assert (first.row, first.relation) == (3, "same_picture")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"query": []}, "empty list"),
        ({"query": [10, 1], "weights": [1.0]}, "1 numbers for 2 pictures"),
        ({"query": [10, 1], "weights": [1.0, float("nan")]}, "one of weights is nan"),
        ({"query": [10, 1], "weights": [0, 0]}, "cancel each other out"),
        ({"query": [10, 10], "weights": [1, -1]}, "cancel each other out"),
        ({"query": 10, "weights": [1.0]}, "belong to a list"),
        ({"query": [10, 1], "box": (0, 0, 0.5, 0.5)}, "one picture"),
        ({"query": 10, "like": 3}, "like is 3"),
        ({"query": 10, "unlike": [99]}, "99"),
        ({"query": 10, "like": [10], "unlike": [1], "weights": "ab"}, "belong to a list"),
    ],
)
def test_what_cannot_be_searched_with_is_refused(
    built: SearchEngine, arguments: dict[str, object], told: str
) -> None:
    with pytest.raises(RisError, match=told):
        built.search(**arguments)  # type: ignore[arg-type]


def asked(built: SearchEngine, *arguments: str) -> list[list[int]]:
    result = CliRunner().invoke(app, ["search", str(built.store), *arguments, "--json"])
    assert result.exit_code == 0, result.output
    return [[hit["picture"]["row"] for hit in answer["hits"]] for answer in json.loads(result.stdout)]


def test_the_command_takes_marks(built: SearchEngine, photos: Path) -> None:
    file = photos / built.picture(4).path
    expected = [hit.row for hit in built.search(10, like=[file], unlike=[2])]
    assert asked(built, "row:10", "--like", str(file), "--unlike", "row:2") == [expected]
    assert asked(built, "row:10", "row:1", "--like", "row:4") == [
        [hit.row for hit in built.search(query, like=[4])] for query in (10, 1)
    ]


def test_the_command_searches_with_several_together(built: SearchEngine) -> None:
    expected = [hit.row for hit in built.search([1, 4], unlike=[2])]
    assert asked(built, "--like", "row:1", "--like", "row:4", "--unlike", "row:2") == [expected]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--unlike", "row:1"], "give pictures"),
        (["--like", "row:1", "--box", "0", "0", "0.5", "0.5"], "one picture"),
        (["row:10", "--like", "row:x"], "row:x is no row"),
        (["row:10", "--like", "missing.png"], "missing.png"),
    ],
)
def test_the_command_refuses_in_a_sentence(built: SearchEngine, arguments: list[str], told: str) -> None:
    result = CliRunner().invoke(app, ["search", str(built.store), *arguments])
    assert result.exit_code != 0
    assert told in " ".join((result.output + str(result.exception or "")).split())
