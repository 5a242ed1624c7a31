"""Routes that change the store; each needs the token."""

import hashlib
import os
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Annotated, Any

from fastapi import APIRouter, Depends, File, Query, Request, Response, Security, UploadFile
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from pydantic import AfterValidator
from starlette.exceptions import HTTPException

from ris.artifacts import writing
from ris.serve.problems import responses
from ris.serve.reading import RowInPath
from ris.serve.schemas import MAX_ROW, Added, Changed, PictureOut, State, SyncOptions
from ris.serve.service import Service
from ris.store.storage import holds

MAX_NAME = 255
"""Bytes of a name on most file systems."""


def _is_name(label: str) -> str:
    if len(label.encode()) > MAX_NAME:
        raise ValueError(f"it has more than {MAX_NAME} bytes")
    return label


VersionInQuery = Annotated[
    int | None, Query(ge=1, le=MAX_ROW, description="One that the store keeps; the newest without it.")
]
FolderName = Annotated[
    str,
    AfterValidator(_is_name),
    Query(
        max_length=100,
        pattern=r"^([^\s./\\\x00-\x1f\x7f][^/\\\x00-\x1f\x7f]*)?$",
        description="Name of the folder, directly in the store's folder, that it is put into: its label.",
    ),
]


def router(service: Service) -> APIRouter:
    """Return the routes that write."""
    engine = service.engine

    class Guarded(APIRoute):
        """Asks for the token before the body is read."""

        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handle = super().get_route_handler()

            async def admitted(request: Request) -> Response:
                service.admit(request.headers.get("authorization"))
                return await handle(request)

            return admitted

    routes = APIRouter(
        prefix="/api",
        tags=["change"],
        route_class=Guarded,
        dependencies=[Security(HTTPBearer(auto_error=False, description="Shown at the server's start."))],
        responses=responses(401, 403, 409, 503),
    )

    writable = [Depends(service.check_writable)]

    def add_file(picture: bytes, label: str) -> PictureOut:
        kind = engine.open_query(picture, max_pixels=service.settings.max_pixels).image.format or ""
        folder = engine.folder / label
        inner = folder.resolve()
        if not inner.is_relative_to(engine.folder.resolve()) or holds(engine.location, inner):
            raise HTTPException(403, "That folder leads out of the pictures' folder.")
        made, fresh = not folder.exists(), False
        file = folder / f"upload-{hashlib.sha256(picture).hexdigest()[:16]}.{kind.lower()}"
        try:
            fresh = not file.exists()
            if fresh:
                with writing(file) as target:
                    target.write_bytes(picture)
            rejected = engine.add([file]).rejected
            if rejected:
                raise HTTPException(422, f"It cannot be used: {rejected[0].reason}.")
        except BaseException:
            if fresh:
                file.unlink(missing_ok=True)
            if made:
                with suppress(OSError):
                    folder.rmdir()
            raise
        path = os.path.relpath(file, engine.folder).replace(os.sep, "/")
        return PictureOut.of(next(one for one in engine.pictures() if one.path == path))

    @routes.post(
        "/pictures",
        summary="Add a picture",
        status_code=201,
        responses=responses(408, 413, 422),
        dependencies=writable,
    )
    async def add(picture: Annotated[UploadFile, File()], label: FolderName = "") -> Added:
        """Put an upload into the store's folder, under a name made from its content, and into the store."""
        content = await picture.read()
        return Added(picture=await service.writes.run(lambda: add_file(content, label)))

    @routes.delete(
        "/pictures/{row}", summary="Remove a picture", responses=responses(404), dependencies=writable
    )
    async def remove(row: RowInPath) -> Changed:
        """Take a picture out of the store. Its file stays; a later sync adds it again."""
        path = engine.picture(row).path
        return Changed.of(await service.writes.run(lambda: engine.remove([path])))

    @routes.post("/sync", summary="Follow the folder", dependencies=writable)
    async def sync(options: Annotated[SyncOptions, Query()]) -> Changed:
        """Bring the store to what its folder holds now."""
        return Changed.of(await service.writes.run(lambda: engine.sync(**options.model_dump())))

    @routes.post("/version", summary="Serve another version", responses=responses(404))
    async def version(number: VersionInQuery = None) -> State:
        """Have a server that stays on a version take up another one."""
        await service.stay_on(number)
        return service.state()

    return routes
