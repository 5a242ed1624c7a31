"""The store as an assistant sees it: the real command, and the protocol's own client."""

import base64
import os
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, StdioServerParameters, stdio_client

from ris.engine import SearchEngine

TOKEN = "a token of the tests"


def _asked(store: Path, *calls: tuple[str, dict[str, Any]], token: str = "") -> list[Any]:
    """Start the command, list its tools, and call some; the first answer is the list."""

    async def talk() -> list[Any]:
        command = ["-m", "ris.cli", "mcp", str(store), *(("--token", token) if token else ())]
        served = stdio_client(
            StdioServerParameters(command=sys.executable, args=command, env=dict(os.environ))
        )
        async with Client(served) as client:
            answers: list[Any] = [await client.list_tools()]
            for name, arguments in calls:
                answers.append(await client.call_tool(name, arguments))
            return answers

    return anyio.run(talk)


def test_an_assistant_searches_finds_and_sees(query: Path, store: Path) -> None:
    data = base64.b64encode(query.read_bytes()).decode()
    tools, similar, here, shown, groups = _asked(
        store,
        ("search", {"file": str(query), "k": 3}),
        ("find", {"data": data, "k": 3}),
        ("item", {"row": 1}),
        ("duplicates", {}),
    )
    assert [tool.name for tool in tools.tools] == ["search", "find", "duplicates", "item"]
    assert all(tool.annotations.read_only_hint for tool in tools.tools)
    with SearchEngine.open(store) as engine:
        hits, finding, found = engine.search(query, 3), engine.find(query, 3), engine.duplicates()
    told = similar.structured_content["result"]
    assert [one["picture"]["path"] for one in told] == [hit.path for hit in hits]
    assert [one["distance"] for one in told] == pytest.approx([hit.distance for hit in hits])
    assert here.structured_content["here"] == finding.here
    assert shown.content[0].mime_type == "image/jpeg"
    assert base64.b64decode(shown.content[0].data).startswith(b"\xff\xd8")
    assert len(groups.structured_content["result"]) == len(found)


def test_bad_questions_are_sentences(store: Path, query: Path) -> None:
    _, none, both, missing, broken, row = _asked(
        store,
        ("search", {}),
        ("find", {"file": str(query), "row": 0}),
        ("search", {"file": "nowhere.jpg"}),
        ("search", {"data": "§"}),
        ("item", {"row": 10**6}),
    )
    assert all(answer.is_error for answer in (none, both, missing, broken, row))
    for answer in (none, both):
        assert answer.content[0].text.endswith("Name one picture: give one of file, data and row.")
    assert "nowhere.jpg" in missing.content[0].text
    assert broken.content[0].text.endswith("The data is not base64.")
    assert "1000000" in row.content[0].text


def test_only_the_token_lets_it_change_the_store(own: Path) -> None:
    store = own / "photos.ris"
    tools, refused, done = _asked(
        store, ("sync", {"token": "another"}), ("sync", {"token": TOKEN}), token=TOKEN
    )
    assert [tool.name for tool in tools.tools][-1] == "sync"
    assert refused.is_error
    assert not done.is_error
    assert done.structured_content["added"] == 0
    assert "sync" not in [tool.name for tool in _asked(store)[0].tools]
