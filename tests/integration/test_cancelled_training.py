"""Cancelling stops the work at any stage, within two seconds, and leaves no model, no process and no file."""

from __future__ import annotations

import os
import time
from pathlib import Path

import psutil
import pytest

from keyprint.client import TrainingClient
from keyprint.v1 import training_pb2
from tests.integration.test_killed_training import Service, dataset, service

__all__ = ["dataset", "service"]  # fixtures

pytestmark = pytest.mark.timeout(300)

State = training_pb2.TrainingJob
PARAMS = {"adaboost": {"trees": 600, "depth": 8}, "lstm": {"epochs": 40, "units": 8, "layers": 1}}
STAGES = [
    ("adaboost", "reading"),
    ("adaboost", "fitting"),
    ("adaboost", "calibrating"),
    ("lstm", "fitting"),
    ("lstm", "exporting"),
]
if "KEYPRINT_TEST_KILLS" in os.environ:
    # For a soak: the stages that take long to come to.
    STAGES += [("lstm", "reading"), ("lstm", "calibrating")]


@pytest.mark.parametrize(("learner", "stage"), STAGES)
def test_a_job_is_cancelled_in_two_seconds_and_leaves_nothing(
    service: Service, dataset: str, tmp_path: Path, learner: str, stage: str
) -> None:
    with TrainingClient(service.address) as client:
        job = client.create_training_job(dataset, learner, "gone", 0.2, params=PARAMS[learner])
        stream = client.watch_training_job(job.id)
        next(seen for seen in stream if seen.state == State.STATE_RUNNING and seen.stage == stage)
        workers = psutil.Process(service.process.pid).children()
        began = time.monotonic()
        client.cancel_training_job(job.id)
        *_, ended = stream
        assert time.monotonic() - began < 2
        assert ended.state == State.STATE_CANCELLED
        assert not [one for one in workers if one.is_running()]
        assert not psutil.Process(service.process.pid).children()
        assert list(client.list_models()) == []
    home = tmp_path / "training"
    assert list((home / "jobs").iterdir()) == []
    assert list((home / "temporary").iterdir()) == []
    assert list((home / "models").rglob("*")) == []


def test_what_remains_is_told_early_and_falls(service: Service, dataset: str) -> None:
    with TrainingClient(service.address) as client:
        job = client.create_training_job(dataset, "adaboost", "ada", 0.2, params={"trees": 2000, "depth": 8})
        seen = list(client.watch_training_job(job.id))
    told = [one for one in seen if one.HasField("remaining_seconds")]
    assert told[0].progress < 0.5
    assert told[-1].remaining_seconds < told[0].remaining_seconds
    assert seen[-1].state == State.STATE_SUCCEEDED
    assert not seen[-1].HasField("remaining_seconds")


def test_jobs_beyond_the_limit_wait_for_their_turn(service: Service, dataset: str) -> None:
    with TrainingClient(service.address) as client:
        first, second = (
            client.create_training_job(dataset, "adaboost", name, 0.2, params=PARAMS["adaboost"])
            for name in ("ada", "bob")
        )
        ends = [list(client.watch_training_job(one.id))[-1] for one in (first, second)]
    assert [one.state for one in ends] == [State.STATE_SUCCEEDED] * 2
    assert ends[1].started_at.ToDatetime() >= ends[0].finished_at.ToDatetime()
