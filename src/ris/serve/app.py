"""The application: the API, the page, and what an operator asks."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Response
from fastapi.responses import FileResponse
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

from ris.engine import SearchEngine
from ris.serve import reading, searching, writing
from ris.serve.guard import Guard
from ris.serve.problems import Problem, add_handlers, responses
from ris.serve.schemas import State
from ris.serve.service import Service
from ris.serve.settings import Settings

PAGE = Path(__file__).parent / "page"
DESCRIPTION = (
    "Search a store of pictures by picture. Reading is open; what changes the store needs the token. "
    "Every error is a problem (RFC 9457)."
)


class PageFiles(StaticFiles):
    """The page's files, asked for anew each time in case they have changed."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        """Return a file."""
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = "no-cache"
        return response


def create_app(engine: SearchEngine, settings: Settings) -> FastAPI:
    """Make the application that serves an engine.

    Args:
        engine: open; it stays open when the application ends.
        settings: limits, names and the token.
    """
    service = Service(engine, settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with service.lifespan():
            yield

    app = FastAPI(
        title="Reverse Image Search",
        description=DESCRIPTION,
        version="1",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        responses=responses(400, 421, 422, 429, 500),
    )
    add_handlers(app)
    app.add_middleware(Guard, settings=settings, metrics=service.metrics)
    for routes in (searching, reading, writing):
        app.include_router(routes.router(service))

    @app.get("/health", tags=["operate"], summary="Is the server alive?")
    async def health() -> State:
        """Answer."""
        return service.state()

    @app.get("/ready", tags=["operate"], summary="Is it ready to search?", responses=responses(503))
    async def ready() -> State:
        """Answer, once the network has been warmed up."""
        if not service.ready:
            raise HTTPException(503, "The network is being loaded.", {"Retry-After": "1"})
        return service.state()

    @app.get(
        "/metrics",
        tags=["operate"],
        summary="What is counted",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    def metrics() -> Response:
        """Return all counters in Prometheus' text format."""
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    for path, file in (("/", "index.html"), ("/docs", "docs.html")):
        app.add_api_route(path, _page(PAGE / file), include_in_schema=False, response_class=FileResponse)
    app.openapi = lambda: _described(app)  # type: ignore[method-assign]
    app.mount("/page", PageFiles(directory=PAGE), "page")
    return app


def _described(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI description, with the problem that every error is."""
    if app.openapi_schema is None:
        described = FastAPI.openapi(app)
        problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        described["components"]["schemas"] |= problem.pop("$defs") | {"Problem": problem}
    assert app.openapi_schema is not None
    return app.openapi_schema


def _page(file: Path) -> Any:
    async def page() -> FileResponse:
        return FileResponse(file, headers={"Cache-Control": "no-cache"})

    return page
