"""The HTTP API over a real socket, with the three services behind it faked over real gRPC."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest
import uvicorn

from gateway.app import create_app
from gateway.protocol import timely
from keyprint import rpc
from keyprint.addresses import free_address
from keyprint.settings import GatewaySettings
from keyprint.v1 import attempts_pb2
from tests.contract import gateway_fakes as fakes

SOURCE = "http://127.0.0.1:9000/user_0.json"
KEYSTROKES = [
    {"typed_at": "2019-06-30T15:05:44.743893", "character": "B"},
    {"typed_at": "2019-06-30T15:05:44.905120", "character": "e", "released_at": "2019-06-30T15:05:44.991007"},
]


@dataclass
class House:
    """A gateway and what is behind it."""

    http: httpx.Client
    ingest: fakes.Ingest
    training: fakes.Training
    inference: fakes.Inference

    def import_dataset(self, url: str = SOURCE) -> str:
        dataset: str = self.http.post("/v1/datasets", json={"url": url}).json()["id"]
        assert events(self.http.get(f"/v1/datasets/{dataset}/events"))
        return dataset

    def train(self, **changes: Any) -> httpx.Response:
        body = {"dataset": "ds_1", "learner": "adaboost", "model": "ada", "holdout": 0.2, **changes}
        return self.http.post("/v1/training-jobs", json=body)


@dataclass
class Gateway:
    """A gateway that runs in a thread, on a free port."""

    url: str
    server: uvicorn.Server


def run_gateway(settings: GatewaySettings) -> Iterator[Gateway]:
    config = uvicorn.Config(
        create_app(settings),
        host="127.0.0.1",
        port=0,
        http=timely(settings.gateway_read_seconds),
        log_config=None,
        lifespan="on",
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield Gateway(f"http://127.0.0.1:{port}", server)
    server.should_exit = True
    thread.join()


@contextmanager
def gateway_before(
    ingest: fakes.Ingest, training: fakes.Training, inference: fakes.Inference, timeout_seconds: float
) -> Iterator[str]:
    """The URL of a gateway before these services."""
    servers = [fakes.serve(servicer) for servicer in (ingest, training, inference)]
    addresses = [f"127.0.0.1:{server.port}" for server in servers]
    settings = GatewaySettings(
        ingest_address=addresses[0],
        training_address=addresses[1],
        inference_address=addresses[2],
        gateway_hosts=["keyprint.test"],
        gateway_timeout_seconds=timeout_seconds,
    )
    gateways = run_gateway(settings)
    yield next(gateways).url
    next(gateways, None)
    for server in servers:
        server.stop(0)


@pytest.fixture(scope="module")
def parts() -> Iterator[tuple[fakes.Ingest, fakes.Training, fakes.Inference, str]]:
    ingest, training, inference = fakes.Ingest(), fakes.Training(), fakes.Inference()
    with gateway_before(ingest, training, inference, timeout_seconds=10) as url:
        yield ingest, training, inference, url


@pytest.fixture
def house(parts: tuple[fakes.Ingest, fakes.Training, fakes.Inference, str]) -> Iterator[House]:
    ingest, training, inference, url = parts
    # Each test begins with an empty house.
    ingest.datasets.clear()
    training.jobs.clear()
    training.models.clear()
    with httpx.Client(base_url=url, timeout=20) as client:
        yield House(client, ingest, training, inference)


def events(answer: httpx.Response) -> list[tuple[str, dict[str, Any]]]:
    """Name and data of each server-sent event."""
    assert answer.headers["content-type"].startswith("text/event-stream")
    found = []
    for block in answer.text.replace("\r\n", "\n").split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if lines:
            found.append((lines["event"], json.loads(lines["data"])))
    return found


def assert_problem(answer: httpx.Response, status: int, reason: str, field: str = "") -> str:
    """Checks a problem document and gives its sentence."""
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert (answer.status_code, document["status"], document["reason"], document["field"]) == (
        status,
        status,
        reason,
        field,
    )
    assert document["type"] == "about:blank"
    assert document["title"]
    detail: str = document["detail"]
    return detail


# Datasets


def test_an_import_is_accepted_and_its_location_is_the_dataset(house: House) -> None:
    answer = house.http.post("/v1/datasets", json={"url": SOURCE, "phrase": "a phrase", "min_attempts": 7})
    assert answer.status_code == 202
    dataset = house.http.get(answer.headers["location"]).json()
    assert dataset["id"] == answer.json()["id"]
    assert (dataset["state"], dataset["source_url"], dataset["phrase"]) == ("IMPORTING", SOURCE, "a phrase")
    assert (dataset["min_attempts"], dataset["documents"], dataset["invalid"]) == (7, 0, {})


def test_counts_stay_numbers_and_times_are_rfc_3339(house: House) -> None:
    dataset = house.http.get(f"/v1/datasets/{house.import_dataset()}").json()
    assert dataset["invalid"] == {"PHRASE_MISMATCH": 104, "OUT_OF_ORDER": 14, "EMPTY": 2}
    assert dataset["finished_at"].endswith("Z")
    assert "error" not in dataset


def test_users_are_listed_in_pages(house: House) -> None:
    path = f"/v1/datasets/{house.import_dataset()}/users"
    first = house.http.get(path, params={"page_size": 2}).json()
    assert first["users"][1] == {
        "user": "grace",
        "attempts": 99,
        "valid_attempts": 61,
        "duplicate_attempts": 0,
        "invalid": {"PHRASE_MISMATCH": 38},
        "enrolled": True,
        "warnings": {"NEGATIVE_HOLD": 1},
    }
    rest = house.http.get(path, params={"page_size": 1000, "page_token": first["next_page_token"]}).json()
    assert [one["user"] for one in rest["users"]] == ["hedy", "katherine", "radia"]
    assert rest["next_page_token"] == ""
    assert_problem(house.http.get("/v1/datasets/ds_none/users"), 404, "DATASET_NOT_FOUND", "dataset")


def test_a_summary_is_of_all_and_of_the_user_asked_for(house: House) -> None:
    path = f"/v1/datasets/{house.import_dataset()}/summary"
    assert "user" not in house.http.get(path).json()
    assert house.http.get(path, params={"user": "Ädä & co"}).json()["user"]["user"] == "Ädä & co"


def test_an_import_is_followed_by_events_until_it_has_ended(house: House) -> None:
    dataset = house.http.post("/v1/datasets", json={"url": SOURCE}).json()["id"]
    found = events(house.http.get(f"/v1/datasets/{dataset}/events"))
    assert [(name, data["state"]) for name, data in found] == [("dataset", "IMPORTING")] * 3 + [("dataset", "READY")]
    assert [data["documents"] for _, data in found] == [1, 2, 3, 3]


def test_events_of_nothing_are_a_problem_and_no_stream(house: House) -> None:
    assert_problem(house.http.get("/v1/datasets/ds_none/events"), 404, "DATASET_NOT_FOUND", "dataset")
    assert_problem(house.http.get("/v1/training-jobs/job_none/events"), 404, "JOB_NOT_FOUND", "job")


def test_what_shows_only_while_fetching_is_told_on_the_dataset(house: House) -> None:
    dataset = house.http.get(f"/v1/datasets/{house.import_dataset('http://127.0.0.1/dead')}").json()
    assert dataset["state"] == "FAILED"
    assert dataset["error"] == {"reason": "NO_ANSWER", "field": "url", "message": "The URL does not answer."}


def received(house: House) -> list[tuple[str, bytes]]:
    """Name and content of each document of the last upload, told apart as ingest does."""
    pieces = [one.piece for one in house.ingest.uploads[1:]]
    return [
        (name, b"".join(piece.content for piece in of_one))
        for name, of_one in groupby(pieces, lambda piece: piece.name)
    ]


def test_files_are_uploaded_in_order_and_told_apart_by_name(house: House) -> None:
    big = b"x" * (2**20 + 5)
    answer = house.http.post(
        "/v1/datasets:upload",
        files=[("files", ("a.json", big)), ("files", ("a.json", b"second")), ("files", ("empty.json", b""))],
        data={"phrase": "hello", "min_attempts": "3"},
    )
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/v1/datasets/{answer.json()['id']}"
    header = house.ingest.uploads[0].header
    assert (header.phrase, header.min_attempts) == ("hello", 3)
    assert received(house) == [("a.json", big), ("a.json (1)", b"second"), ("empty.json", b"")]


@pytest.mark.parametrize("names", [("a", "b", "a (3)", "a"), ("a", "a", "a (1)")])
def test_files_stay_documents_of_their_own_whatever_they_are_called(house: House, names: tuple[str, ...]) -> None:
    files = [("files", (name, str(number).encode())) for number, name in enumerate(names)]
    assert house.http.post("/v1/datasets:upload", files=files).status_code == 202
    assert [content for _, content in received(house)] == [b"0", b"1", b"2", b"3"][: len(names)]


def test_an_upload_may_have_thousands_of_files(house: House) -> None:
    files = [("files", (f"{number}.json", b"{}")) for number in range(2500)]
    assert house.http.post("/v1/datasets:upload", files=files).status_code == 202
    assert len(received(house)) == 2500


def test_an_upload_that_is_refused_early_is_told_why(house: House) -> None:
    files = [("files", ("a.json", b"x" * 2**24))]
    answer = house.http.post("/v1/datasets:upload", files=files, data={"base_dataset": "ds_none"})
    assert_problem(answer, 404, "DATASET_NOT_FOUND", "base_dataset")


def test_made_up_typists_are_uploaded_alike_each_time(house: House) -> None:
    body = {"phrase": "hello", "users": 3, "attempts_each": 4, "min_attempts": 2}
    uploads = []
    for _ in range(2):
        answer = house.http.post("/v1/datasets:simulate", json=body)
        assert answer.status_code == 202
        assert answer.headers["location"] == f"/v1/datasets/{answer.json()['id']}"
        uploads.append(received(house))
    assert uploads[0] == uploads[1]
    header = house.ingest.uploads[0].header
    assert (header.phrase, header.min_attempts, header.base_dataset) == ("hello", 2, "")
    typists = [json.loads(content) for _, content in uploads[0]]
    assert [one["user_label"] for one in typists] == ["typist00", "typist01", "typist02"]
    assert [len(one["user_data"]) for one in typists] == [4, 4, 4]


@pytest.mark.parametrize(
    ("body", "reason", "field"),
    [
        ({"users": 1}, "FIELD_INVALID", "users"),
        ({"attempts_each": 101}, "FIELD_INVALID", "attempts_each"),
        ({"phrase": "x"}, "PHRASE_INVALID", "phrase"),
    ],
)
def test_a_crowd_that_cannot_be_is_refused(house: House, body: dict[str, Any], reason: str, field: str) -> None:
    assert_problem(house.http.post("/v1/datasets:simulate", json=body), 400, reason, field)


FORM = {"Content-Type": "multipart/form-data; boundary=b"}
FILE = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n{}\r\n'
LATE = b'--b\r\nContent-Disposition: form-data; name="phrase"\r\n\r\nhi\r\n'


@pytest.mark.parametrize(
    ("body", "reason", "field"),
    [
        (FILE, "BODY_INVALID", ""),
        (FILE[:-4], "BODY_INVALID", ""),
        (b"junk", "BODY_INVALID", ""),
        (FILE.replace(b"; name=", b"; nom=") + b"--b--\r\n", "BODY_INVALID", ""),
        (FILE + LATE + b"--b--\r\n", "FIELD_TOO_LATE", "phrase"),
        (FILE.replace(b'"files"', b'"file"') + b"--b--\r\n", "FIELD_UNKNOWN", "file"),
        (FILE.replace(b'; filename="a"', b"") + b"--b--\r\n", "FIELD_INVALID", "files"),
        (LATE.replace(b'"phrase"', b'"phrase"; filename="a"') + FILE + b"--b--\r\n", "FIELD_INVALID", "phrase"),
        (LATE.replace(b'"phrase"', b'"f0"').replace(b"hi", b"h" * 5000), "FIELD_UNKNOWN", "f0"),
        (LATE + LATE + FILE + b"--b--\r\n", "FIELD_REPEATED", "phrase"),
        (b"\r\n" * 300_000, "BODY_INVALID", ""),
        (FILE + b"--b--\r\n" + b" " * 500_000, "BODY_INVALID", ""),
        (LATE.replace(b'"phrase"', b'"min_attempts"') + FILE + b"--b--\r\n", "MIN_ATTEMPTS_INVALID", "min_attempts"),
        (LATE.replace(b"hi", b"h" * 5000) + FILE + b"--b--\r\n", "FIELD_TOO_LONG", "phrase"),
        (LATE + b"--b--\r\n", "FILES_MISSING", "files"),
    ],
)
def test_a_form_that_is_wrong_makes_no_dataset(house: House, body: bytes, reason: str, field: str) -> None:
    before = len(house.ingest.datasets)
    assert_problem(house.http.post("/v1/datasets:upload", content=body, headers=FORM), 400, reason, field)
    assert len(house.ingest.datasets) == before


def test_files_sent_as_text_are_told_from_a_field_that_is_not_known(house: House) -> None:
    answer = house.http.post("/v1/datasets:upload", files={"files": (None, "{}")})
    detail = assert_problem(answer, 400, "FIELD_INVALID", "files")
    assert detail == "The field 'files' must be a file, with a file name."


def test_an_upload_without_files_says_so(house: House) -> None:
    assert_problem(house.http.post("/v1/datasets:upload", data={"phrase": "x"}), 400, "FILES_MISSING", "files")


def test_datasets_are_listed_deleted_and_cancelled(house: House) -> None:
    first, second = house.import_dataset(), house.import_dataset(SOURCE + "?2")
    listed = house.http.get("/v1/datasets", params={"page_size": 1}).json()
    assert [one["id"] for one in listed["datasets"]] == [second]
    assert house.http.post(f"/v1/datasets/{second}:cancel").json()["state"] == "CANCELLED"
    deleted = house.http.delete(f"/v1/datasets/{first}")
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert_problem(house.http.get(f"/v1/datasets/{first}"), 404, "DATASET_NOT_FOUND", "dataset")


def test_records_carry_latencies_and_leave_out_what_is_unknown(house: House) -> None:
    dataset = house.import_dataset()
    records = house.http.get(f"/v1/datasets/{dataset}/records", params={"first_n": 2}).json()["records"]
    assert records[0]["typed_at"] == "2019-06-30T15:05:00.743893Z"
    assert records[0]["character_index"] == 0
    assert "press_to_press_ms" not in records[0]
    assert records[1]["press_to_press_ms"] == 143.5


@pytest.mark.parametrize("first_n", ["0", "1001", "many", "1.5"])
def test_rows_are_1_to_1000(house: House, first_n: str) -> None:
    dataset = house.import_dataset()
    for path in (f"/v1/datasets/{dataset}/records", f"/v1/models/m/predictions?dataset={dataset}"):
        answer = house.http.get(path, params=httpx.QueryParams({"dataset": dataset, "first_n": first_n}))
        assert_problem(answer, 400, "PAGE_SIZE_INVALID", "first_n")


def test_a_summary_is_for_charts(house: House) -> None:
    summary = house.http.get(f"/v1/datasets/{house.import_dataset()}/summary").json()
    assert summary["keys"][:2] == ["B", "e"]


# Training


def test_a_job_is_accepted_with_everything_that_was_asked_for(house: House) -> None:
    answer = house.train(split="RANDOM", params={"depth": 6}, seed=3, features="timing", holdout="0.25")
    assert answer.status_code == 202
    job = answer.json()
    assert answer.headers["location"] == f"/v1/training-jobs/{job['id']}"
    assert (job["state"], job["split"], job["holdout"], job["seed"]) == ("PENDING", "RANDOM", 0.25, 3)
    assert job["params"] == {"depth": 6}
    assert house.training.requests[-1].split == attempts_pb2.SPLIT_RANDOM


def test_an_idempotency_key_becomes_the_request_id(house: House) -> None:
    body = {"dataset": "ds_1", "learner": "lstm", "model": "m", "holdout": 0.2}
    house.http.post("/v1/training-jobs", json=body, headers={"Idempotency-Key": "once"})
    assert house.training.requests[-1].request_id == "once"


def test_a_job_is_followed_and_leaves_a_model(house: House) -> None:
    job = house.train().json()["id"]
    found = events(house.http.get(f"/v1/training-jobs/{job}/events"))
    assert [data["state"] for _, data in found] == ["PENDING", "RUNNING", "RUNNING", "RUNNING", "SUCCEEDED"]
    assert found[1][1]["curve"] == [{"step": 1, "loss": 2.3, "accuracy": pytest.approx(0.3)}]
    assert [one["name"] for one in house.http.get("/v1/models").json()["models"]] == ["ada"]
    assert house.http.get("/v1/models/ada@1").json()["evaluation"]["accuracy"] == pytest.approx(0.962)


def test_a_job_is_cancelled(house: House) -> None:
    job = house.train().json()["id"]
    assert house.http.post(f"/v1/training-jobs/{job}:cancel").json()["state"] == "CANCELLED"
    assert house.http.get(f"/v1/training-jobs/{job}").json()["state"] == "CANCELLED"
    assert len(house.http.get("/v1/training-jobs").json()["jobs"]) == 1


def test_learners_tell_their_parameters(house: House) -> None:
    learners = house.http.get("/v1/learners").json()["learners"]
    assert [one["name"] for one in learners] == ["adaboost", "lstm"]
    assert learners[0]["parameters"][1]["kind"] == "INTEGER"
    assert house.http.get("/v1/feature-sets").json()["feature_sets"][0]["name"] == "timing"


def test_a_comparison_marks_leaks_and_what_cannot_be_compared(house: House) -> None:
    query = {"dataset": "ds_1", "holdout": "0.2", "split": "Late"}
    comparison = house.http.get("/v1/comparisons", params=query).json()
    assert comparison["split"] == "LATE"
    leaky, other = comparison["rows"]
    assert leaky["seen_attempts"] == 61
    assert other["error"]["reason"] == "OTHER_PHRASE"
    assert "evaluation" not in other


def test_a_model_is_evaluated_user_by_user(house: House) -> None:
    query = {"dataset": "ds_1", "holdout": "0.2", "seed": "7"}
    row = house.http.get("/v1/models/adaboost-1/evaluation", params=query).json()
    assert row["evaluation"]["users"][0]["user"] == "ann"
    assert row["seen_attempts"] == 7
    assert_problem(house.http.get("/v1/models/nobody/evaluation", params=query), 404, "MODEL_NOT_FOUND", "model")


def test_a_model_is_downloaded_as_a_file_of_known_size(house: House) -> None:
    assert_problem(house.http.get("/v1/models/ada/package"), 404, "MODEL_NOT_FOUND", "model")
    events(house.http.get(f"/v1/training-jobs/{house.train().json()['id']}/events"))
    package = house.http.get("/v1/models/ada@1/package")
    assert package.content == b"x" * 2**20 + b"the end"
    assert "filename=ada-1.keyprint" in package.headers["content-disposition"]
    assert package.headers["content-length"] == str(len(package.content))


def test_an_alias_is_set_with_or_without_a_version(house: House) -> None:
    events(house.http.get(f"/v1/training-jobs/{house.train().json()['id']}/events"))
    assert house.http.put("/v1/models/ada/aliases/best").json()["aliases"] == ["best"]
    assert house.http.put("/v1/models/ada/aliases/live", json={"version": 1}).json()["aliases"] == ["best", "live"]
    assert_problem(house.http.put("/v1/models/ada/aliases/12"), 400, "ALIAS_INVALID", "alias")
    assert house.http.delete("/v1/models/ada").status_code == 204
    assert_problem(house.http.get("/v1/models/ada"), 404, "MODEL_NOT_FOUND", "model")


# Predictions


def test_one_attempt_is_identified(house: House) -> None:
    found = house.http.post("/v1/models/ada:identify", json={"attempt": KEYSTROKES}).json()
    assert found["candidates"] == [{"user": "ada", "probability": 0.75}]
    assert (found["decision"], found["model"]) == ("IDENTIFIED", "ada@1")
    assert found["flags"] == ["REPLAY_SUSPECTED"]
    assert "explanation" not in found


def test_an_answer_is_explained_on_request(house: House) -> None:
    expected = {"user": "ada", "keys": [{"character": "B", "latency": 0.5, "hold": -0.25}]}
    body = {"attempt": KEYSTROKES, "explain": True}
    assert house.http.post("/v1/models/ada:identify", json=body).json()["explanation"] == expected
    claim = house.http.post("/v1/models/ada:verify", json=body | {"user": "ada"})
    assert claim.json()["explanation"] == expected


def test_many_attempts_are_not_explained(house: House) -> None:
    told = house.http.post("/v1/models/ada:identify", json={"attempts": [KEYSTROKES], "explain": True})
    assert_problem(told, 400, "EXPLAIN_INVALID", "explain")


def test_an_empty_attempt_is_an_answer_and_no_error(house: House) -> None:
    found = house.http.post("/v1/models/ada:identify", json={"attempt": []}).json()
    assert (found["decision"], found["reason"]) == ("INVALID", "EMPTY")


def test_many_attempts_are_identified_in_their_order(house: House) -> None:
    found = house.http.post("/v1/models/ada:identify", json={"attempts": [KEYSTROKES, [], KEYSTROKES[:1]]}).json()
    assert len(found["results"]) == 3
    expected = {"user": "ada", "probability": 0.75, "decision": "UNKNOWN", "reason": "", "flags": []}
    assert found["results"][0] == expected
    assert [one["flags"] for one in found["results"][1:]] == [["REPLAY_SUSPECTED"], ["SYNTHETIC_SUSPECTED"]]


def test_a_wrong_keystroke_is_named(house: House) -> None:
    wrong = [KEYSTROKES[0], {"typed_at": "yesterday", "character": "e"}]
    one = house.http.post("/v1/models/ada:identify", json={"attempt": wrong})
    assert "Keystroke 1" in assert_problem(one, 400, "ATTEMPT_INVALID", "attempt")
    many = house.http.post("/v1/models/ada:identify", json={"attempts": [KEYSTROKES, wrong]})
    assert_problem(many, 400, "ATTEMPT_INVALID", "attempts.1")
    both = house.http.post("/v1/models/ada:identify", json={"attempt": [], "attempts": []})
    assert_problem(both, 400, "ATTEMPT_INVALID", "attempt")


@pytest.mark.parametrize("call", ["identify", "verify", "forget"])
@pytest.mark.parametrize("model", ["ada", "ada@1", "nobody", "busy", "a%2Fb"])
@pytest.mark.parametrize(
    "body",
    [
        {"attempt": KEYSTROKES},
        {"attempt": KEYSTROKES, "user": "ada", "explain": True},
        {"attempts": [KEYSTROKES]},
        {"attempt": [*KEYSTROKES[:1], 7], "user": "ada"},
        {"attempt": 7},
        {"attempt": [], "far": 2},
        {"attempt": [], "colour": "red"},
        {},
        [],
    ],
)
def test_what_is_answered_quickly_is_answered_as_all_else(house: House, call: str, model: str, body: Any) -> None:
    content = json.dumps(body)
    path = f"/v1/models/{model}:{call}"
    quick, usual = (
        house.http.post(path, content=content, headers={"Content-Type": f"application/json{more}"})
        for more in ("", "; charset=utf-8")
    )
    assert (quick.status_code, quick.json()) == (usual.status_code, usual.json())
    varying = ("date", "x-request-id")
    assert [pair for pair in quick.headers.items() if pair[0] not in varying] == [
        pair for pair in usual.headers.items() if pair[0] not in varying
    ]


@pytest.mark.parametrize(
    "content", [b"{", b"[" * 100_000, b'{"attempt": "\\ud800"}', b'{"attempt": "\xff"}', b'{"far": NaN}', b""]
)
def test_what_is_no_json_is_told_alike_on_both_ways(house: House, content: bytes) -> None:
    quick, usual = (
        house.http.post("/v1/models/ada:identify", content=content, headers={"Content-Type": kind})
        for kind in ("application/json", "application/json; charset=utf-8")
    )
    assert quick.status_code == 400
    assert quick.json() == usual.json()


def test_a_claim_is_verified(house: House) -> None:
    body = {"user": "ada", "attempt": KEYSTROKES, "far": 0.25}
    found = house.http.post("/v1/models/ada:verify", json=body).json()
    told = {"model": "ada@1", "score": 0.75, "threshold": 0.75, "accepted": True, "reason": "", "far": 0.25}
    assert found == told | {"flags": []}


def test_whoever_asks_chooses_the_rate_to_decide_at(house: House) -> None:
    one = house.http.post("/v1/models/ada:identify", json={"attempt": KEYSTROKES, "far": 0.25}).json()
    many = house.http.post("/v1/models/ada:identify", json={"attempts": [KEYSTROKES], "far": 0.25}).json()
    for told in (one, many):
        assert (told["far"], told["threshold"]) == (0.25, 0.75)
    for path in ("predictions", "predictions.csv"):
        assert house.http.get(f"/v1/models/ada/{path}", params={"dataset": "ds_1", "far": 0.25}).status_code == 200
        assert house.inference.requests[-1].far == 0.25
    wrong = house.http.get("/v1/models/ada/predictions", params={"dataset": "ds_1", "far": "often"})
    assert_problem(wrong, 400, "FAR_OUT_OF_RANGE", "far")


def test_the_first_predictions_come_as_json(house: House) -> None:
    found = house.http.get("/v1/models/ada/predictions", params={"dataset": "ds_1", "first_n": 4}).json()
    assert [row["attempt"] for row in found["rows"]] == [0, 1, 2, 3]
    assert found["rows"][1] == {
        "attempt": 1,
        "predicted_user": "grace",
        "probability": 0.93,
        "decision": "IDENTIFIED",
        "reason": "",
    }
    assert found["rows"][3]["probability"] is None


def test_the_csv_holds_every_attempt_and_no_formula(house: House) -> None:
    answer = house.http.get("/v1/models/ada/predictions.csv", params={"dataset": "ds_1"})
    assert answer.headers["content-disposition"] == "attachment; filename=output_predictions.csv"
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.text.startswith("attempt,predicted_user,probability,decision,reason\n")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [int(row["attempt"]) for row in rows] == list(range(495))
    assert rows[0]["predicted_user"] == "'=1+1"
    assert (rows[3]["predicted_user"], rows[3]["probability"], rows[3]["reason"]) == ("", "", "PHRASE_MISMATCH")


def test_the_csv_of_an_empty_dataset_is_a_file(house: House) -> None:
    assert house.http.get("/v1/models/ada/predictions.csv", params={"dataset": "none"}).status_code == 200


def test_predictions_come_as_parquet_too(house: House) -> None:
    answer = house.http.get("/v1/models/ada/predictions.parquet", params={"dataset": "ds_1"})
    assert answer.headers["content-disposition"] == "attachment; filename=output_predictions.parquet"
    rows = house.http.get("/v1/models/ada/predictions", params={"dataset": "ds_1"}).json()["rows"]
    assert pq.read_table(io.BytesIO(answer.content)).to_pylist()[: len(rows)] == rows
    assert house.http.get("/v1/models/ada/predictions.parquet", params={"dataset": "none"}).status_code == 200


def test_an_error_before_the_first_row_is_a_problem_and_no_broken_file(house: House) -> None:
    answer = house.http.get("/v1/models/ada/predictions.csv", params={"dataset": "other-phrase"})
    assert_problem(answer, 409, "OTHER_PHRASE", "dataset")
    assert "content-disposition" not in answer.headers


def test_a_failure_in_the_middle_breaks_the_transfer_off(house: House) -> None:
    received: list[bytes] = []
    with house.http.stream("GET", "/v1/models/ada/predictions.csv", params={"dataset": "breaks"}) as answer:
        assert answer.status_code == 200
        with pytest.raises(httpx.RemoteProtocolError):
            received.extend(answer.iter_raw())


def test_a_reader_who_leaves_stops_the_predictions(house: House) -> None:
    house.inference.sent = 0
    with house.http.stream("GET", "/v1/models/ada/predictions.csv", params={"dataset": "huge"}) as answer:
        next(answer.iter_raw())
    settled = -1
    while settled != house.inference.sent:
        settled = house.inference.sent
        time.sleep(0.3)
    assert 0 < settled < 100


# Errors


@pytest.mark.parametrize("holdout", ["abc", None, [], {}, 0, 1, "0", -0.5])
def test_a_wrong_holdout_has_one_reason_whoever_finds_out(house: House, holdout: object) -> None:
    detail = assert_problem(house.train(holdout=holdout), 400, "HOLDOUT_OUT_OF_RANGE", "holdout")
    assert detail.startswith("The hold-out must be a number above 0 and below 1, like 0.2")


@pytest.mark.parametrize(
    ("changes", "reason", "field"),
    [
        ({"model": "Bad Name"}, "MODEL_NAME_INVALID", "model"),
        ({"model": 7}, "MODEL_NAME_INVALID", "model"),
        ({"model": "../etc"}, "MODEL_NAME_INVALID", "model"),
        ({"learner": "magic"}, "LEARNER_NOT_FOUND", "learner"),
        ({"params": {"depth": 0}}, "PARAMETER_INVALID", "params.depth"),
        ({"params": {"depth": "deep"}}, "PARAMETER_INVALID", "params.depth"),
        ({"split": "early"}, "SPLIT_INVALID", "split"),
        ({"seed": -1}, "SEED_INVALID", "seed"),
        ({"new_version": "perhaps"}, "FIELD_INVALID", "new_version"),
        ({"hold_out": 0.2}, "FIELD_UNKNOWN", "hold_out"),
    ],
)
def test_a_wrong_field_is_named(house: House, changes: dict[str, object], reason: str, field: str) -> None:
    assert_problem(house.train(**changes), 400, reason, field)


def test_a_taken_name_is_a_conflict(house: House) -> None:
    events(house.http.get(f"/v1/training-jobs/{house.train().json()['id']}/events"))
    assert_problem(house.train(), 409, "MODEL_NAME_TAKEN", "model")
    assert house.train(new_version=True).json()["version"] == 2


@pytest.mark.parametrize(
    ("body", "reason", "field"),
    [
        ({"url": "ftp://x"}, "URL_INVALID", "url"),
        ({"url": 5}, "URL_INVALID", "url"),
        ({}, "URL_INVALID", "url"),
        ({"url": SOURCE, "phrase": 5}, "PHRASE_INVALID", "phrase"),
        ({"url": SOURCE, "phrase": "\ud800"}, "PHRASE_INVALID", "phrase"),
        ({"url": SOURCE, "min_attempts": float("nan")}, "MIN_ATTEMPTS_INVALID", "min_attempts"),
        ({"url": SOURCE, "min_attempts": 2**32}, "MIN_ATTEMPTS_INVALID", "min_attempts"),
        ({"url": SOURCE, "\ud800": 1}, "BODY_INVALID", ""),
        ([], "BODY_INVALID", ""),
    ],
)
def test_a_wrong_import_is_named(house: House, body: object, reason: str, field: str) -> None:
    # As text: httpx itself would refuse half of a surrogate pair and what is not a number.
    headers = {"Content-Type": "application/json"}
    assert_problem(house.http.post("/v1/datasets", content=json.dumps(body), headers=headers), 400, reason, field)


def test_a_body_that_is_no_json_says_so(house: House) -> None:
    headers = {"Content-Type": "application/json"}
    assert_problem(house.http.post("/v1/datasets", content=b"{", headers=headers), 400, "BODY_INVALID")


def test_unknown_addresses_and_methods_are_problems(house: House) -> None:
    assert_problem(house.http.get("/v1/nothing", headers={"Accept": "text/html"}), 404, "PATH_NOT_FOUND")
    answer = house.http.delete("/v1/datasets")
    assert_problem(answer, 405, "METHOD_NOT_ALLOWED")
    assert answer.headers["allow"] == "GET, POST"
    assert house.http.post("/v1/models/ada").headers["allow"] == "DELETE, GET"


def test_people_who_are_lost_get_a_page(house: House) -> None:
    answer = house.http.get("/nothing", headers={"Accept": "text/html"})
    assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")


def test_what_nobody_foresaw_is_told_without_its_trace(house: House) -> None:
    # The fake cannot look into nothing; what it raises is none of our errors.
    house.ingest.datasets = None  # type: ignore[assignment]
    try:
        detail = assert_problem(house.http.get("/v1/datasets/x"), 500, "INTERNAL")
    finally:
        house.ingest.datasets = {}
    assert "TypeError" not in detail


# The door


def test_another_name_for_this_machine_is_refused(house: House) -> None:
    for host in ("evil.example", "127.0.0.1.evil.example", "localhost.", "", "evil.example@localhost", "localhost/x"):
        assert_problem(house.http.get("/", headers={"Host": host}), 403, "HOST_REFUSED")
    for host in ("localhost:1234", "127.0.0.1", "[::1]:8080", "keyprint.test", "LOCALHOST"):
        assert house.http.get("/healthz", headers={"Host": host}).status_code == 200


def test_another_website_may_not_change_anything(house: House) -> None:
    host = house.http.base_url.netloc.decode()
    for origin in ("http://evil.example", "null", "http://localhost:1", f"http://{host}.evil.example", "http://["):
        answer = house.http.post("/v1/datasets", json={"url": SOURCE}, headers={"Origin": origin})
        assert_problem(answer, 403, "ORIGIN_REFUSED")
        assert house.http.get("/v1/datasets", headers={"Origin": origin}).status_code == 200
    own = house.http.post("/v1/datasets", json={"url": SOURCE}, headers={"Origin": f"http://{host}"})
    assert own.status_code == 202


def test_a_service_with_too_much_to_do_is_429_with_when_to_try_again(house: House) -> None:
    answer = house.http.post("/v1/models/busy:identify", json={"attempt": []})
    assert_problem(answer, 429, "TOO_MANY_CALLS")
    # Whole seconds, and not too early.
    assert answer.headers["Retry-After"] == "2"
    assert "Retry-After" not in house.http.get("/v1/datasets/nowhere").headers


def test_health_needs_nobody_and_readiness_everybody(house: House) -> None:
    assert house.http.get("/healthz").json() == {"status": "SERVING"}
    ready = house.http.get("/readyz").json()
    assert ready["services"] == {"ingest": "SERVING", "training": "SERVING", "inference": "SERVING"}


def test_a_gateway_without_services_lives_and_says_what_is_missing() -> None:
    nobody = "127.0.0.1:1"
    settings = GatewaySettings(ingest_address=nobody, training_address=nobody, inference_address=nobody)
    gateways = run_gateway(settings)
    with httpx.Client(base_url=next(gateways).url) as client:
        assert client.get("/healthz").status_code == 200
        assert "ingest is UNREACHABLE" in assert_problem(client.get("/readyz"), 503, "SERVICE_UNAVAILABLE")
        for path, service in (
            ("/v1/datasets", "ingest"),
            ("/v1/datasets/x/events", "ingest"),
            ("/v1/models", "training"),
            ("/v1/models/m/predictions?dataset=x", "inference"),
        ):
            told = assert_problem(client.get(path), 503, "SERVICE_UNAVAILABLE")
            assert told == f"Keyprint's {service} service does not answer; is it running?"
    next(gateways, None)


def test_a_request_over_the_limit_is_413_with_the_limit_named(house: House) -> None:
    attempt = [{"typed_at": "2026-01-01T00:00:00", "character": "x" * 9_000_000}] * 2
    answer = house.http.post("/v1/models/ada:identify", json={"attempt": attempt})
    assert "and may have 16,777,216; send less at once" in assert_problem(answer, 413, "MESSAGE_TOO_LARGE")


def test_a_gateway_is_not_ready_while_a_service_stops() -> None:
    servers = [fakes.serve(servicer) for servicer in (fakes.Ingest(), fakes.Training(), fakes.Inference())]
    ingest, training, inference = (f"127.0.0.1:{server.port}" for server in servers)
    settings = GatewaySettings(ingest_address=ingest, training_address=training, inference_address=inference)
    gateways = run_gateway(settings)
    with httpx.Client(base_url=next(gateways).url) as client:
        assert client.get("/readyz").status_code == 200
        servers[0].drain(0)
        assert "ingest is NOT_SERVING" in assert_problem(client.get("/readyz"), 503, "SERVICE_UNAVAILABLE")
        refused = client.get("/v1/datasets")
        assert_problem(refused, 503, "SERVICE_STOPPING")
        assert refused.headers["Retry-After"] == "1"
    next(gateways, None)
    for server in servers:
        server.stop(0)


@contextmanager
def gateway_process(
    part: str, server: rpc.Server, **settings: str
) -> Iterator[tuple[httpx.Client, subprocess.Popen[bytes]]]:
    """A gateway of its own in front of one service."""
    listen = free_address().listen
    environment = {
        **os.environ,
        "KEYPRINT_GATEWAY_LISTEN": listen,
        f"KEYPRINT_{part}_ADDRESS": f"127.0.0.1:{server.port}",
        "KEYPRINT_GRACE_SECONDS": "5",
        **{f"KEYPRINT_{name}": value for name, value in settings.items()},
    }
    process = subprocess.Popen([sys.executable, "-m", "gateway"], env=environment)
    try:
        with httpx.Client(base_url=f"http://{listen}", timeout=20) as client:
            wait_for(client, process)
            yield client, process
    finally:
        process.kill()
        process.wait()
        server.stop(0)


def test_a_signal_ends_the_gateway_well_while_somebody_watches() -> None:
    with gateway_process("INGEST", fakes.serve(fakes.Ingest(pause=0.5, steps=100))) as (client, process):
        dataset = client.post("/v1/datasets", json={"url": SOURCE}).json()["id"]
        with client.stream("GET", f"/v1/datasets/{dataset}/events") as answer:
            assert b"event: dataset" in next(answer.iter_raw())
            process.send_signal(signal.SIGTERM)
            assert process.wait(5) == 0


def test_what_the_gateway_has_begun_to_answer_is_answered_when_a_signal_ends_it() -> None:
    slow = fakes.Inference(pause=0.5)
    with gateway_process("INFERENCE", fakes.serve(slow)) as (client, process), ThreadPoolExecutor(1) as caller:
        answer = caller.submit(client.get, "/v1/models/ada/predictions", params={"dataset": "ds_1", "first_n": 3})
        while not slow.requests:
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        assert len(answer.result().json()["rows"]) == 3
        assert process.wait(5) == 0


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_file_of_a_million_rows_takes_no_more_memory_than_a_short_one(kind: str) -> None:
    def peak_kib(process: subprocess.Popen[bytes]) -> int:
        status = Path(f"/proc/{process.pid}/status").read_text()
        return int(re.findall(r"VmHWM:\s+(\d+)", status)[0])

    with gateway_process("INFERENCE", fakes.serve(fakes.Inference())) as (client, process):

        def read(dataset: str) -> int:
            address = f"/v1/models/ada/predictions.{kind}"
            with client.stream("GET", address, params={"dataset": dataset}) as answer:
                return sum(map(len, answer.iter_raw()))

        short, before = read("short"), peak_kib(process)
        assert read("huge") > 20 * short
        assert peak_kib(process) - before < 20 * 1024


def wait_for(client: httpx.Client, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        try:
            client.get("/healthz")
        except httpx.ConnectError:
            time.sleep(0.05)
        else:
            return
    pytest.fail("the gateway did not start")


# Pages


@pytest.mark.parametrize("path", ["/", "/analyze", "/train", "/models", "/evaluate", "/type", "/docs"])
def test_pages_load_nothing_from_elsewhere_and_run_nothing_inline(house: House, path: str) -> None:
    answer = house.http.get(path)
    assert answer.status_code == 200
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "unsafe" not in answer.headers["content-security-policy"]
    for inline in ("style=", "<style", "onclick", "<script>", 'src="http', 'href="http', "//cdn"):
        assert inline not in answer.text


def test_the_files_of_the_pages_are_there(house: House) -> None:
    for name in ("keyprint.css", "type.css", "mark.svg", *(f"js/{one}.js" for one in ("home", "analyze", "type"))):
        answer = house.http.get(f"/static/{name}")
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-cache")


def test_plotly_comes_from_its_package_and_may_be_kept_for_good(house: House) -> None:
    found = re.search(r'data-plotly="([^"]+)"', house.http.get("/").text)
    assert found is not None
    answer = house.http.get(found[1])
    assert answer.content.startswith(b"/**\n* plotly.js")
    assert "immutable" in answer.headers["cache-control"]
    again = house.http.get(found[1], headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert_problem(house.http.get(found[1].replace("plotly.min", "widgetbundle")), 404, "PATH_NOT_FOUND")


def test_openapi_describes_answers_and_errors(house: House) -> None:
    document = house.http.get("/openapi.json").json()
    assert set(document["paths"]) >= {
        "/v1/datasets",
        "/v1/datasets:upload",
        "/v1/datasets/{dataset}/records",
        "/v1/training-jobs/{job}:cancel",
        "/v1/comparisons",
        "/v1/models/{name}/evaluation",
        "/v1/models/{name}:identify",
        "/v1/models/{name}/predictions.csv",
    }
    state = document["components"]["schemas"]["Dataset"]["properties"]["state"]
    assert "READY" in state["enum"]
    referred = set(json.dumps(document).split('"#/components/schemas/')[1:])
    assert {one.split('"')[0] for one in referred} <= set(document["components"]["schemas"])
    for path, calls in document["paths"].items():
        for call in calls.values():
            assert "application/problem+json" in call["responses"]["default"]["content"], path
            assert "422" not in call["responses"]
