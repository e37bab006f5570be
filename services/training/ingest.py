"""The ingest service, as training sees it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import grpc
import pyarrow as pa

from keyprint import arrow
from keyprint.errors import DeadlineExceeded, Unavailable, from_rpc_error
from keyprint.v1 import ingest_pb2, ingest_pb2_grpc
from services.training import dataset
from services.training.dataset import About, Trainable

ANSWER_SECONDS = 10.0
"""Longest wait for what a dataset is; a mute ingest would hold a thread for each caller."""

READ_SECONDS = 600.0
"""Longest reading of a dataset's attempts."""


class Ingest:
    """Datasets by id; every call may raise NotFound, or Unavailable when ingest does not answer in time."""

    def __init__(
        self,
        stub: ingest_pb2_grpc.IngestServiceStub,
        answer_seconds: float = ANSWER_SECONDS,
        read_seconds: float = READ_SECONDS,
    ) -> None:
        self._stub = stub
        self._answer_seconds = answer_seconds
        self._read_seconds = read_seconds

    def about(self, dataset_id: str) -> About:
        """What there is to know of a dataset before it is read."""
        with _answering():
            found = self._stub.GetDataset(
                ingest_pb2.GetDatasetRequest(dataset=dataset_id), timeout=self._answer_seconds
            )
        return About(
            id=found.id,
            state=ingest_pb2.Dataset.State.Name(found.state).removeprefix("STATE_"),
            labelled=found.labelled,
            phrase=found.phrase,
            fingerprint=found.fingerprint,
            release_times=found.release_times,
            min_attempts=found.min_attempts,
            users=found.enrolled_users,
            fewest_attempts=found.fewest_trainable_attempts,
            most_attempts=found.most_trainable_attempts,
        )

    def read(self, dataset_id: str) -> Trainable:
        """The trainable attempts of a dataset.

        Raises:
            FailedPrecondition: it cannot be trained on, or changed while it was read.
        """
        about = self.about(dataset_id)
        dataset.check(about)
        request = ingest_pb2.ReadAttemptsRequest(
            dataset=dataset_id, selection=ingest_pb2.ReadAttemptsRequest.SELECTION_TRAINABLE
        )
        with _answering():
            stream = self._stub.ReadAttempts(request, timeout=self._read_seconds)
            table = pa.Table.from_batches([arrow.from_ipc(batch.ipc) for batch in stream])
        if self.about(dataset_id).fingerprint != about.fingerprint:
            raise dataset.changed()
        return dataset.from_table(about, table)


@contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except grpc.RpcError as caught:
        error = from_rpc_error(caught)
        if isinstance(error, Unavailable | DeadlineExceeded):
            error = Unavailable("SERVICE_UNAVAILABLE", "The ingest service does not answer; is it running?")
        raise error from None
