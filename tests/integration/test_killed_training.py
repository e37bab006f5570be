"""A training service that is killed in the middle of a job finishes it after its next start."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import psutil
import pytest

from keyprint.addresses import free_address
from keyprint.client import IngestClient, TrainingClient
from keyprint.v1 import training_pb2
from tests.conftest import Stack

pytestmark = pytest.mark.timeout(600)

State = training_pb2.TrainingJob
KILLS = int(os.environ.get("KEYPRINT_TEST_KILLS", "5"))
"""How often the service is killed; `make soak` asks for more."""


class Service:
    """A training service of its own, with the stack's ingest before it."""

    def __init__(self, stack: Stack, home: Path) -> None:
        self.address = free_address(tuple(stack.addresses.values())).listen
        self._environment = {
            **os.environ,
            "KEYPRINT_HOME": str(home),
            "KEYPRINT_TRAINING_LISTEN": self.address,
            "KEYPRINT_INGEST_ADDRESS": stack.addresses["ingest"].listen,
            "KEYPRINT_GRACE_SECONDS": "1",
        }
        self._log = home / "training.log"
        self.process: subprocess.Popen[bytes]
        self.start()

    def start(self) -> None:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "services.training"], env=self._environment, stdout=log, stderr=log
            )
        try:
            with grpc.insecure_channel(self.address) as channel:
                # On a machine that others use too a start has taken more than a minute.
                grpc.channel_ready_future(channel).result(timeout=240)
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise

    def worker(self) -> psutil.Process:
        """The process that trains."""
        (found,) = psutil.Process(self.process.pid).children()
        return found


@pytest.fixture
def service(keyprint_stack: Stack, tmp_path: Path) -> Iterator[Service]:
    running = Service(keyprint_stack, tmp_path)
    yield running
    running.process.kill()
    running.process.wait()


@pytest.fixture
def dataset(keyprint_stack: Stack) -> str:
    with IngestClient(keyprint_stack.addresses["ingest"].listen) as ingest:
        *_, dataset = ingest.watch_dataset(ingest.create_dataset(keyprint_stack.source_url).id)
        return dataset.id


def fitting(client: TrainingClient, dataset: str) -> training_pb2.TrainingJob:
    """A job that is in the middle of its fit."""
    job = client.create_training_job(dataset, "adaboost", "ada", 0.2, params={"trees": 600, "depth": 8})
    for seen in client.watch_training_job(job.id):
        if seen.curve:
            return seen
    pytest.fail(f"the job ended before it was seen to fit: {seen}")


def assert_nothing_is_left(home: Path) -> None:
    """A job's files go right after its end is told."""
    deadline = time.monotonic() + 10
    while left := list((home / "training" / "jobs").iterdir()):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


def test_a_killed_service_finishes_its_job_after_the_next_start(service: Service, dataset: str, tmp_path: Path) -> None:
    with TrainingClient(service.address) as client:
        job = fitting(client, dataset)
        waiting = client.create_training_job(dataset, "adaboost", "bob", 0.2, params={"trees": 5})
    worker = service.worker()
    service.process.kill()
    service.process.wait()
    # It notices that nobody listens any more.
    psutil.wait_procs([worker], timeout=20)
    assert not worker.is_running()

    service.start()
    with TrainingClient(service.address) as client:
        for one in (job, waiting):
            *_, ended = client.watch_training_job(one.id)
            assert ended.state == State.STATE_SUCCEEDED, ended.error
        assert sorted(f"{one.name}@{one.version}" for one in client.list_models()) == ["ada@1", "bob@1"]
    assert_nothing_is_left(tmp_path)
    assert sorted(path.name for path in (tmp_path / "training" / "models").iterdir()) == ["ada", "bob"]


@pytest.mark.parametrize(
    ("learner", "stage"), [("adaboost", "calibrating"), ("lstm", "fitting"), ("lstm", "exporting")]
)
def test_a_service_that_is_killed_at_a_stage_trains_one_model_in_the_end(
    service: Service, dataset: str, tmp_path: Path, learner: str, stage: str
) -> None:
    params = {"adaboost": {"trees": 300, "depth": 8}, "lstm": {"epochs": 20, "units": 4, "layers": 1}}[learner]
    with TrainingClient(service.address) as client:
        job = client.create_training_job(dataset, learner, "once", 0.2, params=params)
        next(seen for seen in client.watch_training_job(job.id) if seen.stage == stage)
    service.process.kill()
    service.process.wait()
    service.start()
    with TrainingClient(service.address) as client:
        *_, ended = client.watch_training_job(job.id)
        assert ended.state == State.STATE_SUCCEEDED, ended.error
        assert [f"{one.name}@{one.version}" for one in client.list_models()] == ["once@1"]
    assert_nothing_is_left(tmp_path)
    assert len(list((tmp_path / "training" / "models").rglob("model.onnx"))) == 1


@pytest.mark.timeout(600 + 120 * KILLS)
def test_a_service_that_is_killed_at_any_moment_loses_nothing_and_does_nothing_twice(
    service: Service, dataset: str, tmp_path: Path
) -> None:
    moments = random.SystemRandom()
    asked: list[str] = []
    for number in range(KILLS):
        with TrainingClient(service.address) as client:
            learner, params = "adaboost", {"trees": moments.choice([5, 300]), "depth": 6}
            if number % 5 == 4:
                learner, params = "lstm", {"epochs": 5, "units": 4, "layers": 1}
            asked.append(client.create_training_job(dataset, learner, f"model-{number}", 0.2, params=params).id)
        time.sleep(moments.uniform(0.0, 6.0))
        service.process.kill()
        service.process.wait()
        service.start()
    with TrainingClient(service.address) as client:
        for job in asked:
            *_, ended = client.watch_training_job(job)
            assert ended.state == State.STATE_SUCCEEDED, ended.error
        models = sorted(f"{one.name}@{one.version}" for one in client.list_models())
        assert models == sorted(f"model-{number}@1" for number in range(KILLS))
        for one in models:
            assert sum(len(piece) for piece in client.download_model(one)) > 0
    assert_nothing_is_left(tmp_path)
    assert len(list((tmp_path / "training" / "models").iterdir())) == KILLS


def test_a_worker_that_is_killed_fails_its_job_and_frees_the_name(service: Service, dataset: str) -> None:
    with TrainingClient(service.address) as client:
        job = fitting(client, dataset)
        service.worker().kill()
        *_, ended = client.watch_training_job(job.id)
        assert (ended.state, ended.error.reason) == (State.STATE_FAILED, "TRAINER_DIED")
        again = client.create_training_job(dataset, "adaboost", "ada", 0.2, params={"trees": 5})
        *_, ended = client.watch_training_job(again.id)
        assert ended.state == State.STATE_SUCCEEDED


def test_a_service_that_is_told_to_stop_does_so_at_once_and_its_job_goes_on_later(
    service: Service, dataset: str
) -> None:
    with TrainingClient(service.address) as client:
        job = fitting(client, dataset)
    began = time.monotonic()
    service.process.terminate()
    assert service.process.wait(20) == 0
    assert time.monotonic() - began < 15
    service.start()
    with TrainingClient(service.address) as client:
        *_, ended = client.watch_training_job(job.id)
        assert ended.state == State.STATE_SUCCEEDED
