"""The service inside a Bento, as BentoML drives it in one worker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from keyprint.addresses import free_address
from services.inference import bento
from services.inference.engine import Engine
from tests.unit.inference.conftest import write_package

Worker = cast(Any, bento.Keyprint).inner
"""The class that BentoML makes an object of in every worker."""


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> str:
    address = free_address().listen
    monkeypatch.setenv("KEYPRINT_INFERENCE_LISTEN", address)
    monkeypatch.setenv("KEYPRINT_GRACE_SECONDS", "1")
    return address


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[str]]:
    """Notes that the model was loaded."""
    loads: list[str] = []

    def engine() -> Engine:
        loads.append("loaded")
        return Engine("ada@3", write_package(tmp_path / f"made-{len(loads)}"))

    monkeypatch.setattr(bento, "_engine", engine)
    yield loads
    del bento.app.state.servicer


def test_a_worker_is_ready_from_when_it_is_warm_and_answers_grpc_until_it_stops(
    address: str, loaded: list[str]
) -> None:
    worker = Worker()
    assert loaded == ["loaded"]
    assert not worker.__is_ready__()
    worker.serve_rpc()
    assert worker.__is_ready__()
    with grpc.insecure_channel(address) as channel:
        health = cast(Any, health_pb2_grpc.HealthStub(channel))
        status = health.Check(health_pb2.HealthCheckRequest(service="keyprint.v1.InferenceService"), timeout=10).status
        assert status == health_pb2.HealthCheckResponse.SERVING
    worker.stop_rpc()
    assert not worker.__is_ready__()


def test_workers_share_the_port_of_grpc(address: str, loaded: list[str]) -> None:
    workers = [Worker(), Worker()]
    for worker in workers:
        worker.serve_rpc()
        assert worker.__is_ready__()
    for worker in workers:
        worker.stop_rpc()


def test_a_port_that_somebody_has_ends_the_start_with_one_sentence(
    address: str, loaded: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    bento.app.state.servicer = None
    Worker.check()
    worker = Worker()
    worker.serve_rpc()
    with pytest.raises(SystemExit) as ended:
        Worker.check()
    worker.stop_rpc()
    assert ended.value.code == 2
    assert capsys.readouterr().err == (
        f"error: Nothing can listen on {address}, which is taken or not this machine's; KEYPRINT_INFERENCE_LISTEN "
        "names another. [ADDRESS_IN_USE]\n"
    )
