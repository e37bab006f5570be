"""Where training jobs are asked for."""

from __future__ import annotations

from typing import Protocol

from keyprint.errors import AlreadyExists
from services.training import dataset
from services.training.dataset import About
from services.training.jobs import Asked, Jobs
from services.training.openset import check_impostors
from services.training.tables import PENDING, Job


class Queue(Protocol):
    """Where jobs wait for their turn."""

    def put(self, thing: str, run: int = 1) -> None:
        """Queues a job, once however often it is put."""


class Datasets(Protocol):
    """Where datasets are told of."""

    def about(self, dataset_id: str) -> About:
        """What there is to know of one."""


class Intake:
    """Takes jobs in and queues them."""

    def __init__(self, jobs: Jobs, datasets: Datasets, queue: Queue) -> None:
        self._jobs = jobs
        self._datasets = datasets
        self._queue = queue

    def create(self, asked: Asked, request_id: str, new_version: bool) -> Job:
        """A new job, or the one that was made for the same request id, which needs nothing but the tables.

        Raises:
            NotFound: there is no such dataset.
            FailedPrecondition: it cannot be trained on in this way.
            AlreadyExists: the name is taken, and no new version was asked for; or the request id was given for another
                job.
            Unavailable: nobody answers for the dataset.
        """
        job = self._jobs.of_request(request_id)
        if job is None:
            about = self._datasets.about(asked.dataset)
            dataset.check(about)
            dataset.check_holdout(about, asked.holdout)
            if asked.impostors:
                check_impostors(about.users, asked.impostors)
            job = self._jobs.open(asked, request_id, new_version)
        if any(getattr(job, name) != value for name, value in vars(asked).items()):
            raise AlreadyExists(
                "REQUEST_ID_TAKEN",
                f"This request_id was given for another job, {job.id}; give each job that you want an id of its own.",
                "request_id",
            )
        if job.state == PENDING:
            # Whoever asked first may have died, or failed, before it came into the queue.
            self._queued(job)
        return job

    def _queued(self, job: Job) -> None:
        try:
            self._queue.put(job.id)
        except Exception:
            if job.request_id is None:
                # Nobody can ask for this one again, and it would keep its name.
                self._jobs.ask_to_cancel(job.id)
            raise
