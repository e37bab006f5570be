"""Requests have an id, an end and a client who may leave; answers that have not changed are not sent again."""

from __future__ import annotations

import asyncio
import queue
import socket
import threading
from collections.abc import AsyncGenerator, Iterator
from contextlib import suppress
from typing import Any, cast

import httpx
import pytest
from sse_starlette import EventSourceResponse

from gateway import deadline
from gateway.api.parts import event_stream
from keyprint import requestid
from keyprint.v1 import inference_pb2, training_pb2
from tests.contract import gateway_fakes as fakes
from tests.contract.test_gateway import KEYSTROKES, SOURCE, assert_problem, gateway_before


class Slow(fakes.Inference):
    """Answers model "slow" once its caller has gone, and keeps what it was told of each call."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: queue.SimpleQueue[tuple[str, float | None]] = queue.SimpleQueue()
        self.ended: queue.SimpleQueue[bool] = queue.SimpleQueue()

    def Identify(self, request: inference_pb2.IdentifyRequest, context: Any) -> inference_pb2.IdentifyResponse:  # noqa: N802
        self.calls.put((requestid.current(), context.time_remaining()))
        if request.model == "slow":
            gone = threading.Event()
            context.add_callback(gone.set)
            self.ended.put(gone.wait(60))
        return super().Identify(request, context)


@pytest.fixture(scope="module")
def house() -> Iterator[tuple[str, Slow]]:
    inference = Slow()
    with gateway_before(fakes.Ingest(), fakes.Training(), inference, timeout_seconds=50) as url:
        yield url, inference


@pytest.fixture
def http(house: tuple[str, Slow]) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=house[0], timeout=60) as client:
        yield client


def identify(http: httpx.Client, model: str = "ada", **headers: str) -> httpx.Response:
    return http.post(f"/v1/models/{model}:identify", json={"attempt": KEYSTROKES}, headers=headers)


def test_an_id_comes_back_and_goes_to_the_services(house: tuple[str, Slow], http: httpx.Client) -> None:
    answer = identify(http, **{"X-Request-Id": "order-7.a/b"})
    assert answer.headers["x-request-id"] == "order-7.a/b"
    assert house[1].calls.get(timeout=60)[0] == "order-7.a/b"


@pytest.mark.parametrize("given", [{}, {"X-Request-Id": "two\twords"}, {"X-Request-Id": "x" * 129}])
def test_a_request_without_an_id_that_a_log_may_hold_gets_one(
    house: tuple[str, Slow], http: httpx.Client, given: dict[str, str]
) -> None:
    answers = [identify(http, **given) for _ in range(2)]
    ids = [answer.headers["x-request-id"] for answer in answers]
    assert len({*ids, *given.values()}) == 2 + len(given)
    assert [house[1].calls.get(timeout=60)[0] for _ in ids] == ids


def test_refusals_have_an_id_too(http: httpx.Client) -> None:
    answer = http.get("/v1/datasets", headers={"Host": "elsewhere.test", "X-Request-Id": "seven"})
    assert (answer.status_code, answer.headers["x-request-id"]) == (403, "seven")


def test_a_call_has_as_long_as_its_client_waits_and_no_longer_than_the_setting(
    house: tuple[str, Slow], http: httpx.Client
) -> None:
    for given, least, most in (
        ({"X-Request-Timeout": "7.5"}, 4, 7.6),
        ({}, 20, 50.1),
        ({"X-Request-Timeout": "999"}, 20, 50.1),
    ):
        assert identify(http, **given).status_code == 200
        _, left = house[1].calls.get(timeout=60)
        assert left is not None
        assert least < left < most


def test_who_has_no_time_left_is_told_so(house: tuple[str, Slow], http: httpx.Client) -> None:
    answer = identify(http, "slow", **{"X-Request-Timeout": "0.2"})
    assert_problem(answer, 504, "DEADLINE_EXCEEDED")
    house[1].calls.get(timeout=60)
    assert house[1].ended.get(timeout=60)


@pytest.mark.parametrize("given", ["0", "-1", "nan", "inf", "soon", ""])
def test_a_timeout_that_is_none_is_named(http: httpx.Client, given: str) -> None:
    answer = identify(http, **{"X-Request-Timeout": given})
    detail = assert_problem(answer, 400, "TIMEOUT_INVALID", deadline.HEADER)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert repr(given) in detail


def test_nobody_works_on_for_a_client_who_has_gone(house: tuple[str, Slow]) -> None:
    url = httpx.URL(house[0])
    body = b'{"attempt": []}'
    head = (
        f"POST /v1/models/slow:identify HTTP/1.1\r\nHost: {url.host}:{url.port}\r\nContent-Type: application/json\r\n"
    )
    with socket.create_connection((url.host, url.port or 0), timeout=60) as client:
        client.sendall(head.encode() + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        house[1].calls.get(timeout=60)
        assert house[1].ended.empty()
    # It had 50 seconds.
    assert house[1].ended.get(timeout=30)


def test_a_head_behind_a_request_that_is_not_answered_yet_may_not_be_endless(house: tuple[str, Slow]) -> None:
    url = httpx.URL(house[0])
    body = b'{"attempt": []}'
    head = f"POST /v1/models/slow:identify HTTP/1.1\r\nHost: {url.host}:{url.port}\r\nContent-Length: {len(body)}\r\n"
    with socket.create_connection((url.host, url.port or 0), timeout=60) as client:
        client.sendall(head.encode() + b"Content-Type: application/json\r\n\r\n" + body)
        house[1].calls.get(timeout=60)
        with suppress(OSError):
            client.sendall(head.encode() + b"X-More: " + b"x" * 10_000_000)
        # Who is hung up on is somebody who has gone.
        assert house[1].ended.get(timeout=30)


def test_what_has_not_changed_is_not_sent_again(http: httpx.Client) -> None:
    dataset = http.post("/v1/datasets", json={"url": SOURCE}).json()["id"]
    http.get(f"/v1/datasets/{dataset}/events")
    first = http.get(f"/v1/datasets/{dataset}")
    tag = first.headers["etag"]
    for had in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = http.get(f"/v1/datasets/{dataset}", headers={"If-None-Match": had})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        assert "content-type" not in again.headers
    for had in ("", '"other"'):
        again = http.get(f"/v1/datasets/{dataset}", headers={"If-None-Match": had})
        assert (again.status_code, again.json()) == (200, first.json())
    cancelled = http.post(f"/v1/datasets/{dataset}:cancel").json()
    changed = http.get(f"/v1/datasets/{dataset}", headers={"If-None-Match": tag})
    assert (changed.status_code, changed.json()) == (200, cancelled)


def test_who_comes_back_to_events_goes_on_where_they_were(http: httpx.Client) -> None:
    dataset = http.post("/v1/datasets", json={"url": f"{SOURCE}?again"}).json()["id"]
    address = f"/v1/datasets/{dataset}/events"
    lines = http.get(address).text.splitlines()
    ids = [line.removeprefix("id: ") for line in lines if line.startswith("id: ")]
    assert len(set(ids)) == len(ids) == 4
    assert [line for line in lines if line.startswith("retry: ")] == ["retry: 2000"] * 4
    # A browser told 204 comes back no more.
    assert http.get(address, headers={"Last-Event-ID": ids[-1]}).status_code == 204
    missed = http.get(address, headers={"Last-Event-ID": ids[0]})
    assert [line for line in missed.text.splitlines() if line.startswith("id: ")] == [f"id: {ids[-1]}"]


def test_who_has_the_last_event_of_what_still_runs_waits_for_the_next() -> None:
    running = training_pb2.TrainingJob(id="job_1", state=training_pb2.TrainingJob.STATE_RUNNING)
    done = training_pb2.TrainingJob(id="job_1", state=training_pb2.TrainingJob.STATE_SUCCEEDED)

    async def messages() -> AsyncGenerator[training_pb2.TrainingJob, None]:
        yield running
        yield done

    async def ids(last: str) -> list[str]:
        stream = await event_stream("job", messages(), last)
        assert isinstance(stream, EventSourceResponse)
        # Each is an event of ours.
        return [cast(Any, event).id async for event in stream.body_iterator]

    first, last = asyncio.run(ids(""))
    assert asyncio.run(ids(first)) == [last]
