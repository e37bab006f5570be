"""Datasets: import, upload, progress, and what is in them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Annotated

from fastapi import APIRouter, Form, Response, UploadFile
from pydantic import Field
from sse_starlette import EventSourceResponse

from gateway.api.parts import (
    EVENTS,
    Body,
    FirstN,
    PageSize,
    PageToken,
    ServicesOf,
    Text,
    UInt32,
    answer,
    answers,
    event_stream,
)
from keyprint.v1 import ingest_pb2

router = APIRouter(tags=["datasets"])

MESSAGES = (
    ingest_pb2.Dataset,
    ingest_pb2.ListDatasetsResponse,
    ingest_pb2.ListRecordsResponse,
    ingest_pb2.DatasetSummary,
)

PIECE_BYTES = 2**20


class DatasetRequest(Body):
    """What to import."""

    url: Text = Field(
        description="http or https URL of the first document, or of a list of document URLs.",
        examples=["http://127.0.0.1:8000/user_0.json"],
    )
    phrase: Text = Field("", description='What everybody typed; empty for "Be Authentic. Be Yourself. Be Typing."')
    min_attempts: UInt32 = Field(0, description="Valid attempts that a user needs to be enrolled; 0 for 20.")
    refresh: bool = Field(False, description="Ask the servers whether a source that was read before has changed.")


class UploadForm(Body):
    """Documents in the source format, as JSON or gzip'd JSON."""

    files: list[UploadFile] = Field(description="The documents, in order.")
    phrase: Text = Field("", description='What everybody typed; empty for "Be Authentic. Be Yourself. Be Typing."')
    min_attempts: UInt32 = Field(0, description="Valid attempts that a user needs to be enrolled; 0 for 20.")
    base_dataset: Text = Field("", description="A dataset whose documents come before these; empty for none.")


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


@router.post("/v1/datasets:upload", status_code=202, responses=answers(ingest_pb2.Dataset, "Received.", 202))
async def upload_dataset(
    services: ServicesOf, form: Annotated[UploadForm, Form(media_type="multipart/form-data")]
) -> Response:
    """Make a dataset of files."""
    header = ingest_pb2.UploadDatasetRequest.Header(
        phrase=form.phrase, min_attempts=form.min_attempts, base_dataset=form.base_dataset
    )
    return _accepted(await services.upload(services.ingest.UploadDataset, _pieces(header, form.files)))


async def _pieces(
    header: ingest_pb2.UploadDatasetRequest.Header, files: Sequence[UploadFile]
) -> AsyncGenerator[ingest_pb2.UploadDatasetRequest, None]:
    """The header, then each file in pieces; a change of name is what tells documents apart."""
    yield ingest_pb2.UploadDatasetRequest(header=header)
    names: set[str] = set()
    for number, file in enumerate(files):
        name = file.filename or f"document {number}"
        if name in names:
            name = f"{name} ({number})"
        names.add(name)
        content = await file.read(PIECE_BYTES)
        while True:  # an empty file is a document too: one that is wrong
            yield ingest_pb2.UploadDatasetRequest(
                piece=ingest_pb2.UploadDatasetRequest.Piece(name=name, content=content)
            )
            content = await file.read(PIECE_BYTES)
            if not content:
                break


def _accepted(dataset: ingest_pb2.Dataset) -> Response:
    return answer(dataset, 202, {"Location": f"/v1/datasets/{dataset.id}"})


@router.get("/v1/datasets", responses=answers(ingest_pb2.ListDatasetsResponse, "A page, newest first."))
async def list_datasets(services: ServicesOf, page_size: PageSize = 0, page_token: PageToken = "") -> Response:
    """List datasets, without their users."""
    request = ingest_pb2.ListDatasetsRequest(page_size=page_size, page_token=page_token)
    return answer(await services.call(services.ingest.ListDatasets, request))


@router.get("/v1/datasets/{dataset}", responses=answers(ingest_pb2.Dataset, "As it stands."))
async def get_dataset(services: ServicesOf, dataset: str) -> Response:
    """Get one dataset."""
    return answer(await services.call(services.ingest.GetDataset, ingest_pb2.GetDatasetRequest(dataset=dataset)))


@router.delete("/v1/datasets/{dataset}", status_code=204)
async def delete_dataset(services: ServicesOf, dataset: str) -> None:
    """Delete a dataset and its files. Models that were trained on it stay."""
    await services.call(services.ingest.DeleteDataset, ingest_pb2.DeleteDatasetRequest(dataset=dataset))


@router.post("/v1/datasets/{dataset}:cancel", responses=answers(ingest_pb2.Dataset, "As it stands."))
async def cancel_dataset(services: ServicesOf, dataset: str) -> Response:
    """Stop an import."""
    return answer(await services.call(services.ingest.CancelDataset, ingest_pb2.CancelDatasetRequest(dataset=dataset)))


@router.get("/v1/datasets/{dataset}/events", response_class=EventSourceResponse, responses=EVENTS)
async def watch_dataset(services: ServicesOf, dataset: str) -> Response:
    """Follow an import: events called `dataset`."""
    request = ingest_pb2.WatchDatasetRequest(dataset=dataset)
    return await event_stream("dataset", services.stream(services.ingest.WatchDataset, request))


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
async def summarize_dataset(services: ServicesOf, dataset: str) -> Response:
    """Summarize a dataset: speed, corrections, and how the phrase is typed, in all and by user."""
    request = ingest_pb2.SummarizeDatasetRequest(dataset=dataset)
    return answer(await services.call(services.ingest.SummarizeDataset, request))
