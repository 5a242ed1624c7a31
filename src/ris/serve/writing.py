"""Routes that change the store; each needs the token."""

import hashlib
import os
from collections.abc import Callable, Coroutine
from io import BytesIO
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, File, Query, Request, Response, Security, UploadFile
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from PIL import Image
from starlette.exceptions import HTTPException

from ris.artifacts import writing
from ris.images.decoding import FORMATS
from ris.serve.problems import responses
from ris.serve.reading import RowInPath
from ris.serve.schemas import Added, Changed, PictureOut
from ris.serve.service import Service

FolderName = Annotated[
    str,
    Query(
        max_length=100,
        pattern=r"^([^\s./\\\x00-\x1f\x7f][^/\\\x00-\x1f\x7f]*)?$",
        description="Name of the folder, directly in the store's folder, that it is put into: its label.",
    ),
]

AllowRemovals = Annotated[
    bool,
    Query(description="Also where more than half of the pictures are gone, which is refused without it."),
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

    def add_file(picture: bytes, folder: Path) -> PictureOut:
        engine.read(service.checked(picture))
        kind = (Image.open(BytesIO(picture), formats=FORMATS).format or "").lower()
        file = folder / f"upload-{hashlib.sha256(picture).hexdigest()[:16]}.{kind}"
        if not folder.resolve().is_relative_to(engine.folder.resolve()):
            raise HTTPException(403, "That folder leads out of the store's folder.")
        fresh = not file.exists()
        if fresh:
            with writing(file) as target:
                target.write_bytes(picture)
        try:
            change = engine.add([file])
        except BaseException:
            if fresh:
                file.unlink()
            raise
        if change.rejected:
            raise HTTPException(422, f"It cannot be used: {change.rejected[0].reason}.")
        path = os.path.relpath(file, engine.folder).replace(os.sep, "/")
        return PictureOut.of(next(one for one in engine.pictures() if one.path == path))

    @routes.post("/pictures", summary="Add a picture", status_code=201, responses=responses(408, 413, 422))
    async def add(picture: Annotated[UploadFile, File()], label: FolderName = "") -> Added:
        """Put an upload into the store's folder, under a name made from its content, and into the store."""
        content = await picture.read()
        folder = engine.folder / label
        return Added(picture=await service.writes.run(lambda: add_file(content, folder)))

    @routes.delete("/pictures/{row}", summary="Remove a picture", responses=responses(404))
    async def remove(row: RowInPath) -> Changed:
        """Take a picture out of the store. Its file stays; a later sync adds it again."""
        path = engine.picture(row).path
        return Changed.of(await service.writes.run(lambda: engine.remove([path])))

    @routes.post("/sync", summary="Follow the folder")
    async def sync(allow_removals: AllowRemovals = False) -> Changed:
        """Bring the store to what its folder holds now."""
        return Changed.of(await service.writes.run(lambda: engine.sync(allow_removals=allow_removals)))

    return routes
