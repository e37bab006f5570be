"""The gateway before a real ingest service, over HTTP; training and inference are not there."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

import httpx
import pytest

from keyprint.addresses import free_address
from keyprint.simulate import simulate

PHRASE = "Be Typing."


class Quiet(SimpleHTTPRequestHandler):
    """Serves a directory."""

    def log_message(self, *args: object) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def source(
    tmp_path_factory: pytest.TempPathFactory, serve: Callable[..., AbstractContextManager[str]]
) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("web")
    first = simulate(folder, 3, 30, PHRASE)
    with serve(partial(Quiet, directory=str(folder))) as url:
        yield f"{url}/{first.name}"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    home = tmp_path_factory.mktemp("home")
    found = {part: free_address() for part in ("ingest", "training", "inference", "gateway")}
    settings = {"KEYPRINT_HOME": str(home), "KEYPRINT_INGEST_ALLOW_NETS": "127.0.0.1/32"}
    for part, address in found.items():
        settings[f"KEYPRINT_{part.upper()}_LISTEN"] = address.listen
        settings[f"KEYPRINT_{part.upper()}_ADDRESS"] = address.listen
    processes = [_started(module, home, settings) for module in ("services.ingest", "gateway")]
    with httpx.Client(base_url=found["gateway"].url, timeout=30) as client:
        _wait(client, found["ingest"].port, home)
        yield client
    for process in processes:
        process.terminate()
        assert process.wait(30) == 0


def _started(module: str, home: Path, settings: dict[str, str]) -> subprocess.Popen[bytes]:
    with (home / f"{module}.log").open("wb") as log:
        return subprocess.Popen(  # noqa: S603 - our own interpreter
            [sys.executable, "-m", module], env={**os.environ, **settings}, stderr=log, stdout=log
        )


def _wait(client: httpx.Client, ingest: int, home: Path) -> None:
    for _ in range(600):
        try:
            client.get("/healthz").raise_for_status()
            socket.create_connection(("127.0.0.1", ingest), 1).close()
        except (httpx.HTTPError, OSError):
            time.sleep(0.1)
        else:
            return
    pytest.fail("\n".join(path.read_text() for path in home.glob("*.log")))


def imported(gateway: httpx.Client, source: str) -> dict[str, object]:
    made = gateway.post("/v1/datasets", json={"url": source, "phrase": PHRASE, "min_attempts": 5})
    assert made.status_code == 202, made.text
    for _ in range(300):
        found: dict[str, object] = gateway.get(made.headers["location"]).json()
        if found["state"] not in ("IMPORTING", "CANCELLING"):
            return found
        time.sleep(0.1)
    raise AssertionError("the import did not end")


def test_a_dataset_is_imported_and_its_records_are_read(gateway: httpx.Client, source: str) -> None:
    dataset = imported(gateway, source)
    assert (dataset["state"], dataset["documents"], dataset["attempts"], dataset["users"]) == ("READY", 3, 90, 3)
    records = gateway.get(f"/v1/datasets/{dataset['id']}/records", params={"first_n": 7}).json()["records"]
    assert len(records) == 7
    assert records[0]["character"] == "B"
    assert records[0]["character_index"] == 0
    listed = gateway.get("/v1/datasets").json()["datasets"]
    assert dataset["id"] in [one["id"] for one in listed]


@pytest.mark.parametrize(
    ("body", "reason", "field"),
    [
        ({"url": "user.json"}, "URL_INVALID", "url"),
        ({"url": "https://example.org/", "phrase": "x"}, "PHRASE_INVALID", "phrase"),
    ],
)
def test_a_refusal_is_a_problem_with_the_reason_of_the_service(
    gateway: httpx.Client, body: dict[str, str], reason: str, field: str
) -> None:
    answer = gateway.post("/v1/datasets", json=body)
    assert answer.status_code == 400
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert (answer.json()["reason"], answer.json()["field"]) == (reason, field)


def test_an_unknown_dataset_is_not_found(gateway: httpx.Client) -> None:
    answer = gateway.get("/v1/datasets/ds_0")
    assert (answer.status_code, answer.json()["reason"]) == (404, "DATASET_NOT_FOUND")


def test_a_service_that_is_not_there_is_told_as_such(gateway: httpx.Client) -> None:
    answer = gateway.get("/v1/learners")
    assert (answer.status_code, answer.json()["reason"]) == (503, "SERVICE_UNAVAILABLE")
    assert gateway.get("/readyz").status_code == 503


def test_another_website_cannot_drive_it(gateway: httpx.Client) -> None:
    foreign = {"Origin": "https://example.org"}
    assert gateway.post("/v1/datasets", json={"url": "https://example.org/"}, headers=foreign).status_code == 403
    assert gateway.get("/v1/datasets", headers={"Host": "example.org"}).status_code >= 400


@pytest.mark.parametrize("path", ["/", "/analyze", "/train", "/evaluate"])
def test_pages_are_served_without_inline_scripts(gateway: httpx.Client, path: str) -> None:
    page = gateway.get(path)
    assert page.status_code == 200
    policy = page.headers["content-security-policy"]
    assert "unsafe-inline" not in policy
    assert "default-src" in policy


def test_openapi_lists_the_paths(gateway: httpx.Client) -> None:
    document = gateway.get("/openapi.json").json()
    assert "/v1/datasets" in document["paths"]
    json.dumps(document)
