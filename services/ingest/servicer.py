"""IngestService: messages in, messages out."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
from google.protobuf import empty_pb2

from keyprint import arrow, checks
from keyprint.rpc import Watches
from keyprint.v1 import attempts_pb2, ingest_pb2, ingest_pb2_grpc
from services.ingest.catalogue import Catalogue
from services.ingest.datasets import Datasets
from services.ingest.messages import (
    dataset_message,
    fitting,
    record_message,
    summary_message,
    upload_part,
    user_message,
)
from services.ingest.records import read_records
from services.ingest.store import Store, parts_of
from services.ingest.summary import summarize


class IngestServicer(ingest_pb2_grpc.IngestServiceServicer):
    """Turns messages into calls, and what comes of them into messages."""

    def __init__(self, catalogue: Catalogue, store: Store, datasets: Datasets, watches: Watches) -> None:
        self._catalogue = catalogue
        self._store = store
        self._datasets = datasets
        self._watches = watches

    def CreateDataset(  # noqa: N802 - gRPC's name, as are all that follow
        self, request: ingest_pb2.CreateDatasetRequest, context: grpc.ServicerContext
    ) -> ingest_pb2.Dataset:
        return dataset_message(
            self._datasets.create(request.url, request.phrase, request.min_attempts, request.refresh)
        )

    def UploadDataset(  # noqa: N802
        self, request_iterator: Iterator[ingest_pb2.UploadDatasetRequest], context: grpc.ServicerContext
    ) -> ingest_pb2.Dataset:
        return dataset_message(self._datasets.upload(map(upload_part, request_iterator)))

    def GetDataset(  # noqa: N802
        self, request: ingest_pb2.GetDatasetRequest, context: grpc.ServicerContext
    ) -> ingest_pb2.Dataset:
        return dataset_message(self._catalogue.look(request.dataset))

    def ListDatasets(  # noqa: N802
        self, request: ingest_pb2.ListDatasetsRequest, context: grpc.ServicerContext
    ) -> ingest_pb2.ListDatasetsResponse:
        size, before = checks.page_size(request.page_size), checks.page_token(request.page_token, "datasets")
        rows = self._catalogue.page(before, size + 1)
        datasets = fitting([dataset_message(row) for row in rows[:size]])
        answer = ingest_pb2.ListDatasetsResponse(datasets=datasets)
        if len(rows) > len(datasets):
            answer.next_page_token = checks.next_page(rows[len(datasets) - 1].number, "datasets")
        return answer

    def ListUsers(  # noqa: N802
        self, request: ingest_pb2.ListUsersRequest, context: grpc.ServicerContext
    ) -> ingest_pb2.ListUsersResponse:
        of = f"users of {request.dataset}"
        size, first = checks.page_size(request.page_size), checks.page_token(request.page_token, of) or 0
        rows = self._catalogue.users(request.dataset, first, size + 1)
        answer = ingest_pb2.ListUsersResponse(users=map(user_message, rows[:size]))
        if len(rows) > size:
            answer.next_page_token = checks.next_page(rows[size].number, of)
        return answer

    def DeleteDataset(  # noqa: N802
        self, request: ingest_pb2.DeleteDatasetRequest, context: grpc.ServicerContext
    ) -> empty_pb2.Empty:
        self._datasets.delete(request.dataset)
        return empty_pb2.Empty()

    def CancelDataset(  # noqa: N802
        self, request: ingest_pb2.CancelDatasetRequest, context: grpc.ServicerContext
    ) -> ingest_pb2.Dataset:
        return dataset_message(self._datasets.cancel(request.dataset))

    def WatchDataset(  # noqa: N802
        self, request: ingest_pb2.WatchDatasetRequest, context: grpc.ServicerContext
    ) -> Iterator[ingest_pb2.Dataset]:
        yield from self._watches.watch(context, lambda: self._look(request.dataset), _is_under_way)

    def ListRecords(  # noqa: N802
        self, request: ingest_pb2.ListRecordsRequest, context: grpc.ServicerContext
    ) -> ingest_pb2.ListRecordsResponse:
        of = f"records of {request.dataset}"
        size, first = checks.page_size(request.page_size), checks.page_token(request.page_token, of) or 0
        dataset = self._datasets.readable(request.dataset)
        with self._datasets.unless_deleted(dataset):
            records = [record_message(one) for one in read_records(self._store, dataset, first, size)]
        answer = ingest_pb2.ListRecordsResponse(records=records)
        if first + size < dataset.keystrokes:
            answer.next_page_token = checks.next_page(first + size, of)
        return answer

    def ReadAttempts(  # noqa: N802
        self, request: ingest_pb2.ReadAttemptsRequest, context: grpc.ServicerContext
    ) -> Iterator[attempts_pb2.RecordBatch]:
        trainable = request.selection == ingest_pb2.ReadAttemptsRequest.SELECTION_TRAINABLE
        find = self._datasets.trainable if trainable else self._datasets.readable
        dataset = find(request.dataset)
        with self._datasets.unless_deleted(dataset):
            for batch in self._store.read(dataset.id, parts_of(dataset.documents), trainable):
                yield attempts_pb2.RecordBatch(ipc=arrow.to_ipc(batch))

    def SummarizeDataset(  # noqa: N802
        self, request: ingest_pb2.SummarizeDatasetRequest, context: grpc.ServicerContext
    ) -> ingest_pb2.DatasetSummary:
        dataset = self._datasets.readable(request.dataset)
        with self._datasets.unless_deleted(dataset):
            return summary_message(dataset, summarize(self._store, dataset, request.user))

    def _look(self, dataset: str) -> ingest_pb2.Dataset:
        return dataset_message(self._catalogue.look(dataset))


def _is_under_way(dataset: ingest_pb2.Dataset) -> bool:
    return dataset.state in (ingest_pb2.Dataset.STATE_IMPORTING, ingest_pb2.Dataset.STATE_CANCELLING)
