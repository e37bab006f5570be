"""IngestService: messages in, messages out."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
from google.protobuf import empty_pb2

from keyprint import arrow, checks
from keyprint.errors import FailedPrecondition, InvalidArgument, NotFound
from keyprint.rpc import WatchSlots
from keyprint.v1 import attempts_pb2, ingest_pb2, ingest_pb2_grpc
from keyprint.workflows import WorkQueue
from services.ingest.catalogue import READABLE, UNDER_WAY, Catalogue, Dataset
from services.ingest.messages import dataset_message, record_message, summary_message
from services.ingest.records import read_records
from services.ingest.store import Store, parts_of
from services.ingest.summary import summarize
from services.ingest.upload import Uploads
from services.ingest.urls import check_url, without_credentials

MOST_MIN_ATTEMPTS, USUAL_MIN_ATTEMPTS = 100_000, 20


class IngestServicer(ingest_pb2_grpc.IngestServiceServicer):
    """Answers from the catalogue and the store; imports run in the queue."""

    def __init__(self, catalogue: Catalogue, store: Store, uploads: Uploads, queue: WorkQueue) -> None:
        self._catalogue = catalogue
        self._store = store
        self._uploads = uploads
        self._queue = queue
        self._slots = WatchSlots()

    def CreateDataset(  # noqa: N802 - gRPC's name, as are all that follow
        self, request: ingest_pb2.CreateDatasetRequest, context: grpc.ServicerContext
    ) -> ingest_pb2.Dataset:
        url = check_url(request.url)
        phrase = checks.phrase(request.phrase)
        min_attempts = _min_attempts(request.min_attempts or USUAL_MIN_ATTEMPTS)
        dataset, start = self._catalogue.open_import(
            url, without_credentials(url), phrase, min_attempts, request.refresh
        )
        if start:
            self._queue.put(dataset.id, dataset.runs)
        return dataset_message(dataset)

    def UploadDataset(  # noqa: N802
        self, request_iterator: Iterator[ingest_pb2.UploadDatasetRequest], context: grpc.ServicerContext
    ) -> ingest_pb2.Dataset:
        header = next(request_iterator, ingest_pb2.UploadDatasetRequest())
        if header.WhichOneof("part") != "header":
            raise InvalidArgument("HEADER_MISSING", "An upload must begin with its header.", "header")
        wanted = header.header
        min_attempts = _min_attempts(wanted.min_attempts or USUAL_MIN_ATTEMPTS)
        base = self._readable(wanted.base_dataset, "base_dataset") if wanted.base_dataset else None
        phrase = checks.phrase(wanted.phrase or (base.phrase if base else ""))
        pieces = (_piece(message) for message in request_iterator)
        dataset, start = self._uploads.receive(pieces, phrase, min_attempts, base)
        if start:
            self._queue.put(dataset.id, dataset.runs)
        return dataset_message(dataset)

    def GetDataset(  # noqa: N802
        self, request: ingest_pb2.GetDatasetRequest, context: grpc.ServicerContext
    ) -> ingest_pb2.Dataset:
        return dataset_message(self._catalogue.get(request.dataset))

    def ListDatasets(  # noqa: N802
        self, request: ingest_pb2.ListDatasetsRequest, context: grpc.ServicerContext
    ) -> ingest_pb2.ListDatasetsResponse:
        size, before = checks.page_size(request.page_size), checks.page_token(request.page_token)
        rows = self._catalogue.page(before, size + 1)
        answer = ingest_pb2.ListDatasetsResponse(datasets=[dataset_message(row, False) for row in rows[:size]])
        if len(rows) > size:
            answer.next_page_token = str(rows[size - 1].number)
        return answer

    def DeleteDataset(  # noqa: N802
        self, request: ingest_pb2.DeleteDatasetRequest, context: grpc.ServicerContext
    ) -> empty_pb2.Empty:
        found = self._catalogue.get(request.dataset)
        if found.state in UNDER_WAY:
            raise FailedPrecondition(
                "DATASET_NOT_READY", "The dataset is still being imported; cancel that first.", "dataset"
            )
        # Its id may be that of a refresh that found nothing new.
        for url in self._catalogue.delete(found):
            self._store.forget(url)
        self._store.delete(found.id)
        return empty_pb2.Empty()

    def CancelDataset(  # noqa: N802
        self, request: ingest_pb2.CancelDatasetRequest, context: grpc.ServicerContext
    ) -> ingest_pb2.Dataset:
        self._catalogue.ask_to_cancel(request.dataset)
        return dataset_message(self._catalogue.get(request.dataset))

    def WatchDataset(  # noqa: N802
        self, request: ingest_pb2.WatchDatasetRequest, context: grpc.ServicerContext
    ) -> Iterator[ingest_pb2.Dataset]:
        yield from self._slots.watch(context, lambda: self._look(request.dataset), _is_under_way)

    def ListRecords(  # noqa: N802
        self, request: ingest_pb2.ListRecordsRequest, context: grpc.ServicerContext
    ) -> ingest_pb2.ListRecordsResponse:
        size, first = checks.page_size(request.page_size), checks.page_token(request.page_token) or 0
        dataset = self._readable(request.dataset)
        records = [record_message(one) for one in read_records(self._store, dataset, first, size)]
        answer = ingest_pb2.ListRecordsResponse(records=records)
        if first + size < sum(document.keystrokes for document in dataset.documents):
            answer.next_page_token = str(first + size)
        return answer

    def ReadAttempts(  # noqa: N802
        self, request: ingest_pb2.ReadAttemptsRequest, context: grpc.ServicerContext
    ) -> Iterator[attempts_pb2.RecordBatch]:
        dataset = self._readable(request.dataset)
        trainable = request.selection == ingest_pb2.ReadAttemptsRequest.SELECTION_TRAINABLE
        if trainable and dataset.documents[0].user is None:
            raise FailedPrecondition(
                "DATASET_UNLABELLED", "The dataset does not say who typed, so nothing can be trained on it.", "dataset"
            )
        for batch in self._store.read(dataset.id, parts_of(dataset.documents), trainable):
            yield attempts_pb2.RecordBatch(ipc=arrow.to_ipc(batch))

    def SummarizeDataset(  # noqa: N802
        self, request: ingest_pb2.SummarizeDatasetRequest, context: grpc.ServicerContext
    ) -> ingest_pb2.DatasetSummary:
        dataset = self._readable(request.dataset)
        return summary_message(dataset, summarize(self._store, dataset))

    def _look(self, dataset: str) -> ingest_pb2.Dataset:
        return dataset_message(self._catalogue.get(dataset))

    def _readable(self, dataset: str, field: str = "dataset") -> Dataset:
        try:
            found = self._catalogue.get(dataset)
        except NotFound as error:
            raise NotFound(error.reason, error.message, field) from None
        if found.state not in READABLE:
            raise FailedPrecondition(
                "DATASET_NOT_READY", f"The dataset is {found.state}; it must be READY or INCOMPLETE.", field
            )
        return found


def _piece(message: ingest_pb2.UploadDatasetRequest) -> tuple[str, bytes]:
    if message.WhichOneof("part") != "piece":
        raise InvalidArgument("HEADER_MISSING", "An upload has one header, and pieces of documents after it.", "header")
    return message.piece.name, message.piece.content


def _min_attempts(count: int) -> int:
    if count > MOST_MIN_ATTEMPTS:
        raise InvalidArgument(
            "MIN_ATTEMPTS_INVALID",
            f"min_attempts must be 1 to {MOST_MIN_ATTEMPTS:,}, not {count:,}.",
            "min_attempts",
        )
    return count


def _is_under_way(dataset: ingest_pb2.Dataset) -> bool:
    return dataset.state in (ingest_pb2.Dataset.STATE_IMPORTING, ingest_pb2.Dataset.STATE_CANCELLING)
