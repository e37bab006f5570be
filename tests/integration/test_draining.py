"""A process that is told to stop answers what it has let in, and tells everybody else that it stops."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from keyprint.channel import channel as open_channel
from keyprint.errors import from_rpc_error
from keyprint.v1 import ingest_pb2, ingest_pb2_grpc

CALLERS = 40
SERVED = """
    import sys, time

    from keyprint import rpc
    from keyprint.v1 import ingest_pb2, ingest_pb2_grpc

    begun = open(sys.argv[1], "w", buffering=1)

    class Slow(ingest_pb2_grpc.IngestServiceServicer):
        def GetDataset(self, request, context):
            begun.write(request.dataset + chr(10))
            time.sleep(0.05)
            return ingest_pb2.Dataset(id=request.dataset)

        def WatchDataset(self, request, context):
            yield from server.watches.watch(context, lambda: ingest_pb2.Dataset(id=request.dataset), lambda _: True)

    server = rpc.Server("127.0.0.1:0", ingest_pb2.DESCRIPTOR)
    ingest_pb2_grpc.add_IngestServiceServicer_to_server(Slow(), server.grpc_server)
    print(server.port, flush=True)
    server.run(60)
"""
"""More callers than threads, so that some wait; `begun` says whom it has let in for certain."""


class Caller(threading.Thread):
    """Calls again and again until nobody is there."""

    def __init__(self, port: int, name: str, many_answered: threading.Semaphore) -> None:
        super().__init__(name=name)
        self._port = port
        self._many_answered = many_answered
        self.answered: list[str] = []
        self.refused: list[grpc.RpcError] = []

    def run(self) -> None:
        """Ends with the first error that is not a well-put refusal."""
        with open_channel(f"127.0.0.1:{self._port}") as channel:
            ingest = ingest_pb2_grpc.IngestServiceStub(channel)
            number = 0
            while not self.refused or from_rpc_error(self.refused[-1]).reason == "SERVICE_STOPPING":
                number += 1
                request = ingest_pb2.GetDatasetRequest(dataset=f"{self.name}-{number}")
                try:
                    self.answered.append(ingest.GetDataset(request, timeout=60).id)
                    self._many_answered.release()
                except grpc.RpcError as error:
                    self.refused.append(error)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """The server as a process of its own."""
    command = [sys.executable, "-c", textwrap.dedent(SERVED), str(tmp_path / "begun")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own source
        yield process
        process.kill()


def test_every_call_that_was_let_in_is_answered_and_the_others_are_unavailable(
    served: subprocess.Popen[str], tmp_path: Path
) -> None:
    assert served.stdout
    port = int(served.stdout.readline())
    answered = threading.Semaphore(0)
    callers = [Caller(port, f"caller{number}", answered) for number in range(CALLERS)]
    with open_channel(f"127.0.0.1:{port}") as channel:
        # The stubs know no methods of this one.
        health = cast(Any, health_pb2_grpc.HealthStub(channel)).Watch(health_pb2.HealthCheckRequest())
        assert next(health).status == health_pb2.HealthCheckResponse.SERVING
        watch = ingest_pb2_grpc.IngestServiceStub(channel).WatchDataset(ingest_pb2.WatchDatasetRequest(dataset="ds_1"))
        assert next(watch).id == "ds_1"
        for caller in callers:
            caller.start()
        for _ in range(5 * CALLERS):
            answered.acquire()
        served.send_signal(signal.SIGTERM)
        assert [one.status for one in health] == [health_pb2.HealthCheckResponse.NOT_SERVING]
        with pytest.raises(grpc.RpcError) as ended:
            next(watch)
        assert from_rpc_error(ended.value).reason == "SERVICE_STOPPING"
    for caller in callers:
        caller.join()
    assert served.wait(60) == 0
    assert {error.code() for caller in callers for error in caller.refused} == {grpc.StatusCode.UNAVAILABLE}
    let_in = (tmp_path / "begun").read_text().split()
    assert sorted(let_in) == sorted(one for caller in callers for one in caller.answered)
