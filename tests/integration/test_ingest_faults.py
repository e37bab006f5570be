"""The ingest service against servers that do as they like, and against being killed."""

from __future__ import annotations

import gzip
import json
import os
import random
import socket
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Protocol

import grpc
import pytest

from keyprint import arrow, simulate
from keyprint.addresses import free_address
from keyprint.attempts import DEFAULT_PHRASE
from keyprint.client import IngestClient
from keyprint.v1 import ingest_pb2, ingest_pb2_grpc
from tests.conftest import Serve

pytestmark = pytest.mark.timeout(600)

State = ingest_pb2.Dataset.State
EACH = 25
KILLS = int(os.environ.get("KEYPRINT_TEST_KILLS", "5"))
"""How often the service is killed; `make soak` asks for more."""


def document(user: str, following: str | None) -> bytes:
    """A good document."""
    typed = [
        [
            {"typed_at": f"2024-01-01T00:{number:02d}:00.{key * (100_000 + number):06d}", "character": character}
            for key, character in enumerate("hi")
        ]
        for number in range(EACH)
    ]
    return json.dumps({"user_label": user, "user_data": typed, "next": following}).encode()


class Faulty(BaseHTTPRequestHandler):
    """/good/<fault> is a good document that chains /<fault>, which goes wrong."""

    asked: list[str]

    def log_message(self, *args: object) -> None:
        """Says nothing."""

    def do_GET(self) -> None:
        self.asked.append(self.path)
        kind, _, rest = self.path.partition("?")[0].strip("/").partition("/")
        try:
            if kind == "good":
                self._send(document("ann", f"/{rest}"))
            else:
                getattr(self, f"_{kind}")()
        except OSError:
            # The service has had enough.
            return

    def _send(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content_Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def _reset(self) -> None:
        # No lingering: the connection ends with a reset.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.wfile.write(b"HTTP/1.0 200 OK\r\n")
        self.connection.close()

    def _truncated(self) -> None:
        body = document("bob", None)
        self._send(body[: len(body) // 2], Content_Length=str(len(body)))

    def _flushed(self) -> None:
        packer = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
        self.send_response(200)
        self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        # All of the document, and no end of its gzip.
        self.wfile.write(packer.compress(document("bob", None)) + packer.flush(zlib.Z_SYNC_FLUSH))

    def _longer(self) -> None:
        body = document("bob", None)
        self._send(body, Content_Length=str(len(body) - 10))

    def _busy(self) -> None:
        self._send(b"", status=429, Retry_After="0")

    def _broken(self) -> None:
        self._send(b"", status=503)

    def _loop(self) -> None:
        self._send(b"", status=302, Location="/loop")

    def _inside(self) -> None:
        self._send(b"", status=302, Location="http://127.77.0.1:9/user.json")

    def _drip(self) -> None:
        self.send_response(200)
        self.end_headers()
        for _ in range(200):
            self.wfile.write(b" ")
            self.wfile.flush()
            time.sleep(0.1)

    def _endless(self) -> None:
        self.send_response(200)
        self.end_headers()
        for _ in range(4096):
            self.wfile.write(bytes(2**16))

    def _bomb(self) -> None:
        self._send(gzip.compress(bytes(64 * 2**20)))

    def _charset(self) -> None:
        self._send(document("bob", None).replace(b"bob", b"b\xf6b"), Content_Type="application/json; charset=latin-1")

    def _lengths(self) -> None:
        self.send_response(200)
        for length in (10, 20):
            self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(bytes(20))

    def _page(self) -> None:
        self._send(b"<html>Please log in</html>", Content_Type="text/html")

    def _elsewhere(self) -> None:
        self._send(document("bob", "ftp://bob:sesame@files.example/x?token=sesame#token=sesame"))

    def _missing(self) -> None:
        self._send(b"", status=404)


FAULTS = {
    "reset": "NO_ANSWER",
    "truncated": "NO_ANSWER",
    "flushed": "NO_ANSWER",
    "longer": "NOT_JSON",
    "lengths": "NO_ANSWER",
    "busy": "HTTP_STATUS",
    "broken": "HTTP_STATUS",
    "loop": "NO_ANSWER",
    "inside": "ADDRESS_REFUSED",
    "drip": "LIMIT_EXCEEDED",
    "endless": "LIMIT_EXCEEDED",
    "bomb": "LIMIT_EXCEEDED",
    "charset": "NOT_JSON",
    "page": "NOT_JSON",
    "missing": "DOCUMENT_NOT_FOUND",
}


class Start(Protocol):
    """Starts an ingest service in a home, with small limits and settings by the rest of their names."""

    def __call__(self, home: Path, **settings: str) -> tuple[subprocess.Popen[bytes], str]: ...


@pytest.fixture(scope="module")
def start() -> Iterator[Start]:
    """Starts an ingest service in a home, with small limits."""
    started: list[subprocess.Popen[bytes]] = []

    def begin(home: Path, **settings: str) -> tuple[subprocess.Popen[bytes], str]:
        address = free_address().listen
        environment = {
            "KEYPRINT_HOME": str(home),
            "KEYPRINT_INGEST_LISTEN": address,
            "KEYPRINT_INGEST_ALLOW_NETS": "127.0.0.1/32",
            "KEYPRINT_INGEST_DOCUMENT_MIB": "4",
            "KEYPRINT_INGEST_DOCUMENT_SECONDS": "3",
            "KEYPRINT_INGEST_RETRIES": "1",
            **{f"KEYPRINT_INGEST_{name}": value for name, value in settings.items()},
        }
        with (home / "ingest.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "services.ingest"], env={**os.environ, **environment}, stderr=log, stdout=log
            )
        started.append(process)
        with grpc.insecure_channel(address) as channel:
            grpc.channel_ready_future(channel).result(timeout=60)
        return process, address

    yield begin
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def ingest(start: Start, home: Path) -> Iterator[IngestClient]:
    with IngestClient(start(home)[1]) as client:
        yield client


@pytest.fixture(scope="module")
def web(serve: Serve) -> Iterator[str]:
    Faulty.asked = []
    with serve(Faulty) as url:
        yield url


def imported(client: IngestClient, url: str, phrase: str) -> ingest_pb2.Dataset:
    *_, dataset = client.watch_dataset(client.create_dataset(url, phrase).id)
    return dataset


class Slow(BaseHTTPRequestHandler):
    """Begins documents, and ends them when it is told to."""

    told = threading.Event()

    def log_message(self, *args: object) -> None:
        """Says nothing."""

    def do_GET(self) -> None:
        found = document(self.path.strip("/"), None)
        self.send_response(200)
        self.send_header("Content-Length", str(len(found)))
        self.end_headers()
        self.wfile.write(found[:1])
        self.told.wait()
        self.wfile.write(found[1:])


class Quick(Slow):
    """Does not wait to be told."""

    told = threading.Event()
    told.set()


def test_slow_sources_keep_no_other_from_being_imported(start: Start, serve: Serve, tmp_path: Path) -> None:
    few = {"CONCURRENCY": "3", "HOST_CONCURRENCY": "2", "DOCUMENT_SECONDS": "600", "READ_SECONDS": "600"}
    with serve(Slow) as slow, serve(Quick) as quick, IngestClient(start(tmp_path, **few)[1]) as client:
        try:
            waiting = [client.create_dataset(f"{slow}/{user}", "hi").id for user in ("ann", "bob", "eve", "joe")]
            assert State.Name(imported(client, f"{quick}/zoe", "hi").state) == "STATE_READY"
            assert {State.Name(client.get_dataset(one).state) for one in waiting} == {"STATE_IMPORTING"}
        finally:
            Slow.told.set()
        for one in waiting:
            *_, last = client.watch_dataset(one)
            assert State.Name(last.state) == "STATE_READY"


def files(home: Path) -> set[Path]:
    """Everything on disk that is a document or a part of a dataset."""
    return {
        path.relative_to(home)
        for name in ("documents", "datasets", "uploads")
        for path in (home / "ingest" / name).rglob("*")
    }


@pytest.mark.parametrize("fault", FAULTS)
def test_a_source_that_goes_wrong_at_once_fails_and_leaves_nothing(
    ingest: IngestClient, web: str, home: Path, fault: str
) -> None:
    before = files(home)
    dataset = imported(ingest, f"{web}/{fault}", "hi")
    assert State.Name(dataset.state) == "STATE_FAILED"
    assert (dataset.error.reason, dataset.error.field) == (FAULTS[fault], "url")
    assert (dataset.documents, dataset.attempts, dataset.fingerprint) == (0, 0, "")
    assert files(home) == before


@pytest.mark.parametrize("fault", FAULTS)
def test_a_chain_that_goes_wrong_keeps_exactly_what_was_read(ingest: IngestClient, web: str, fault: str) -> None:
    dataset = imported(ingest, f"{web}/good/{fault}", "hi")
    assert State.Name(dataset.state) == "STATE_INCOMPLETE"
    assert dataset.error.reason == FAULTS[fault]
    assert (dataset.documents, dataset.attempts, dataset.valid_attempts) == (1, EACH, EACH)
    assert [one.user for one in ingest.list_users(dataset.id)] == ["ann"]
    assert len(ingest.list_records(dataset.id, 1000)) == 2 * EACH


@pytest.mark.parametrize("fault", ["reset", "missing", "busy", "loop", "page"])
def test_credentials_reach_no_log_no_error_and_no_listing(
    ingest: IngestClient, web: str, home: Path, fault: str
) -> None:
    url = f"{web}/{fault}?token=sesame#sesame".replace("//", "//ann:sesame@")
    dataset = imported(ingest, url, "hi")
    assert dataset.error.reason == FAULTS[fault]
    assert "sesame" not in str(dataset)
    assert not any("sesame" in str(one) for one in ingest.list_datasets())
    assert "sesame" not in (home / "ingest.log").read_text()


def test_credentials_in_what_a_document_names_reach_no_log_and_no_error(
    ingest: IngestClient, web: str, home: Path
) -> None:
    dataset = imported(ingest, f"{web}/elsewhere", "hi")
    assert dataset.error.reason == "URL_INVALID"
    assert "sesame" not in str(dataset)
    assert "sesame" not in (home / "ingest.log").read_text()


def test_the_service_still_does_its_work_after_all_that(ingest: IngestClient, web: str, tmp_path: Path) -> None:
    assert imported(ingest, f"{web}/good/missing", "hi").valid_attempts == EACH
    (tmp_path / "one.json").write_bytes(document("ann", None))
    *_, dataset = ingest.watch_dataset(
        ingest.upload_dataset([("one.json", (tmp_path / "one.json").read_bytes())], "hi", 1).id
    )
    assert State.Name(dataset.state) == "STATE_READY"


class Typing(BaseHTTPRequestHandler):
    """Serves a folder, slowly if asked to, and a list of its documents."""

    folder: Path
    pause: float

    def log_message(self, *args: object) -> None:
        """Says nothing."""

    def do_GET(self) -> None:
        time.sleep(self.pause)
        name = self.path.strip("/")
        documents = sorted(self.folder.glob("user_*.json"))
        body = (
            json.dumps([one.name for one in documents]).encode()
            if name == "list"
            else (self.folder / name).read_bytes()
        )
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:
            return


def begin(client: IngestClient, kind: str, url: str, folder: Path) -> str:
    """Begins one kind of import, and gives the dataset's id."""
    first, *others = sorted(folder.glob("user_*.json"))
    if kind == "upload":
        return client.upload_dataset([(one.name, one.read_bytes()) for one in (first, *others)]).id
    if kind == "refresh":
        imported(client, f"{url}/{first.name}", "")
        return client.create_dataset(f"{url}/{first.name}", refresh=True).id
    return client.create_dataset(f"{url}/{'list' if kind == 'list' else first.name}").id


@pytest.mark.parametrize("kind", ["chain", "list", "upload", "refresh", "ending"])
def test_an_import_killed_at_any_moment_ends_as_an_undisturbed_one(
    start: Start, serve: Serve, tmp_path: Path, ingest: IngestClient, kind: str
) -> None:
    """The service is killed with SIGKILL again and again while documents come slowly, or as soon as all are read."""
    users = 12 * KILLS if kind == "chain" else 20
    list(simulate.write(tmp_path / "files", users, 20, DEFAULT_PHRASE))
    Typing.folder, Typing.pause = tmp_path / "files", 0.0
    moments = random.SystemRandom()
    home = tmp_path / "home"
    home.mkdir()
    with serve(Typing) as url:
        *_, expected = ingest.watch_dataset(begin(ingest, kind, url, Typing.folder))
        process, address = start(home)
        with IngestClient(address) as client:
            Typing.pause = 0.0 if kind in ("refresh", "ending", "upload") else 0.25
            dataset = begin(client, kind, url, Typing.folder)
            Typing.pause = 0.05 if kind == "refresh" else Typing.pause
            if kind == "ending":
                next(seen for seen in client.watch_dataset(dataset) if seen.documents == users)
        for _ in range(KILLS if kind == "chain" else max(KILLS // 3, 1)):
            time.sleep(moments.uniform(0.0, 0.05 if kind in ("ending", "upload") else 0.5))
            process.kill()
            process.wait()
            process, address = start(home)
        Typing.pause = 0.0
        with IngestClient(address) as client:
            *_, ended = client.watch_dataset(dataset)
            # It can be read to the end, and is what its source gives from now on.
            assert rows(address, ended.id) == expected.attempts
            again = begin(client, "chain" if kind in ("refresh", "ending") else kind, url, Typing.folder)
            assert client.get_dataset(again).id == ended.id
    assert State.Name(ended.state) == "STATE_READY"
    assert ended.fingerprint == expected.fingerprint
    assert comparable(ended) == comparable(expected)


def rows(address: str, dataset: str) -> int:
    """How many attempts can be read."""
    with grpc.insecure_channel(address) as channel:
        batches = ingest_pb2_grpc.IngestServiceStub(channel).ReadAttempts(
            ingest_pb2.ReadAttemptsRequest(dataset=dataset)
        )
        return sum(arrow.from_ipc(batch.ipc).num_rows for batch in batches)


def comparable(dataset: ingest_pb2.Dataset) -> dict[str, Any]:
    """What must not depend on how often an import was interrupted."""
    names = ("documents", "attempts", "valid_attempts", "duplicate_attempts", "users", "enrolled_users")
    return {name: getattr(dataset, name) for name in names} | {"invalid": dict(dataset.invalid)}
