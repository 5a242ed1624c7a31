"""SECURITY.md names what there is: tests that exist, and packages as they are locked."""

import re
from datetime import date
from pathlib import Path

PROJECT = Path(__file__).parents[1]
SECURITY = (PROJECT / "SECURITY.md").read_text()
ADVISORY = re.compile(
    r"^\| (?:CVE|GHSA|PYSEC)-\S+ \| (\S+) (\S+) \| (.+) \| (\d{4}-\d\d-\d\d) \|$", re.MULTILINE
)


def locked() -> dict[str, str]:
    lines = re.findall(
        r"^([A-Za-z0-9._-]+)(?:\[\S*\])?==(\S+)", (PROJECT / "requirements.lock").read_text(), re.MULTILINE
    )
    return dict(lines)


def test_every_accepted_advisory_is_of_the_locked_version_and_has_its_reason_and_day() -> None:
    accepted = ADVISORY.findall(SECURITY)
    listed = re.findall(r"^\| (?:CVE|GHSA|PYSEC)-", SECURITY, re.MULTILINE)
    assert len(accepted) == len(listed) > 0
    for package, version, reason, day in accepted:
        assert locked()[package] == version, f"look at the advisories of {package} again"
        assert len(reason) > 20
        assert date.fromisoformat(day) <= date.today()


def test_every_promise_names_a_test_that_exists() -> None:
    rows = [line.split(" | ") for line in SECURITY.splitlines() if line.startswith("| ")]
    promises = [row for row in rows if len(row) == 4 and "tests/" in row[3]]
    assert len(promises) >= 7
    for row in promises:
        for name in re.findall(r"`(tests/[^`]+)`", row[3]):
            assert (PROJECT / name).exists(), name
