"""The user's own table is read as it is written, or refused in one sentence."""

from pathlib import Path

import pandas as pd
import pytest

from ris.errors import RisError
from ris.store.columns import read_columns


@pytest.mark.parametrize(
    "text",
    [
        "path,caption\na.jpg,a cat, asleep\nb.jpg,a dog, awake\n",
        "path,caption\na.jpg,a cat\nb.jpg,a dog, awake\n",
        "path,caption\na.jpg,a cat,\nb.jpg,a dog,\n",
    ],
    ids=["in every line", "in one", "at the end"],
)
def test_a_comma_too_many_is_refused(tmp_path: Path, text: str) -> None:
    table = tmp_path / "table.csv"
    table.write_text(text)
    with pytest.raises(RisError, match=r"table\.csv") as caught:
        read_columns(table)
    assert "\n" not in str(caught.value)


def test_quoted_commas_and_missing_cells_are_read(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text('path,caption,mood\na.jpg,"a cat, asleep",good\nb.jpg\n')
    assert read_columns(table) == {"a.jpg": {"caption": "a cat, asleep", "mood": "good"}, "b.jpg": {}}


def test_lists_in_cells_are_refused(tmp_path: Path) -> None:
    table = tmp_path / "table.parquet"
    pd.DataFrame({"path": ["a.jpg", "b.jpg"], "tags": [["x", "y"], ["z"]]}).to_parquet(table)
    with pytest.raises(RisError, match="has lists in its column tags"):
        read_columns(table)
