"""The ingest service as a process of its own, spoken to over gRPC."""

from __future__ import annotations

import functools
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import empty_pb2

from keyprint import arrow, errors
from keyprint.addresses import free_address
from keyprint.channel import channel as open_channel
from keyprint.rpc import LONG_STREAMS
from keyprint.table import SCHEMA
from keyprint.v1 import ingest_pb2, ingest_pb2_grpc

READY = ingest_pb2.Dataset.STATE_READY
USERS = 6
Stub = ingest_pb2_grpc.IngestServiceStub


class Chain(BaseHTTPRequestHandler):
    """Documents 0 to 5 in a chain; under /slow each takes its time."""

    asked: list[str]

    def log_message(self, *args: object) -> None:
        """Says nothing."""

    def do_GET(self) -> None:
        self.asked.append(self.path)
        folder, number = self.path.strip("/").split("/")
        if folder == "slow":
            time.sleep(0.4)
        body = json.dumps(
            {
                "user_label": f"typist{number}",
                "user_data": [typed("hi", 10 + int(number) * 100 + step) for step in range(30)],
                "next": str(int(number) + 1) if int(number) + 1 < USERS else None,
            }
        ).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:
            return


def typed(text: str, step: int) -> list[dict[str, str]]:
    at = "2024-02-29T23:59:59."
    return [
        {"typed_at": f"{at}{1 + number * step:06d}", "released_at": f"{at}{9 + number * step:06d}", "character": one}
        for number, one in enumerate(text)
    ]


@pytest.fixture(scope="module")
def web(serve: Callable[..., AbstractContextManager[str]]) -> Iterator[str]:
    Chain.asked = []
    with serve(Chain) as url:
        yield url


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Path], tuple[subprocess.Popen[bytes], str]]]:
    started: list[subprocess.Popen[bytes]] = []

    def begin(home: Path) -> tuple[subprocess.Popen[bytes], str]:
        address = free_address().listen
        settings = {
            "KEYPRINT_HOME": str(home),
            "KEYPRINT_INGEST_LISTEN": address,
            "KEYPRINT_INGEST_ALLOW_NETS": "127.0.0.1/32",
        }
        with (home / "ingest.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "services.ingest"], env={**os.environ, **settings}, stderr=log, stdout=log
            )
        started.append(process)
        with open_channel(address) as channel:
            try:
                grpc.channel_ready_future(channel).result(timeout=60)
            except grpc.FutureTimeoutError:
                pytest.fail((home / "ingest.log").read_text())
        return process, address

    yield begin
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def ingest_address(
    start: Callable[[Path], tuple[subprocess.Popen[bytes], str]], tmp_path_factory: pytest.TempPathFactory
) -> str:
    _, address = start(tmp_path_factory.mktemp("home"))
    return address


@pytest.fixture(scope="module")
def ingest(ingest_address: str) -> Iterator[Stub]:
    with open_channel(ingest_address) as channel:
        yield Stub(channel)


def imported(ingest: Stub, url: str) -> ingest_pb2.Dataset:
    made = ingest.CreateDataset(ingest_pb2.CreateDatasetRequest(url=url, phrase="hi"))
    return list(ingest.WatchDataset(ingest_pb2.WatchDatasetRequest(dataset=made.id), timeout=60))[-1]


def refusal(call: Callable[[], object]) -> errors.KeyprintError:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return errors.from_rpc_error(caught.value)


def test_a_chain_becomes_a_dataset_with_its_counts(ingest: Stub, web: str) -> None:
    dataset = imported(ingest, f"{web}/fast/0")
    assert dataset.state == READY
    assert (dataset.documents, dataset.attempts, dataset.valid_attempts) == (USERS, USERS * 30, USERS * 30)
    assert (dataset.users, dataset.enrolled_users, dataset.labelled, dataset.release_times) == (
        USERS,
        USERS,
        True,
        True,
    )
    assert (dataset.fewest_trainable_attempts, dataset.most_trainable_attempts) == (30, 30)
    assert len(dataset.fingerprint) == 64
    again = ingest.CreateDataset(ingest_pb2.CreateDatasetRequest(url=f"{web}/fast/0", phrase="hi"))
    assert again == dataset
    assert Chain.asked.count("/fast/0") == 1


def test_the_keystroke_table_comes_in_pages(ingest: Stub, web: str) -> None:
    dataset = imported(ingest, f"{web}/fast/0")
    first = ingest.ListRecords(ingest_pb2.ListRecordsRequest(dataset=dataset.id, page_size=61))
    rest = ingest.ListRecords(
        ingest_pb2.ListRecordsRequest(dataset=dataset.id, page_size=1000, page_token=first.next_page_token)
    )
    assert (len(first.records), len(rest.records), rest.next_page_token) == (61, USERS * 60 - 61, "")
    press, second = first.records[:2]
    assert (press.user, press.character, press.character_index) == ("typist0", "h", 0)
    assert (press.year, press.month, press.day, press.hour, press.minute) == (2024, 2, 29, 23, 59)
    assert (press.second, press.microsecond) == (59, 1)
    assert press.hold_ms == pytest.approx(0.008)
    assert not press.HasField("press_to_press_ms")
    assert second.press_to_press_ms == pytest.approx(0.010)
    assert second.flight_ms == pytest.approx(0.002)
    assert first.records[60].user == "typist1"


def test_attempts_come_as_arrow_in_dataset_order(ingest: Stub, web: str) -> None:
    dataset = imported(ingest, f"{web}/fast/0")
    request = ingest_pb2.ReadAttemptsRequest(dataset=dataset.id)
    batches = [arrow.from_ipc(message.ipc) for message in ingest.ReadAttempts(request)]
    assert all(batch.schema == SCHEMA for batch in batches)
    numbers = [row for batch in batches for row in batch.column("attempt").to_pylist()]
    assert numbers == list(range(USERS * 30))


def users_of(ingest: Stub, dataset: ingest_pb2.Dataset) -> list[ingest_pb2.UserStatistics]:
    return list(ingest.ListUsers(ingest_pb2.ListUsersRequest(dataset=dataset.id)).users)


def test_a_summary_holds_the_profile_of_everyone_and_of_the_user_asked_for(ingest: Stub, web: str) -> None:
    dataset = imported(ingest, f"{web}/fast/0")
    summary = ingest.SummarizeDataset(ingest_pb2.SummarizeDatasetRequest(dataset=dataset.id, user="typist5"))
    assert list(summary.keys) == ["h", "i"]
    assert summary.everyone.attempts == dataset.valid_attempts
    assert [(one.first_day, one.last_day, one.attempts) for one in summary.periods] == [
        ("2024-02-29", "2024-02-29", USERS * 30)
    ]
    assert (summary.user.user, [one.attempts for one in summary.user.periods]) == ("typist5", [30])
    # Each attempt is one µs slower than the one before, from 510 µs on.
    assert list(summary.user.profile.press_to_press_ms.median) == pytest.approx([0, 0.5245])
    assert list(summary.user.profile.hold_ms.upper) == pytest.approx([0.008, 0.008])
    everyone = ingest.SummarizeDataset(ingest_pb2.SummarizeDatasetRequest(dataset=dataset.id))
    assert (everyone.everyone, everyone.HasField("user")) == (summary.everyone, False)
    nobody = ingest_pb2.SummarizeDatasetRequest(dataset=dataset.id, user="typist6")
    error = refusal(lambda: ingest.SummarizeDataset(nobody))
    assert (type(error), error.reason, error.field) == (errors.NotFound, "USER_NOT_FOUND", "user")


def pieces(
    *documents: bytes, base: str = "", phrase: str = "hi", min_attempts: int = 1
) -> Iterator[ingest_pb2.UploadDatasetRequest]:
    """The messages of an upload."""
    kind = ingest_pb2.UploadDatasetRequest
    yield kind(header=kind.Header(phrase=phrase, min_attempts=min_attempts, base_dataset=base))
    for number, content in enumerate(documents):
        for begin in range(0, len(content), 1000):
            yield kind(piece=kind.Piece(name=f"{number}.json", content=content[begin : begin + 1000]))
    yield kind(end=empty_pb2.Empty())


def sent(user: str, count: int) -> bytes:
    return json.dumps({"user_label": user, "user_data": [typed("hi", 10 + step) for step in range(count)]}).encode()


def uploaded(ingest: Stub, *documents: bytes, **header: Any) -> ingest_pb2.Dataset:
    made = ingest.UploadDataset(pieces(*documents, **header))
    *_, last = ingest.WatchDataset(ingest_pb2.WatchDatasetRequest(dataset=made.id))
    return last


def test_each_user_has_counts_by_reason_of_copies_and_of_warnings(ingest: Stub) -> None:
    odd = typed("hi", 900)
    odd[0]["released_at"] = "2024-02-29T23:59:58Z"
    slips = [typed("ho", 7), typed("oh", 7), []]
    ada = [*(typed("hi", 10 + step) for step in range(20)), typed("hi", 10), odd, *slips]
    bob = [typed("hi", 200 + step) for step in range(19)]
    documents = [json.dumps({"user_label": name, "user_data": data}) for name, data in (("ada", ada), ("bob", bob))]
    dataset = uploaded(ingest, *(one.encode() for one in documents), min_attempts=20)
    first, second = users_of(ingest, dataset)
    assert (first.user, first.attempts, first.valid_attempts, first.duplicate_attempts) == ("ada", 25, 22, 1)
    assert dict(first.invalid) == {"PHRASE_MISMATCH": 2, "EMPTY": 1}
    assert dict(first.warnings) == {"NEGATIVE_HOLD": 1}
    assert (second.user, second.valid_attempts, dict(second.invalid), dict(second.warnings)) == ("bob", 19, {}, {})
    assert [one.enrolled for one in (first, second)] == [True, False]
    assert (dataset.fewest_trainable_attempts, dataset.most_trainable_attempts) == (21, 21)
    assert (dataset.invalid, dataset.warnings) == (first.invalid, first.warnings)


def test_the_keystrokes_of_copies_are_marked(ingest: Stub) -> None:
    eve = [typed("hi", 2000 + step) for step in range(3)]
    eve.insert(1, eve[0])
    fay = [typed("hi", 3000), eve[3], typed("ho", 2000)]
    documents = [json.dumps({"user_label": name, "user_data": data}) for name, data in (("eve", eve), ("fay", fay))]
    dataset = uploaded(ingest, *(one.encode() for one in documents))
    records = ingest.ListRecords(ingest_pb2.ListRecordsRequest(dataset=dataset.id)).records
    # Within one user the first of equal attempts stays, across users none does.
    assert {one.attempt for one in records if one.duplicate} == {1, 3, 5}
    token = ingest.ListRecords(ingest_pb2.ListRecordsRequest(dataset=dataset.id, page_size=10)).next_page_token
    later = ingest.ListRecords(ingest_pb2.ListRecordsRequest(dataset=dataset.id, page_size=4, page_token=token)).records
    assert [one.duplicate for one in later] == [True, True, False, False]


def test_documents_can_be_sent_and_added_to(ingest: Stub) -> None:
    base = uploaded(ingest, sent("ada", 30), sent("bob", 20))
    assert (base.state, base.users, base.attempts) == (READY, 2, 50)
    assert base.source_url.startswith("upload:")
    assert uploaded(ingest, sent("ada", 30), sent("bob", 20)).id == base.id
    more = uploaded(ingest, sent("cat", 10), base=base.id, phrase="")
    assert (more.state, more.users, more.attempts, more.phrase) == (READY, 3, 60, "hi")
    rows = [
        row
        for batch in ingest.ReadAttempts(ingest_pb2.ReadAttemptsRequest(dataset=more.id))
        for row in arrow.from_ipc(batch.ipc).to_pylist()
    ]
    assert [row["attempt"] for row in rows] == list(range(60))


def test_what_cannot_be_read_is_refused_while_it_is_sent(ingest: Stub) -> None:
    kind = ingest_pb2.UploadDatasetRequest
    before = ingest.ListDatasets(ingest_pb2.ListDatasetsRequest())
    cases: list[tuple[Iterator[ingest_pb2.UploadDatasetRequest], str, str]] = [
        (pieces(), "FILES_MISSING", "files"),
        (pieces(sent("ada", 2), b"{}"), "NOT_A_DOCUMENT", "files"),
        (pieces(sent("ada", 2), phrase="x"), "PHRASE_INVALID", "phrase"),
        (pieces(sent("ada", 2), base="ds_0"), "DATASET_NOT_FOUND", "base_dataset"),
        (iter(()), "HEADER_MISSING", "header"),
        (itertools.islice(pieces(sent("ada", 2)), 2), "UPLOAD_BROKEN_OFF", ""),
        (iter([kind(piece=kind.Piece(name="a", content=b"{}"))]), "HEADER_MISSING", "header"),
    ]
    for messages, reason, field in cases:
        error = refusal(functools.partial(ingest.UploadDataset, messages))
        assert (error.reason, error.field) == (reason, field)
    assert ingest.ListDatasets(ingest_pb2.ListDatasetsRequest()) == before


def test_uploads_that_stand_still_leave_threads_for_calls(ingest: Stub) -> None:
    with ExitStack() as sending:

        def stalled() -> Iterator[ingest_pb2.UploadDatasetRequest]:
            go_on = threading.Event()
            sending.callback(go_on.set)
            yield from itertools.islice(pieces(sent("ann", 2)), 1)
            go_on.wait(30)

        calls = [ingest.UploadDataset.future(stalled()) for _ in range(LONG_STREAMS + 22)]
        ingest.ListDatasets(ingest_pb2.ListDatasetsRequest(), timeout=20)
        deadline = time.monotonic() + 20
        while (refused := sum(call.done() for call in calls)) < len(calls) - LONG_STREAMS:
            assert time.monotonic() < deadline, refused
            time.sleep(0.05)
        (reason,) = {refusal(call.result).reason for call in calls if call.done()}
        assert reason == "TOO_MANY_STREAMS"
        for call in calls:
            call.cancel()


def test_uploads_that_drip_give_their_streams_back(
    start: Callable[[Path], tuple[subprocess.Popen[bytes], str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEYPRINT_INGEST_READ_SECONDS", "2")
    _, address = start(tmp_path)
    over = threading.Event()

    def dripping() -> Iterator[ingest_pb2.UploadDatasetRequest]:
        yield from itertools.islice(pieces(sent("ann", 2)), 1)
        while not over.wait(0.2):
            yield ingest_pb2.UploadDatasetRequest(
                piece=ingest_pb2.UploadDatasetRequest.Piece(name="0.json", content=b" ")
            )

    with open_channel(address) as channel:
        stub = Stub(channel)
        calls = [stub.UploadDataset.future(dripping()) for _ in range(LONG_STREAMS)]
        try:
            reasons = {refusal(functools.partial(call.result, timeout=60)).reason for call in calls}
            assert reasons == {"LIMIT_EXCEEDED"}
            assert uploaded(stub, sent("ada", 30)).state == READY
        finally:
            over.set()


def test_a_source_that_did_not_change_is_refreshed_to_itself(ingest: Stub, web: str) -> None:
    first = imported(ingest, f"{web}/fast/0")
    asked = Chain.asked.count("/fast/0")
    fresh = ingest.CreateDataset(ingest_pb2.CreateDatasetRequest(url=f"{web}/fast/0", phrase="hi", refresh=True))
    assert fresh.id != first.id
    *_, last = ingest.WatchDataset(ingest_pb2.WatchDatasetRequest(dataset=fresh.id))
    assert last == first
    users = ingest.ListUsers(ingest_pb2.ListUsersRequest(dataset=fresh.id)).users
    assert [one.user for one in users] == [f"typist{number}" for number in range(USERS)]
    assert Chain.asked.count("/fast/0") == asked + 1


def test_bad_requests_are_refused_by_field(ingest: Stub) -> None:
    make = ingest.CreateDataset
    request = ingest_pb2.CreateDatasetRequest
    url = "https://example.org/a.json"
    found = [
        refusal(lambda: make(request(url="user.json"))),
        refusal(lambda: make(request(url=url, phrase="x"))),
        refusal(lambda: make(request(url=url, min_attempts=10**6))),
        refusal(lambda: ingest.GetDataset(ingest_pb2.GetDatasetRequest(dataset="ds_0"))),
        refusal(lambda: ingest.ListUsers(ingest_pb2.ListUsersRequest(dataset="ds_0"))),
        refusal(lambda: ingest.ListUsers(ingest_pb2.ListUsersRequest(page_size=1001))),
        refusal(lambda: ingest.ListDatasets(ingest_pb2.ListDatasetsRequest(page_size=1001))),
        refusal(lambda: ingest.ListDatasets(ingest_pb2.ListDatasetsRequest(page_token="x"))),
        refusal(lambda: list(ingest.ReadAttempts(ingest_pb2.ReadAttemptsRequest(dataset="ds_0")))),
    ]
    assert [(one.reason, one.field) for one in found] == [
        ("URL_INVALID", "url"),
        ("PHRASE_INVALID", "phrase"),
        ("MIN_ATTEMPTS_INVALID", "min_attempts"),
        ("DATASET_NOT_FOUND", "dataset"),
        ("DATASET_NOT_FOUND", "dataset"),
        ("PAGE_SIZE_INVALID", "page_size"),
        ("PAGE_SIZE_INVALID", "page_size"),
        ("PAGE_TOKEN_INVALID", "page_token"),
        ("DATASET_NOT_FOUND", "dataset"),
    ]


def test_a_failed_dataset_tells_why_and_cannot_be_read(ingest: Stub) -> None:
    dataset = imported(ingest, "http://10.255.255.1/a.json")
    assert (dataset.state, dataset.error.reason) == (ingest_pb2.Dataset.STATE_FAILED, "ADDRESS_REFUSED")
    assert "KEYPRINT_INGEST_ALLOW_NETS" in dataset.error.message
    error = refusal(lambda: ingest.ListRecords(ingest_pb2.ListRecordsRequest(dataset=dataset.id)))
    assert (type(error), error.reason) == (errors.FailedPrecondition, "DATASET_NOT_READY")


def test_a_deleted_dataset_is_gone(ingest: Stub, web: str) -> None:
    dataset = imported(ingest, f"{web}/other/0")
    ingest.DeleteDataset(ingest_pb2.DeleteDatasetRequest(dataset=dataset.id))
    error = refusal(lambda: ingest.GetDataset(ingest_pb2.GetDatasetRequest(dataset=dataset.id)))
    assert error.reason == "DATASET_NOT_FOUND"
    listed = ingest.ListDatasets(ingest_pb2.ListDatasetsRequest()).datasets
    assert dataset.id not in [one.id for one in listed]


def test_an_import_goes_on_after_the_service_was_killed(
    start: Callable[[Path], tuple[subprocess.Popen[bytes], str]], ingest: Stub, web: str, tmp_path: Path
) -> None:
    undisturbed = imported(ingest, f"{web}/fast/0")
    process, address = start(tmp_path)
    with open_channel(address) as channel:
        stub = Stub(channel)
        made = stub.CreateDataset(ingest_pb2.CreateDatasetRequest(url=f"{web}/slow/0", phrase="hi"))
        for now in stub.WatchDataset(ingest_pb2.WatchDatasetRequest(dataset=made.id), timeout=60):
            if now.documents >= 2:
                process.send_signal(signal.SIGKILL)
                break
        process.wait()
    _, address = start(tmp_path)
    with open_channel(address) as channel:
        watch = Stub(channel).WatchDataset(ingest_pb2.WatchDatasetRequest(dataset=made.id), timeout=90)
        ended = list(watch)[-1]
    assert (ended.state, ended.documents) == (READY, USERS)
    assert ended.fingerprint == undisturbed.fingerprint


def keyprint(address: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", "from keyprint.cli import main; main()", *words],
        env={**os.environ, "KEYPRINT_INGEST_ADDRESS": address},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_command_line_imports_lists_shows_and_deletes(
    start: Callable[[Path], tuple[subprocess.Popen[bytes], str]], web: str, tmp_path: Path
) -> None:
    _, address = start(tmp_path)
    made = keyprint(address, "datasets", "create", f"{web}/cli/0", "--phrase", "hi", "--json")
    assert made.returncode == 0, made.stderr
    dataset = json.loads(made.stdout)
    assert (dataset["state"], dataset["valid_attempts"]) == ("READY", USERS * 30)
    (listed,) = json.loads(keyprint(address, "datasets", "list", "--json").stdout)
    assert listed["id"] == dataset["id"]
    assert "typist0" in keyprint(address, "datasets", "records", dataset["id"], "--first-n", "5").stdout
    assert keyprint(address, "datasets", "delete", dataset["id"]).returncode == 0
    gone = keyprint(address, "datasets", "show", dataset["id"])
    assert gone.returncode == 1
    assert gone.stderr.strip() == f"error: There is no dataset '{dataset['id']}'. [DATASET_NOT_FOUND, dataset]"


def test_the_command_line_sends_files_and_those_that_they_chain(ingest_address: str, tmp_path: Path) -> None:
    outside = tmp_path / "secret.json"
    outside.write_bytes(sent("eve", 30))
    folder = tmp_path / "typing"
    folder.mkdir()
    for name, following in (("ann", "ben.json"), ("ben", "../secret.json")):
        content = json.loads(sent(name, 30)) | {"next": following}
        (folder / f"{name}.json").write_text(json.dumps(content))
    made = keyprint(ingest_address, "datasets", "create", str(folder / "ann.json"), "--phrase", "hi", "--json")
    # What lies outside of the file's own folder is nothing that a document may name.
    assert made.returncode == 1
    assert "[CHAIN_BROKEN, sources]" in made.stderr
    (folder / "ben.json").write_bytes(sent("ben", 30))
    made = keyprint(ingest_address, "datasets", "create", str(folder / "ann.json"), "--phrase", "hi", "--json")
    assert made.returncode == 0, made.stderr
    shown = keyprint(ingest_address, "datasets", "show", json.loads(made.stdout)["id"], "--json")
    assert [one["user"] for one in json.loads(shown.stdout)["user_statistics"]] == ["ann", "ben"]
    missing = keyprint(ingest_address, "datasets", "create", str(folder / "ann.json"), str(folder / "nobody.json"))
    assert "[FILE_NOT_FOUND, sources]" in missing.stderr


def test_the_command_line_fails_where_nothing_usable_came(ingest: Stub) -> None:
    refused = keyprint("127.0.0.1:1", "datasets", "create", "https://example.org/a.json")
    assert refused.returncode == 1
    assert "SERVICE_UNAVAILABLE" in refused.stderr
