"""Recorded typing, where it lies beside the checkout: what ingest finds in it."""

from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

import pytest

from keyprint.client import IngestClient
from keyprint.v1 import ingest_pb2
from tests.conftest import Serve, Stack

DATA = Path(__file__).parents[3] / "shared" / "data"

pytestmark = pytest.mark.skipif(not DATA.exists(), reason="../shared is not here")


class Files(SimpleHTTPRequestHandler):
    """Serves files without a word."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the base class
        pass


@pytest.fixture
def ingest(keyprint_stack: Stack) -> Iterator[IngestClient]:
    with IngestClient(keyprint_stack.addresses["ingest"].listen) as client:
        yield client


def imported(ingest: IngestClient, url: str, phrase: str = "") -> ingest_pb2.Dataset:
    *_, dataset = ingest.watch_dataset(ingest.create_dataset(url, phrase).id)
    return dataset


def test_the_document_of_the_original_challenge_is_read_up_to_its_dead_link(ingest: IngestClient, serve: Serve) -> None:
    (document,) = (DATA / "unifyid").glob("*.json")
    with serve(functools.partial(Files, directory=str(document.parent))) as url:
        dataset = imported(ingest, f"{url}/{document.name}")
    assert dataset.state == ingest_pb2.Dataset.STATE_INCOMPLETE
    assert dataset.error.reason == "DOCUMENT_NOT_FOUND"
    assert (dataset.attempts, dataset.valid_attempts) == (495, 375)
    assert dict(dataset.invalid) == {"PHRASE_MISMATCH": 120}


@pytest.mark.parametrize("press_only", [False, True])
def test_dirty_recordings_are_sorted_by_reason(
    ingest: IngestClient, serve: Serve, tmp_path: Path, press_only: bool
) -> None:
    command = [sys.executable, str(DATA / "make_chain.py"), str(DATA / "bksd" / "attempts.csv"), str(tmp_path)]
    subprocess.run([*command, *(["--press-only"] if press_only else [])], check=True)  # noqa: S603 - beside the checkout
    with serve(functools.partial(Files, directory=str(tmp_path))) as url:
        dataset = imported(ingest, f"{url}/user_typist00.json", "abcdefghijklmnop")
    assert dataset.state == ingest_pb2.Dataset.STATE_READY
    assert (dataset.documents, dataset.enrolled_users) == (34, 34)
    assert (dataset.attempts, dataset.valid_attempts, dict(dataset.invalid)) == (10_510, 10_366, {"OUT_OF_ORDER": 144})
    assert dict(dataset.warnings) == {"LONG_PAUSE": 29} | ({} if press_only else {"NEGATIVE_HOLD": 87})
    assert dataset.release_times == (not press_only)
