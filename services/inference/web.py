"""`identify` and `verify` over HTTP, with the gateway's paths, forms, answers and problems, in this very process.

Only a Bento serves it: Starlette comes with BentoML.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, TypeVar

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from keyprint.bodies import Bodies, BodyLimits
from keyprint.errors import InvalidArgument, KeyprintError, internal, status_of
from keyprint.forms import Body, IdentifyBody, VerifyBody, results
from keyprint.jsonform import to_dict
from keyprint.problems import MEDIA_TYPE, document, document_of, of_validation
from keyprint.v1 import inference_pb2
from services.inference.engine import always
from services.inference.servicer import InferenceServicer

LARGE_BYTES = 64 * 2**10
"""A larger body is answered in a thread, so that others are answered meanwhile; one attempt has a few KiB, and takes
hardly longer than the change of threads would."""


Form = TypeVar("Form", bound=Body)
Answer = Callable[[InferenceServicer, str, bytes], dict[str, Any]]


def create_app() -> Starlette:
    """The application; before its first request, `state.servicer` has to be the InferenceServicer that answers.

    It answers whether anybody still waits or not.
    """
    return Starlette(
        routes=[
            Route("/v1/models/{name}:identify", _endpoint(_identify), methods=["POST"]),
            Route("/v1/models/{name}:verify", _endpoint(_verify), methods=["POST"]),
        ],
        middleware=[Middleware(Bodies, limits=BodyLimits())],
        exception_handlers={KeyprintError: _refused, HTTPException: _not_taken, Exception: _failed},
    )


def _endpoint(answer: Answer) -> Callable[[Request], Any]:
    async def endpoint(request: Request) -> Response:
        try:
            content = await request.body()
        except ClientDisconnect:
            # Nobody reads this, and it is no error of ours.
            raise InvalidArgument("BODY_INVALID", "The request's body broke off.") from None
        given = (request.app.state.servicer, request.path_params["name"], content)
        if len(content) > LARGE_BYTES:
            return JSONResponse(await run_in_threadpool(answer, *given))
        return JSONResponse(answer(*given))

    return endpoint


def _identify(servicer: InferenceServicer, name: str, content: bytes) -> dict[str, Any]:
    request = _read(content, IdentifyBody).request(name)
    if isinstance(request, inference_pb2.BatchIdentifyRequest):
        return results(servicer.batch_identify(request, always))
    return to_dict(servicer.identify(request, always))


def _verify(servicer: InferenceServicer, name: str, content: bytes) -> dict[str, Any]:
    return to_dict(servicer.verify(_read(content, VerifyBody).request(name), always))


def _read(content: bytes, form: type[Form]) -> Form:
    try:
        # Not pydantic's own reader, which refuses some of what the gateway's takes.
        said = json.loads(content)
    except (ValueError, RecursionError):
        raise InvalidArgument("BODY_INVALID", "The request's body is not JSON.") from None
    try:
        return form.model_validate(said)
    except ValidationError as error:
        raise of_validation([{**one, "loc": ("body", *one["loc"])} for one in error.errors()]) from None


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, KeyprintError)  # noqa: S101 - what the handler is registered for
    return JSONResponse(document_of(error), status_of(error).http, media_type=MEDIA_TYPE)


async def _not_taken(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - likewise
    reason, detail = "METHOD_NOT_ALLOWED", f"This address does not take {request.method}."
    if error.status_code == HTTPStatus.NOT_FOUND:
        reason, detail = "PATH_NOT_FOUND", "There is nothing at this address."
    return JSONResponse(document(error.status_code, reason, detail), error.status_code, error.headers, MEDIA_TYPE)


async def _failed(request: Request, error: Exception) -> Response:
    # Starlette raises it again after this answer, so the server logs it with its trace.
    told = internal()
    return JSONResponse(document_of(told), status_of(told).http, media_type=MEDIA_TYPE)
