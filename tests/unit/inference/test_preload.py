"""Models that a setting names are loaded before the service is ready."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from keyprint.addresses import free_address
from keyprint.channel import channel as open_channel
from keyprint.v1 import attempts_pb2, inference_pb2, inference_pb2_grpc
from services.inference import references
from services.inference.engine import Listed
from services.inference.models import Models
from services.inference.preload import preload
from tests.unit.inference.conftest import PHRASE, House, write_package

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


def test_each_model_is_pulled_and_warm(house: House, tmp_path: Path) -> None:
    house.training.put("ada", 1, write_package(tmp_path / "one"))
    house.training.put("bob", 1, write_package(tmp_path / "two", release_times=True))
    models = Models(house.stub, tmp_path / "cache", 2**30)
    preload(models, ["ada", "bob@1"])
    assert house.training.downloads == 2
    assert sorted(models.index()) == [Listed("ada", 1, loaded=True), Listed("bob", 1, loaded=True)]


def test_what_is_not_there_yet_is_tried_again_and_told_once(
    house: House, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The pauses here take no time.
    monkeypatch.setattr(references, "MISSING_SECONDS", 0.0)
    models = Models(house.stub, tmp_path / "cache", 2**30)
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            house.training.put("ada", 1, write_package(tmp_path / "one"))

    with caplog.at_level(logging.WARNING):
        preload(models, ["ada"], pause)
    assert pauses == [1.0] * 3
    assert [record.getMessage() for record in caplog.records] == [
        "not ready until ada is loaded: There is no model 'ada'."
    ]
    assert models.index() == [Listed("ada", 1, loaded=True)]


def test_a_service_is_ready_when_it_has_them_and_may_be_stopped_before(house: House, tmp_path: Path) -> None:
    """Training is there from the first, its model comes later; meanwhile other models are answered."""
    house.training.put("bob", 1, write_package(tmp_path / "two"))
    address = free_address().listen
    environment = {
        **os.environ,
        "KEYPRINT_HOME": str(tmp_path / "home"),
        "KEYPRINT_INFERENCE_LISTEN": address,
        "KEYPRINT_TRAINING_ADDRESS": house.address,
        "KEYPRINT_INFERENCE_PRELOAD": "ada@live, bob",
    }
    command = [sys.executable, "-m", "services.inference"]
    attempt = attempts_pb2.Attempt(character=list(PHRASE), pressed_at=range(0, 600_000, 100_000))
    for comes in (True, False):
        with subprocess.Popen(command, env=environment) as process, open_channel(address) as channel:  # noqa: S603
            # The stubs know no methods of this one.
            health = cast(Any, health_pb2_grpc.HealthStub(channel)).Watch(
                health_pb2.HealthCheckRequest(), wait_for_ready=True
            )
            assert next(health).status == NOT_SERVING
            request = inference_pb2.IdentifyRequest(model="bob", attempt=attempt)
            assert inference_pb2_grpc.InferenceServiceStub(channel).Identify(request).model == "bob@1"
            if comes:
                house.training.put("ada", 1, write_package(tmp_path / "one", release_times=True))
                house.training.point("ada", "live", 1)
                assert next(health).status == SERVING
                house.training.models.pop("ada@live")
            process.send_signal(signal.SIGTERM)
            assert {one.status for one in health} <= {NOT_SERVING}
            assert process.wait(60) == 0
