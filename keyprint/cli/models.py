"""keyprint models: what was trained, and how good it is."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from keyprint.cli.comparison import print_comparison
from keyprint.cli.console import AsJson, add_row, moment, output, print_json, training, whole_file
from keyprint.cli.holdout import Holdout, Seed, Split, SplitName, read_share
from keyprint.cli.model import print_evaluation, print_model
from keyprint.errors import AlreadyExists

app = typer.Typer(no_args_is_help=True, help="See, compare and keep models.")

Reference = Annotated[str, typer.Argument(help="name (its newest version), name@version or name@alias.")]


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """All models, newest first."""
    with training() as client:
        found = list(client.list_models())
    if as_json:
        print_json(found)
        return
    table = Table("model", "aliases", "learner", "dataset", "users", "accuracy", "published at")
    for one in found:
        add_row(
            table,
            f"{one.name}@{one.version}",
            ", ".join(one.aliases),
            one.learner,
            one.dataset,
            f"{one.user_count:,}",
            f"{one.evaluation.accuracy:.1%}",
            moment(one.created_at),
        )
    output().print(table)


@app.command()
def show(model: Reference, as_json: AsJson = False) -> None:
    """One model: what it learned from, how, and how good it is on its own hold-out.

    With --json also its learning curve, confusion matrix and DET curve.
    """
    with training() as client:
        found = client.get_model(model)
    if as_json:
        print_json(found)
        return
    print_model(found)


@app.command()
def compare(
    dataset: Annotated[str, typer.Argument(help="Dataset id.")],
    holdout: Holdout = "0.2",
    split: SplitName = Split.late,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Every model on one hold-out of a dataset, best first."""
    share = read_share(holdout)
    with training() as client, Console(stderr=True).status("Evaluating"):
        comparison = client.compare_models(dataset, share, split.value_of_proto, seed)
    if as_json:
        print_json(comparison)
        return
    print_comparison(comparison)


@app.command()
def evaluate(
    model: Reference,
    dataset: Annotated[str, typer.Argument(help="Dataset id.")],
    holdout: Holdout = "0.2",
    split: SplitName = Split.late,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """One model on a hold-out of a dataset, user by user.

    With --json also its confusion matrix and DET curve.
    """
    share = read_share(holdout)
    with training() as client, Console(stderr=True).status("Evaluating"):
        row = client.evaluate_model(model, dataset, share, split.value_of_proto, seed)
    if as_json:
        print_json(row)
        return
    print_evaluation(row)


@app.command()
def alias(model: Reference, alias: Annotated[str, typer.Argument(help="The alias; not all digits.")]) -> None:
    """Point an alias at a version: `keyprint models alias NAME@VERSION ALIAS`."""
    with training() as client:
        found = client.set_model_alias(model, alias)
    typer.echo(f"{found.name}@{alias} is {found.name}@{found.version}.")


@app.command()
def aliases(
    name: Annotated[str, typer.Argument(help="Name of a model, without version.")], as_json: AsJson = False
) -> None:
    """Where the aliases of a name pointed, and since when, newest first."""
    with training() as client:
        moves = list(client.alias_moves(name))
    if as_json:
        print_json(moves)
        return
    table = Table("alias", "version", "since")
    for one in moves:
        add_row(table, one.alias, str(one.version) if one.version else "deleted", moment(one.moved_at))
    output().print(table)


@app.command()
def export(model: Reference, output_: Annotated[Path, typer.Option("--output", "-o", help="File to write.")]) -> None:
    """Write a model into one file, for `keyprint models import` here or elsewhere."""
    with training() as client, whole_file(output_, "output") as file:
        for piece in client.download_model(model):
            file.write(piece)


@app.command()
def bento(
    model: Reference,
    output_: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write; NAME-VERSION.bento.tar if left out.")
    ] = None,
) -> None:
    """Build a Bento of a model: an archive that `bentoml serve` serves alone, over HTTP and gRPC.

    Needs a checkout and the extra `bento`.
    """
    from keyprint.bento import Content, build, check_installed

    root = check_installed()
    with training() as client, tempfile.TemporaryDirectory(prefix="keyprint-bento-") as folder:
        found = client.get_model(model)
        path = output_ or Path(f"{found.name}-{found.version}.bento.tar")
        if path.exists():
            raise AlreadyExists(
                "FILE_EXISTS", f"{path} exists; remove it, or name another file with --output.", "output"
            )
        archive = Path(folder) / "model.tar"
        with archive.open("wb") as file:
            for piece in client.download_model(f"{found.name}@{found.version}"):
                file.write(piece)
        with Console(stderr=True).status("Building"):
            built = build(Content(found.name, found.version, found.digest, archive), root, Path(folder) / "build")
        with whole_file(path, "output") as out, built.open("rb") as file:
            shutil.copyfileobj(file, out)
    typer.echo(f"{path}: {found.name}@{found.version}. Unpack it and run `bentoml serve` there.")


@app.command("import")
def import_(
    file: Annotated[typer.FileBinaryRead, typer.Argument(help="A file that `keyprint models export` wrote.")],
    name: Annotated[str, typer.Option(help="Name of the model to be.")],
    new_version: Annotated[bool, typer.Option("--new-version", help="Allow a name that exists.")] = False,
) -> None:
    """Publish a model from a file, once its digest is checked."""
    with training() as client:
        found = client.upload_model(file, name, new_version)
    typer.echo(f"{found.name}@{found.version} is imported.")


@app.command()
def delete(model: Reference) -> None:
    """Delete a model; a bare name deletes all its versions."""
    with training() as client:
        client.delete_model(model)
