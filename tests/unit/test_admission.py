"""A server takes in what it can hold, tells the others when to try again, and answers health checks in any case."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from keyprint import admission, errors, rpc
from keyprint.channel import channel as open_channel
from keyprint.load import Count, Load
from keyprint.v1 import ingest_pb2, ingest_pb2_grpc

THREADS, WAITING, STREAMS, WATCHERS = 2, 3, 2, 16
ROOM = THREADS + WAITING

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


class Gated(ingest_pb2_grpc.IngestServiceServicer):
    """Answers when its gate is open."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.begun: queue.SimpleQueue[str] = queue.SimpleQueue()

    def GetDataset(  # noqa: N802 - gRPC's name, as all that follow
        self, request: ingest_pb2.GetDatasetRequest, context: grpc.ServicerContext
    ) -> ingest_pb2.Dataset:
        self.begun.put(request.dataset)
        self.gate.wait()
        return ingest_pb2.Dataset(id=request.dataset)

    def DeleteDataset(  # noqa: N802
        self, request: ingest_pb2.DeleteDatasetRequest, context: grpc.ServicerContext
    ) -> Any:
        raise errors.Internal("PROBED", "This method is a probe.")

    def SummarizeDataset(  # noqa: N802
        self, request: ingest_pb2.SummarizeDatasetRequest, context: grpc.ServicerContext
    ) -> ingest_pb2.DatasetSummary:
        self.begun.put(request.user)
        self.gate.wait()
        return ingest_pb2.DatasetSummary()

    def WatchDataset(  # noqa: N802
        self, request: ingest_pb2.WatchDatasetRequest, context: grpc.ServicerContext
    ) -> Iterator[ingest_pb2.Dataset]:
        yield ingest_pb2.Dataset(id=request.dataset)
        self.gate.wait()


class House:
    """A small server and its callers."""

    def __init__(self, server: rpc.Server, servicer: Gated, channel: grpc.Channel) -> None:
        self.server = server
        self.servicer = servicer
        self.ingest = ingest_pb2_grpc.IngestServiceStub(channel)
        # The stubs know no methods of this one.
        self.health = cast(Any, health_pb2_grpc.HealthStub(channel))

    def crowd(self, count: int) -> tuple[list[Any], list[Any]]:
        """So many calls at once: those refused, and those that were taken in and wait for the gate."""
        over: queue.SimpleQueue[Any] = queue.SimpleQueue()
        calls = [cast(Any, self.ingest.GetDataset).future(ingest_pb2.GetDatasetRequest()) for _ in range(count)]
        for call in calls:
            call.add_done_callback(over.put)
        refused = [over.get() for _ in range(count - ROOM)]
        return refused, [call for call in calls if call not in refused]


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    monkeypatch.setattr(rpc, "LONG_STREAMS", STREAMS)
    monkeypatch.setattr(rpc, "LARGE_THREADS", 1)
    monkeypatch.setattr(admission, "HEALTH_WATCHERS", WATCHERS)
    server = rpc.Server(
        "127.0.0.1:0",
        ingest_pb2.DESCRIPTOR,
        threads=THREADS,
        waiting=WAITING,
        probes=["/keyprint.v1.IngestService/DeleteDataset"],
        large=["/keyprint.v1.IngestService/SummarizeDataset"],
    )
    servicer = cast(Any, Gated)()
    ingest_pb2_grpc.add_IngestServiceServicer_to_server(servicer, server.grpc_server)
    server.start()
    with open_channel(f"127.0.0.1:{server.port}") as channel:
        yield House(server, servicer, channel)
        servicer.gate.set()
    server.stop(0)


def test_a_full_server_refuses_at_once_with_when_to_try_again(house: House) -> None:
    refused, taken = house.crowd(ROOM + 20)
    for call in refused:
        error = errors.from_rpc_error(call.exception())
        assert isinstance(error, errors.ResourceExhausted)
        assert (error.reason, error.retry_seconds) == ("TOO_MANY_CALLS", 1.0)
    assert not any(call.done() for call in taken)
    house.servicer.gate.set()
    assert [call.result().id for call in taken] == [""] * ROOM


def test_there_is_room_again_when_calls_have_ended_however_they_did(house: House) -> None:
    for _ in range(3):
        house.servicer.gate.clear()
        _, taken = house.crowd(ROOM + 1)
        for call in taken[::2]:
            call.cancel()
        house.servicer.gate.set()
        assert house.server.calls.held.wait(60)


def test_streams_keep_no_call_waiting_and_too_many_are_refused(house: House) -> None:
    watch, request = house.ingest.WatchDataset, ingest_pb2.WatchDatasetRequest(dataset="ds_1")
    watching = [watch(request) for _ in range(STREAMS)]
    assert [next(one).id for one in watching] == ["ds_1"] * STREAMS
    with pytest.raises(grpc.RpcError) as refused:
        next(watch(request))
    error = errors.from_rpc_error(refused.value)
    assert (error.reason, error.retry_seconds) == ("TOO_MANY_STREAMS", 1.0)
    _, taken = house.crowd(ROOM + 1)
    house.servicer.gate.set()
    assert [call.result().id for call in taken] == [""] * ROOM
    assert [list(one) for one in watching] == [[]] * STREAMS
    assert house.server.streams.held.wait(60)
    assert next(watch(request)).id == "ds_1"


def test_large_calls_are_answered_few_at_once_and_keep_no_other_waiting(house: House) -> None:
    summarize = cast(Any, house.ingest.SummarizeDataset).future
    over: queue.SimpleQueue[Any] = queue.SimpleQueue()
    calls = [summarize(ingest_pb2.SummarizeDatasetRequest(user="many")) for _ in range(1 + WAITING + 2)]
    for call in calls:
        call.add_done_callback(over.put)
    refused = [over.get() for _ in range(2)]
    for call in refused:
        error = errors.from_rpc_error(call.exception())
        assert (error.reason, error.retry_seconds) == ("TOO_MANY_CALLS", 1.0)
    assert house.servicer.begun.get() == "many"
    _, taken = house.crowd(ROOM + 1)
    # Both threads of the others are at work, and of the large ones no more than one.
    assert [house.servicer.begun.get() for _ in range(THREADS)] == [""] * THREADS
    assert house.servicer.begun.empty()
    house.servicer.gate.set()
    assert [call.result().id for call in taken] == [""] * ROOM
    assert all(call.result() is not None for call in calls if call not in refused)


def test_a_server_that_stops_answers_the_large_calls_that_it_took_in(house: House) -> None:
    summarize = cast(Any, house.ingest.SummarizeDataset).future
    calls = [summarize(ingest_pb2.SummarizeDatasetRequest(user="many")) for _ in range(1 + WAITING)]
    while house.server.large.held.value < len(calls):
        time.sleep(0.01)
    stopped = threading.Thread(target=house.server.stop, args=(60,))
    stopped.start()
    house.servicer.gate.set()
    stopped.join(60)
    assert [call.code() for call in calls] == [grpc.StatusCode.OK] * len(calls)


@pytest.mark.parametrize("seconds", [None, 0.2])
def test_a_call_that_ends_while_it_waits_is_not_answered_any_more(house: House, seconds: float | None) -> None:
    """Cancelled by its caller, or because its time was over."""
    get = cast(Any, house.ingest.GetDataset).future
    running = [get(ingest_pb2.GetDatasetRequest(dataset="running")) for _ in range(THREADS)]
    assert [house.servicer.begun.get() for _ in running] == ["running"] * THREADS
    # gRPC does not tell otherwise when a server has heard of a call, and that it has ended.
    states = house.server.grpc_server._state.rpc_states  # type: ignore[attr-defined]

    def until(calls: int) -> None:
        while len(states) != calls:
            time.sleep(0.01)

    kept = get(ingest_pb2.GetDatasetRequest(dataset="kept"))
    until(THREADS + 1)
    given_up = get(ingest_pb2.GetDatasetRequest(dataset="given up"), timeout=seconds)
    if seconds is None:
        until(THREADS + 2)
        given_up.cancel()
    with pytest.raises((grpc.RpcError, grpc.FutureCancelledError)):
        given_up.result()
    until(THREADS + 1)
    house.servicer.gate.set()
    assert kept.result().id == "kept"
    assert house.server.calls.held.wait(60)
    assert house.servicer.begun.get() == "kept"
    assert house.servicer.begun.empty()


def test_health_is_told_while_a_server_is_full(house: House) -> None:
    _, taken = house.crowd(ROOM + 1)
    assert house.health.Check(health_pb2.HealthCheckRequest()).status == SERVING
    assert next(house.health.Watch(health_pb2.HealthCheckRequest())).status == SERVING
    with pytest.raises(grpc.RpcError) as probed:
        house.ingest.DeleteDataset(ingest_pb2.DeleteDatasetRequest())
    assert errors.from_rpc_error(probed.value).reason == "PROBED"
    assert not any(call.done() for call in taken)


def test_watchers_of_health_hold_up_no_call_and_too_many_are_refused(
    house: House,
) -> None:
    house.servicer.gate.set()
    watching = [house.health.Watch(health_pb2.HealthCheckRequest()) for _ in range(WATCHERS)]
    assert [next(one).status for one in watching] == [SERVING] * WATCHERS
    with pytest.raises(grpc.RpcError) as refused:
        next(house.health.Watch(health_pb2.HealthCheckRequest()))
    assert errors.from_rpc_error(refused.value).reason == "TOO_MANY_PROBES"
    assert house.ingest.GetDataset(ingest_pb2.GetDatasetRequest(dataset="ds_1")).id == "ds_1"


def test_watchers_may_come_and_go_while_others_are_told(house: House) -> None:
    """Each change is told to every watcher; gRPC's serving thread removes those who go."""
    told = threading.Event()

    def come_and_go(_: int) -> None:
        while not told.is_set():
            watching = house.health.Watch(health_pb2.HealthCheckRequest())
            # The thread of one who went may not be back yet.
            with contextlib.suppress(grpc.RpcError):
                next(watching)
            watching.cancel()

    with ThreadPoolExecutor(8) as callers:
        coming = [callers.submit(come_and_go, number) for number in range(8)]
        for _ in range(500):
            house.server.tell(NOT_SERVING)
            house.server.tell(SERVING)
        told.set()
        for one in coming:
            one.result()
    assert house.health.Check(health_pb2.HealthCheckRequest()).status == SERVING


def test_a_server_that_drains_is_not_healthy_and_answers_those_whom_it_let_in(house: House) -> None:
    _, taken = house.crowd(ROOM + 1)
    watching = house.health.Watch(health_pb2.HealthCheckRequest())
    assert next(watching).status == SERVING
    house.server.drain(0)
    assert not house.server.ready
    assert [one.status for one in watching] == [NOT_SERVING]
    assert house.health.Check(health_pb2.HealthCheckRequest()).status == NOT_SERVING
    with pytest.raises(grpc.RpcError) as call:
        house.ingest.GetDataset(ingest_pb2.GetDatasetRequest())
    with pytest.raises(grpc.RpcError) as stream:
        next(house.ingest.WatchDataset(ingest_pb2.WatchDatasetRequest()))
    for refused in (call, stream):
        error = errors.from_rpc_error(refused.value)
        assert isinstance(error, errors.Unavailable)
        assert (error.reason, error.retry_seconds) == ("SERVICE_STOPPING", 1.0)
    assert not any(one.done() for one in taken)
    house.servicer.gate.set()
    house.server.drain(60)
    assert [one.result().id for one in taken] == [""] * ROOM


def test_a_call_that_was_let_in_and_still_waits_is_answered_before_a_server_stops(house: House) -> None:
    """No thread answers a call, and so none has an answer to send."""
    house.servicer.gate.clear()
    for _ in range(THREADS):
        assert house.server.calls.held.up()
        house.server.calls.submit(house.servicer.gate.wait)
    call = cast(Any, house.ingest.GetDataset).future(ingest_pb2.GetDatasetRequest(dataset="waits"))
    while house.server.calls.held.value != THREADS + 1:
        time.sleep(0.01)
    stopping = threading.Thread(target=house.server.stop, args=(60,))
    stopping.start()
    # It would not be long in stopping if it did not wait.
    stopping.join(0.2)
    house.servicer.gate.set()
    assert call.result().id == "waits"
    stopping.join()


def test_a_server_is_not_ready_any_more_before_it_refuses_calls(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    told, close = [], house.server._admission.close

    def watched() -> None:
        told.append((house.server.ready, house.health.Check(health_pb2.HealthCheckRequest()).status))
        close()

    with monkeypatch.context() as patch:
        patch.setattr(house.server._admission, "close", watched)
        house.server.drain(0)
    assert told == [(False, NOT_SERVING)]
    with pytest.raises(grpc.RpcError):
        house.ingest.GetDataset(ingest_pb2.GetDatasetRequest())


def test_who_watches_the_health_of_no_service_holds_up_no_server_that_drains(house: House) -> None:
    watching = house.health.Watch(health_pb2.HealthCheckRequest(service="no.such.Service"), timeout=30)
    assert next(watching).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
    # By then it waits for another status.
    house.servicer.gate.set()
    for _ in range(100):
        house.ingest.GetDataset(ingest_pb2.GetDatasetRequest())
    house.server.drain(0)
    assert list(watching) == []


def test_a_count_has_room_until_it_is_closed() -> None:
    count = Count(2)
    assert [count.up(), count.up(), count.up()] == [True, True, False]
    count.down()
    assert count.up()
    assert not count.wait(0)
    count.close()
    count.down()
    assert not count.up()
    count.down()
    assert count.wait(0)


def test_a_load_holds_a_call_until_it_ends_however_it_does(caplog: pytest.LogCaptureFixture) -> None:
    gate, answered = threading.Event(), threading.Event()
    load = Load(1, 2, "test")
    assert [load.held.up() for _ in range(4)] == [True, True, True, False]
    load.submit(gate.wait)
    load.submit(divmod, 1, 0)
    load.submit(answered.set)
    assert not load.held.wait(0)
    gate.set()
    assert load.held.wait(60)
    assert answered.is_set()
    assert "ZeroDivisionError" in caplog.text


def test_a_thread_that_cannot_be_started_leaves_the_calls_to_the_others(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    load, start, most = Load(3, 8, "scarce"), threading.Thread.start, 1

    def scarce(thread: threading.Thread) -> None:
        if sum(one.name.startswith("scarce") for one in threading.enumerate()) >= most:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", scarce)
    for _ in range(4):
        assert load.held.up()
        load.submit(time.monotonic)
    assert load.held.wait(60)
    assert "cannot be started" in caplog.text
    # There is room again: those that are missing come with the next calls.
    most, met = 3, threading.Barrier(4)
    for _ in range(3):
        assert load.held.up()
        load.submit(met.wait)
    met.wait(60)
    assert load.held.wait(60)


def test_a_load_has_the_threads_that_it_may_and_they_end_with_it() -> None:
    load, met = Load(2, 8, "meeting"), threading.Barrier(3)
    for _ in range(4):
        assert load.held.up()
        load.submit(met.wait)
    for _ in range(2):
        met.wait(60)
    assert load.held.wait(60)
    threads = [one for one in threading.enumerate() if one.name.startswith("meeting")]
    assert len(threads) == 2
    del load
    for one in threads:
        one.join(60)
        assert not one.is_alive()


def test_callers_may_ask_often_whether_the_server_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpc, "LEAST_PING_MS", 500)
    server = rpc.Server("127.0.0.1:0", ingest_pb2.DESCRIPTOR)
    servicer = cast(Any, Gated)()
    ingest_pb2_grpc.add_IngestServiceServicer_to_server(servicer, server.grpc_server)
    server.start()
    # gRPC asks no more often than this.
    often = [("grpc.keepalive_time_ms", 1000), ("grpc.http2.max_pings_without_data", 0)]
    with grpc.insecure_channel(f"127.0.0.1:{server.port}", options=often) as channel:
        watching = ingest_pb2_grpc.IngestServiceStub(channel).WatchDataset(ingest_pb2.WatchDatasetRequest())
        next(watching)
        # A server that does not allow it hangs up at the third.
        time.sleep(3.5)
        servicer.gate.set()
        assert list(watching) == []
    server.stop(0)
