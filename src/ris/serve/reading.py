"""Routes that read what the store holds."""

import csv
from collections.abc import Callable
from io import StringIO
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import JSONResponse

from ris.engine import SearchEngine
from ris.serve.guard import client_of
from ris.serve.problems import responses
from ris.serve.schemas import (
    MAX_ROW,
    About,
    Duplicates,
    Label,
    Page,
    PictureOut,
    Pictures,
    Working,
)
from ris.serve.service import Service
from ris.serve.views import View

RowInPath = Annotated[int, Path(ge=0, le=MAX_ROW, description="Number of a picture in the store.")]
Version = Annotated[
    str | None,
    Query(max_length=64, description="Start of the picture's checksum; the answer may be kept for ever."),
]
Rows = Annotated[
    str,
    Query(
        pattern=r"^\d{1,15}(,\d{1,15}){0,63}$",
        description="Numbers of at most 64 pictures, with commas between them.",
        examples=["0,1,2"],
    ),
]
JPEG: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A JPEG.",
        "content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}},
    }
}
BYTES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": (
            "The map, little-endian: n rows as int32, n labels as int32 (their place in /api/labels), then n "
            "times x and y as float32."
        ),
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}
NOT_READY: dict[int | str, dict[str, Any]] = {
    202: {"model": Working, "description": "Being made; ask again."}
}
FOREVER, ASK_AGAIN = "private, max-age=31536000, immutable", "private, no-cache"


def not_ready(working: Working) -> JSONResponse:
    """Report how far something is."""
    return JSONResponse(working.model_dump(), 202, {"Retry-After": "1"})


def view_response(view: View, headers: dict[str, str]) -> Response:
    """Answer with pixels; those of a file that has changed since are kept by nobody."""
    if not view.of_store:
        headers = {"Cache-Control": "no-store"}
    return Response(view.content, headers=headers, media_type="image/jpeg")


def router(service: Service) -> APIRouter:
    """Return the routes that read."""
    routes = APIRouter(prefix="/api", tags=["look"])
    settings, views = service.settings, service.views
    Current = Annotated[SearchEngine, Depends(service.current)]

    async def picture_response(
        request: Request, row: int, side: int, version: str | None, make: Callable[[int, int], View]
    ) -> Response:
        sha256 = service.engine.picture(row).sha256
        tag = f'"{sha256[:16]}-{side}"'
        current = version is not None and len(version) >= 8 and sha256.startswith(version)
        headers = {"ETag": tag, "Cache-Control": FOREVER if current else ASK_AGAIN}
        if request.headers.get("if-none-match") == tag:
            return Response(None, 304, headers)
        view = await service.pictures.run(lambda: make(row, side), client_of(request.scope))
        return view_response(view, headers)

    @routes.get("/about", summary="What is served")
    def about(engine: Current) -> About:
        """Describe the store and what the server allows."""
        return About.of(engine.info(), engine.location.name, urls=settings.urls, max_bytes=settings.max_bytes)

    @routes.get("/labels", summary="All labels")
    def labels(engine: Current) -> list[Label]:
        """List the labels and how many pictures have each; a label is the folder that a picture lies in."""
        return [Label(name=name, pictures=count) for name, count in engine.labels().items()]

    @routes.get("/folders", summary="All folders")
    def folders(engine: Current) -> list[str]:
        """List every folder that holds pictures at any depth."""
        return engine.folders()

    @routes.get("/pictures", summary="All pictures, a part at a time")
    def pictures(engine: Current, page: Annotated[Page, Query()]) -> Pictures:
        """List pictures by path, or mixed."""
        where = page.where()
        if page.mixed:
            everything = engine.pictures(where)
            order = np.random.default_rng(0).permutation(len(everything))
            found = [everything[i] for i in order[page.offset : page.offset + page.limit]]
        else:
            found = engine.pictures(where, page.offset, page.limit)
        return Pictures(pictures=[*map(PictureOut.of, found)], total=engine.count(where))

    @routes.get("/pictures/{row}", summary="One picture's facts", responses=responses(404))
    def picture(engine: Current, row: RowInPath) -> PictureOut:
        """Return what is known of a picture."""
        return PictureOut.of(engine.picture(row))

    @routes.get(
        "/pictures/{row}/thumbnail",
        summary="One picture, small",
        response_class=Response,
        responses=JPEG | responses(404, 503),
    )
    async def thumbnail(
        request: Request, row: RowInPath, side: Annotated[int, Query(ge=16, le=640)] = 400, v: Version = None
    ) -> Response:
        """Show a picture with its longest side shrunk to `side` pixels."""
        return await picture_response(request, row, side, v, views.thumbnail)

    @routes.get(
        "/pictures/{row}/view",
        summary="One picture, large",
        response_class=Response,
        responses=JPEG | responses(404, 503),
    )
    async def view(
        request: Request,
        row: RowInPath,
        side: Annotated[int, Query(ge=16, le=4096)] = 1600,
        v: Version = None,
    ) -> Response:
        """Show a picture, upright, without the file's metadata, its longest side shrunk to `side` pixels."""
        return await picture_response(request, row, side, v, views.view)

    @routes.get(
        "/sheet", summary="Many pictures in one", response_class=Response, responses=JPEG | responses(503)
    )
    async def sheet(
        request: Request, rows: Rows, side: Annotated[int, Query(ge=16, le=128)] = 80, v: Version = None
    ) -> Response:
        """Show the middles of pictures as squares, eight beside each other; grey where there is none."""
        numbers = [int(row) for row in rows.split(",")]
        view = await service.pictures.run(lambda: views.sheet(numbers, side), client_of(request.scope))
        return view_response(view, {"Cache-Control": FOREVER if v else ASK_AGAIN})

    @routes.get("/map", summary="The map", response_class=Response, responses=BYTES | NOT_READY)
    def map_of_all(engine: Current) -> Response:
        """Return where every picture lies on the map: similar ones near each other."""
        made = service.map.get()
        if isinstance(made, Working):
            return not_ready(made)
        rows, places = made
        number = {label: i for i, label in enumerate(engine.labels())}
        label_of = {one.row: number.get(one.label, 0) for one in engine.pictures()}
        kept = np.array([row in label_of for row in rows.tolist()], bool)
        numbers = [label_of[row] for row in rows[kept].tolist()]
        parts = (rows[kept].astype("<i4"), np.array(numbers, "<i4"), places[kept].astype("<f4"))
        return Response(b"".join(part.tobytes() for part in parts), media_type="application/octet-stream")

    @routes.get(
        "/duplicates",
        summary="Pictures that are one picture",
        response_model=Duplicates,
        responses=NOT_READY,
    )
    def duplicates() -> Response | Duplicates:
        """Return groups of pictures that are one picture: re-encoded, resized, cropped, turned or mirrored.

        The first call starts looking for them.
        """
        made = service.duplicates.get()
        return not_ready(made) if isinstance(made, Working) else made

    @routes.get(
        "/duplicates.csv",
        summary="The same as a table",
        response_class=Response,
        responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}}
        | NOT_READY
        | responses(400),
    )
    def duplicates_table() -> Response:
        """Return one line for each picture of each group."""
        made = service.duplicates.get()
        if isinstance(made, Working):
            return not_ready(made)
        stream = StringIO()
        table = csv.writer(stream)
        table.writerow(("group", "keep", "path", "width", "height", "bytes", "why"))
        for number, group in enumerate(made.groups, start=1):
            for one in group.pictures:
                keep = one.row == group.keep
                path = f"'{one.path}" if one.path.startswith(("=", "+", "-", "@", "\t", "\r")) else one.path
                table.writerow(
                    (number, keep, path, one.width, one.height, one.bytes, group.why if keep else "")
                )
        headers = {"Content-Disposition": 'attachment; filename="duplicates.csv"'}
        return Response(stream.getvalue(), headers=headers, media_type="text/csv")

    return routes
