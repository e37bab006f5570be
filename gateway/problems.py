"""Every error that leaves the gateway, as an RFC 9457 problem document."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from keyprint.errors import KeyprintError, internal, status_of
from keyprint.problems import MEDIA_TYPE, document, of_validation

log = logging.getLogger(__name__)

_METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")


def problem(
    status: int, reason: str, detail: str, field: str = "", headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """A problem document as an answer."""
    return JSONResponse(document(status, reason, detail, field), status, headers, MEDIA_TYPE)


def of_error(error: KeyprintError) -> JSONResponse:
    """One of our errors as an answer; RFC 9110's Retry-After says when to try again, where the error does."""
    headers = {"Retry-After": str(math.ceil(error.retry_seconds))} if error.retry_seconds else None
    return problem(status_of(error).http, error.reason, error.message, error.field, headers)


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
        if isinstance(error.__cause__, KeyprintError):
            # FastAPI makes this of whatever is raised while it reads a body.
            return of_error(error.__cause__)
        if error.status_code == HTTPStatus.NOT_FOUND:
            if "text/html" in request.headers.get("accept", "") and not request.url.path.startswith("/v1/"):
                return missing_page(request)
            reason, detail = "PATH_NOT_FOUND", "There is nothing at this address."
        elif error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            reason, detail = "METHOD_NOT_ALLOWED", f"This address does not take {request.method}."
            # Starlette names the methods of the first route at the address alone.
            return problem(error.status_code, reason, detail, headers={"Allow": ", ".join(_methods(request))})
        else:
            reason, detail = "BODY_INVALID", "The request's body cannot be read."
        return problem(error.status_code, reason, detail, headers=error.headers)

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> Response:
        # Starlette raises it again after this answer, so the server logs it with its trace.
        return of_error(internal())


def _methods(request: Request) -> list[str]:
    """What may be done at an address."""

    def takes(method: str) -> bool:
        scope = {**request.scope, "method": method}
        return any(route.matches(scope)[0] is Match.FULL for route in request.app.routes)

    return list(filter(takes, _METHODS))
