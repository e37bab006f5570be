"""Runs one job: has it trained in a process of its own, follows that, and publishes what it made."""

from __future__ import annotations

import logging
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import cast

from keyprint.holdout import Split
from services.training.entry import entry
from services.training.jobs import Jobs
from services.training.models import Models
from services.training.process import Process
from services.training.store import Store
from services.training.tables import Job
from services.training.work import Failure, Order, Outcome, Progress

log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.2


class Runner:
    """Works jobs off."""

    def __init__(self, jobs: Jobs, models: Models, store: Store, ingest_address: str, directory: Path) -> None:
        """Packages grow in `directory`, which belongs to this runner: what a crash left there is thrown away."""
        self._jobs = jobs
        self._store = store
        self._ingest_address = ingest_address
        self._directory = directory
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        store.keep_only(models.all())

    def run(self, job_id: str) -> None:
        """Runs a job from its beginning to one of its ends."""
        if self._jobs.begin(job_id):
            job = self._jobs.get(job_id)
            directory = self._directory / job.id
            shutil.rmtree(directory, ignore_errors=True)
            directory.mkdir()
            try:
                result = self._train(job, directory)
                if isinstance(result, Failure):
                    self._jobs.fail(job.id, result)
                elif result:
                    self._publish(job, directory)
            except Exception:
                log.exception("%s failed", job.id)
                message = "Training failed inside Keyprint; the training service's log says how."
                self._jobs.fail(job.id, Failure("INTERNAL", message, ""))
            finally:
                shutil.rmtree(directory, ignore_errors=True)
        self._jobs.end_if_cancelling(job_id)

    def _train(self, job: Job, directory: Path) -> Outcome | Failure | None:
        """What the process says in the end, the job's curve filled in; None if the job is to stop."""
        with Process(self._order(job, directory)) as process:
            while not self._jobs.is_cancelling(job.id):
                heard = process.heard(_LOOK_SECONDS)
                progress = [said for said in heard if isinstance(said, Progress)]
                if progress:
                    job.curve = job.curve + [asdict(said.point) for said in progress if said.point]
                    self._jobs.note(job.id, progress[-1], job.curve)
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
        )

    def _publish(self, job: Job, directory: Path) -> None:
        self._jobs.note(job.id, Progress("publishing", 0.98, "Publishing the model."), job.curve)
        kept = self._store.put(job.model, job.version, directory)
        if not self._jobs.succeed(job.id, entry(job.model, job.version, kept)):
            self._store.delete(job.model, job.version)
