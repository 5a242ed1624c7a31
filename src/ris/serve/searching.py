"""Routes that search: with a picture of the store, with an upload or, where that was allowed, an address."""

from typing import Annotated, TypeAlias

from fastapi import APIRouter, Depends, File, Form, Query, Request, Response, UploadFile
from starlette.exceptions import HTTPException

from ris.engine import Box, Opened, SearchEngine
from ris.serve.guard import client_of
from ris.serve.problems import responses
from ris.serve.reading import JPEG, NOT_READY, not_ready
from ris.serve.schemas import (
    Column,
    Compared,
    FindOptions,
    Found,
    HitOut,
    Part,
    Place,
    RowFind,
    RowPart,
    RowSearch,
    SearchOptions,
    Similar,
    TextSearch,
    Worded,
    Working,
)
from ris.serve.service import Service
from ris.serve.views import jpeg

Upload = Annotated[UploadFile | None, File(description="The picture to search with.")]
Address = Annotated[
    str | None,
    Form(
        max_length=2000,
        pattern=r"^https?://",
        description="Or its address, where the server fetches addresses.",
    ),
]

Asked: TypeAlias = Opened | int
"""A query that was read, or a row of the store."""

PREVIEW_SIDE = 1200
REFUSALS = responses(403, 404, 408, 413, 422, 503)


def router(service: Service) -> APIRouter:
    """Return the routes that search."""
    routes = APIRouter(prefix="/api", tags=["search"], responses=REFUSALS)
    Current = Annotated[SearchEngine, Depends(service.current)]

    async def asked(
        request: Request, picture: UploadFile | None, url: str | None, box: Box | None = None
    ) -> Opened:
        if (picture is None) == (url is None):
            raise HTTPException(422, "Send either a picture or an address.")
        if picture is not None:
            return await service.uploaded(client_of(request.scope), picture, box)
        if not service.settings.urls:
            raise HTTPException(403, "This server does not fetch addresses; it must be started so.")
        assert url is not None
        return await service.fetched(client_of(request.scope), url, box)

    async def similar(
        engine: SearchEngine, request: Request, query: Asked, options: SearchOptions, box: Box | None
    ) -> Similar:
        hits, milliseconds = await service.timed(
            client_of(request.scope),
            lambda: engine.search(
                query,
                options.k,
                like=options.like,
                unlike=options.unlike,
                index=options.index,
                max_distance=options.max_distance,
                where=options.where(),
                collapse=options.collapse,
                verify=options.verify,
                box=box,
            ),
        )
        shown = [HitOut.of(hit) for hit in hits[options.offset :]]
        return Similar(hits=shown, more=len(hits) == options.k, milliseconds=milliseconds)

    async def found(
        engine: SearchEngine, request: Request, query: Asked, options: FindOptions, box: Box | None
    ) -> Found:
        finding, milliseconds = await service.timed(
            client_of(request.scope), lambda: engine.find(query, options.k, where=options.where(), box=box)
        )
        return Found.of(finding, milliseconds)

    async def compared(
        engine: SearchEngine, request: Request, query: Asked, options: FindOptions, box: Box | None
    ) -> Compared:
        answers, _ = await service.timed(
            client_of(request.scope), lambda: engine.compare(query, options.k, where=options.where(), box=box)
        )
        columns = [
            Column(index=index, milliseconds=milliseconds, hits=[HitOut.of(hit) for hit in hits])
            for index, (hits, milliseconds) in answers.items()
        ]
        return Compared(columns=columns)

    async def placed(engine: SearchEngine, request: Request, query: Asked, box: Box | None) -> Place:
        (x, y), _ = await service.timed(client_of(request.scope), lambda: engine.place(query, box))
        return Place(x=x, y=y)

    @routes.get("/search", summary="What is similar to a picture of the store?")
    async def search_row(
        engine: Current, request: Request, options: Annotated[RowSearch, Query()]
    ) -> Similar:
        """Search from a picture of the store; it finds others than itself."""
        return await similar(engine, request, options.row, options, options.part())

    @routes.post("/search", summary="What is similar to this picture?")
    async def search(
        engine: Current,
        request: Request,
        options: Annotated[SearchOptions, Query()],
        picture: Upload = None,
        url: Address = None,
    ) -> Similar:
        """Search with an upload."""
        return await similar(
            engine, request, await asked(request, picture, url, options.part()), options, None
        )

    @routes.get("/text", summary="What do these words name?", responses=responses(400))
    async def search_text(
        engine: Current, request: Request, options: Annotated[TextSearch, Query()]
    ) -> Worded:
        """Search with words, of what the store's network was trained to know."""
        answer, milliseconds = await service.timed(
            client_of(request.scope),
            lambda: engine.search_text(
                options.text,
                options.k,
                like=options.like,
                unlike=options.unlike,
                index=options.index,
                max_distance=options.max_distance,
                where=options.where(),
                collapse=options.collapse,
            ),
        )
        return Worded(
            hits=[HitOut.of(hit) for hit in answer.hits[options.offset :]],
            more=len(answer.hits) == options.k,
            milliseconds=milliseconds,
            meant=[*answer.meant],
            ignored=[*answer.ignored],
        )

    @routes.get("/find", summary="Where else is a picture of the store?")
    async def find_row(engine: Current, request: Request, options: Annotated[RowFind, Query()]) -> Found:
        """Look for a picture of the store in the others."""
        return await found(engine, request, options.row, options, options.part())

    @routes.post("/find", summary="Where is this picture?")
    async def find(
        engine: Current,
        request: Request,
        options: Annotated[FindOptions, Query()],
        picture: Upload = None,
        url: Address = None,
    ) -> Found:
        """Look for the very picture, after whatever edit, or say that it is not here."""
        return await found(engine, request, await asked(request, picture, url, options.part()), options, None)

    @routes.get("/compare", summary="A picture of the store through every index")
    async def compare_row(
        engine: Current, request: Request, options: Annotated[RowFind, Query()]
    ) -> Compared:
        """Search from a picture of the store by every index."""
        return await compared(engine, request, options.row, options, options.part())

    @routes.post("/compare", summary="This picture through every index")
    async def compare(
        engine: Current,
        request: Request,
        options: Annotated[FindOptions, Query()],
        picture: Upload = None,
        url: Address = None,
    ) -> Compared:
        """Search with an upload by every index."""
        return await compared(
            engine, request, await asked(request, picture, url, options.part()), options, None
        )

    @routes.get(
        "/place",
        summary="Where on the map is a picture of the store?",
        response_model=Place,
        responses=NOT_READY,
    )
    async def place_row(
        engine: Current, request: Request, options: Annotated[RowPart, Query()]
    ) -> Response | Place:
        """Place a part of a picture of the store on the map, near its neighbours."""
        made = service.map.get()
        if isinstance(made, Working):
            return not_ready(made)
        return await placed(engine, request, options.row, options.part())

    @routes.post(
        "/place", summary="Where on the map is this picture?", response_model=Place, responses=NOT_READY
    )
    async def place(
        engine: Current,
        request: Request,
        options: Annotated[Part, Query()],
        picture: Upload = None,
        url: Address = None,
    ) -> Response | Place:
        """Place an upload on the map, near its neighbours."""
        query, made = await asked(request, picture, url, options.part()), service.map.get()
        return not_ready(made) if isinstance(made, Working) else await placed(engine, request, query, None)

    @routes.post(
        "/preview", summary="This picture as a browser can show it", response_class=Response, responses=JPEG
    )
    async def preview(request: Request, picture: Upload = None, url: Address = None) -> Response:
        """Show an upload as JPEG, for formats that a browser does not know."""
        query = await asked(request, picture, url)

        def shown() -> bytes:
            query.image.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE))
            return jpeg(query.image, 90)

        content, _ = await service.timed(client_of(request.scope), shown)
        return Response(content, media_type="image/jpeg")

    return routes
