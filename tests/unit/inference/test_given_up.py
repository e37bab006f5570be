"""Work stops when nobody waits for it any more."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import grpc
import pytest

from keyprint import arrow, rpc
from keyprint.channel import channel as open_channel
from keyprint.v1 import attempts_pb2, inference_pb2, inference_pb2_grpc, ingest_pb2, ingest_pb2_grpc
from services.inference.engine import Engine
from services.inference.onemodel import OneModel
from services.inference.servicer import InferenceServicer
from tests.unit.inference.conftest import PHRASE, batch, keystrokes, write_package


class Endless(ingest_pb2_grpc.IngestServiceServicer):
    """Has one dataset, which never ends, and knows when nobody reads it any more."""

    def __init__(self) -> None:
        self.left = threading.Event()

    def GetDataset(  # noqa: N802 - gRPC's name, as the next
        self, request: ingest_pb2.GetDatasetRequest, context: grpc.ServicerContext
    ) -> ingest_pb2.Dataset:
        return ingest_pb2.Dataset(state=ingest_pb2.Dataset.STATE_READY, phrase=PHRASE)

    def ReadAttempts(  # noqa: N802
        self, request: ingest_pb2.ReadAttemptsRequest, context: grpc.ServicerContext
    ) -> Iterator[attempts_pb2.RecordBatch]:
        context.add_callback(self.left.set)
        for first in itertools.count():
            yield attempts_pb2.RecordBatch(ipc=arrow.to_ipc(batch(keystrokes(80), first=first)))


@pytest.mark.parametrize("seconds", [None, 1.0])
def test_a_dataset_is_read_and_predicted_no_further_when_its_reader_stops(
    tmp_path: Path, seconds: float | None
) -> None:
    """Because they cancel, or because their time is over."""
    # The stubs call every method abstract; those left out answer UNIMPLEMENTED.
    endless = cast(Any, Endless)()
    ingest = rpc.Server("127.0.0.1:0", ingest_pb2.DESCRIPTOR)
    ingest_pb2_grpc.add_IngestServiceServicer_to_server(endless, ingest.grpc_server)
    ingest.start()
    inference = rpc.Server("127.0.0.1:0", inference_pb2.DESCRIPTOR)
    models = OneModel(Engine("ada@1", write_package(tmp_path / "made")))
    with (
        open_channel(f"127.0.0.1:{ingest.port}") as behind,
        open_channel(f"127.0.0.1:{inference.port}") as channel,
    ):
        servicer = InferenceServicer(models, ingest_pb2_grpc.IngestServiceStub(behind))
        inference_pb2_grpc.add_InferenceServiceServicer_to_server(servicer, inference.grpc_server)
        inference.start()
        request = inference_pb2.PredictDatasetRequest(model="ada", dataset="ds_1")
        stream = inference_pb2_grpc.InferenceServiceStub(channel).PredictDataset(request, timeout=seconds)
        assert next(stream).ipc
        if seconds is None:
            stream.cancel()
        with pytest.raises(grpc.RpcError):
            list(stream)
        assert endless.left.wait(60)
        assert inference.streams.held.wait(60)
        assert ingest.streams.held.wait(60)
    inference.stop(0)
    ingest.stop(0)
