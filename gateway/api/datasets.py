"""Datasets: import, progress, and what is in them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import Field
from sse_starlette import EventSourceResponse

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
from keyprint.forms import Body, Text, Truth, UInt32
from keyprint.v1 import ingest_pb2

router = APIRouter(tags=["datasets"])

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


def accepted(dataset: ingest_pb2.Dataset) -> Response:
    """The answer to who makes a dataset."""
    return answer(dataset, 202, {"Location": f"/v1/datasets/{dataset.id}"})


@router.post("/v1/datasets", status_code=202, responses=answers(ingest_pb2.Dataset, "The import has begun.", 202))
async def create_dataset(services: ServicesOf, body: DatasetRequest) -> Response:
    """Import a URL. The same URL, phrase and min_attempts give the same dataset, without a second download."""
    request = ingest_pb2.CreateDatasetRequest(
        url=body.url,
        phrase=body.phrase,
        min_attempts=body.min_attempts,
        refresh=body.refresh,
    )
    return accepted(await services.call(services.ingest.CreateDataset, request))


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
