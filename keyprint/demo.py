"""The demonstration: made-up typists through every part, from import to CSV."""

from __future__ import annotations

import contextlib
import csv
import functools
import http.server
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import typer

from keyprint import processes, simulate
from keyprint.addresses import Address, free_address
from keyprint.attempts import DEFAULT_PHRASE
from keyprint.cli import datasets, predict, train
from keyprint.cli.comparison import print_comparison
from keyprint.client import InferenceClient, IngestClient, TrainingClient
from keyprint.errors import FailedPrecondition, KeyprintError
from keyprint.localsettings import read
from keyprint.onlyone import only_one
from keyprint.v1 import ingest_pb2, training_pb2

LEARNERS: dict[str, dict[str, float]] = {"adaboost": {}, "lstm": {"epochs": 20}}
"""What it trains, with the parameters that are not the defaults: a few made-up typists are soon learnt."""
HOLDOUT = 0.2


def run(home: Path, users: int, attempts: int) -> None:
    """Starts all parts, walks through the whole job, writes the CSV, and stops everything.

    Its own models are called demo-<learner>; each run makes their next version.  What it leaves under `home` is
    there for `keyprint up`.

    Args:
        home: directory of all state.
        users: made-up typists.
        attempts: attempts of each to learn from.

    Raises:
        FailedPrecondition: this is no checkout, or `home` is in use.
        KeyprintError: as the services say.
    """
    root = processes.checkout()
    # A plain `kill` is to stop the parts as Ctrl-C does, also where a shell has made us deaf to that.
    signal.signal(signal.SIGTERM, _interrupt)
    local = read()
    addresses: dict[str, Address] = {}
    for part, address in local.addresses.items():
        others = (*addresses.values(), *local.addresses.values())
        addresses[part] = address if address.is_free() else free_address(others)
    nets = ",".join(filter(None, [os.environ.get("KEYPRINT_INGEST_ALLOW_NETS"), "127.0.0.0/8"]))
    environment = {**os.environ, "KEYPRINT_INGEST_ALLOW_NETS": nets}
    with only_one(home, "`keyprint up` or `keyprint demo`"):
        tree = processes.Tree(addresses, root, home, local.grace, environment)
        with tree:
            try:
                _walk(tree, addresses, home, users, attempts)
            except KeyprintError:
                # A part that ended is a better reason than the call that found nobody there.
                tree.check()
                raise
    typer.echo("\nTo go on with what is there:\n\n    keyprint up\n")
    for page in ("", "type", "analyze", "train", "evaluate"):
        typer.echo(f"    {local.addresses['gateway'].url}{page}")


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _walk(tree: processes.Tree, addresses: dict[str, Address], home: Path, users: int, attempts: int) -> None:
    folder = home / "demo"
    with _timed("Starting ingest, training, inference and the gateway"):
        tree.wait(lambda part: None)
    with _timed(f"Making up {users} typists with {attempts} attempts each"):
        first, *_ = simulate.write(folder, users, attempts, DEFAULT_PHRASE, test=True)
    with (
        _served(folder) as url,
        IngestClient(addresses["ingest"].reach.listen) as ingest,
        TrainingClient(addresses["training"].reach.listen) as training,
        InferenceClient(addresses["inference"].reach.listen) as inference,
    ):
        with _timed("Importing what they typed"):
            dataset = _import(ingest, f"{url}/{quote(first.name)}")
        counts = f"{dataset.users:,} typists, {dataset.attempts:,} attempts, {dataset.valid_attempts:,} valid"
        typer.echo(f"  {dataset.id}: {counts}")
        for learner, params in LEARNERS.items():
            with _timed(f"Training {learner}"):
                job = training.create_training_job(
                    dataset.id, learner, f"demo-{learner}", HOLDOUT, params=params, new_version=True
                )
                train.follow(training, job)
        with _timed("Comparing every model on the same hold-out"):
            comparison = training.compare_models(dataset.id, HOLDOUT)
        print_comparison(comparison)
        best = _best(comparison)
        with _timed(f"Predicting new attempts with {best}"):
            unlabelled = _import(ingest, f"{url}/test.json")
            path = folder / "output_predictions.csv"
            rows = predict.write_csv(inference, best, unlabelled, path)
    right, valid = score(path, folder / "test_labels.csv")
    share = f"{right / valid:.1%}" if valid else "none"
    typer.echo(
        f"\n{best} named {right:,} of {valid:,} new attempts right ({share}); {rows - valid:,} were not valid.\n"
        f"One row for each of the {rows:,} attempts: {path}"
    )


def _import(client: IngestClient, url: str) -> ingest_pb2.Dataset:
    dataset = datasets.follow(client, client.create_dataset(url))
    if dataset.state != ingest_pb2.Dataset.STATE_READY:
        raise FailedPrecondition(dataset.error.reason, dataset.error.message, dataset.error.field)
    return dataset


def _best(comparison: training_pb2.Comparison) -> str:
    """The first model of a comparison, as name@version."""
    row = comparison.rows[0]
    return f"{row.name}@{row.version}"


def score(predictions: Path, labels: Path) -> tuple[int, int]:
    """How many of the valid attempts a predictions CSV names right, and how many are valid."""
    with predictions.open(newline="") as said, labels.open(newline="") as true:
        users = {row["attempt"]: row["user"] for row in csv.DictReader(true)}
        named = [
            row["predicted_user"] == users[row["attempt"]]
            for row in csv.DictReader(said)
            if row["decision"] != "INVALID"
        ]
    return sum(named), len(named)


@contextlib.contextmanager
def _timed(text: str) -> Iterator[None]:
    typer.echo(f"{text} ...")
    began = time.monotonic()
    yield
    typer.echo(f"  done in {time.monotonic() - began:.1f} s")


class _Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files without a word."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the base class
        pass


@contextlib.contextmanager
def _served(folder: Path) -> Iterator[str]:
    """Serves a folder over HTTP on loopback; yields the URL."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, name="demo-files")
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
