"""identify and verify over HTTP, as a Bento serves them."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator, MutableMapping
from pathlib import Path
from typing import Any

import pytest
from httpx import ASGITransport, AsyncClient, Response
from starlette.applications import Starlette

from keyprint.channel import channel
from keyprint.errors import Internal
from keyprint.v1 import inference_pb2, ingest_pb2_grpc
from services.inference import web
from services.inference.engine import Engine, GoesOn
from services.inference.ingest import Ingest
from services.inference.onemodel import OneModel
from services.inference.servicer import InferenceServicer
from tests.unit.inference.conftest import PHRASE, write_package

Json = dict[str, Any]


def typed(tempo_ms: float, phrase: str = PHRASE) -> list[Json]:
    """One even attempt in the source format."""
    return [
        {"typed_at": f"2024-01-01T00:00:{number * tempo_ms / 1000:09.6f}", "character": key}
        for number, key in enumerate(phrase)
    ]


@pytest.fixture
def servicer(tmp_path: Path) -> Iterator[InferenceServicer]:
    models = OneModel(Engine("ada@3", write_package(tmp_path / "made")))
    with channel("127.0.0.1:1") as nowhere:
        yield InferenceServicer(models, Ingest(ingest_pb2_grpc.IngestServiceStub(nowhere)))


class Client:
    """Asks the application without a network."""

    def __init__(self, app: Starlette) -> None:
        self.app = app

    def request(self, method: str, path: str, **what: Any) -> Response:
        async def ask() -> Response:
            transport = ASGITransport(self.app, raise_app_exceptions=False)
            async with AsyncClient(transport=transport, base_url="http://bento") as client:
                return await client.request(method, path, **what)

        return asyncio.run(ask())

    def post(self, path: str, **what: Any) -> Response:
        return self.request("POST", path, **what)


@pytest.fixture
def client(servicer: InferenceServicer) -> Client:
    app = web.create_app()
    app.state.servicer = servicer
    return Client(app)


def told(answer: Response) -> tuple[int, str, str]:
    """Status, reason and field of a problem."""
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["reason"], answer.json()["field"]


def test_one_attempt_is_answered_with_candidates_and_flags(client: Client) -> None:
    answer = client.post("/v1/models/ada:identify", json={"attempt": typed(200), "candidates": 2}).json()
    assert (answer["model"], answer["decision"], answer["reason"]) == ("ada@3", "IDENTIFIED", "")
    assert [one["user"] for one in answer["candidates"]] == ["bob", "ann"]
    assert answer["flags"] == ["SYNTHETIC_SUSPECTED"]
    again = client.post("/v1/models/ada@3:identify", json={"attempt": typed(200), "explain": True}).json()
    assert again["flags"] == ["REPLAY_SUSPECTED", "SYNTHETIC_SUSPECTED"]
    assert len(again["explanation"]["keys"]) == len(PHRASE)


def test_an_attempt_that_is_not_valid_is_an_answer(client: Client) -> None:
    answer = client.post("/v1/models/ada:identify", json={"attempt": typed(200, "hi yo")})
    assert answer.status_code == 200
    assert (answer.json()["decision"], answer.json()["reason"]) == ("INVALID", "PHRASE_MISMATCH")


def test_a_claim_is_decided(client: Client) -> None:
    for user, accepted in (("bob", True), ("ann", False)):
        answer = client.post("/v1/models/ada:verify", json={"user": user, "attempt": typed(200), "far": 0.01}).json()
        assert answer["accepted"] is accepted
        assert answer["threshold"] == pytest.approx(0.7)


def test_many_attempts_are_answered_in_their_order_and_off_the_loop(
    client: Client, servicer: InferenceServicer, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []
    answer = servicer.batch_identify

    def watched(request: inference_pb2.BatchIdentifyRequest, goes_on: GoesOn) -> Any:
        threads.append(threading.current_thread())
        return answer(request, goes_on)

    monkeypatch.setattr(servicer, "batch_identify", watched)
    few = [typed(200), typed(200, "hi"), typed(500)]
    many = few * 100
    assert len(json.dumps(few)) < web.LARGE_BYTES < len(json.dumps(many))
    for attempts in (few, many):
        results = client.post("/v1/models/ada:identify", json={"attempts": attempts}).json()["results"]
        assert [one["user"] for one in results] == ["bob", "", "cat"] * (len(attempts) // 3)
        assert results[1]["reason"] == "PHRASE_MISMATCH"
    assert "AnyIO worker thread" in threads[1].name
    assert "AnyIO worker thread" not in threads[0].name


@pytest.mark.parametrize(
    ("path", "content", "problem"),
    [
        ("ada:identify", b"{", (400, "BODY_INVALID", "")),
        ("ada:identify", b"\xff", (400, "BODY_INVALID", "")),
        ("ada:identify", b"[" * 100_000, (400, "BODY_INVALID", "")),
        ("ada:identify", b"", (400, "BODY_INVALID", "")),
        ("ada:identify", b"[]", (400, "BODY_INVALID", "")),
        ("ada:identify", b"{}", (400, "ATTEMPT_INVALID", "attempt")),
        ("ada:identify", b'{"attempt": [1]}', (400, "ATTEMPT_INVALID", "attempt")),
        ("ada:identify", b'{"attempts": [[], [1]]}', (400, "ATTEMPT_INVALID", "attempts.1")),
        ("ada:identify", b'{"attempt": [], "candidates": -1}', (400, "CANDIDATES_INVALID", "candidates")),
        ("ada:identify", b'{"attempt": [], "rows": 1}', (400, "FIELD_UNKNOWN", "rows")),
        ("ada:verify", b'{"attempt": []}', (400, "FIELD_MISSING", "user")),
        ("ada:verify", b'{"user": "\\ud800", "attempt": []}', (400, "FIELD_INVALID", "user")),
        ("ada:verify", b'{"user": "bob", "attempt": [], "far": NaN}', (400, "FAR_OUT_OF_RANGE", "far")),
        ("ada:verify", b'{"user": "eve", "attempt": []}', (404, "USER_NOT_FOUND", "user")),
        ("ada@4:identify", b'{"attempt": []}', (404, "MODEL_NOT_FOUND", "model")),
        ("Ada:identify", b'{"attempt": []}', (400, "MODEL_NAME_INVALID", "model")),
    ],
)
def test_what_is_wrong_is_a_problem(client: Client, path: str, content: bytes, problem: tuple[int, str, str]) -> None:
    assert told(client.post(f"/v1/models/{path}", content=content)) == problem


SPACES = b" " * 2**20


async def chunked(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield SPACES


@pytest.mark.parametrize("told_before", [True, False])
def test_a_body_over_the_limit_of_a_message_is_refused(client: Client, told_before: bool) -> None:
    answer = client.post("/v1/models/ada:identify", content=SPACES * 17 if told_before else chunked(17))
    assert told(answer) == (413, "MESSAGE_TOO_LARGE", "")
    assert "may have 16,777,216; send less at once" in answer.json()["detail"]


def test_a_body_that_comes_in_pieces_is_taken(client: Client) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        whole = json.dumps({"attempt": typed(200)}).encode()
        for begin in range(0, len(whole), 100):
            yield whole[begin : begin + 100]

    assert client.post("/v1/models/ada:identify", content=pieces()).json()["decision"] == "IDENTIFIED"


def test_another_method_is_refused_with_the_one_that_is_taken(client: Client) -> None:
    answer = client.request("GET", "/v1/models/ada:identify")
    assert told(answer) == (405, "METHOD_NOT_ALLOWED", "")
    assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize("path", ["/v1/models/ada:explain", "/v1/models", "/nowhere"])
def test_an_address_that_is_none_is_told_as_the_gateway_tells_it(client: Client, path: str) -> None:
    assert told(client.post(path)) == (404, "PATH_NOT_FOUND", "")


def test_a_client_who_hangs_up_within_a_body_is_no_error_of_ours(client: Client) -> None:
    come: list[dict[str, Any]] = [
        {"type": "http.request", "body": b"{", "more_body": True},
        {"type": "http.disconnect"},
    ]
    scope = {"type": "http", "method": "POST", "path": "/v1/models/ada:identify", "query_string": b"", "headers": []}
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return come.pop(0)

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    asyncio.run(client.app(scope, receive, send))
    assert sent[0]["status"] == 400


def test_what_fails_inside_tells_nothing_of_it(
    client: Client, servicer: InferenceServicer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(servicer, "identify", fail)
    answer = client.post("/v1/models/ada:identify", json={"attempt": typed(200)})
    assert told(answer) == (500, Internal.__name__.upper(), "")
    assert "secret" not in answer.text
