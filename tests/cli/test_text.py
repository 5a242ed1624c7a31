import pytest

from ris.cli.text import count, listed, plain, size


@pytest.mark.parametrize("name", ["holiday 1.jpg", "été.jpg", "👩‍👧 zwei.jpg", "תמונה.jpg", "می‌خواهم.jpg"])
def test_names_of_all_scripts_stay(name: str) -> None:
    assert plain(name) == name


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("two\nlines", "two\\nlines"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("gpj.\u202etxt", "gpj.\\u202etxt"),
        ("\udcff.jpg", "\\udcff.jpg"),
        ("tab\t\r", "tab\\t\\r"),
    ],
)
def test_nothing_in_a_name_steers_the_terminal(name: str, shown: str) -> None:
    assert plain(name) == shown


def test_counts_are_words() -> None:
    assert [count(n, "group") for n in (0, 1, 1234)] == ["0 groups", "1 group", "1,234 groups"]
    assert count(2, "near-duplicate", "near-duplicates") == "2 near-duplicates"
    assert listed({"added": 1200, "moved": 0, "removed": 1}) == "1,200 added, 1 removed"


def test_sizes_have_a_fitting_unit() -> None:
    assert [size(n) for n in (0, 999, 1000, 1_250_000, 3_000_000_000_000_000)] == [
        "0 bytes",
        "999 bytes",
        "1.0 kB",
        "1.2 MB",
        "3000.0 TB",
    ]
