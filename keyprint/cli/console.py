"""What all commands share: where the services are, and how answers look.

What a command was asked for goes to standard output, everything else to standard error.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from keyprint.client import InferenceClient, IngestClient, TrainingClient
from keyprint.errors import FailedPrecondition
from keyprint.jsonform import to_dict

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]

_FILE_WIDTH = 200


def ingest() -> IngestClient:
    """A client of the ingest service where KEYPRINT_INGEST_ADDRESS says that it is."""
    return IngestClient(os.environ.get("KEYPRINT_INGEST_ADDRESS", "127.0.0.1:50051"))


def training() -> TrainingClient:
    """A client of the training service where KEYPRINT_TRAINING_ADDRESS says that it is."""
    return TrainingClient(os.environ.get("KEYPRINT_TRAINING_ADDRESS", "127.0.0.1:50052"))


def inference() -> InferenceClient:
    """A client of the inference service where KEYPRINT_INFERENCE_ADDRESS says that it is."""
    return InferenceClient(os.environ.get("KEYPRINT_INFERENCE_ADDRESS", "127.0.0.1:50053"))


def say(text: str) -> None:
    """Tells people something that scripts need not read."""
    typer.echo(text, err=True)


def print_json(value: Any) -> None:
    """Prints JSON on one line; messages in it as every surface shows them."""
    typer.echo(json.dumps(value, default=to_dict))


def enum_name(message: Message, field: str) -> str:
    """The value of an enum field as every surface shows it: READY."""
    name: str = to_dict(message)[field]
    return name


def percent(share: float) -> str:
    """A share as it was asked for, in percent: rounded to whole ones, 0.999 would be all."""
    return f"{share * 100:.6g}%"


def moment(at: Timestamp) -> str:
    """A moment, in UTC to the second; empty before it has come."""
    return at.ToDatetime().isoformat(sep=" ", timespec="seconds") if at.seconds else ""


def output() -> Console:
    """Standard output; wide where it is no terminal, so that nothing is cut off in a file."""
    console = Console(markup=False, highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = _FILE_WIDTH
    return console


def plain(text: str) -> Text:
    """Text of strangers for a table: no markup ("[backspace]" is none), nothing that would steer the terminal."""
    return Text("".join(one if one.isprintable() else repr(one)[1:-1] for one in text))


def add_row(table: Table, *cells: object) -> None:
    """Adds a row of plain cells to a table."""
    table.add_row(*(plain(str(cell)) for cell in cells))


@contextmanager
def progress_bar(text: str, total: float | None) -> Iterator[tuple[Progress, Any]]:
    """A bar on standard error that goes away when it is done; `total` None where the end is unknown.

    Where that is no terminal there is none.
    """
    console = Console(stderr=True)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        *((BarColumn(), TaskProgressColumn()) if total is not None else ()),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield progress, progress.add_task(text, total=total)


@contextmanager
def whole_file(path: Path, field: str) -> Iterator[BinaryIO]:
    """A file that appears under its name when everything is in it.

    Args:
        path: its name.
        field: what the caller named it with.

    Raises:
        FailedPrecondition: it cannot be written.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as out:
            yield out
        part.replace(path)
    except OSError as error:
        raise FailedPrecondition("FILE_NOT_WRITABLE", f"{path} cannot be written: {error.strerror}.", field) from None
    finally:
        with suppress(OSError):
            part.unlink()
