"""A store as tools of the Model Context Protocol, for assistants that work with files of this machine."""

import base64
import hmac
from collections.abc import Callable
from functools import wraps
from io import BytesIO
from typing import Annotated, ParamSpec, TypeVar

from mcp.server import MCPServer
from mcp.server.mcpserver import Image
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ToolAnnotations
from pydantic import Field

from ris import __version__
from ris.engine import SearchEngine
from ris.errors import RisError
from ris.types import BadQueryError, Change, DuplicateGroup, Filter, Finding, Hit, Query

MAX_BYTES = 20_000_000
"""Of a picture that is sent along."""
MAX_HITS = 500
SIDE = 512
"""Longer side of a picture that is shown, pixels."""
READING = ToolAnnotations(read_only_hint=True, open_world_hint=False)
WRITING = ToolAnnotations(read_only_hint=False, open_world_hint=False)

P = ParamSpec("P")
R = TypeVar("R")
Hits = Annotated[int, Field(ge=1, le=MAX_HITS, description="Hits wanted.")]
File = Annotated[str | None, Field(description="A picture: its path on this machine.")]
Data = Annotated[str | None, Field(description="A picture: its bytes, in base64.")]
Row = Annotated[int | None, Field(description="A picture of the store: its row, as answers name it.")]
Labels = Annotated[list[str], Field(description="Only pictures with one of these labels; all without.")]


def server(engine: SearchEngine, token: str | None = None) -> MCPServer:
    """Return a server whose tools ask a store.

    Args:
        engine: of the store; it stays open while the server runs.
        token: what the tool that changes the store must be given; without one there is no such tool.
    """
    tools = Tools(engine)
    served = MCPServer(
        "ris",
        version=__version__,
        log_level="WARNING",
        instructions="Search a folder of pictures by picture: `search` for what is similar, `find` for where "
        "a very picture is, `duplicates` for pictures that are one. Nothing deletes a file.",
    )
    for tool in (tools.search, tools.find, tools.duplicates, tools.item):
        served.add_tool(_told(tool), annotations=READING)
    if token is not None:
        served.add_tool(_told(_guarded(engine, token)), annotations=WRITING)
    return served


class Tools:
    """What an assistant may ask."""

    def __init__(self, engine: SearchEngine) -> None:
        self._engine = engine

    def search(
        self,
        file: File = None,
        data: Data = None,
        row: Row = None,
        k: Hits = 10,
        labels: Labels = [],  # noqa: B006
    ) -> list[Hit]:
        """Find the pictures that are most similar to one, the nearest first."""
        self._engine.refresh()
        return self._engine.search(_query(file, data, row), k, where=Filter(labels=tuple(labels)))

    def find(self, file: File = None, data: Data = None, row: Row = None, k: Hits = 10) -> Finding:
        """Find where this very picture is, whatever edit it went through, or that it is not here."""
        self._engine.refresh()
        return self._engine.find(_query(file, data, row), k)

    def duplicates(self) -> list[DuplicateGroup]:
        """List groups of pictures that are one picture, and which to keep; slow in a large store."""
        self._engine.refresh()
        return self._engine.duplicates()

    def item(self, row: Annotated[int, Field(description="As answers name it.")]) -> Image:
        """Show a picture of the store, at most 512 pixels a side."""
        self._engine.refresh()
        buffer = BytesIO()
        self._engine.image(row, SIDE).save(buffer, "JPEG", quality=85)
        return Image(data=buffer.getvalue(), format="jpeg")


def _guarded(engine: SearchEngine, expected: str) -> Callable[[str], Change]:
    def sync(
        token: Annotated[str, Field(description="The token that the server was started with.")],
    ) -> Change:
        """Bring the store to what its folder holds now."""
        if not hmac.compare_digest(token.encode(), expected.encode()):
            raise BadQueryError("The token is not the one that the server was started with.")
        return engine.sync()

    return sync


def _query(file: str | None, data: str | None, row: int | None) -> Query:
    """Return the one picture that was named.

    Raises:
        BadQueryError: none or several were, or the bytes are not base64 or too many.
    """
    given: list[Query] = [one for one in (file, row) if one is not None]
    if data is not None:
        given.append(_decoded(data))
    if len(given) != 1:
        raise BadQueryError("Name one picture: give one of file, data and row.")
    return given[0]


def _decoded(data: str) -> bytes:
    if len(data) * 3 // 4 > MAX_BYTES:
        raise BadQueryError(f"The picture has more than {MAX_BYTES:,} bytes; send a smaller one.")
    try:
        return base64.b64decode(data, validate=True)
    except ValueError as error:
        raise BadQueryError("The data is not base64.") from error


def _told(tool: Callable[P, R]) -> Callable[P, R]:
    """Return the tool with errors that are meant for people as answers, not as faults of the server."""

    @wraps(tool)
    def answered(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return tool(*args, **kwargs)
        except RisError as error:
            raise ToolError(str(error)) from error

    return answered
