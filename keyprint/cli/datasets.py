"""keyprint datasets: import typing data and look at it."""

from __future__ import annotations

import json
import os
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from keyprint.client import IngestClient
from keyprint.jsonform import to_dict
from keyprint.v1 import ingest_pb2

app = typer.Typer(no_args_is_help=True, help="Import typing data and look at it.")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
Id = Annotated[str, typer.Argument(help="Dataset id.")]

_USABLE = (ingest_pb2.Dataset.STATE_READY, ingest_pb2.Dataset.STATE_INCOMPLETE)


def _client() -> IngestClient:
    return IngestClient(os.environ.get("KEYPRINT_INGEST_ADDRESS", "127.0.0.1:50051"))


@app.command()
def create(
    url: Annotated[str, typer.Argument(help="URL of the first document.")],
    phrase: Annotated[str, typer.Option(help="What everybody typed; the default phrase if empty.")] = "",
    min_attempts: Annotated[int, typer.Option(min=1, help="Valid attempts to be enrolled.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Import a chain of documents. Exits with 1 if nothing usable came of it."""
    columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    with _client() as client, Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        made = client.create_dataset(url, phrase, min_attempts)
        dataset = made
        task = progress.add_task("Importing", total=None)
        for dataset in client.watch_dataset(made.id):
            counts = f"{dataset.documents} documents, {dataset.attempts} attempts, {dataset.valid_attempts} valid"
            progress.update(task, description=counts)
    _print_dataset(dataset, as_json)
    if dataset.state not in _USABLE:
        raise typer.Exit(1)


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """All datasets, newest first."""
    with _client() as client:
        found = list(client.list_datasets())
    if as_json:
        _print_json([to_dict(one) for one in found])
        return
    table = Table("id", "state", "users", "attempts", "valid", "phrase", "source")
    for one in found:
        counts = (one.users, one.attempts, one.valid_attempts)
        table.add_row(one.id, _state(one), *(f"{count:,}" for count in counts), one.phrase, one.source_url)
    Console().print(table)


@app.command()
def show(dataset: Id, as_json: AsJson = False) -> None:
    """One dataset with its counts."""
    with _client() as client:
        _print_dataset(client.get_dataset(dataset), as_json)


@app.command()
def records(
    dataset: Id,
    first_n: Annotated[int, typer.Option(min=1, help="Rows, at most 1000.")] = 20,
    as_json: AsJson = False,
) -> None:
    """The first rows of the keystroke table."""
    with _client() as client:
        found = client.list_records(dataset, first_n)
    if as_json:
        _print_json([to_dict(one) for one in found])
        return
    table = Table("user", "typed at", "character", "index", "hold ms", "press to press ms", "flight ms", "reason")
    for one in found:
        times = [
            f"{getattr(one, name):.1f}" if one.HasField(name) else ""
            for name in ("hold_ms", "press_to_press_ms", "flight_ms")
        ]
        at = one.typed_at.ToDatetime().isoformat(sep=" ")
        table.add_row(one.user, at, repr(one.character)[1:-1], str(one.character_index), *times, one.reason)
    Console().print(table)


@app.command()
def cancel(dataset: Id) -> None:
    """Stop an import."""
    with _client() as client:
        typer.echo(_state(client.cancel_dataset(dataset)))


@app.command()
def delete(dataset: Id) -> None:
    """Delete a dataset."""
    with _client() as client:
        client.delete_dataset(dataset)


def _state(dataset: ingest_pb2.Dataset) -> str:
    state: str = to_dict(dataset)["state"]
    return state


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value))


def _print_dataset(dataset: ingest_pb2.Dataset, as_json: bool) -> None:
    if as_json:
        _print_json(to_dict(dataset))
        return
    table = Table(show_header=False)
    rows = {
        "id": dataset.id,
        "state": _state(dataset),
        "source": dataset.source_url,
        "phrase": dataset.phrase,
        "attempts": f"{dataset.attempts:,} in {dataset.documents:,} documents",
        "valid": f"{dataset.valid_attempts:,}, {dataset.duplicate_attempts:,} of them copies",
        "not valid": _counts(dict(dataset.invalid)),
        "warnings": _counts(dict(dataset.warnings)),
        "users": f"{dataset.users:,}, {dataset.enrolled_users:,} enrolled (from {dataset.min_attempts:,} attempts)",
        "error": f"{dataset.error.message} [{dataset.error.reason}]" if dataset.error.reason else "",
    }
    for name, value in rows.items():
        if value:
            table.add_row(name, value)
    Console().print(table)


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in sorted(counts.items()))
