"""One training job: its progress, its end, and what there is to tell of it."""

from __future__ import annotations

from rich.table import Table

from keyprint.cli.console import add_row, enum_name, moment, output, percent, progress_bar
from keyprint.client import TrainingClient
from keyprint.errors import FailedPrecondition
from keyprint.v1 import training_pb2


def watch(client: TrainingClient, job: training_pb2.TrainingJob) -> training_pb2.TrainingJob:
    """Shows a job's progress, and returns it as it ended."""
    latest = job
    with progress_bar(job.message or job.stage or "queued", 1.0) as (progress, task):
        for latest in client.watch_training_job(job.id):
            told = latest.message or latest.stage
            if latest.HasField("remaining_seconds"):
                told += f" About {latest.remaining_seconds:,.0f} s left."
            progress.update(task, completed=latest.progress, description=told)
    return latest


def check(job: training_pb2.TrainingJob) -> None:
    """Nothing, if a job that has ended made its model.

    Raises:
        FailedPrecondition: it failed, with its reason, or was cancelled.
    """
    if job.state == training_pb2.TrainingJob.STATE_FAILED:
        raise FailedPrecondition(job.error.reason, job.error.message, job.error.field)
    if job.state != training_pb2.TrainingJob.STATE_SUCCEEDED:
        raise FailedPrecondition("JOB_CANCELLED", f"{job.id} was cancelled; it left no model.", "job")


def print_job(job: training_pb2.TrainingJob) -> None:
    """Prints what was asked for, how far it is and how it ended."""
    split = enum_name(job, "split").lower()
    params = sorted((name, value) for name, value in job.params.items() if isinstance(value, float))
    rows = {
        "id": job.id,
        "state": enum_name(job, "state"),
        "stage": f"{job.stage}, {job.progress:.0%}",
        "message": job.message,
        "about to take": f"{job.remaining_seconds:,.0f} s more" if job.HasField("remaining_seconds") else "",
        "error": f"{job.error.message} [{job.error.reason}]" if job.error.reason else "",
        "model": f"{job.model}@{job.version}",
        "dataset": job.dataset,
        "hold-out": f"{split} {percent(job.holdout)}, seed {job.seed}",
        "impostors": f"{percent(job.impostors)} of the users" if job.impostors else "",
        "learner": job.learner,
        "parameters": ", ".join(f"{name}={value:g}" for name, value in params),
        "features": job.features,
        "curve": f"{len(job.curve):,} steps" if job.curve else "",
        "asked for at": moment(job.created_at),
        "begun at": moment(job.started_at),
        "ended at": moment(job.finished_at),
    }
    table = Table(show_header=False)
    for name, value in rows.items():
        if value:
            add_row(table, name, value)
    output().print(table)
