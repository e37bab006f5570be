"""Nasty documents are read as what they are, or refused in words; nothing crashes and no neighbour is lost."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from keyprint import attempts
from keyprint.errors import InvalidArgument
from keyprint.features import FEATURE_SETS
from services.ingest.catalogue import Catalogue
from services.ingest.importer import Importer
from services.ingest.listing import listed
from services.ingest.parse import Document, parse_document, to_batch
from services.ingest.store import Store
from services.ingest.upload import Uploads
from tests.unit.ingest import bombs
from tests.unit.ingest.bombs import BOMBS
from tests.unit.ingest.nasty import AMONG_GOOD, ANYTHING, PHRASE

REASONS = ("NOT_JSON", "NOT_A_DOCUMENT")


def look_at(document: Document) -> attempts.Verdicts:
    """Everything that is done with a document; gives what was found of its attempts."""
    verdicts = attempts.judge(document.keystrokes, PHRASE)
    assert to_batch(document, verdicts, 0).num_rows == len(document.keystrokes)
    aligned = attempts.align(document.keystrokes, verdicts, PHRASE)
    for features in FEATURE_SETS.values():
        for release_times in (False, True):
            assert np.isfinite(features.compute(aligned, release_times)).all()
    return verdicts


def refusal(call: Callable[[], object]) -> str:
    """Why a call is refused; empty if it is not."""
    try:
        call()
    except InvalidArgument as error:
        return error.reason if error.message.endswith(".") else f"no sentence: {error.message}"
    return ""


def test_there_are_enough_of_them() -> None:
    assert len(AMONG_GOOD) + len(ANYTHING) >= 200


@pytest.mark.parametrize("name", AMONG_GOOD)
def test_an_odd_attempt_leaves_its_neighbours_alone(name: str) -> None:
    document = parse_document(AMONG_GOOD[name])
    verdicts = look_at(document)
    assert len(verdicts.reason) == 3
    assert (verdicts.reason[0], verdicts.reason[2]) == (0, 0)


@pytest.mark.parametrize("name", ANYTHING)
def test_anything_is_read_or_refused_in_words(name: str) -> None:
    content = ANYTHING[name]
    assert refusal(lambda: listed(content, "http://127.0.0.1/list", 100)) in ("", "URL_INVALID", *REASONS)
    assert refusal(lambda: look_at(parse_document(content))) in ("", *REASONS)


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_read_in_memory_of_a_few_times_its_size(name: str) -> None:
    command = [sys.executable, "-m", bombs.__name__, name]
    root = Path(__file__).parents[3]
    reading = subprocess.run(command, cwd=root, capture_output=True, text=True)  # noqa: S603 - our own command
    assert reading.returncode == 0, reading.stderr
    assert reading.stdout.strip() in ("LIMIT_EXCEEDED", *REASONS) or int(reading.stdout) > 0


def test_a_refused_document_leaves_no_trace_and_the_next_one_is_read(tmp_path: Path) -> None:
    catalogue, store = Catalogue(f"sqlite:///{tmp_path / 'catalogue.db'}"), Store(tmp_path / "state")
    importer = Importer(catalogue, store, lambda: pytest.fail("nothing is fetched"))
    uploads = Uploads(catalogue, store, 2**20, importer.limits)
    for number, content in enumerate(ANYTHING.values()):
        before = {path for path in (tmp_path / "state").rglob("*") if path.is_file()}
        try:
            dataset = uploads.receive([("nasty.json", content)], PHRASE, 1, None)
        except InvalidArgument:
            assert {path for path in (tmp_path / "state").rglob("*") if path.is_file()} == before, number
            continue
        importer.run(dataset.id)
        ended = catalogue.get(dataset.id)
        assert ended.state in ("READY", "FAILED"), number
        # A dataset that came to nothing has nothing on disk.
        folder = tmp_path / "state" / "datasets" / dataset.id
        assert folder.exists() == (ended.state == "READY"), number
        assert (ended.state == "READY") == any(row.valid_attempts for row in ended.documents)
    catalogue.close()
