"""Errors as RFC 9457 has them: application/problem+json."""

import errno
import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from ris.engine import (
    BadQueryError,
    BusyError,
    NoSuchPictureError,
    NoSuchVersionError,
    ReadOnlyError,
    RemovalError,
    UnconfirmedError,
)
from ris.errors import RisError
from ris.images.decoding import UnreadableImage

log = logging.getLogger("ris.serve")

MEDIA_TYPE = "application/problem+json"
FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
MISTAKES, LETTERS = 5, 200
"""Mistakes of a request that are listed, and letters of each, at most."""


class Mistake(BaseModel):
    """One value of a request that is not allowed."""

    where: str
    what: str


class Problem(BaseModel):
    """An error (RFC 9457)."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str = Field(description="One sentence for a person.")
    errors: list[Mistake] = []


class ProblemResponse(JSONResponse):
    """A problem as a response."""

    media_type = MEDIA_TYPE

    def __init__(
        self,
        status: int,
        detail: str,
        headers: Mapping[str, str] | None = None,
        errors: list[Mistake] | None = None,
    ) -> None:
        title = HTTPStatus(status).phrase
        problem = Problem(title=title, status=status, detail=detail, errors=errors or [])
        super().__init__(problem.model_dump(exclude=None if errors else {"errors"}), status, headers)


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe problems for OpenAPI."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": HTTPStatus(status).phrase, "content": content} for status in statuses}


def problem_of(error: RisError) -> ProblemResponse | None:
    """Return the answer to what a client caused, without any path of this machine.

    Returns:
        None where the error is the server's, or the store's, and its sentence is for the log.
    """
    match error:
        case UnreadableImage(kind="too_large"):
            return ProblemResponse(413, f"This file cannot be used as a picture: {error.reason}.")
        case UnreadableImage():
            return ProblemResponse(422, f"This file cannot be used as a picture: {error.reason}.")
        case NoSuchPictureError():
            return ProblemResponse(404, str(error))
        case NoSuchVersionError():
            return ProblemResponse(404, "The store does not keep that version.")
        case ReadOnlyError():
            return ProblemResponse(403, "The store or its folder cannot be written.")
        case BusyError():
            return ProblemResponse(409, "Another process is writing to the store; try again in a moment.")
        case RemovalError():
            detail = (
                "So many pictures are gone from the folder that none was taken out; bring them back, or "
                "allow it: allow_removals=true here, or `ris sync --allow-removals` by the command."
            )
            return ProblemResponse(409, detail)
        case UnconfirmedError():
            return ProblemResponse(403, "The folder of this store has not been confirmed on this machine.")
        case BadQueryError():
            return ProblemResponse(400, str(error))
    return None


def is_disk_full(error: BaseException | None) -> bool:
    """Whether an error, or what caused it, is that the disk is full."""
    while error is not None:
        if getattr(error, "errno", None) in FULL or any(f"os error {code}" in str(error) for code in FULL):
            return True
        error = error.__cause__
    return False


def add_handlers(app: FastAPI) -> None:
    """Have an application answer every error with a problem."""

    def of_engine(request: Request, error: Exception) -> ProblemResponse:
        assert isinstance(error, RisError | OSError)
        problem = problem_of(error) if isinstance(error, RisError) else None
        if problem is not None:
            return problem
        log.error("%s %s: %s", request.method, request.url.path, error)
        if is_disk_full(error):
            return ProblemResponse(507, "The server's disk is full; all is as it was.")
        return ProblemResponse(500, "The server failed; its log says why.")

    def of_http(_: Request, error: Exception) -> ProblemResponse:
        assert isinstance(error, HTTPException)
        return ProblemResponse(error.status_code, error.detail, error.headers)

    def of_values(_: Request, error: Exception) -> ProblemResponse:
        assert isinstance(error, RequestValidationError)
        mistakes = [
            Mistake(where=".".join(str(part) for part in one["loc"])[:LETTERS], what=one["msg"][:LETTERS])
            for one in error.errors()[:MISTAKES]
        ]
        listed = "; ".join(f"{one.where}: {one.what}" for one in mistakes)
        return ProblemResponse(422, f"The request is not as it should be ({listed}).", errors=mistakes)

    app.add_exception_handler(RisError, of_engine)
    app.add_exception_handler(OSError, of_engine)
    app.add_exception_handler(HTTPException, of_http)
    app.add_exception_handler(RequestValidationError, of_values)
