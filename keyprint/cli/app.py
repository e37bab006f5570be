"""All commands together."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from keyprint.attempts import DEFAULT_PHRASE
from keyprint.cli import datasets, jobs, learners, models, predict, system, train

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help="Tells people apart by how they type.")
app.command()(system.up)
app.command()(system.demo)
app.add_typer(datasets.app, name="datasets")
app.command()(learners.learners)
app.command()(train.train)
app.add_typer(jobs.app, name="jobs")
app.add_typer(models.app, name="models")
app.command()(predict.predict)
app.command()(predict.identify)


@app.command()
def simulate(
    out: Annotated[Path, typer.Argument(help="Directory to write the documents into.")],
    users: Annotated[int, typer.Option(min=1, max=10_000, help="Typists.")] = 20,
    attempts: Annotated[int, typer.Option(min=1, max=100_000, help="Attempts of each.")] = 60,
    phrase: Annotated[str, typer.Option(help="What everybody types.")] = DEFAULT_PHRASE,
    seed: Annotated[int, typer.Option(min=0, help="The same seed writes the same files.")] = 0,
    press_only: Annotated[bool, typer.Option("--press-only", help="Leave release times out.")] = False,
    test: Annotated[bool, typer.Option("--test", help="Also write unlabelled attempts and their true users.")] = False,
) -> None:
    """Write a chain of made-up typists; prints the first document."""
    from keyprint.simulate import write

    first, *_ = write(out, users, attempts, phrase, seed, press_only, test)
    typer.echo(first)
