"""keyprint train: train a model and compare it with all others."""

from __future__ import annotations

import enum
from typing import Annotated

import typer

from keyprint.cli.comparison import print_comparison
from keyprint.cli.console import AsJson, print_json, progress_bar, say, training
from keyprint.client import TrainingClient
from keyprint.errors import FailedPrecondition, InvalidArgument
from keyprint.jsonform import to_dict
from keyprint.v1 import attempts_pb2, training_pb2


class Split(enum.StrEnum):
    """How a hold-out is chosen."""

    late = "late"
    random = "random"

    @property
    def value_of_proto(self) -> attempts_pb2.Split.ValueType:
        """The same in a message."""
        return attempts_pb2.Split.Value(f"SPLIT_{self.upper()}")


Holdout = Annotated[
    str, typer.Option(metavar="SHARE", help="Share of each user's attempts kept from training, above 0 and below 1.")
]
SplitName = Annotated[Split, typer.Option(help="How they are chosen: each user's last ones, or seeded random ones.")]
Seed = Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Seed of every random choice.")]


def read_share(holdout: str) -> float:
    """Reads a hold-out.

    Raises:
        InvalidArgument: it is no number above 0 and below 1.
    """
    from keyprint.holdout import check_share

    try:
        share = float(holdout)
    except ValueError:
        raise InvalidArgument(
            "HOLDOUT_OUT_OF_RANGE",
            f"The hold-out must be a number above 0 and below 1, like 0.2, and not {holdout!r}.",
            "holdout",
        ) from None
    return check_share(share)


def read_params(params: list[str]) -> dict[str, float]:
    """Reads learner parameters given as name=value.

    Raises:
        InvalidArgument: one is something else.
    """
    found = {}
    for one in params:
        name, equals, value = one.partition("=")
        try:
            found[name] = float(value)
        except ValueError:
            equals = ""
        if not name or not equals:
            raise InvalidArgument(
                "PARAMETER_INVALID",
                f"{one!r} is no parameter; it must be NAME=NUMBER, with a name that `keyprint learners` lists.",
                f"params.{name}" if name else "params",
            )
    return found


def train(
    dataset: Annotated[str, typer.Argument(help="Dataset id.")],
    learner: Annotated[str, typer.Option(help="How to train: a name that `keyprint learners` lists.")],
    model: Annotated[str, typer.Option(help="Name of the model to be.")],
    holdout: Holdout = "0.2",
    split: SplitName = Split.late,
    features: Annotated[str, typer.Option(help="Feature set; the default one if empty.")] = "",
    param: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE", help="Parameter of the learner, as `keyprint learners` lists them; repeatable."
        ),
    ] = None,
    seed: Seed = 0,
    impostors: Annotated[
        float, typer.Option(metavar="SHARE", help="Share of users to evaluate with as impostors, by one more fit.")
    ] = 0.0,
    new_version: Annotated[bool, typer.Option("--new-version", help="Allow a name that exists.")] = False,
    wait: Annotated[bool, typer.Option(help="Follow the job to its end; or print its id and leave.")] = True,
    as_json: AsJson = False,
) -> None:
    """Train a model, then compare every model on the same hold-out. Exits with 1 if the job fails or is cancelled.

    Ctrl-C cancels the job.
    """
    share = read_share(holdout)
    params = read_params(param or [])
    with training() as client:
        job = client.create_training_job(
            dataset, learner, model, share, split.value_of_proto, features, params, seed, new_version, impostors
        )
        if not wait:
            print_json(job) if as_json else typer.echo(job.id)
            return
        job = follow(client, job)
        trained = client.get_model(f"{job.model}@{job.version}")
        comparison = client.compare_models(dataset, share, split.value_of_proto, seed)
    if as_json:
        print_json({"job": to_dict(job), "model": to_dict(trained), "comparison": to_dict(comparison)})
        return
    typer.echo(f"{trained.name}@{trained.version} is trained on {trained.training_attempts:,} attempts.")
    print_comparison(comparison)


def follow(client: TrainingClient, job: training_pb2.TrainingJob) -> training_pb2.TrainingJob:
    """Says that training has started, shows its progress, and returns the job when it has succeeded.

    Raises:
        FailedPrecondition: the job failed, with its reason, or was cancelled.
    """
    say(f"Training has started: {job.id} makes {job.model}@{job.version} with {job.learner}.")
    latest = job
    try:
        with progress_bar(job.stage or "queued", 1.0) as (progress, task):
            for latest in client.watch_training_job(job.id):
                progress.update(task, completed=latest.progress, description=latest.message or latest.stage)
    except KeyboardInterrupt:
        client.cancel_training_job(job.id)
        say(f"{job.id} is cancelled.")
        raise typer.Exit(130) from None
    if latest.state == training_pb2.TrainingJob.STATE_FAILED:
        raise FailedPrecondition(latest.error.reason, latest.error.message, latest.error.field)
    if latest.state != training_pb2.TrainingJob.STATE_SUCCEEDED:
        raise FailedPrecondition("JOB_CANCELLED", f"{job.id} was cancelled; it left no model.", "job")
    return latest
