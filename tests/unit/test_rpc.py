"""Errors, health and shutdown, over a real server on loopback."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from typing import Any, cast

import grpc
import pytest
from google.protobuf import empty_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc

from keyprint import errors, rpc
from keyprint.channel import MESSAGE_BYTES
from keyprint.channel import channel as open_channel
from keyprint.v1 import ingest_pb2, ingest_pb2_grpc

SERVICE = "keyprint.v1.IngestService"


class Ingest(ingest_pb2_grpc.IngestServiceServicer):
    """Answers in every way in which a call can end."""

    def GetDataset(  # noqa: N802 - gRPC's name
        self, request: ingest_pb2.GetDatasetRequest, context: grpc.ServicerContext
    ) -> ingest_pb2.Dataset:
        if request.dataset == "missing":
            raise errors.NotFound("DATASET_NOT_FOUND", "There is no dataset 'missing'.", "dataset")
        if len(request.dataset) > 1000:
            raise errors.NotFound("DATASET_NOT_FOUND", f"There is no dataset {request.dataset}.", "dataset")
        if request.dataset == "broken":
            raise ZeroDivisionError("a secret of ours")
        if request.dataset == "full":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/a/path/of/ours")
        if request.dataset == "away":
            raise LookupError("a secret of ours")
        if request.dataset == "field":
            raise errors.InvalidArgument("PARAMETER_INVALID", "There is no such parameter.", "params." + "ü" * 10_000)
        return ingest_pb2.Dataset(id=request.dataset)

    def WatchDataset(  # noqa: N802 - gRPC's name
        self, request: ingest_pb2.WatchDatasetRequest, context: grpc.ServicerContext
    ) -> Iterator[ingest_pb2.Dataset]:
        if request.dataset == "much":
            yield ingest_pb2.Dataset(id="x" * MESSAGE_BYTES)
        yield ingest_pb2.Dataset(id=request.dataset)
        raise errors.FailedPrecondition("GONE", "It was deleted.", "dataset")

    def DeleteDataset(  # noqa: N802 - gRPC's name
        self, request: ingest_pb2.DeleteDatasetRequest, context: grpc.ServicerContext
    ) -> empty_pb2.Empty:
        context.abort(grpc.StatusCode.DATA_LOSS, "as the handler said")


def explain(error: Exception) -> errors.KeyprintError | None:
    return errors.Unavailable("AWAY", "It is away.") if isinstance(error, LookupError) else None


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = rpc.Server("127.0.0.1:0", ingest_pb2.DESCRIPTOR, explains=[explain])
    # The stubs call every method abstract; those left out answer UNIMPLEMENTED.
    servicer = cast(Any, Ingest)()
    ingest_pb2_grpc.add_IngestServiceServicer_to_server(servicer, server.grpc_server)
    server.start()
    yield f"127.0.0.1:{server.port}"
    server.stop(0)


@pytest.fixture(scope="module")
def channel(address: str) -> Iterator[grpc.Channel]:
    with open_channel(address) as opened:
        yield opened


@pytest.fixture
def ingest(channel: grpc.Channel) -> ingest_pb2_grpc.IngestServiceStub:
    return ingest_pb2_grpc.IngestServiceStub(channel)


def refusal(stub: ingest_pb2_grpc.IngestServiceStub, dataset: str) -> errors.KeyprintError:
    with pytest.raises(grpc.RpcError) as caught:
        stub.GetDataset(ingest_pb2.GetDatasetRequest(dataset=dataset))
    return errors.from_rpc_error(caught.value)


@pytest.mark.parametrize(
    ("dataset", "kind", "reason"),
    [("full", errors.ResourceExhausted, "DISK_FULL"), ("away", errors.Unavailable, "AWAY")],
)
def test_what_a_service_stands_on_is_told_of_without_its_secrets(
    ingest: ingest_pb2_grpc.IngestServiceStub, dataset: str, kind: type[errors.KeyprintError], reason: str
) -> None:
    error = refusal(ingest, dataset)
    assert (type(error), error.reason) == (kind, reason)
    assert "ours" not in error.message


def test_a_field_that_a_caller_named_at_length_arrives_shortened(ingest: ingest_pb2_grpc.IngestServiceStub) -> None:
    error = refusal(ingest, "field")
    assert (type(error), error.reason) == (errors.InvalidArgument, "PARAMETER_INVALID")
    assert error.field.startswith("params.üü")
    assert len(error.field.encode()) < 300


def test_an_answer_passes_through(ingest: ingest_pb2_grpc.IngestServiceStub) -> None:
    assert ingest.GetDataset(ingest_pb2.GetDatasetRequest(dataset="ds_1")).id == "ds_1"


def test_a_domain_error_arrives_with_class_reason_field_and_sentence(
    ingest: ingest_pb2_grpc.IngestServiceStub,
) -> None:
    error = refusal(ingest, "missing")
    assert isinstance(error, errors.NotFound)
    assert (error.reason, error.field) == ("DATASET_NOT_FOUND", "dataset")
    assert error.message == "There is no dataset 'missing'."


@pytest.mark.parametrize("letter", ["x", "é", "語", "🔑"])
def test_a_message_that_repeats_much_of_a_request_arrives_shortened(
    ingest: ingest_pb2_grpc.IngestServiceStub, letter: str
) -> None:
    error = refusal(ingest, letter * 100_000)
    assert (type(error), error.reason, error.field) == (errors.NotFound, "DATASET_NOT_FOUND", "dataset")
    assert error.message.startswith(f"There is no dataset {letter}")
    assert error.message.endswith(f"{letter}…")


@pytest.mark.parametrize("knows_the_limit", [True, False])
def test_a_message_over_the_limit_is_refused_with_the_limit_named(
    ingest: ingest_pb2_grpc.IngestServiceStub, address: str, knows_the_limit: bool
) -> None:
    error = refusal(ingest, "x" * MESSAGE_BYTES) if knows_the_limit else refusal_of_a_stranger(address)
    assert (type(error), error.reason) == (errors.TooLarge, "MESSAGE_TOO_LARGE")
    assert error.message == "The request has 16,777,221 bytes and may have 16,777,216; send less at once."


def refusal_of_a_stranger(address: str) -> errors.KeyprintError:
    """Theirs is a channel without options, and gRPC's own words name the limit too."""
    request = ingest_pb2.GetDatasetRequest(dataset="x" * MESSAGE_BYTES)
    with grpc.insecure_channel(address) as channel:
        stub = ingest_pb2_grpc.IngestServiceStub(channel)
        with pytest.raises(grpc.RpcError, match=r"vs\. 16777216") as caught:
            stub.GetDataset(request)
    return errors.from_rpc_error(caught.value)


@pytest.mark.parametrize("content", [b"\x0a\x05ds", b"\x0a\x01\xff", b"\xff"])
@pytest.mark.parametrize("method", ["GetDataset", "WatchDataset"])
def test_a_request_that_cannot_be_decoded_is_refused_with_a_reason(
    channel: grpc.Channel, method: str, content: bytes
) -> None:
    """It is cut off, a text is no UTF-8, or it is nothing at all."""
    kind = channel.unary_unary if method == "GetDataset" else channel.unary_stream
    call = cast(Any, kind)(f"/{SERVICE}/{method}")
    with pytest.raises(grpc.RpcError) as caught:
        list(call(content))
    error = errors.from_rpc_error(caught.value)
    assert (type(error), error.reason) == (errors.InvalidArgument, "REQUEST_INVALID")
    assert error.message.startswith("The request cannot be decoded")


def test_an_answer_over_the_limit_is_refused_likewise(ingest: ingest_pb2_grpc.IngestServiceStub) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        next(ingest.WatchDataset(ingest_pb2.WatchDatasetRequest(dataset="much")))
    error = errors.from_rpc_error(caught.value)
    assert isinstance(error, errors.TooLarge)
    assert error.message == "The answer has 16,777,221 bytes and may have 16,777,216; ask for less at once."


def test_an_unforeseen_error_tells_a_stranger_nothing(ingest: ingest_pb2_grpc.IngestServiceStub) -> None:
    error = refusal(ingest, "broken")
    assert isinstance(error, errors.Internal)
    assert "secret" not in error.message


def test_an_error_in_a_stream_comes_after_what_was_sent(ingest: ingest_pb2_grpc.IngestServiceStub) -> None:
    stream = ingest.WatchDataset(ingest_pb2.WatchDatasetRequest(dataset="ds_1"))
    assert next(stream).id == "ds_1"
    with pytest.raises(grpc.RpcError) as caught:
        next(stream)
    assert errors.from_rpc_error(caught.value).reason == "GONE"


def test_a_status_that_a_handler_set_itself_stays(ingest: ingest_pb2_grpc.IngestServiceStub) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        ingest.DeleteDataset(ingest_pb2.DeleteDatasetRequest(dataset="ds_1"))
    assert caught.value.code() is grpc.StatusCode.DATA_LOSS


def test_a_service_that_does_not_answer_is_unavailable() -> None:
    with open_channel("127.0.0.1:1") as nowhere, pytest.raises(grpc.RpcError) as caught:
        ingest_pb2_grpc.IngestServiceStub(nowhere).GetDataset(ingest_pb2.GetDatasetRequest(), timeout=5)
    assert errors.from_rpc_error(caught.value).reason == "SERVICE_UNAVAILABLE"


@pytest.mark.parametrize("service", ["", SERVICE])
def test_a_started_server_is_healthy(channel: grpc.Channel, service: str) -> None:
    answer = cast(Any, health_pb2_grpc.HealthStub(channel)).Check(health_pb2.HealthCheckRequest(service=service))
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


class Caller:
    """A context of a call whose caller stays."""

    def is_active(self) -> bool:
        return True


def test_a_watch_tells_changes_only() -> None:
    looks = iter([1, 1, 2, 2, 3])
    watches = rpc.Watches(threading.Event())
    assert list(watches.watch(cast(Any, Caller()), lambda: next(looks), lambda state: state != 3)) == [1, 2, 3]


def test_a_watch_ends_with_the_server_and_says_so() -> None:
    stopping = threading.Event()
    watch = rpc.Watches(stopping).watch(cast(Any, Caller()), lambda: 1, lambda state: True)
    assert next(watch) == 1
    stopping.set()
    with pytest.raises(errors.Unavailable) as ended:
        next(watch)
    assert (ended.value.reason, ended.value.retry_seconds) == ("SERVICE_STOPPING", 1.0)


@pytest.mark.parametrize("kind", errors.KeyprintError.__subclasses__())
def test_every_error_has_a_status_on_both_surfaces(kind: type[errors.KeyprintError]) -> None:
    status = errors.status_of(kind("REASON", "A sentence."))
    assert status.http.value >= 400
    assert status.grpc is not grpc.StatusCode.OK


def test_a_port_is_one_servers_unless_it_is_shared() -> None:
    first = rpc.Server("127.0.0.1:0")
    with pytest.raises(errors.FailedPrecondition, match="which is taken"):
        rpc.Server(f"127.0.0.1:{first.port}")
    shared = rpc.Server("127.0.0.1:0", shares_port=True)
    assert rpc.Server(f"127.0.0.1:{shared.port}", shares_port=True).port == shared.port
