"""Running a job: it ends whatever happens, and leaves no files."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from sqlalchemy.exc import OperationalError

from keyprint import package
from services.training import process, runner, trainer
from services.training.jobs import Asked, Jobs
from services.training.models import Models
from services.training.runner import Runner
from services.training.store import Store
from services.training.tables import CANCELLED, FAILED, SUCCEEDED, Job, Model, open_tables
from services.training.work import Failure, Order, Outcome, Progress, Said
from tests.unit.training.test_trainer import typing

ASKED = Asked(
    "ds_1", "adaboost", "ada", 0.2, "late", "timing", {"trees": 10, "depth": 3, "features": 2, "learning_rate": 0.5}, 0
)
SAID = Failure("REASON", "A sentence.", "dataset")


class Saying:
    """A process that trains, as far as it says things."""

    def __init__(self, order: Order) -> None:
        Path(order.directory, "half").write_text("a package")
        self._left: Iterator[Said] = iter([Progress("fitting", 0.5, "Half."), SAID])

    def __enter__(self) -> Saying:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def heard(self, seconds: float) -> list[Said]:
        return [next(self._left)]


class Away(Jobs):
    """Jobs in a database that does not answer one question in two."""

    asked = 0

    def _try(self) -> None:
        self.asked += 1
        if self.asked % 2:
            raise OperationalError("select", {}, Exception("server closed the connection"))

    def begin(self, job: str) -> bool:
        self._try()
        return super().begin(job)

    def get(self, job: str) -> Job:
        self._try()
        return super().get(job)

    def note(self, *args: object) -> None:
        self._try()
        super().note(*args)  # type: ignore[arg-type]

    def is_cancelling(self, job: str) -> bool:
        self._try()
        return super().is_cancelling(job)

    def fail(self, job: str, failure: Failure) -> None:
        self._try()
        super().fail(job, failure)

    def end_if_cancelling(self, job: str) -> None:
        self._try()
        super().end_if_cancelling(job)


@pytest.fixture
def database(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'catalogue.db'}"


@pytest.fixture
def jobs(database: str) -> Jobs:
    return Jobs(open_tables(database))


def a_runner(jobs: Jobs, database: str, home: Path) -> Runner:
    return Runner(jobs, Models(open_tables(database)), Store(home / "models"), "127.0.0.1:1", 0.0, home / "jobs")


def test_a_database_that_is_away_holds_a_job_up_and_does_not_change_its_end(
    jobs: Jobs, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "Process", Saying)
    monkeypatch.setattr(runner, "_AWAY_SECONDS", 0.0)
    job = jobs.open(ASKED, "", False)
    a_runner(Away(open_tables(database)), database, tmp_path).run(job.id)
    ended = jobs.get(job.id)
    assert (ended.state, ended.error_reason, ended.stage) == (FAILED, "REASON", "fitting")
    assert list((tmp_path / "jobs").iterdir()) == []


def test_a_directory_that_cannot_be_made_fails_the_job(jobs: Jobs, database: str, tmp_path: Path) -> None:
    running = a_runner(jobs, database, tmp_path)
    (tmp_path / "jobs").rmdir()
    job = jobs.open(ASKED, "", False)
    running.run(job.id)
    ended = jobs.get(job.id)
    assert (ended.state, ended.error_reason) == (FAILED, "INTERNAL")


def test_the_files_are_gone_before_a_failure_is_told(
    jobs: Jobs, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[list[Path]] = []

    class Looking(Jobs):
        def fail(self, job: str, failure: Failure) -> None:
            left.append(list((tmp_path / "jobs").iterdir()))
            super().fail(job, failure)

    monkeypatch.setattr(runner, "Process", Saying)
    job = jobs.open(ASKED, "", False)
    a_runner(Looking(open_tables(database)), database, tmp_path).run(job.id)
    assert left == [[]]


def test_a_model_that_cannot_be_entered_is_not_in_the_store_either(
    jobs: Jobs, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Unable(Jobs):
        def succeed(self, job: str, model: Model) -> bool:
            raise ValueError("no room for it")

    unable = Unable(open_tables(database))
    running = a_runner(unable, database, tmp_path)
    job = jobs.open(ASKED, "", False)
    jobs.begin(job.id)
    package = tmp_path / "package"
    package.mkdir()
    (package / "model.onnx").write_bytes(b"graph")
    monkeypatch.setattr(runner, "entry", lambda name, version, directory: None)
    with pytest.raises(ValueError, match="no room"):
        running._publish(job, package)
    assert not list((tmp_path / "models").rglob("model.onnx"))


class Trained(Saying):
    """A process that has trained a model of made-up typing."""

    def __init__(self, order: Order) -> None:
        trainer.train(order, typing(), lambda said: None)
        self._left = iter([Outcome()])


def test_a_job_that_is_cancelled_while_its_model_is_published_leaves_none(
    jobs: Jobs, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Late(Jobs):
        def succeed(self, job: str, model: Model) -> bool:
            self.ask_to_cancel(job)
            return super().succeed(job, model)

    monkeypatch.setattr(runner, "Process", Trained)
    job = jobs.open(ASKED, "", False)
    a_runner(Late(open_tables(database)), database, tmp_path).run(job.id)
    assert jobs.get(job.id).state == CANCELLED
    assert Models(open_tables(database)).all() == []
    assert not list((tmp_path / "models").rglob("*.onnx"))
    assert list((tmp_path / "jobs").iterdir()) == []


_KILLED = """
import os, signal, sys
from pathlib import Path
from services.training import runner
from services.training.jobs import Jobs
from services.training.tables import open_tables
from tests.unit.training.test_runner import Trained, a_runner

class Killed(Jobs):
    def succeed(self, job, model):
        if sys.argv[3] == "after":
            super().succeed(job, model)
        os.kill(os.getpid(), signal.SIGKILL)

runner.Process = Trained
database, home = sys.argv[1], Path(sys.argv[2])
jobs = Killed(open_tables(database))
a_runner(jobs, database, home).run(jobs.under_way()[0].id)
"""


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_service_that_is_killed_while_it_publishes_has_one_model_in_the_end(
    jobs: Jobs, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    job = jobs.open(ASKED, "", False)
    killed = subprocess.run([sys.executable, "-c", _KILLED, database, str(tmp_path), moment])  # noqa: S603 - our own
    assert killed.returncode == -signal.SIGKILL
    assert list((tmp_path / "models").rglob("*.onnx"))

    monkeypatch.setattr(runner, "Process", Trained)
    again = a_runner(jobs, database, tmp_path)
    # The queue hands it out again: it never heard of the end.
    again.run(job.id)
    assert jobs.get(job.id).state == SUCCEEDED
    (model,) = Models(open_tables(database)).all()
    assert package.digest(Store(tmp_path / "models").directory("ada", 1)) == model.digest
    assert len(list((tmp_path / "models").rglob("*.onnx"))) == 1
    assert list((tmp_path / "jobs").iterdir()) == []


_EVALUATING = """
import time
from services.training import trainer, worker
from tests.unit.training.test_trainer import typing

trainer.evaluate = lambda *_: time.sleep(600)
worker._read = lambda order, tell: typing()
worker.main()
"""


@pytest.fixture
def evaluating(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The process that trains has a model and does not come to an end of its evaluation."""
    command = [sys.executable, "-c", _EVALUATING]
    monkeypatch.setattr(process, "_COMMAND", command)
    return command


def stage(jobs: Jobs, job: Job, wanted: str) -> None:
    deadline = time.monotonic() + 60
    while jobs.get(job.id).stage != wanted:
        assert time.monotonic() < deadline, jobs.get(job.id).message
        time.sleep(0.05)


def test_a_job_that_is_cancelled_while_its_model_is_evaluated_leaves_nothing(
    jobs: Jobs, database: str, tmp_path: Path, evaluating: list[str]
) -> None:
    job = jobs.open(ASKED, "", False)
    thread = threading.Thread(target=a_runner(jobs, database, tmp_path).run, args=(job.id,))
    thread.start()
    stage(jobs, job, "evaluating")
    assert list((tmp_path / "jobs").rglob("model.onnx"))
    (worker,) = [one for one in psutil.Process().children() if evaluating[-1] in one.cmdline()]
    began = time.monotonic()
    jobs.ask_to_cancel(job.id)
    thread.join(20)
    assert time.monotonic() - began < 2
    assert jobs.get(job.id).state == CANCELLED
    assert not worker.is_running()
    assert Models(open_tables(database)).all() == []
    assert list((tmp_path / "jobs").iterdir()) == list((tmp_path / "models").iterdir()) == []


_KILLED_EVALUATING = """
import os, signal, sys
from pathlib import Path
from services.training import process
from services.training.jobs import Jobs
from services.training.tables import open_tables
from tests.unit.training.test_runner import a_runner

class Killed(Jobs):
    def note(self, job, progress, curve, remaining):
        super().note(job, progress, curve, remaining)
        if progress.stage == "evaluating":
            os.kill(os.getpid(), signal.SIGKILL)

process._COMMAND = [sys.executable, "-c", sys.argv[3]]
database, home = sys.argv[1], Path(sys.argv[2])
jobs = Killed(open_tables(database))
a_runner(jobs, database, home).run(jobs.under_way()[0].id)
"""


def test_a_service_that_is_killed_while_a_model_is_evaluated_has_one_in_the_end(
    jobs: Jobs, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = jobs.open(ASKED, "", False)
    command = [sys.executable, "-c", _KILLED_EVALUATING, database, str(tmp_path), _EVALUATING]
    killed = subprocess.run(command)  # noqa: S603 - our own
    assert killed.returncode == -signal.SIGKILL
    assert jobs.get(job.id).stage == "evaluating"
    assert list((tmp_path / "jobs").rglob("model.onnx"))
    assert list((tmp_path / "models").iterdir()) == []

    monkeypatch.setattr(runner, "Process", Trained)
    again = a_runner(jobs, database, tmp_path)
    assert list((tmp_path / "jobs").iterdir()) == []
    again.run(job.id)
    assert jobs.get(job.id).state == SUCCEEDED
    assert [one.reference for one in Models(open_tables(database)).all()] == ["ada@1"]
    assert len(list((tmp_path / "models").rglob("*.onnx"))) == 1
    assert list((tmp_path / "jobs").iterdir()) == []


def test_a_job_that_waits_for_ingest_says_so_and_can_be_cancelled(jobs: Jobs, database: str, tmp_path: Path) -> None:
    """With the real process, and nobody at ingest's address."""
    waits = Runner(jobs, Models(open_tables(database)), Store(tmp_path / "m"), "127.0.0.1:1", 600.0, tmp_path / "jobs")
    job = jobs.open(ASKED, "", False)
    thread = threading.Thread(target=waits.run, args=(job.id,))
    thread.start()
    deadline = time.monotonic() + 60
    while "Waiting for the ingest service" not in jobs.get(job.id).message:
        assert time.monotonic() < deadline, jobs.get(job.id).message
        time.sleep(0.05)
    jobs.ask_to_cancel(job.id)
    thread.join(20)
    assert jobs.get(job.id).state == CANCELLED
    assert list((tmp_path / "jobs").iterdir()) == []


def test_a_job_does_not_wait_for_ingest_for_ever(jobs: Jobs, database: str, tmp_path: Path) -> None:
    job = jobs.open(ASKED, "", False)
    a_runner(jobs, database, tmp_path).run(job.id)
    ended = jobs.get(job.id)
    assert (ended.state, ended.error_reason) == (FAILED, "SERVICE_UNAVAILABLE")
    assert "ingest" in ended.error_message


def test_an_outcome_that_nobody_can_read_fails_the_job(
    jobs: Jobs, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_COMMAND", [sys.executable, "-c", "print('{}', flush=True); input(); input()"])
    job = jobs.open(ASKED, "", False)
    a_runner(jobs, database, tmp_path).run(job.id)
    assert jobs.get(job.id).error_reason == "INTERNAL"
