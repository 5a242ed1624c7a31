"""Work in threads, work in the background, and what is kept of it."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
from starlette.exceptions import HTTPException

from ris.engine import Progress
from ris.serve.schemas import Working
from ris.serve.views import Cache
from ris.serve.work import Standing, Workers


def when_done(standing: Standing[str]) -> str:
    for _ in range(500):
        found = standing.get()
        if not isinstance(found, Working):
            return found
        time.sleep(0.01)
    raise AssertionError("it is never done")


def test_what_finds_no_room_is_sent_away_and_the_rest_is_done() -> None:
    go_on = Event()

    async def main() -> list[object]:
        workers = Workers(threads=2, waiting=1)
        jobs = [asyncio.create_task(workers.run(lambda: go_on.wait(10))) for _ in range(5)]
        await asyncio.sleep(0.1)
        go_on.set()
        found = await asyncio.gather(*jobs, return_exceptions=True)
        assert await workers.run(lambda: "room again") == "room again"
        return list(found)

    found = asyncio.run(main())
    refused = [one for one in found if isinstance(one, HTTPException)]
    assert found.count(True) == 3
    assert [one.status_code for one in refused] == [503, 503]
    assert refused[0].headers == {"Retry-After": "1"}


def test_a_standing_answer_is_made_once_and_anew_when_the_store_has_changed() -> None:
    generation, made, go_on = [1], list[int](), Event()

    def make(progress: Progress) -> str:
        made.append(generation[0])
        progress("looking", 3, 10)
        go_on.wait(10)
        return f"answer {len(made)}"

    with ThreadPoolExecutor(1) as pool:
        standing = Standing("starting", make, lambda: generation[0], pool)
        assert standing.get() in (
            Working(what="starting", done=0, total=0),
            Working(what="looking", done=3, total=10),
        )
        while not made:
            time.sleep(0.01)
        time.sleep(0.05)
        assert standing.get() == Working(what="looking", done=3, total=10)
        go_on.set()
        assert when_done(standing) == standing.get() == "answer 1"
        generation[0] = 2
        assert when_done(standing) == "answer 2"
    assert made == [1, 2]


def test_an_answer_that_could_not_be_made_is_tried_again() -> None:
    tries: list[int] = []

    def make(_: Progress) -> str:
        tries.append(1)
        if len(tries) == 1:
            raise ValueError("not this time")
        return "made"

    with ThreadPoolExecutor(1) as pool:
        standing = Standing("starting", make, lambda: 1, pool)
        with pytest.raises(ValueError, match="not this time"):
            when_done(standing)
        assert when_done(standing) == "made"


def test_a_cache_keeps_what_was_asked_for_last_within_its_bytes() -> None:
    made: list[str] = []
    cache = Cache(max_bytes=10)

    def get(key: str, size: int = 4) -> bytes:
        kept = cache.get(key)
        if kept is None:
            made.append(key)
            kept = key[:1].encode() * size
            cache.keep(key, kept)
        return kept

    assert [get("a"), get("b"), get("a")] == [b"aaaa", b"bbbb", b"aaaa"]
    get("c")
    assert made == ["a", "b", "c"]
    get("a")
    get("b")
    assert made == ["a", "b", "c", "b"]
    get("too large", 11)
    get("a")
    assert made[-2:] == ["too large", "a"]


async def _turns(workers: Workers, asked: list[str], go_on: Event) -> tuple[list[str], list[str]]:
    """Ask for clients in an order; return who got a turn, in order, and who was sent away."""
    begun: list[str] = []
    away: list[str] = []

    async def ask(client: str) -> None:
        def work() -> None:
            begun.append(client)
            go_on.wait(20)

        try:
            await workers.run(work, client)
        except HTTPException as error:
            away.append(f"{client} {error.status_code}")

    async with asyncio.TaskGroup() as group:
        for client in asked:
            group.create_task(ask(client))
        await asyncio.sleep(0.2)
        began = len(begun)
        go_on.set()
    return [*begun[:began], "|", *begun[began:]], away


def test_one_client_has_neither_all_threads_nor_all_of_the_room() -> None:
    begun, away = asyncio.run(_turns(Workers(4, 8), ["a"] * 10 + ["b"], Event()))
    assert sorted(begun[:4]) == ["a", "a", "a", "b"]
    assert begun[4] == "|"
    assert away == ["a 503"] * 4


def test_threads_go_to_the_clients_in_turn() -> None:
    begun, away = asyncio.run(_turns(Workers(1, 20), [*"aaaabbc"], Event()))
    assert begun == [*"a|abcaba"] or begun == [*"a|bcabaa"]
    assert away == []


def test_work_that_is_given_up_while_it_waits_leaves_its_place() -> None:
    async def some() -> None:
        workers, go_on = Workers(1, 3), Event()
        first = asyncio.create_task(workers.run(lambda: go_on.wait(20)))
        second = asyncio.create_task(workers.run(lambda: None, "b"))
        await asyncio.sleep(0.1)
        second.cancel()
        go_on.set()
        await first
        for _ in range(5):
            await workers.run(lambda: None, "b")

    asyncio.run(some())
