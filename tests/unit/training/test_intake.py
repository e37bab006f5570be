"""Asking for jobs: what a retry gets, and what a queue or an ingest that fails leaves."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from keyprint.errors import AlreadyExists, FailedPrecondition, Unavailable
from services.training.dataset import About
from services.training.intake import Intake
from services.training.jobs import Asked, Jobs
from services.training.tables import open_tables

ASKED = Asked("ds_1", "adaboost", "ada", 0.2, "late", "timing", {"trees": 10}, 0)
ABOUT = About("ds_1", "READY", True, "abc", "fingerprint", False, 20, users=3, fewest_attempts=20, most_attempts=20)


@dataclass
class Datasets:
    """What ingest tells, while it is there."""

    found: About = ABOUT
    is_away: bool = False

    def about(self, dataset_id: str) -> About:
        if self.is_away:
            raise Unavailable("SERVICE_UNAVAILABLE", "It does not answer.")
        return replace(self.found, id=dataset_id)


@dataclass
class Queue:
    """What was queued, while there is room on the disk."""

    put_jobs: list[str] = field(default_factory=list)
    is_broken: bool = False

    def put(self, thing: str, run: int = 1) -> None:
        if self.is_broken:
            raise OSError("No space left on device")
        self.put_jobs.append(thing)


@pytest.fixture
def jobs(tmp_path: Path) -> Jobs:
    return Jobs(open_tables(f"sqlite:///{tmp_path / 'catalogue.db'}"))


@pytest.fixture
def queue() -> Queue:
    return Queue()


@pytest.fixture
def datasets() -> Datasets:
    return Datasets()


@pytest.fixture
def intake(jobs: Jobs, datasets: Datasets, queue: Queue) -> Intake:
    return Intake(jobs, datasets, queue)


def test_a_job_is_queued(intake: Intake, queue: Queue) -> None:
    job = intake.create(ASKED, "", False)
    assert queue.put_jobs == [job.id]


def test_a_job_that_did_not_come_into_the_queue_does_so_with_the_retry(intake: Intake, queue: Queue) -> None:
    queue.is_broken = True
    with pytest.raises(OSError, match="No space"):
        intake.create(ASKED, "mine", False)
    queue.is_broken = False
    job = intake.create(ASKED, "mine", False)
    assert queue.put_jobs == [job.id]


def test_a_job_that_nobody_can_ask_for_again_frees_its_name_when_it_cannot_be_queued(
    intake: Intake, queue: Queue
) -> None:
    queue.is_broken = True
    with pytest.raises(OSError, match="No space"):
        intake.create(ASKED, "", False)
    queue.is_broken = False
    assert queue.put_jobs == []
    job = intake.create(ASKED, "", False)
    assert queue.put_jobs == [job.id]


def test_a_retry_gets_its_job_also_while_ingest_is_away(intake: Intake, datasets: Datasets, jobs: Jobs) -> None:
    job = intake.create(ASKED, "mine", False)
    datasets.is_away = True
    assert intake.create(ASKED, "mine", False).id == job.id
    with pytest.raises(Unavailable):
        intake.create(replace(ASKED, model="other"), "other", False)
    assert len(jobs.page(None, 10)) == 1


def test_a_retry_does_not_queue_a_job_that_runs(intake: Intake, queue: Queue, jobs: Jobs) -> None:
    job = intake.create(ASKED, "mine", False)
    jobs.begin(job.id)
    intake.create(ASKED, "mine", False)
    assert queue.put_jobs == [job.id]


@pytest.mark.parametrize(
    ("asked", "found", "reason"),
    [
        (ASKED, replace(ABOUT, labelled=False), "DATASET_UNLABELLED"),
        (replace(ASKED, holdout=0.99), ABOUT, "NOT_ENOUGH_ATTEMPTS"),
        (replace(ASKED, impostors=0.7), ABOUT, "NOT_ENOUGH_USERS"),
    ],
)
def test_what_cannot_be_trained_leaves_no_job(
    intake: Intake, datasets: Datasets, jobs: Jobs, asked: Asked, found: About, reason: str
) -> None:
    datasets.found = found
    with pytest.raises(FailedPrecondition) as caught:
        intake.create(asked, "", False)
    assert caught.value.reason == reason
    assert jobs.page(None, 10) == []


@pytest.mark.parametrize("change", [{"model": "bob"}, {"params": {"trees": 20}}, {"holdout": 0.3}, {"dataset": "ds_2"}])
def test_a_request_id_that_comes_with_another_wish_is_refused_and_nothing_is_queued(
    jobs: Jobs, datasets: Datasets, queue: Queue, change: dict[str, Any]
) -> None:
    intake = Intake(jobs, datasets, queue)
    first = intake.create(ASKED, "mine", False)
    with pytest.raises(AlreadyExists) as refused:
        intake.create(replace(ASKED, **change), "mine", False)
    assert (refused.value.reason, refused.value.field) == ("REQUEST_ID_TAKEN", "request_id")
    assert intake.create(ASKED, "mine", False).id == first.id
    assert set(queue.put_jobs) == {first.id}
