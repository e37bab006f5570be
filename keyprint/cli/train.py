"""keyprint train: train a model and compare it with all others."""

from __future__ import annotations

from typing import Annotated

import typer

from keyprint.cli.comparison import print_comparison
from keyprint.cli.console import AsJson, print_json, say, training
from keyprint.cli.holdout import Holdout, Seed, Split, SplitName, read_share
from keyprint.cli.job import check, watch
from keyprint.client import TrainingClient
from keyprint.errors import InvalidArgument, KeyprintError
from keyprint.v1 import training_pb2

NOT_COMPARED = 3
"""Exit status where the model was made and the comparison after it failed."""


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
    """Train a model, then compare every model on the same hold-out.

    Exits with 1 if there is no model: the job failed or was cancelled. Exits with 3 if the model was made and the
    comparison failed; `keyprint models compare` makes that up.

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
        made = f"{job.model}@{job.version}"
        try:
            trained = client.get_model(made)
            comparison = client.compare_models(dataset, share, split.value_of_proto, seed)
        except KeyprintError as error:
            if as_json:
                print_json({"job": job, "error": error.to_proto()})
            else:
                typer.echo(f"{made} is trained.")
            say(f"error: {made} is made, and the comparison failed: {error.told}")
            raise typer.Exit(NOT_COMPARED) from None
    if as_json:
        print_json({"job": job, "model": trained, "comparison": comparison})
        return
    typer.echo(f"{made} is trained on {trained.training_attempts:,} attempts.")
    print_comparison(comparison)


def follow(client: TrainingClient, job: training_pb2.TrainingJob) -> training_pb2.TrainingJob:
    """Says that training has started, shows its progress, and returns the job when it has succeeded.

    Raises:
        FailedPrecondition: the job failed, with its reason, or was cancelled.
    """
    say(f"Training has started: {job.id} makes {job.model}@{job.version} with {job.learner}.")
    try:
        ended = watch(client, job)
    except KeyboardInterrupt:
        client.cancel_training_job(job.id)
        say(f"{job.id} is cancelled.")
        raise typer.Exit(130) from None
    check(ended)
    return ended
