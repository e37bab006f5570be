"""Every error that leaves the gateway, as an RFC 9457 problem document."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException
from starlette.responses import Response

from keyprint.errors import Internal, InvalidArgument, KeyprintError, status_of
from keyprint.fields import wrong

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"


class Problem(BaseModel):
    """What went wrong (RFC 9457)."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "type": "about:blank",
                "title": "Bad Request",
                "status": 400,
                "detail": "The hold-out must be a number above 0 and below 1, like 0.2.",
                "reason": "HOLDOUT_OUT_OF_RANGE",
                "field": "holdout",
            }
        }
    )

    type: str = "about:blank"
    title: str
    """The phrase of the HTTP status."""
    status: int
    detail: str
    """One sentence for people: what was wrong and what would be right."""
    reason: str
    """Stable, for programs; the same word as in gRPC's ErrorInfo."""
    field: str = ""
    """The request's field that it concerns, if one does."""


def problem(
    status: int, reason: str, detail: str, field: str = "", headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """A problem document as an answer."""
    return JSONResponse(_document(status, reason, detail, field), status, headers, MEDIA_TYPE)


def _document(status: int, reason: str, detail: str, field: str) -> dict[str, Any]:
    # A refused name may be quoted, and what is no text cannot be written.
    detail, field = (text.encode(errors="replace").decode() for text in (detail, field))
    body = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail, reason=reason, field=field)
    return body.model_dump()


def of_error(error: KeyprintError) -> JSONResponse:
    """One of our errors as an answer."""
    return problem(status_of(error).http, error.reason, error.message, error.field)


def document_of(error: KeyprintError) -> dict[str, Any]:
    """One of our errors as a problem document."""
    return _document(status_of(error).http, error.reason, error.message, error.field)


def of_validation(errors: Sequence[Mapping[str, Any]]) -> InvalidArgument:
    """The first of pydantic's complaints in our words."""
    first = errors[0]
    kind: str = first["type"]
    # The place begins with "body", "query", "path" or "header".
    field = ".".join(str(part) for part in first["loc"][1:])
    if kind == "json_invalid":
        return InvalidArgument("BODY_INVALID", "The request's body is not JSON.")
    if not field:
        return InvalidArgument("BODY_INVALID", "The request's body must be a JSON object.")
    if kind == "extra_forbidden":
        return InvalidArgument("FIELD_UNKNOWN", f"There is no field {field!r} here.", field)
    known = wrong(field)
    if known:
        return known
    if kind == "missing":
        return InvalidArgument("FIELD_MISSING", f"The field {field!r} is missing.", field)
    return InvalidArgument("FIELD_INVALID", f"The field {field!r} is wrong: {first['msg']}.", field)


def install(app: FastAPI, missing_page: Callable[[Request], Response]) -> None:
    """Makes `app` answer every error with a problem document, and people who are lost with `missing_page`."""

    @app.exception_handler(KeyprintError)
    async def refused(request: Request, error: KeyprintError) -> Response:
        return of_error(error)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        return of_error(of_validation(error.errors()))

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> Response:
        if error.status_code == HTTPStatus.NOT_FOUND:
            if "text/html" in request.headers.get("accept", "") and not request.url.path.startswith("/v1/"):
                return missing_page(request)
            reason, detail = "PATH_NOT_FOUND", "There is nothing at this address."
        elif error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            reason, detail = "METHOD_NOT_ALLOWED", f"This address does not take {request.method}."
        else:
            reason, detail = "BODY_INVALID", "The request's body cannot be read."
        return problem(error.status_code, reason, detail, headers=error.headers)

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> Response:
        # Starlette raises it again after this answer, so the server logs it with its trace.
        return of_error(Internal("INTERNAL", "Something went wrong inside Keyprint; its log says what."))
