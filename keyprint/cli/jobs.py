"""keyprint jobs: training that was asked for, under way or over."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from keyprint.cli.console import AsJson, add_row, enum_name, moment, output, print_json, training
from keyprint.cli.job import check, print_job
from keyprint.cli.job import watch as watch_job

app = typer.Typer(no_args_is_help=True, help="See, follow and cancel training jobs.")

Id = Annotated[str, typer.Argument(help="Job id.")]


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """All jobs, newest first."""
    with training() as client:
        found = list(client.list_training_jobs())
    if as_json:
        print_json(found)
        return
    table = Table("id", "state", "stage", "progress", "model", "learner", "dataset", "asked for at", "error")
    for one in found:
        far, made = f"{one.progress:.0%}", f"{one.model}@{one.version}"
        asked_for = (made, one.learner, one.dataset, moment(one.created_at))
        add_row(table, one.id, enum_name(one, "state"), one.stage, far, *asked_for, one.error.reason)
    output().print(table)


@app.command()
def show(job: Id, as_json: AsJson = False) -> None:
    """One job as it stands. With --json also its learning curve."""
    with training() as client:
        found = client.get_training_job(job)
    print_json(found) if as_json else print_job(found)


@app.command()
def watch(job: Id, as_json: AsJson = False) -> None:
    """Follow a job to its end. Exits with 1 if it fails or is cancelled.

    Ctrl-C stops the watching, and not the job.
    """
    with training() as client:
        ended = watch_job(client, client.get_training_job(job))
    print_json(ended) if as_json else print_job(ended)
    check(ended)


@app.command()
def cancel(job: Id, as_json: AsJson = False) -> None:
    """Stop a job, so that it leaves no model, and wait until it has stopped.

    Exits with 1 if it had failed, or had made its model already.
    """
    with training() as client:
        ended = watch_job(client, client.cancel_training_job(job))
    state = enum_name(ended, "state")
    print_json(ended) if as_json else typer.echo(state)
    if state != "CANCELLED":
        raise typer.Exit(1)
