"""keyprint datasets: import typing data and look at it."""

from __future__ import annotations

import gzip
import json
import os
import re
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated
from urllib.parse import unquote

import typer
from rich.table import Table

from keyprint.cli.console import AsJson, add_row, enum_name, ingest, output, print_json, progress_bar, say
from keyprint.client import IngestClient
from keyprint.errors import InvalidArgument, NotFound
from keyprint.jsonform import to_dict
from keyprint.v1 import ingest_pb2

app = typer.Typer(no_args_is_help=True, help="Import typing data and look at it.")

Id = Annotated[str, typer.Argument(help="Dataset id.")]

_URL = re.compile("[a-z][a-z0-9+.-]*:/", re.IGNORECASE)

_FIRST_USERS = 20
"""Users shown of a dataset that was made."""

_ALONE = "Mend that, or leave out what files chain by --alone."

_BROKEN = "The dataset ends before it, as INCOMPLETE; mend that and send the files again for all of them."

_NAME_LENGTH = 200
"""Characters shown of a name that a document gives."""

USABLE = (ingest_pb2.Dataset.STATE_READY, ingest_pb2.Dataset.STATE_INCOMPLETE)


@app.command()
def create(
    sources: Annotated[
        list[str],
        typer.Argument(
            help="URL of the first document, or of a list of them; or files, which are sent with what they chain."
        ),
    ],
    phrase: Annotated[str, typer.Option(help="What everybody typed; the default phrase if empty.")] = "",
    min_attempts: Annotated[int, typer.Option(min=1, help="Valid attempts to be enrolled.")] = 20,
    refresh: Annotated[bool, typer.Option("--refresh", help="Ask whether a URL read before has changed.")] = False,
    base: Annotated[str, typer.Option(help="Dataset id; its documents come before the files.")] = "",
    alone: Annotated[bool, typer.Option("--alone", help="Send the files without what they chain.")] = False,
    as_json: AsJson = False,
) -> None:
    """Import typing data. Exits with 1 if nothing usable came of it; an INCOMPLETE dataset is usable and says why."""
    with ingest() as client:
        begun = _begin(client, sources, phrase, min_attempts, refresh, base, alone)
        dataset = follow(client, begun)
        # A refresh that finds nothing new ends in the dataset from before.
        if dataset.id != begun.id:
            say("The source was asked again and has not changed. What was read before is used.")
        if as_json:
            print_json(dataset)
        else:
            _print_dataset(client, dataset, _FIRST_USERS)
    if dataset.state not in USABLE:
        raise typer.Exit(1)


def _begin(
    client: IngestClient, sources: list[str], phrase: str, min_attempts: int, refresh: bool, base: str, alone: bool
) -> ingest_pb2.Dataset:
    if any(map(_URL.match, sources)):
        # A URL is not repeated: it may hold credentials.
        if len(sources) > 1 or base:
            raise InvalidArgument(
                "SOURCES_INVALID", "A URL is imported alone, without --base; give one URL, or files only.", "sources"
            )
        return client.create_dataset(sources[0], phrase, min_attempts, refresh)
    if not all(sources):
        raise InvalidArgument("SOURCES_INVALID", "A source is empty; give a URL, or the path of a file.", "sources")
    files = [Path(source) for source in sources]
    for path in files:
        if not _is_file(path) or not os.access(path, os.R_OK):
            raise NotFound("FILE_NOT_FOUND", f"{_shown(path)} is neither a file to read nor a URL.", "sources")
    if refresh:
        raise InvalidArgument(
            "REFRESH_INVALID",
            "--refresh asks a URL again whether it has changed, and files are read anew each time; leave it out.",
            "refresh",
        )
    # Before anything is sent.
    paths, broken_at = (files, "") if alone else _chained(files)
    return client.upload_dataset(_contents(paths), phrase, min_attempts, base, broken_at)


def _is_file(path: Path) -> bool:
    """Whether there is such a file; a name that the file system refuses, as one that is too long, is none."""
    try:
        return path.is_file()
    except OSError:
        return False


def _shown(path: Path) -> str:
    """A path as text that can be sent; one that is no UTF-8 has "?" where it is none."""
    return str(path).encode(errors="replace").decode()


def _contents(paths: list[Path]) -> Iterator[tuple[str, bytes]]:
    """Each file's name and content, once.

    Raises:
        NotFound: a file cannot be read.
    """
    return ((_shown(path), _content(path)) for path in {path.resolve(): path for path in paths}.values())


def _chained(files: list[Path]) -> tuple[list[Path], str]:
    """The files in order, each followed by those that it chains, up to where a chain breaks off; and what that is at.

    That is a file that is not there, or one that its chain comes back to; empty if there is none.

    Raises:
        NotFound: a file cannot be read.
        InvalidArgument: a file chains what can be no file in its folder.
    """
    known: dict[Path, Path] = {}
    for first in files:
        path: Path | None = first
        chain: set[Path] = set()
        while path:
            place = path.resolve()
            if place in chain:
                say(f"The chain of {_shown(first)} comes back to {_shown(known[place])}. {_BROKEN}")
                return list(known.values()), _shown(known[place])
            if place in known:
                break
            if not _is_file(path):
                say(f"{_shown(path)} is chained, and there is no such file. {_BROKEN}")
                return list(known.values()), _shown(path)
            chain.add(place)
            known[place] = path
            path = _following(path)
    return list(known.values()), ""


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise NotFound("FILE_NOT_FOUND", f"{_shown(path)} cannot be read: {error.strerror}.", "sources") from None


def _following(path: Path) -> Path | None:
    """The file that a document names as the next one, in its own folder or below; it need not be there."""
    content = _content(path)
    try:
        name = json.loads(gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content).get("next")
    except (ValueError, AttributeError, OSError, EOFError, zlib.error, RecursionError):
        # The service says what is wrong with it.
        return None
    if not isinstance(name, str) or not name:
        return None
    if _URL.match(name):
        # It is not repeated, as above.
        raise InvalidArgument(
            "CHAIN_BROKEN", f"{_shown(path)} names a URL as its next, and files chain only files. {_ALONE}", "sources"
        )
    # It is written as a part of a URL, or as a file is called.
    called, meant = path.parent / name, path.parent / unquote(name)
    for one in (called, meant):
        if _is_inside(one, path.parent) and _is_file(one):
            return one
    if not _is_inside(meant, path.parent):
        raise InvalidArgument(
            "CHAIN_BROKEN",
            f"{_shown(path)} names {name[:_NAME_LENGTH]!r} as its next, which is outside of its folder. {_ALONE}",
            "sources",
        )
    return meant


def _is_inside(path: Path, folder: Path) -> bool:
    try:
        return path.resolve().is_relative_to(folder.resolve())
    except (ValueError, OSError):
        return False


def follow(client: IngestClient, dataset: ingest_pb2.Dataset) -> ingest_pb2.Dataset:
    """Shows an import's progress until it has ended, and returns the dataset as it is then."""
    with progress_bar("Importing", None) as (progress, task):
        latest = dataset
        for latest in client.watch_dataset(dataset.id):
            counts = f"{latest.documents} documents, {latest.attempts} attempts, {latest.valid_attempts} valid"
            progress.update(task, description=counts)
    return latest


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """All datasets, newest first."""
    with ingest() as client:
        found = list(client.list_datasets())
    if as_json:
        print_json(found)
        return
    table = Table("id", "state", "users", "attempts", "valid", "copies", "not valid", "phrase", "source")
    for one in found:
        counts = [f"{count:,}" for count in (one.users, one.attempts, one.valid_attempts, one.duplicate_attempts)]
        reasons = _counts(dict(one.invalid))
        add_row(table, one.id, enum_name(one, "state"), *counts, reasons, one.phrase, one.source_url)
    output().print(table)


@app.command()
def show(
    dataset: Id,
    first_n: Annotated[int | None, typer.Option(min=1, help="Users to show; all of them if not given.")] = None,
    as_json: AsJson = False,
) -> None:
    """One dataset with its counts, and those of each user."""
    with ingest() as client:
        found = client.get_dataset(dataset)
        if as_json:
            users = list(islice(client.list_users(dataset), first_n))
            print_json(to_dict(found) | {"user_statistics": users})
        else:
            _print_dataset(client, found, first_n)


@app.command()
def records(
    dataset: Id,
    first_n: Annotated[int, typer.Option(min=1, help="Rows, at most 1000.")] = 20,
    as_json: AsJson = False,
) -> None:
    """The first rows of the keystroke table."""
    with ingest() as client:
        found = client.list_records(dataset, first_n)
    if as_json:
        print_json(found)
        return
    table = Table("user", "typed at", "character", "index", "hold ms", "press to press ms", "flight ms", "reason")
    for one in found:
        times = [
            f"{getattr(one, name):.1f}" if one.HasField(name) else ""
            for name in ("hold_ms", "press_to_press_ms", "flight_ms")
        ]
        at = one.typed_at.ToDatetime().isoformat(sep=" ")
        reason = "DUPLICATE" if one.duplicate else one.reason
        add_row(table, one.user, at, one.character, one.character_index, *times, reason)
    output().print(table)


@app.command()
def cancel(dataset: Id) -> None:
    """Stop an import."""
    with ingest() as client:
        typer.echo(enum_name(client.cancel_dataset(dataset), "state"))


@app.command()
def delete(dataset: Id) -> None:
    """Delete a dataset."""
    with ingest() as client:
        client.delete_dataset(dataset)


def _print_dataset(client: IngestClient, dataset: ingest_pb2.Dataset, first_n: int | None) -> None:
    """Prints a dataset and its first users, or all of them."""
    table = Table(show_header=False)
    rows = {
        "id": dataset.id,
        "state": enum_name(dataset, "state"),
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
            add_row(table, name, value)
    output().print(table)
    if dataset.users:
        users = _users(dataset, islice(client.list_users(dataset.id), first_n))
        output().print(users)
        if first_n and (left := dataset.users - users.row_count) > 0:
            typer.echo(f"{left:,} more of {dataset.users:,}; `keyprint datasets show {dataset.id}` shows all.")


def _users(dataset: ingest_pb2.Dataset, users: Iterator[ingest_pb2.UserStatistics]) -> Table:
    table = Table("user", "attempts", "valid", "copies", "not valid", "warnings", "enrolled")
    for one in users:
        counts = (f"{count:,}" for count in (one.attempts, one.valid_attempts, one.duplicate_attempts))
        reasons = (_counts(dict(one.invalid)), _counts(dict(one.warnings)))
        add_row(table, one.user, *counts, *reasons, _enrolment(one, dataset))
    return table


def _enrolment(one: ingest_pb2.UserStatistics, dataset: ingest_pb2.Dataset) -> str:
    if dataset.state not in USABLE:
        return ""
    usable = one.valid_attempts - one.duplicate_attempts
    return "yes" if one.enrolled else f"no, {usable:,} of {dataset.min_attempts:,} attempts"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in sorted(counts.items()))
