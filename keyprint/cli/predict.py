"""keyprint predict and keyprint identify: who typed this."""

from __future__ import annotations

import enum
import io
import json
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from keyprint.cli import datasets
from keyprint.cli.console import (
    AsJson,
    add_row,
    enum_name,
    inference,
    ingest,
    output,
    print_json,
    progress_bar,
    training,
    whole_file,
)
from keyprint.client import InferenceClient
from keyprint.errors import FailedPrecondition, InvalidArgument
from keyprint.jsonform import to_dict
from keyprint.v1 import inference_pb2, ingest_pb2


class Rows(enum.StrEnum):
    """What a row of predictions is."""

    attempts = "attempts"
    keystrokes = "keystrokes"


Far = Annotated[
    float,
    typer.Option(metavar="RATE", help="False accept rate to decide at; 0 for the model's default."),
]


def predict(
    model: Annotated[str, typer.Argument(help="name (its newest version), name@version or name@alias.")],
    dataset: Annotated[str, typer.Argument(help="Dataset id; or a URL, which is imported first.")],
    csv: Annotated[Path, typer.Option(help="File to write; it is there whole or not at all.")],
    rows: Annotated[Rows, typer.Option(help="One row for every attempt, or for every keystroke.")] = Rows.attempts,
    far: Far = 0.0,
    as_json: AsJson = False,
) -> None:
    """Say who typed every attempt of a dataset, as CSV in the dataset's order."""
    with ingest() as client:
        if "://" in dataset:
            with training() as trainer:
                phrase = trainer.get_model(model).phrase
            found = datasets.follow(client, client.create_dataset(dataset, phrase))
            if found.state not in datasets.USABLE:
                raise FailedPrecondition(found.error.reason, found.error.message, found.error.field)
        else:
            found = client.get_dataset(dataset)
    with inference() as client_of_models:
        count = write_csv(client_of_models, model, found, csv, rows, far)
    if as_json:
        print_json({"csv": str(csv), "rows": count, "dataset": found})
        return
    typer.echo(f"{csv}: {count:,} rows, one for each of the {rows}.")


def write_csv(
    client: InferenceClient,
    model: str,
    dataset: ingest_pb2.Dataset,
    path: Path,
    rows: Rows = Rows.attempts,
    far: float = 0.0,
) -> int:
    """Writes the predictions of a dataset, with a progress bar, and returns the number of rows.

    Raises:
        FailedPrecondition: the file cannot be written.
    """
    from keyprint.arrow import from_ipc

    total = float(dataset.attempts) if rows is Rows.attempts else None
    count = 0
    with whole_file(path, "csv") as out, progress_bar("Predicting", total) as (progress, task):
        for message in client.predict_dataset(model, dataset.id, rows is Rows.keystrokes, far=far):
            batch = from_ipc(message.ipc)
            out.write(_csv(batch, header=out.tell() == 0))
            count += batch.num_rows
            progress.update(task, completed=count, description=f"{count:,} rows")
    return count


def _csv(batch: object, header: bool) -> bytes:
    """A record batch as CSV; nothing is quoted unless something has to be."""
    import pyarrow as pa
    from pyarrow import csv

    for quoting in ("none", "needed"):
        out = io.BytesIO()
        options = csv.WriteOptions(include_header=header, quoting_style=quoting, quoting_header="none")
        try:
            csv.write_csv(batch, out, options)
        except pa.ArrowInvalid:
            # A value holds a comma or a quote, so this batch's texts are quoted.
            continue
        break
    return out.getvalue()


def identify(
    model: Annotated[str, typer.Argument(help="name (its newest version), name@version or name@alias.")],
    file: Annotated[Path, typer.Argument(help="JSON of one attempt in the source format; - for standard input.")],
    candidates: Annotated[int, typer.Option(min=1, max=1000, help="Candidates to tell, best first.")] = 5,
    explain: Annotated[bool, typer.Option("--explain", help="Tell what each key said about the best one.")] = False,
    far: Far = 0.0,
    as_json: AsJson = False,
) -> None:
    """Say who typed one attempt. An attempt that is not valid is an answer too, with exit status 0."""
    from keyprint.source import attempt_from_source

    attempt = attempt_from_source(_read_attempt(file))
    with inference() as client:
        answer = client.identify(model, attempt, candidates, explain, far)
    if as_json:
        print_json(answer)
        return
    decision = enum_name(answer, "decision")
    typer.echo(f"{answer.model}: {decision}{f', {answer.reason}' if answer.reason else ''}")
    if not answer.reason:
        typer.echo(f"IDENTIFIED from {answer.threshold:.4f}, for a false accept rate of {answer.far:.2g} a claim.")
    if answer.candidates:
        table = Table("user", "probability")
        for one in answer.candidates:
            add_row(table, one.user, f"{one.probability:.4f}")
        output().print(table)
    for flag in to_dict(answer)["flags"]:
        typer.echo(f"Flagged: {flag}")
    if answer.HasField("explanation"):
        _print_explanation(answer.explanation)


def _print_explanation(explanation: inference_pb2.Explanation) -> None:
    typer.echo(f"For (+) and against (-) {explanation.user}, in log-odds:")
    table = Table("key", "latency", "hold")
    for key in explanation.keys:
        add_row(table, repr(key.character), f"{key.latency:+.3f}", f"{key.hold:+.3f}")
    output().print(table)


def _read_attempt(file: Path) -> list[dict[str, object]]:
    try:
        found = json.loads(typer.get_binary_stream("stdin").read() if str(file) == "-" else file.read_bytes())
    except OSError as error:
        raise InvalidArgument("FILE_NOT_FOUND", f"{file} cannot be read: {error.strerror}.", "file") from None
    except (ValueError, RecursionError):
        raise InvalidArgument("NOT_JSON", f"{file} is not JSON.", "attempt") from None
    if not isinstance(found, list):
        raise InvalidArgument(
            "ATTEMPT_INVALID", "An attempt is a JSON list of keystrokes, each with typed_at and character.", "attempt"
        )
    return found
