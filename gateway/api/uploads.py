"""Datasets of what callers send, as files, or of typists who are made up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from typing import Annotated

from fastapi import APIRouter, Request, Response, UploadFile
from google.protobuf.empty_pb2 import Empty
from pydantic import Field, ValidationError
from starlette.requests import ClientDisconnect

from gateway.api.datasets import accepted
from gateway.api.parts import ServicesOf, answers
from gateway.multipart import Form, FormField, Part, parts
from keyprint import simulate
from keyprint.attempts import DEFAULT_PHRASE
from keyprint.errors import Cancelled, InvalidArgument
from keyprint.forms import Body, Text, UInt32
from keyprint.problems import of_validation
from keyprint.v1 import ingest_pb2

router = APIRouter(tags=["datasets"])

UPLOAD_PATH = "/v1/datasets:upload"
"""Where files are sent on as they arrive."""


class UploadFields(Body):
    """What is said of an upload, before its files."""

    phrase: Text = Field("", description='What everybody typed; empty for "Be Authentic. Be Yourself. Be Typing."')
    min_attempts: UInt32 = Field(0, description="Valid attempts that a user needs to be enrolled; 0 for 20.")
    base_dataset: Text = Field("", description="A dataset whose documents come before these; empty for none.")


class UploadForm(UploadFields):
    """Documents in the source format, as JSON or gzip'd JSON; the other fields must come before them."""

    files: list[UploadFile] = Field(description="The documents, in order.")


UPLOAD_FORM = Form(UploadFields.model_fields.keys(), "files")

UPLOAD_BODY = {
    "requestBody": {
        "content": {"multipart/form-data": {"schema": {"$ref": f"#/components/schemas/{UploadForm.__name__}"}}},
        "required": True,
    }
}


class SimulationRequest(Body):
    """Who is to be made up."""

    phrase: Text = Field("", description='What they type; empty for "Be Authentic. Be Yourself. Be Typing."')
    users: Annotated[int, Field(ge=2, le=100)] = Field(16, description="Typists.")
    attempts_each: Annotated[int, Field(ge=1, le=100)] = Field(10, description="Attempts of each.")
    min_attempts: UInt32 = Field(0, description="Valid attempts that a user needs to be enrolled; 0 for 20.")
    seed: UInt32 = Field(0, description="Of everything random about them.")


@router.post(
    UPLOAD_PATH,
    status_code=202,
    responses=answers(ingest_pb2.Dataset, "Received.", 202),
    openapi_extra=UPLOAD_BODY,
)
async def upload_dataset(services: ServicesOf, request: Request) -> Response:
    """Make a dataset of files, which are sent on as they arrive; phrase, min_attempts and base_dataset come first."""
    body = _whole(request.stream())
    messages = _messages(parts(request.headers.get("content-type", ""), body, UPLOAD_FORM))
    return accepted(await services.upload(messages))


@router.post(
    "/v1/datasets:simulate", status_code=202, responses=answers(ingest_pb2.Dataset, "The import has begun.", 202)
)
async def simulate_dataset(services: ServicesOf, body: SimulationRequest) -> Response:
    """Make a dataset of made-up typists. The same request gives the same dataset."""
    phrase = body.phrase or DEFAULT_PHRASE
    typed = simulate.documents(body.users, body.attempts_each, phrase, body.seed)
    header = UploadFields(phrase=phrase, min_attempts=body.min_attempts, base_dataset="")
    return accepted(await services.upload(_simulated(header, typed)))


async def _simulated(
    header: UploadFields, typed: Iterator[tuple[str, str]]
) -> AsyncGenerator[ingest_pb2.UploadDatasetRequest, None]:
    yield _header(header)
    # A typist takes some milliseconds of work, which other requests are not to wait for.
    while document := await asyncio.to_thread(next, typed, None):
        label, text = document
        yield _piece(f"{label} (made up)", text.encode())
    yield ingest_pb2.UploadDatasetRequest(end=Empty())


async def _whole(body: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    try:
        async for chunk in body:
            yield chunk
    except ClientDisconnect:
        raise Cancelled("UPLOAD_BROKEN_OFF", "The upload broke off.") from None


async def _messages(form: AsyncIterator[Part]) -> AsyncGenerator[ingest_pb2.UploadDatasetRequest, None]:
    """The header, each file in pieces, and the end; a change of name is what tells documents apart."""
    fields: dict[str, str] = {}
    number, name = -1, ""
    async for part in form:
        if isinstance(part, FormField):
            if number >= 0:
                raise InvalidArgument(
                    "FIELD_TOO_LATE", f"The field {part.name!r} must come before the files.", part.name
                )
            fields[part.name] = part.value
            continue
        if number < 0:
            yield _header(_fields(fields))
        if part.number != number:
            given = part.name or f"document {part.number}"
            name = given if given != name else f"{given} ({part.number})"
            number = part.number
        yield _piece(name, part.content)
    if number < 0:
        _fields(fields)
        raise of_validation([{"type": "missing", "loc": ("body", "files")}])
    yield ingest_pb2.UploadDatasetRequest(end=Empty())


def _fields(given: Mapping[str, str]) -> UploadFields:
    try:
        return UploadFields.model_validate(given)
    except ValidationError as error:
        raise of_validation([{**one, "loc": ("body", *one["loc"])} for one in error.errors()]) from None


def _header(fields: UploadFields) -> ingest_pb2.UploadDatasetRequest:
    return ingest_pb2.UploadDatasetRequest(
        header=ingest_pb2.UploadDatasetRequest.Header(
            phrase=fields.phrase, min_attempts=fields.min_attempts, base_dataset=fields.base_dataset
        )
    )


def _piece(name: str, content: bytes) -> ingest_pb2.UploadDatasetRequest:
    return ingest_pb2.UploadDatasetRequest(piece=ingest_pb2.UploadDatasetRequest.Piece(name=name, content=content))
