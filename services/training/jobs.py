"""The jobs that there are, and the names and versions that they reserve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from secrets import token_hex
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import defer

from keyprint.errors import NotFound
from keyprint.holdout import Split
from keyprint.package import Point
from services.training.reserve import reserve
from services.training.tables import (
    CANCELLED,
    CANCELLING,
    FAILED,
    PENDING,
    RUNNING,
    SUCCEEDED,
    UNDER_WAY,
    Job,
    Model,
    Sessions,
    now,
)
from services.training.work import Failure, Progress


@dataclass(frozen=True)
class Asked:
    """What a job was asked for, every default filled in."""

    dataset: str
    learner: str
    model: str
    holdout: float
    split: Split
    features: str
    params: Mapping[str, float]
    seed: int
    impostors: float = 0.0


class Jobs:
    """Every read and write of them; safe to share between threads."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def open(self, asked: Asked, request_id: str, new_version: bool) -> Job:
        """Reserves the model's name and next version for a new job; or gives the job that was made for the same request
        id.

        Raises:
            AlreadyExists: the name is taken, and no new version was asked for.
        """
        try:
            with self._sessions.begin() as session:
                if request_id:
                    found = session.scalars(select(Job).where(Job.request_id == request_id)).one_or_none()
                    if found:
                        return found
                job = Job(
                    id=f"job_{token_hex(6)}",
                    request_id=request_id or None,
                    state=PENDING,
                    stage="queued",
                    progress=0.0,
                    message="Waiting for its turn.",
                    version=reserve(session, asked.model, new_version),
                    curve=(),
                    created_at=now(),
                    **vars(asked),
                )
                session.add(job)
            return job
        except IntegrityError:
            # Another caller with the same request id, or the first of a name, was faster.
            return self.open(asked, request_id, new_version)

    def of_request(self, request_id: str) -> Job | None:
        """The job that was made for a request id; none was for the empty one."""
        with self._sessions.begin() as session:
            return session.scalars(select(Job).where(Job.request_id == request_id)).one_or_none()

    def get(self, job: str) -> Job:
        """One job.

        Raises:
            NotFound: there is none of that id.
        """
        with self._sessions.begin() as session:
            found = session.scalars(select(Job).where(Job.id == job)).one_or_none()
        if found is None:
            raise NotFound("JOB_NOT_FOUND", f"There is no training job {job!r}.", "job")
        return found

    def page(self, before: int | None, size: int) -> list[Job]:
        """Up to `size` jobs, newest first, those numbered below `before`, without their curves."""
        query = select(Job).options(defer(Job.curve, raiseload=True)).order_by(Job.number.desc()).limit(size)
        if before is not None:
            query = query.where(Job.number < before)
        with self._sessions.begin() as session:
            return list(session.scalars(query))

    def under_way(self) -> list[Job]:
        """The jobs that have not ended."""
        with self._sessions.begin() as session:
            return list(session.scalars(select(Job).where(Job.state.in_(UNDER_WAY)).order_by(Job.number)))

    def begin(self, job: str) -> bool:
        """Turns a job that waits, or that a crash stopped, to RUNNING; False if it is to run no more."""
        begun = {
            "state": RUNNING,
            "stage": "reading",
            "message": "Starting the process that trains.",
            "started_at": now(),
            "curve": (),
            "progress": 0.0,
            "expected_at": None,
        }
        with self._sessions.begin() as session:
            query = update(Job).where(Job.id == job, Job.state.in_((PENDING, RUNNING))).values(begun)
            return bool(session.execute(query.returning(Job.id)).all())

    def note(self, job: str, progress: Progress, curve: Sequence[Point], remaining: float | None = None) -> None:
        """Notes how far a job is, and the seconds left as far as anybody knows."""
        noted = {
            "stage": progress.stage,
            "progress": progress.progress,
            "message": progress.message,
            "curve": tuple(curve),
            "expected_at": None if remaining is None else now() + timedelta(seconds=remaining),
        }
        with self._sessions.begin() as session:
            session.execute(update(Job).where(Job.id == job).values(noted))

    def is_cancelling(self, job: str) -> bool:
        """Whether the job is to stop."""
        with self._sessions.begin() as session:
            return session.scalars(select(Job.state).where(Job.id == job)).one() == CANCELLING

    def ask_to_cancel(self, job: str) -> None:
        """Ends a job that waits, and turns one that runs to CANCELLING; any other stays as it is."""
        with self._sessions.begin() as session:
            waiting, running = (update(Job).where(Job.id == job, Job.state == state) for state in (PENDING, RUNNING))
            session.execute(waiting.values(_ended(CANCELLED, "Cancelled before it began.")))
            session.execute(running.values(state=CANCELLING, message="Stopping."))

    def end_if_cancelling(self, job: str) -> None:
        """Ends a job that was asked to stop as CANCELLED; any other stays as it is."""
        with self._sessions.begin() as session:
            query = update(Job).where(Job.id == job, Job.state == CANCELLING)
            session.execute(query.values(_ended(CANCELLED, "Cancelled.")))

    def fail(self, job: str, failure: Failure) -> None:
        """Ends a job that runs as FAILED."""
        error = {
            "error_reason": failure.reason,
            "error_field": failure.field,
            "error_message": failure.message,
        }
        with self._sessions.begin() as session:
            query = update(Job).where(Job.id == job, Job.state == RUNNING)
            session.execute(query.values(_ended(FAILED, "Failed.") | error))

    def succeed(self, job: str, model: Model) -> bool:
        """Ends a job with its model, in one step; False, and neither happens, if it was cancelled meanwhile.

        Asked again after its answer was lost, it answers the same.
        """
        ended = _ended(SUCCEEDED, f"{model.reference} is trained.") | {"stage": "done", "progress": 1.0}
        with self._sessions.begin() as session:
            query = update(Job).where(Job.id == job, Job.state == RUNNING).values(ended)
            done = bool(session.execute(query.returning(Job.id)).all())
            if done:
                session.add(model)
            else:
                done = session.scalars(select(Job.state).where(Job.id == job)).one() == SUCCEEDED
        return done


def _ended(state: str, message: str) -> dict[str, Any]:
    return {"state": state, "message": message, "finished_at": now()}
