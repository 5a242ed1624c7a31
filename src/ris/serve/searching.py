"""Routes that search: with a picture of the store, with an upload or, where that was allowed, an address."""

from typing import Annotated

from fastapi import APIRouter, File, Form, Query, Response, UploadFile
from starlette.exceptions import HTTPException

from ris.engine import Query as Asked
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

PREVIEW_SIDE = 1200
REFUSALS = responses(403, 404, 408, 413, 422, 503)


def router(service: Service) -> APIRouter:
    """Return the routes that search."""
    routes = APIRouter(prefix="/api", tags=["search"], responses=REFUSALS)
    engine = service.engine

    async def asked(picture: UploadFile | None, url: str | None) -> Asked:
        if (picture is None) == (url is None):
            raise HTTPException(422, "Send either a picture or an address.")
        if picture is not None:
            return service.checked(await picture.read())
        if not service.settings.urls:
            raise HTTPException(403, "This server does not fetch addresses; it must be started so.")
        assert url is not None
        return url

    async def similar(query: Asked, options: SearchOptions) -> Similar:
        hits, milliseconds = await service.timed(
            lambda: engine.search(
                query,
                options.k,
                index=options.index,
                max_distance=options.max_distance,
                where=options.where(),
                collapse=options.collapse,
                verify=options.verify,
                box=options.part(),
            )
        )
        shown = [HitOut.of(hit) for hit in hits[options.offset :]]
        return Similar(hits=shown, more=len(hits) == options.k, milliseconds=milliseconds)

    async def found(query: Asked, options: FindOptions) -> Found:
        finding, milliseconds = await service.timed(
            lambda: engine.find(query, options.k, where=options.where(), box=options.part())
        )
        return Found.of(finding, milliseconds)

    async def compared(query: Asked, options: FindOptions) -> Compared:
        answers, _ = await service.timed(
            lambda: engine.compare(query, options.k, where=options.where(), box=options.part())
        )
        columns = [
            Column(index=index, milliseconds=milliseconds, hits=[HitOut.of(hit) for hit in hits])
            for index, (hits, milliseconds) in answers.items()
        ]
        return Compared(columns=columns)

    async def placed(query: Asked, options: Part) -> Response | Place:
        made = service.map.get()
        if isinstance(made, Working):
            return not_ready(made)
        (x, y), _ = await service.timed(lambda: engine.place(query, options.part()))
        return Place(x=x, y=y)

    @routes.get("/search", summary="What is similar to a picture of the store?")
    async def search_row(options: Annotated[RowSearch, Query()]) -> Similar:
        """Search from a picture of the store; it finds others than itself."""
        return await similar(options.row, options)

    @routes.post("/search", summary="What is similar to this picture?")
    async def search(
        options: Annotated[SearchOptions, Query()], picture: Upload = None, url: Address = None
    ) -> Similar:
        """Search with an upload."""
        return await similar(await asked(picture, url), options)

    @routes.get("/find", summary="Where else is a picture of the store?")
    async def find_row(options: Annotated[RowFind, Query()]) -> Found:
        """Look for a picture of the store in the others."""
        return await found(options.row, options)

    @routes.post("/find", summary="Where is this picture?")
    async def find(
        options: Annotated[FindOptions, Query()], picture: Upload = None, url: Address = None
    ) -> Found:
        """Look for the very picture, after whatever edit, or say that it is not here."""
        return await found(await asked(picture, url), options)

    @routes.get("/compare", summary="A picture of the store through every index")
    async def compare_row(options: Annotated[RowFind, Query()]) -> Compared:
        """Search from a picture of the store by every index."""
        return await compared(options.row, options)

    @routes.post("/compare", summary="This picture through every index")
    async def compare(
        options: Annotated[FindOptions, Query()], picture: Upload = None, url: Address = None
    ) -> Compared:
        """Search with an upload by every index."""
        return await compared(await asked(picture, url), options)

    @routes.get(
        "/place",
        summary="Where on the map is a picture of the store?",
        response_model=Place,
        responses=NOT_READY,
    )
    async def place_row(options: Annotated[RowPart, Query()]) -> Response | Place:
        """Place a part of a picture of the store on the map, near its neighbours."""
        return await placed(options.row, options)

    @routes.post(
        "/place", summary="Where on the map is this picture?", response_model=Place, responses=NOT_READY
    )
    async def place(
        options: Annotated[Part, Query()], picture: Upload = None, url: Address = None
    ) -> Response | Place:
        """Place an upload on the map, near its neighbours."""
        return await placed(await asked(picture, url), options)

    @routes.post(
        "/preview", summary="This picture as a browser can show it", response_class=Response, responses=JPEG
    )
    async def preview(picture: Upload = None, url: Address = None) -> Response:
        """Show an upload as JPEG, for formats that a browser does not know."""
        query = await asked(picture, url)

        def shown() -> bytes:
            image = engine.read(query)
            image.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE))
            return jpeg(image, 90)

        return Response((await service.timed(shown))[0], media_type="image/jpeg")

    return routes
