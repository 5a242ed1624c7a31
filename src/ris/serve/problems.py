"""What goes wrong, told as RFC 9457 has it: application/problem+json."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from ris.engine import BusyError, NoSuchPictureError, ReadOnlyError, RemovalError
from ris.errors import RisError
from ris.images.decoding import UnreadableImage

log = logging.getLogger("ris.serve")

MEDIA_TYPE = "application/problem+json"


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


def status_of(error: RisError) -> int:
    """Return the HTTP status that says what an error of the engine says."""
    match error:
        case NoSuchPictureError():
            return 404
        case UnreadableImage(kind="too_large"):
            return 413
        case UnreadableImage():
            return 422
        case ReadOnlyError():
            return 403
        case BusyError() | RemovalError():
            return 409
    return 400


def add_handlers(app: FastAPI) -> None:
    """Have an application answer every error with a problem."""

    def of_engine(_: Request, error: Exception) -> ProblemResponse:
        assert isinstance(error, RisError)
        return ProblemResponse(status_of(error), str(error))

    def of_http(_: Request, error: Exception) -> ProblemResponse:
        assert isinstance(error, HTTPException)
        return ProblemResponse(error.status_code, error.detail, error.headers)

    def of_values(_: Request, error: Exception) -> ProblemResponse:
        assert isinstance(error, RequestValidationError)
        mistakes = [
            Mistake(where=".".join(str(part) for part in one["loc"]), what=one["msg"])
            for one in error.errors()
        ]
        told = "; ".join(f"{one.where}: {one.what}" for one in mistakes)
        return ProblemResponse(422, f"The request is not as it should be ({told}).", errors=mistakes)

    app.add_exception_handler(RisError, of_engine)
    app.add_exception_handler(HTTPException, of_http)
    app.add_exception_handler(RequestValidationError, of_values)
