"""Replicas that serve a store while a writer changes it: each answer is that of one version."""

import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx
import pytest

from ris.engine import NoSuchVersionError, ReadOnlyError, SearchEngine
from ris.errors import RisError
from ris.store import commits, writing
from ris.store.storage import place_of

SECONDS = float(os.environ.get("REPLICAS_SECONDS", "1"))
"""How long the writer writes; ten minutes were run once, see docs/how-to/beyond-one-machine.md."""
ASKED = ("/api/search?row=2&k=50&verify=false", "/api/find?row=3", "/api/pictures")
KEPT, TOLD = 4, 2
"""Commits that the store keeps, and after how many the replica that stays is told a new one."""
PAUSE = 0.02
"""Seconds between two questions of a client, so that the writer gets on."""

Answer = Any


@dataclass(frozen=True)
class Replica:
    """A server process."""

    client: httpx.Client
    token: str

    def health(self) -> dict[str, Any]:
        """Return what it says of itself."""
        return dict(self.client.get("/health").raise_for_status().json())

    def told(self, version: int) -> dict[str, Any]:
        """Have it take up a version."""
        bearer = {"Authorization": f"Bearer {self.token}"}
        response = self.client.post("/api/version", params={"number": version}, headers=bearer)
        return dict(response.raise_for_status().json())


@contextmanager
def replicas(store: str, *options: list[object]) -> Iterator[list[Replica]]:
    """Serve a store by processes, each with options of its own."""
    command = [sys.executable, "-m", "ris.cli", "serve", store, "--port", "0", "--json"]
    with ExitStack() as stack:
        servers = [
            stack.enter_context(
                subprocess.Popen([*command, *map(str, one)], text=True, stdout=subprocess.PIPE)
            )
            for one in options
        ]
        for server in servers:
            stack.callback(server.terminate)
        found = []
        for server in servers:
            assert server.stdout
            told = json.loads(server.stdout.readline())
            client = stack.enter_context(httpx.Client(base_url=told["url"], timeout=60))
            until(lambda client=client: client.get("/ready").status_code == 200)  # type: ignore[misc]
            found.append(Replica(client, told["token"]))
        yield found


def until(there: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not there():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def told(answer: dict[str, Any]) -> Answer:
    """Return what an answer says of pictures, however long it took."""
    pictures = answer["hits"] if "hits" in answer else answer["pictures"]
    return answer.get("total"), [
        (one.get("picture", one)["path"], round(one.get("distance") or 0, 4)) for one in pictures
    ]


def expected(engine: SearchEngine) -> tuple[Answer, ...]:
    """Return what a server answers to each of `ASKED`."""
    similar, found = engine.search(2, 50, verify=False), engine.find(3).hits
    every = [(one.path, 0) for one in engine.pictures()]
    return (
        (None, [(one.picture.path, round(one.distance, 4)) for one in similar]),
        (None, [(one.picture.path, round(one.distance or 0, 4)) for one in found]),
        (len(every), every),
    )


@dataclass
class Asking:
    """A client that asks a replica again and again."""

    replica: Replica
    answers: list[tuple[int, int, Answer]] = field(default_factory=list)
    """Which was asked of `ASKED`, of which version the answer says it is, and what it says."""
    errors: list[str] = field(default_factory=list)

    def ask(self, ended: threading.Event) -> None:
        """Ask until told to end."""
        for number, path in cycle(enumerate(ASKED)):
            if ended.wait(PAUSE):
                return
            try:
                response = self.replica.client.get(path).raise_for_status()
                self.answers.append((number, int(response.headers["ris-version"]), told(response.json())))
            except Exception as error:
                self.errors.append(repr(error))


@pytest.fixture(params=["folder", "address"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a store is still to be made."""
    if request.param == "folder":
        return str(tmp_path / "photos.ris")
    return f"{request.getfixturevalue('bucket')}/{tmp_path.name}/photos.ris"


def test_each_answer_is_of_one_version_while_a_writer_commits_and_compacts(
    photos: Path, store: str, encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commits, "KEPT", KEPT)
    monkeypatch.setattr(writing, "CLEANED", 4)
    monkeypatch.setattr("ris.store.refit.PARTS", 3)
    of_version: dict[int, tuple[Answer, ...]] = {}
    ended = threading.Event()
    with (
        SearchEngine.build(photos, store, encoder=encoder, threads=1) as writer,
        replicas(store, ["--version", writer.version], ["--follow"]) as (stays, follows),
    ):
        of_version[writer.version] = expected(writer)
        clients = [Asking(stays), Asking(follows)]
        threads = [threading.Thread(target=one.ask, args=(ended,)) for one in clients]
        for thread in threads:
            thread.start()
        stayed_on = {writer.version}
        end, rounds = time.monotonic() + SECONDS, 0
        while time.monotonic() < end or rounds <= KEPT:
            rounds += 1
            change(writer, rounds)
            of_version[writer.version] = expected(writer)
            if rounds % TOLD == 0:
                stayed_on.add(writer.version)
                assert stays.told(writer.version)["version"] == writer.version
                until(lambda: follows.health()["version"] == writer.version)
        ended.set()
        for thread in threads:
            thread.join()
        assert [one.errors for one in clients] == [[], []]
        for one in clients:
            wrong = [answer for answer in one.answers if answer[2] != of_version[answer[1]][answer[0]]]
            assert wrong == []
        seen, others = ({version for _, version, _ in one.answers} for one in clients)
        assert len(seen) >= 2
        assert len(others) >= 2
        assert seen <= stayed_on
        assert stays.health()["following"]
        assert "ris_store_version" in stays.client.get("/metrics").text
        assert not any(
            (place_of(store) / commits.FOLDER / f"{number:010d}.json").exists() for number in (1, 2)
        )
        asked = Counter(path for one in clients for path, _, _ in one.answers)
        print(f"\n{store}: {rounds} changes, {dict(asked)} answers, {len(of_version)} versions")


def change(writer: SearchEngine, number: int) -> None:
    """Change a store by one commit: pictures away, pictures back, and now and then the spaces anew."""
    if number % 4 == 0:
        writer.refit()
    elif number % 2:
        writer.remove([f"a/{(1, 5, 7, 9)[number // 2 % 4]:02}.png"])
    else:
        writer.sync()


def test_a_replica_writes_nothing_and_says_which_version_it_keeps(
    photos: Path, tmp_path: Path, encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "photos.ris"
    with SearchEngine.build(photos, store, encoder=encoder, threads=1) as writer:
        first = writer.version
        writer.remove(["a"])
        with SearchEngine.open(store, version=first, threads=1) as pinned:
            assert (pinned.version, len(pinned), pinned.info().version) == (first, 12, first)
            snapshot = pinned.snapshot()
            pinned.refresh(writer.version)
            assert (len(snapshot), len(pinned)) == (12, 6)
            pinned.refresh(first)
            assert len(pinned) == 12
            before = writer.version
            for write in (
                pinned.sync,
                pinned.refit,
                lambda: pinned.remove(["00.png"]),
                lambda: pinned.restore(first),
                lambda: pinned.relocate(photos),
            ):
                with pytest.raises(ReadOnlyError, match="was opened to be read only"):
                    write()
            pinned.map()
            assert not writer.refresh()
            assert writer.version == before
            with pytest.raises(NoSuchVersionError, match="keeps no version 99"):
                pinned.refresh(99)
            monkeypatch.setattr(commits, "KEPT", 1)
            writer.refit()
            with pytest.raises(NoSuchVersionError, match=f"keeps no version {first}"):
                pinned.refresh(first)
            assert len(pinned) == 12
        with pytest.raises(RisError, match="keeps no version 99"):
            SearchEngine.open(store, version=99)
