"""Work stops when nobody waits for it any more."""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import grpc
import pytest

from inference import open_inference_grpc_pb2 as protocol
from keyprint import arrow, rpc
from keyprint.channel import channel as open_channel
from keyprint.errors import Cancelled, NotFound, Unavailable, from_rpc_error
from keyprint.v1 import attempts_pb2, inference_pb2, inference_pb2_grpc, ingest_pb2, ingest_pb2_grpc
from services.inference import tensors
from services.inference.engine import Engine
from services.inference.ingest import Ingest
from services.inference.oip import OpenInferenceServicer
from services.inference.onemodel import OneModel
from services.inference.servicer import InferenceServicer
from tests.unit.inference.conftest import PHRASE, batch, keystrokes, message, write_package


class Gone:
    """A context of a call whose caller is gone."""

    def is_active(self) -> bool:
        return False


class Here:
    """A context of a call whose caller waits."""

    def is_active(self) -> bool:
        return True


GONE, HERE = cast(Any, Gone()), cast(Any, Here())
TYPED = message(keystrokes(200))
SYNTHETIC_ALONE = [inference_pb2.FLAG_SYNTHETIC_SUSPECTED]
"""The flags of that, being even, if it was not there before."""


@pytest.fixture
def models(tmp_path: Path) -> OneModel:
    return OneModel(Engine("ada@1", write_package(tmp_path / "made")))


@pytest.fixture
def servicer(models: OneModel) -> InferenceServicer:
    return InferenceServicer(models, cast(Any, None))


def test_an_attempt_is_not_looked_at_for_a_caller_who_is_gone_and_may_come_again(servicer: InferenceServicer) -> None:
    identify = inference_pb2.IdentifyRequest(model="ada", attempt=TYPED)
    verify = inference_pb2.VerifyRequest(model="ada", user="bob", attempt=TYPED)
    many = inference_pb2.BatchIdentifyRequest(
        model="ada", length=[len(PHRASE)], character=TYPED.character, pressed_at=TYPED.pressed_at
    )
    with pytest.raises(Cancelled):
        servicer.Identify(identify, GONE)
    with pytest.raises(Cancelled):
        servicer.Verify(verify, GONE)
    with pytest.raises(Cancelled):
        servicer.BatchIdentify(many, GONE)
    assert servicer.Identify(identify, HERE).flags == SYNTHETIC_ALONE


def test_tensors_are_not_looked_at_for_a_caller_who_is_gone(models: OneModel) -> None:
    request = protocol.ModelInferRequest(model_name="ada")
    for tensor, contents in (
        (tensors.CHARACTER, protocol.InferTensorContents(bytes_contents=[key.encode() for key in PHRASE])),
        (tensors.PRESSED_AT, protocol.InferTensorContents(int64_contents=TYPED.pressed_at)),
    ):
        request.inputs.add(name=tensor.name, datatype=tensor.datatype, shape=[1, len(PHRASE)], contents=contents)
    servicer = OpenInferenceServicer(models, lambda: True)
    assert servicer.ModelInfer(request, HERE).outputs[0].contents.bytes_contents == [b"bob"]
    with pytest.raises(Cancelled):
        servicer.ModelInfer(request, GONE)


def test_a_claim_to_be_nobody_does_not_make_the_next_one_a_replay(servicer: InferenceServicer) -> None:
    with pytest.raises(NotFound, match="does not know 'bop'"):
        servicer.Verify(inference_pb2.VerifyRequest(model="ada", user="bop", attempt=TYPED), HERE)
    claim = inference_pb2.VerifyRequest(model="ada", user="bob", attempt=TYPED)
    assert servicer.Verify(claim, HERE).flags == SYNTHETIC_ALONE


class Endless(ingest_pb2_grpc.IngestServiceServicer):
    """Has one dataset, which never ends, and knows when it is asked and when nobody asks it any more.

    There is always more of it, or from some step on nothing more comes: its description is one, each batch the next.
    """

    def __init__(self, steps: float = math.inf) -> None:
        self.steps = steps
        self.asked = threading.Event()
        self.left = threading.Event()

    def GetDataset(  # noqa: N802 - gRPC's name, as the next
        self, request: ingest_pb2.GetDatasetRequest, context: grpc.ServicerContext
    ) -> ingest_pb2.Dataset:
        if not self.steps:
            self._wait(context)
        return ingest_pb2.Dataset(state=ingest_pb2.Dataset.STATE_READY, phrase=PHRASE)

    def ReadAttempts(  # noqa: N802
        self, request: ingest_pb2.ReadAttemptsRequest, context: grpc.ServicerContext
    ) -> Iterator[attempts_pb2.RecordBatch]:
        context.add_callback(self.left.set)
        for step in itertools.count(1):
            if step >= self.steps:
                self._wait(context)
            yield attempts_pb2.RecordBatch(ipc=arrow.to_ipc(batch(keystrokes(80), first=step - 1)))

    def _wait(self, context: grpc.ServicerContext) -> None:
        context.add_callback(self.left.set)
        self.asked.set()
        self.left.wait()


@contextmanager
def house_of(
    models: OneModel, endless: Endless, **waits: float
) -> Iterator[tuple[inference_pb2_grpc.InferenceServiceStub, rpc.Server, rpc.Server]]:
    """Callers of an inference service, it, and the ingest service behind it."""
    ingest = rpc.Server("127.0.0.1:0", ingest_pb2.DESCRIPTOR)
    ingest_pb2_grpc.add_IngestServiceServicer_to_server(endless, ingest.grpc_server)
    ingest.start()
    inference = rpc.Server("127.0.0.1:0", inference_pb2.DESCRIPTOR)
    with (
        open_channel(f"127.0.0.1:{ingest.port}") as behind,
        open_channel(f"127.0.0.1:{inference.port}") as channel,
    ):
        servicer = InferenceServicer(models, Ingest(ingest_pb2_grpc.IngestServiceStub(behind), **waits))
        inference_pb2_grpc.add_InferenceServiceServicer_to_server(servicer, inference.grpc_server)
        inference.start()
        yield inference_pb2_grpc.InferenceServiceStub(channel), inference, ingest
    inference.stop(0)
    ingest.stop(0)


WHOLE = inference_pb2.PredictDatasetRequest(model="ada", dataset="ds_1")


@pytest.mark.parametrize("steps", [2, math.inf])
@pytest.mark.parametrize("seconds", [None, 1.0])
def test_a_dataset_is_read_and_predicted_no_further_when_its_reader_stops(
    models: OneModel, seconds: float | None, steps: float
) -> None:
    """Because they cancel, or because their time is over."""
    # The stubs call every method abstract; those left out answer UNIMPLEMENTED.
    endless = cast(Any, Endless)(steps)
    with house_of(models, endless) as (stub, inference, ingest):
        stream = stub.PredictDataset(WHOLE, timeout=seconds)
        assert next(stream).ipc
        if seconds is None:
            stream.cancel()
        with pytest.raises(grpc.RpcError):
            list(stream)
        assert endless.left.wait(60)
        assert inference.streams.held.wait(60)
        assert ingest.streams.held.wait(60)


@pytest.mark.parametrize("steps", [0, 1])
def test_a_reader_who_stops_while_ingest_says_nothing_keeps_no_place(models: OneModel, steps: int) -> None:
    endless = cast(Any, Endless)(steps)
    with house_of(models, endless, answer_seconds=1000, batch_seconds=1000) as (stub, inference, _):
        stream = stub.PredictDataset(WHOLE)
        assert endless.asked.wait(60)
        stream.cancel()
        assert endless.left.wait(60)
        assert inference.streams.held.wait(60)


@pytest.mark.parametrize("steps", [0, 1, 2, 3])
def test_an_ingest_that_says_nothing_is_named_and_keeps_no_place(models: OneModel, steps: int) -> None:
    endless = cast(Any, Endless)(steps)
    with house_of(models, endless, answer_seconds=1 if steps == 0 else 60, batch_seconds=1) as (stub, inference, _):
        stream = stub.PredictDataset(WHOLE)
        for _ in range(1, steps):
            assert next(stream).ipc
        with pytest.raises(grpc.RpcError) as caught:
            next(stream)
        error = from_rpc_error(caught.value)
        assert isinstance(error, Unavailable)
        assert error.message == "Keyprint's ingest service does not answer in time; try again later."
        assert endless.left.wait(60)
        assert inference.streams.held.wait(60)


def test_a_dataset_is_not_asked_for_by_a_caller_who_is_gone() -> None:
    with open_channel("127.0.0.1:1") as nowhere:
        ingest = Ingest(ingest_pb2_grpc.IngestServiceStub(nowhere))
        with pytest.raises(Cancelled):
            ingest.about("ds_1", lambda hang_up: False)
        with pytest.raises(Cancelled):
            next(ingest.read("ds_1", lambda hang_up: False))
