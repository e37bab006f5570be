"""A typed client of Keyprint's services; of what is installed it needs grpcio and protobuf alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import grpc

from keyprint import errors
from keyprint.v1 import ingest_pb2, ingest_pb2_grpc

_OPTIONS = [("grpc.max_receive_message_length", 16 * 2**20)]


@contextmanager
def _told() -> Iterator[None]:
    """Turns a refused call into the error that the service raised."""
    try:
        yield
    except grpc.RpcError as error:
        raise errors.from_rpc_error(error) from None


class IngestClient:
    """The ingest service.  Every method raises the `keyprint.errors` that the service does, and Unavailable."""

    def __init__(self, address: str = "127.0.0.1:50051") -> None:
        self._channel = grpc.insecure_channel(address, options=_OPTIONS)
        self._stub = ingest_pb2_grpc.IngestServiceStub(self._channel)

    def __enter__(self) -> IngestClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def create_dataset(self, url: str, phrase: str = "", min_attempts: int = 0) -> ingest_pb2.Dataset:
        """Starts an import, or finds the one of the same source."""
        with _told():
            return self._stub.CreateDataset(
                ingest_pb2.CreateDatasetRequest(url=url, phrase=phrase, min_attempts=min_attempts)
            )

    def get_dataset(self, dataset: str) -> ingest_pb2.Dataset:
        """One dataset as it stands."""
        with _told():
            return self._stub.GetDataset(ingest_pb2.GetDatasetRequest(dataset=dataset))

    def list_datasets(self) -> Iterator[ingest_pb2.Dataset]:
        """All datasets, newest first."""
        token, more = "", True
        while more:
            with _told():
                page = self._stub.ListDatasets(ingest_pb2.ListDatasetsRequest(page_token=token))
            yield from page.datasets
            token = page.next_page_token
            more = bool(token)

    def watch_dataset(self, dataset: str) -> Iterator[ingest_pb2.Dataset]:
        """The dataset now, and again whenever it changes, until its import has ended."""
        with _told():
            yield from self._stub.WatchDataset(ingest_pb2.WatchDatasetRequest(dataset=dataset))

    def cancel_dataset(self, dataset: str) -> ingest_pb2.Dataset:
        """Stops an import."""
        with _told():
            return self._stub.CancelDataset(ingest_pb2.CancelDatasetRequest(dataset=dataset))

    def delete_dataset(self, dataset: str) -> None:
        """Deletes a dataset."""
        with _told():
            self._stub.DeleteDataset(ingest_pb2.DeleteDatasetRequest(dataset=dataset))

    def list_records(self, dataset: str, first_n: int) -> list[ingest_pb2.Record]:
        """The first rows of the keystroke table, at most 1000."""
        with _told():
            request = ingest_pb2.ListRecordsRequest(dataset=dataset, page_size=first_n)
            return list(self._stub.ListRecords(request).records)
