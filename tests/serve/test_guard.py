"""Names, allowances and headers."""

import pytest

from ris.serve.guard import Allowance, host_name, known_hosts
from ris.serve.settings import Settings
from serve.conftest import Live


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_an_allowance_is_spent_and_comes_back_at_its_rate() -> None:
    clock = Clock()
    allowance = Allowance(per_second=2, burst=3, clock=clock)
    assert [allowance.wait("one") for _ in range(4)] == [0, 0, 0, 0.5]
    assert allowance.wait("another") == 0
    clock.now += 0.5
    assert allowance.wait("one") == 0
    assert allowance.wait("one") == 0.5
    clock.now += 1000
    assert [allowance.wait("one") for _ in range(4)] == [0, 0, 0, 0.5]


def test_clients_that_went_away_are_forgotten_and_others_are_not() -> None:
    clock = Clock()
    allowance = Allowance(per_second=0.001, burst=1, clock=clock)
    allowance.wait("poor")
    clock.now += 990
    assert allowance.wait("poor") > 0
    for number in range(1000):
        allowance.wait(str(number))
    clock.now += 2000
    allowance.wait("last")
    assert len(allowance._buckets) == 1


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("localhost:8000", "localhost"),
        ("LOCALHOST", "localhost"),
        ("127.0.0.1:1", "127.0.0.1"),
        ("[::1]:8000", "[::1]"),
        ("[::1]", "[::1]"),
        ("", ""),
        ("localhost:evil", "localhost:evil"),
        ("evil.example:80:localhost", "evil.example:80:localhost"),
    ],
)
def test_a_host_is_known_by_its_name_without_the_port(host: str, name: str) -> None:
    assert host_name(host) == name


def test_own_names_and_given_ones_are_known() -> None:
    hosts = known_hosts(Settings(host="192.0.2.7", hosts=("Pictures.example",)))
    assert hosts == {"localhost", "127.0.0.1", "[::1]", "192.0.2.7", "pictures.example"}
    assert "[2001:db8::1]" in known_hosts(Settings(host="2001:db8::1"))


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "localhost.evil.example", "127.0.0.2", ""]
)
@pytest.mark.parametrize("path", ["/", "/api/about", "/page/page.js", "/health"])
def test_a_wrong_host_is_refused_whatever_is_asked(live: Live, host: str, path: str) -> None:
    response = live.client.get(path, headers={"Host": host})
    assert response.status_code == 421
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "path", ["/", "/docs", "/api/about", "/page/page.js", "/nowhere", "/api/pictures/99999"]
)
def test_every_answer_bears_the_security_headers(live: Live, path: str) -> None:
    headers = live.client.get(path).headers
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == "'self'"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "server" not in headers
    assert "cache-control" in headers
