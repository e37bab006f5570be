"""An ingest that is not there, and one that says nothing."""

from __future__ import annotations

import socket

import grpc
import pytest

from keyprint.channel import channel
from keyprint.errors import Unavailable
from keyprint.v1 import ingest_pb2, ingest_pb2_grpc
from services.training.ingest import Ingest


def test_a_mute_ingest_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute, channel(f"127.0.0.1:{mute.getsockname()[1]}") as connected:
        ingest = Ingest(ingest_pb2_grpc.IngestServiceStub(connected), answer_seconds=0.2)
        with pytest.raises(Unavailable, match="ingest service does not answer") as caught:
            ingest.about("ds_1")
    assert caught.value.reason == "SERVICE_UNAVAILABLE"


def test_an_ingest_that_stops_in_the_middle_is_given_up() -> None:
    class Stub:
        """Tells of a dataset, and streams nothing of it in time."""

        def GetDataset(self, request: ingest_pb2.GetDatasetRequest, timeout: float) -> ingest_pb2.Dataset:  # noqa: N802
            return ingest_pb2.Dataset(
                state=ingest_pb2.Dataset.STATE_READY,
                labelled=True,
                enrolled_users=2,
                fewest_trainable_attempts=9,
                most_trainable_attempts=9,
            )

        def ReadAttempts(self, request: ingest_pb2.ReadAttemptsRequest, timeout: float) -> object:  # noqa: N802
            with socket.create_server(("127.0.0.1", 0)) as mute, channel(f"127.0.0.1:{mute.getsockname()[1]}") as one:
                stream = ingest_pb2_grpc.IngestServiceStub(one).ReadAttempts(request, timeout=timeout)
                with pytest.raises(grpc.RpcError) as caught:
                    next(iter(stream))
            raise caught.value

    with pytest.raises(Unavailable):
        Ingest(Stub(), read_seconds=0.2).read("ds_1")  # type: ignore[arg-type]
