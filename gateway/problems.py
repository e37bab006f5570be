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


# A value of the wrong type is refused with the service's own reason for that field, so that a caller
# meets one reason per field, whoever finds out.
_WRONG: dict[str, tuple[str, str]] = {
    "url": ("URL_INVALID", "The URL must be an http or https address."),
    "phrase": ("PHRASE_INVALID", "The phrase must be a text of 2 to 256 characters."),
    "min_attempts": ("MIN_ATTEMPTS_INVALID", "The minimum of attempts must be a whole number from 1 to 100000."),
    "files": ("FILES_MISSING", "At least one file must be sent, as multipart/form-data under the name files."),
    "dataset": ("DATASET_NOT_FOUND", "The dataset must be given by its id, like ds_3f9c0a1b2c4d."),
    "learner": ("LEARNER_NOT_FOUND", "The learner must be given by its name, like adaboost."),
    "model": ("MODEL_NAME_INVALID", "The model must be given by its name, like adaboost-1."),
    "holdout": ("HOLDOUT_OUT_OF_RANGE", "The hold-out must be a number above 0 and below 1, like 0.2."),
    "split": ("SPLIT_INVALID", 'The split must be "late" or "random".'),
    "features": ("UNKNOWN_FEATURE_SET", "The feature set must be given by its name, like timing."),
    "impostors": ("IMPOSTORS_OUT_OF_RANGE", "The share of impostors must be a number from 0 to below 1, like 0.2."),
    "seed": ("SEED_INVALID", "The seed must be a whole number from 0 to 2147483647."),
    "params": ("PARAMETER_INVALID", "A parameter must be a number."),
    "first_n": ("PAGE_SIZE_INVALID", "The number of rows must be a whole number from 1 to 1000."),
    "page_size": ("PAGE_SIZE_INVALID", "The page size must be a whole number from 1 to 1000."),
    "rows": ("ROWS_INVALID", 'The rows must be "attempts" or "keystrokes".'),
    "far": ("FAR_OUT_OF_RANGE", "The false accept rate must be a number above 0 and at most 0.5, like 0.01."),
    "candidates": ("CANDIDATES_INVALID", "The number of candidates must be a whole number from 1 to 1000."),
    "attempt": ("ATTEMPT_INVALID", "An attempt must be a list of keystrokes, each with typed_at and character."),
    "attempts": ("ATTEMPT_INVALID", "The attempts must be a list of lists of keystrokes."),
}


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
    name = field.split(".")[0]
    if name in _WRONG:
        reason, detail = _WRONG[name]
        return InvalidArgument(reason, detail, field)
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
