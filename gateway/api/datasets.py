"""Datasets: import, upload, progress, and what is in them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response, UploadFile
from google.protobuf.empty_pb2 import Empty
from pydantic import Field, ValidationError
from sse_starlette import EventSourceResponse
from starlette.requests import ClientDisconnect

from gateway.api.parts import (
    EVENTS,
    FirstN,
    LastEventId,
    PageSize,
    PageToken,
    ServicesOf,
    answer,
    answers,
    event_stream,
)
from gateway.multipart import Form, FormField, Part, parts
from keyprint import simulate
from keyprint.attempts import DEFAULT_PHRASE
from keyprint.errors import Cancelled, InvalidArgument
from keyprint.forms import Body, Text, Truth, UInt32
from keyprint.problems import of_validation
from keyprint.v1 import ingest_pb2

router = APIRouter(tags=["datasets"])

UPLOAD_PATH = "/v1/datasets:upload"
"""Where files are sent on as they arrive."""

User = Annotated[Text, Query(description="Label of a user to summarize too; empty for nobody.")]

MESSAGES = (
    ingest_pb2.Dataset,
    ingest_pb2.ListDatasetsResponse,
    ingest_pb2.ListUsersResponse,
    ingest_pb2.ListRecordsResponse,
    ingest_pb2.DatasetSummary,
)


class DatasetRequest(Body):
    """What to import."""

    url: Text = Field(
        description="http or https URL of the first document, or of a list of document URLs.",
        examples=["http://127.0.0.1:8000/user_0.json"],
    )
    phrase: Text = Field("", description='What everybody typed; empty for "Be Authentic. Be Yourself. Be Typing."')
    min_attempts: UInt32 = Field(0, description="Valid attempts that a user needs to be enrolled; 0 for 20.")
    refresh: Truth = Field(False, description="Ask the servers whether a source that was read before has changed.")


class SimulationRequest(Body):
    """Who is to be made up."""

    phrase: Text = Field("", description='What they type; empty for "Be Authentic. Be Yourself. Be Typing."')
    users: Annotated[int, Field(ge=2, le=100)] = Field(16, description="Typists.")
    attempts_each: Annotated[int, Field(ge=1, le=100)] = Field(10, description="Attempts of each.")
    min_attempts: UInt32 = Field(0, description="Valid attempts that a user needs to be enrolled; 0 for 20.")
    seed: UInt32 = Field(0, description="Of everything random about them.")


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


@router.post("/v1/datasets", status_code=202, responses=answers(ingest_pb2.Dataset, "The import has begun.", 202))
async def create_dataset(services: ServicesOf, body: DatasetRequest) -> Response:
    """Import a URL. The same URL, phrase and min_attempts give the same dataset, without a second download."""
    request = ingest_pb2.CreateDatasetRequest(
        url=body.url,
        phrase=body.phrase,
        min_attempts=body.min_attempts,
        refresh=body.refresh,
    )
    return _accepted(await services.call(services.ingest.CreateDataset, request))


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
    return _accepted(await services.upload(messages))


@router.post(
    "/v1/datasets:simulate", status_code=202, responses=answers(ingest_pb2.Dataset, "The import has begun.", 202)
)
async def simulate_dataset(services: ServicesOf, body: SimulationRequest) -> Response:
    """Make a dataset of made-up typists. The same request gives the same dataset."""
    phrase = body.phrase or DEFAULT_PHRASE
    typed = simulate.documents(body.users, body.attempts_each, phrase, body.seed)
    header = UploadFields(phrase=phrase, min_attempts=body.min_attempts, base_dataset="")
    return _accepted(await services.upload(_simulated(header, typed)))


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


def _accepted(dataset: ingest_pb2.Dataset) -> Response:
    return answer(dataset, 202, {"Location": f"/v1/datasets/{dataset.id}"})


@router.get("/v1/datasets", responses=answers(ingest_pb2.ListDatasetsResponse, "A page, newest first."))
async def list_datasets(services: ServicesOf, page_size: PageSize = 0, page_token: PageToken = "") -> Response:
    """List datasets. A page holds fewer than `page_size` where one answer cannot hold them."""
    request = ingest_pb2.ListDatasetsRequest(page_size=page_size, page_token=page_token)
    return answer(await services.call(services.ingest.ListDatasets, request))


@router.get("/v1/datasets/{dataset}", responses=answers(ingest_pb2.Dataset, "As it stands."))
async def get_dataset(services: ServicesOf, dataset: str) -> Response:
    """Get one dataset."""
    return answer(await services.call(services.ingest.GetDataset, ingest_pb2.GetDatasetRequest(dataset=dataset)))


@router.get(
    "/v1/datasets/{dataset}/users", responses=answers(ingest_pb2.ListUsersResponse, "A page, in dataset order.")
)
async def list_users(
    services: ServicesOf, dataset: str, page_size: PageSize = 0, page_token: PageToken = ""
) -> Response:
    """List who typed, with their attempts by validity, and whether models learn them."""
    request = ingest_pb2.ListUsersRequest(dataset=dataset, page_size=page_size, page_token=page_token)
    return answer(await services.call(services.ingest.ListUsers, request))


@router.delete("/v1/datasets/{dataset}", status_code=204)
async def delete_dataset(services: ServicesOf, dataset: str) -> None:
    """Delete a dataset and its files. Models that were trained on it stay."""
    await services.call(services.ingest.DeleteDataset, ingest_pb2.DeleteDatasetRequest(dataset=dataset))


@router.post("/v1/datasets/{dataset}:cancel", responses=answers(ingest_pb2.Dataset, "As it stands."))
async def cancel_dataset(services: ServicesOf, dataset: str) -> Response:
    """Stop an import."""
    return answer(await services.call(services.ingest.CancelDataset, ingest_pb2.CancelDatasetRequest(dataset=dataset)))


@router.get("/v1/datasets/{dataset}/events", response_class=EventSourceResponse, responses=EVENTS)
async def watch_dataset(services: ServicesOf, dataset: str, last_event_id: LastEventId = "") -> Response:
    """Follow an import: events called `dataset`."""
    request = ingest_pb2.WatchDatasetRequest(dataset=dataset)
    return await event_stream("dataset", services.stream(services.ingest.WatchDataset, request), last_event_id)


@router.get(
    "/v1/datasets/{dataset}/records",
    responses=answers(ingest_pb2.ListRecordsResponse, "Keystrokes in dataset order."),
)
async def list_records(
    services: ServicesOf, dataset: str, first_n: FirstN = 100, page_token: PageToken = ""
) -> Response:
    """List keystrokes with the latencies that models train on."""
    request = ingest_pb2.ListRecordsRequest(dataset=dataset, page_size=first_n, page_token=page_token)
    return answer(await services.call(services.ingest.ListRecords, request))


@router.get("/v1/datasets/{dataset}/summary", responses=answers(ingest_pb2.DatasetSummary, "What charts show."))
async def summarize_dataset(services: ServicesOf, dataset: str, user: User = "") -> Response:
    """Summarize a dataset: attempts over time, speed, corrections and how the phrase is typed, of all and of a user."""
    request = ingest_pb2.SummarizeDatasetRequest(dataset=dataset, user=user)
    return answer(await services.call(services.ingest.SummarizeDataset, request))
