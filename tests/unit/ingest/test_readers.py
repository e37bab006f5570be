"""Documents are read by processes of their own, which may die and must not outlive their service."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from keyprint.arrow import from_ipc
from keyprint.errors import InvalidArgument, Unavailable
from services.ingest import readers
from services.ingest.catalogue import Catalogue
from services.ingest.readers import Readers
from services.ingest.reading import Reading, Rules, read_document
from services.ingest.shelf import LEAST_BYTES
from services.ingest.store import Store
from tests.unit.ingest.sources import attempt, document, importer_of

RULES = Rules("hi", 100, 10)
ADA = json.dumps({"user_label": "ada", "user_data": [attempt("hi", 10), attempt("ho", 20), 7]}).encode()

WATCHED = """
import sys
from services.ingest.reading import Rules
from services.ingest.readers import Readers
readers = Readers(1)
readers.read(b'{"attempts": []}', Rules("hi", 100, 10))
print("read", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def two() -> Iterator[Readers]:
    with Readers(2) as opened:
        yield opened


def pids() -> list[int]:
    """The readers of this process."""
    return [one.pid for one in psutil.Process().children() if "services.ingest.reader" in one.cmdline()]


def test_a_reader_says_of_a_document_what_is_in_it(two: Readers) -> None:
    found, expected = two.read(ADA, RULES), read_document(ADA, RULES)
    assert found == expected
    assert (found.valid, found.invalid, found.attempts) == (1, {"PHRASE_MISMATCH": 1, "MALFORMED": 1}, 3)
    assert from_ipc(found.rows).equals(from_ipc(expected.rows))


def test_what_is_no_document_is_refused_as_it_is_without_a_reader(two: Readers) -> None:
    with pytest.raises(InvalidArgument, match="is not JSON") as refused:
        two.read(b"[", RULES)
    assert (refused.value.reason, refused.value.field) == ("NOT_JSON", "")
    assert two.read(ADA, RULES).user == "ada"


def test_a_reader_that_was_killed_is_replaced(two: Readers) -> None:
    two.read(ADA, RULES)
    (killed,) = pids()
    os.kill(killed, signal.SIGKILL)
    assert two.read(ADA, RULES).user == "ada"
    assert killed not in pids()


def test_a_document_is_read_though_all_readers_were_killed_while_they_were_idle(two: Readers) -> None:
    with ThreadPoolExecutor(2) as callers:
        while len(pids()) < 2:
            list(callers.map(lambda _: two.read(ADA, RULES), range(2)))
    for killed in pids():
        os.kill(killed, signal.SIGKILL)
    assert two.read(ADA, RULES).user == "ada"


@pytest.mark.parametrize("told", [signal.SIGINT, signal.SIGTERM])
def test_a_reader_leaves_it_to_its_service_when_to_end(two: Readers, told: signal.Signals) -> None:
    two.read(ADA, RULES)
    (reader,) = pids()
    os.kill(reader, told)
    assert two.read(ADA, RULES).user == "ada"
    assert pids() == [reader]


def test_a_document_that_ends_its_readers_is_named_and_what_came_before_it_is_kept(
    web: tuple[Path, str], catalogue: Catalogue, store: Store, two: Readers, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, url = web
    document(folder, "ada", "bob.json", 10, 20)
    document(folder, "bob", None, 30)
    ending = [sys.executable, "-c", "pass"]

    def read(content: bytes, rules: Rules) -> Reading:
        if b'"user_label": "bob"' in content:
            for pid in pids():
                os.kill(pid, signal.SIGKILL)
            monkeypatch.setattr(readers, "_COMMAND", ending)
        return two.read(content, rules)

    dataset = catalogue.open_import(url + "ada.json", url, "hi", 2)
    importer_of(catalogue, store, read=read).run(dataset.id)
    found = catalogue.get(dataset.id)
    assert (found.state, found.error_reason, [row.user for row in found.documents]) == (
        "INCOMPLETE",
        "READER_DIED",
        ["ada"],
    )
    assert f"{url}bob.json cannot be read." in found.error_message


SILENT = [sys.executable, "-c", "import time; time.sleep(600)"]


def test_a_reader_that_takes_too_long_is_ended_and_its_document_named(
    web: tuple[Path, str], catalogue: Catalogue, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, url = web
    document(folder, "ada", None, 10, 20)
    with monkeypatch.context() as patched:
        patched.setattr(readers, "_COMMAND", SILENT)
        impatient = Readers(1, seconds=0.2)
    before = set(psutil.Process().children())
    with impatient:
        dataset = catalogue.open_import(url + "ada.json", url, "hi", 2)
        importer_of(catalogue, store, read=impatient.read).run(dataset.id)
        found = catalogue.get(dataset.id)
        assert (found.state, found.error_reason) == ("FAILED", "LIMIT_EXCEEDED")
        assert found.error_message.startswith(f"{url}ada.json cannot be read. It takes longer than 0.2 seconds to read")
        assert len(before - set(psutil.Process().children())) == 1


def test_a_document_whose_reader_cannot_be_started_is_refused_and_nothing_stays_open(
    two: Readers, monkeypatch: pytest.MonkeyPatch
) -> None:
    (killed,) = pids()
    os.kill(killed, signal.SIGKILL)
    with monkeypatch.context() as patched:
        patched.setattr(readers, "_COMMAND", ["/nowhere/python"])
        before = psutil.Process().num_fds()
        for _ in range(3):
            with pytest.raises(Unavailable) as refused:
                two.read(ADA, RULES)
            assert refused.value.reason == "READER_DIED"
        assert psutil.Process().num_fds() < before
    assert two.read(ADA, RULES).user == "ada"


def test_the_memory_in_which_a_large_document_lay_is_given_back(two: Readers) -> None:
    two.read(ADA + b" " * 3 * LEAST_BYTES, RULES)
    assert [os.fstat(one._shelf.descriptor).st_size for one in two._idle] == [LEAST_BYTES]


def test_readers_end_with_their_service_however_it_ends() -> None:
    with subprocess.Popen(  # noqa: S603 - our own words
        [sys.executable, "-c", WATCHED], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as service:
        assert service.stdout is not None
        assert service.stdout.readline() == b"read\n"
        (reader,) = psutil.Process(service.pid).children()
        service.kill()
    reader.wait(10)
