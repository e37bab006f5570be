"""Runs one job: has it trained in a process of its own, follows that, and publishes what it made."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, cast

from sqlalchemy import exc

from keyprint.holdout import Split
from services.training.entry import entry
from services.training.estimate import Estimate
from services.training.jobs import Jobs
from services.training.models import Models
from services.training.process import Process
from services.training.store import Store
from services.training.tables import Job
from services.training.work import Failure, Order, Outcome, Progress, failure_of

log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.2
_AWAY_SECONDS = 1.0
"""How long to leave a database alone that does not answer."""

Answer = TypeVar("Answer")


class Runner:
    """Works jobs off."""

    def __init__(
        self,
        jobs: Jobs,
        models: Models,
        store: Store,
        ingest_address: str,
        ingest_seconds: float,
        directory: Path,
    ) -> None:
        """Packages grow in `directory`, which belongs to this runner: what a crash left there is thrown away.

        A job waits up to `ingest_seconds` for ingest to answer.
        """
        self._jobs = jobs
        self._store = store
        self._ingest_address = ingest_address
        self._ingest_seconds = ingest_seconds
        self._directory = directory
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        store.keep_only(models.all())

    def run(self, job_id: str) -> None:
        """Runs a job from its beginning to one of its ends, whatever happens: nobody else would ever end it."""
        if _patiently(lambda: self._jobs.begin(job_id)):
            directory = self._directory / job_id
            try:
                failure = self._work(job_id, directory)
            except Exception as error:
                log.exception("%s failed", job_id)
                failure = failure_of(error)
            finally:
                shutil.rmtree(directory, ignore_errors=True)
            if failure:
                _patiently(lambda: self._jobs.fail(job_id, failure))
        _patiently(lambda: self._jobs.end_if_cancelling(job_id))

    def _work(self, job_id: str, directory: Path) -> Failure | None:
        """Why there is no model; None if there is one, or if the job is to stop."""
        job = _patiently(lambda: self._jobs.get(job_id))
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()
        result = self._train(job, directory)
        if isinstance(result, Outcome):
            self._publish(job, directory)
        return result if isinstance(result, Failure) else None

    def _train(self, job: Job, directory: Path) -> Outcome | Failure | None:
        """What the process says in the end, the job's curve filled in; None if the job is to stop."""
        estimate = Estimate()
        with Process(self._order(job, directory)) as process:
            while not _patiently(lambda: self._jobs.is_cancelling(job.id)):
                heard = process.heard(_LOOK_SECONDS)
                progress = [said for said in heard if isinstance(said, Progress)]
                if progress:
                    job.curve += tuple(said.point for said in progress if said.point)
                    self._note(job, progress[-1], estimate.remaining(progress[-1].progress, time.monotonic()))
                for said in heard:
                    if not isinstance(said, Progress):
                        return said
        return None

    def _order(self, job: Job, directory: Path) -> Order:
        return Order(
            ingest_address=self._ingest_address,
            directory=str(directory),
            dataset=job.dataset,
            learner=job.learner,
            params=job.params,
            holdout=job.holdout,
            split=cast(Split, job.split),
            features=job.features,
            seed=job.seed,
            impostors=job.impostors,
            ingest_seconds=self._ingest_seconds,
        )

    def _publish(self, job: Job, directory: Path) -> None:
        self._note(job, Progress("publishing", 0.98, "Publishing the model."))
        published = False
        try:
            kept = self._store.put(job.model, job.version, directory)
            model = entry(job.model, job.version, kept)
            published = _patiently(lambda: self._jobs.succeed(job.id, model))
        finally:
            if not published:
                self._store.delete(job.model, job.version)

    def _note(self, job: Job, progress: Progress, remaining: float | None = None) -> None:
        _patiently(lambda: self._jobs.note(job.id, progress, job.curve, remaining))


def _patiently(ask: Callable[[], Answer]) -> Answer:
    """What the database answers, asked again as long as it is away: no job may end, or be lost, for that."""
    while True:
        try:
            return ask()
        except (exc.OperationalError, exc.TimeoutError):
            log.exception("the database does not answer; asking again in %g s", _AWAY_SECONDS)
            time.sleep(_AWAY_SECONDS)
