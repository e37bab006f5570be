"""Uploads on their way to a service that may have enough of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Any

import grpc
import pytest

from gateway.uploads import Uploads
from keyprint.channel import channel
from keyprint.errors import InvalidArgument, NotFound, ResourceExhausted
from keyprint.v1 import ingest_pb2, ingest_pb2_grpc
from tests.contract import gateway_fakes as fakes

Request = ingest_pb2.UploadDatasetRequest
MANY = 64


class Ingest(fakes.Ingest):
    """Counts pieces; refuses an upload with a base once its first message is there."""

    def UploadDataset(self, request_iterator: Iterator[Request], context: Any) -> ingest_pb2.Dataset:  # noqa: N802
        if next(request_iterator).header.base_dataset:
            raise NotFound("DATASET_NOT_FOUND", "There is no such base.", "base_dataset")
        return ingest_pb2.Dataset(documents=sum(1 for _ in request_iterator))


@pytest.fixture(scope="module")
def method() -> Iterator[grpc.StreamUnaryMultiCallable[Request, ingest_pb2.Dataset]]:
    server = fakes.serve(Ingest())
    with channel(f"127.0.0.1:{server.port}") as connected:
        yield ingest_pb2_grpc.IngestServiceStub(connected).UploadDataset
    server.stop(0)


class Sent:
    """Messages that are sent, and what became of them."""

    def __init__(self, base: str = "", then: Callable[[], Any] = lambda: None) -> None:
        self.taken = 0
        self.ended = False
        self._base = base
        self._then = then

    async def messages(self) -> AsyncGenerator[Request, None]:
        try:
            yield Request(header=Request.Header(base_dataset=self._base))
            for _ in range(MANY):
                yield Request(piece=Request.Piece(name="a", content=bytes(2**20)))
                self.taken += 1
            if found := self._then():
                await found
        finally:
            self.ended = True


def test_an_upload_is_sent_to_its_end(method: Any) -> None:
    sent = Sent()
    assert asyncio.run(Uploads(1).send(method, sent.messages())).documents == MANY
    assert sent.ended


def test_an_upload_that_is_refused_while_it_is_sent_is_told_why_and_sent_no_further(method: Any) -> None:
    for _ in range(10):
        sent = Sent("ds_none")
        with pytest.raises(NotFound, match="no such base"):
            asyncio.run(Uploads(1).send(method, sent.messages()))
        assert sent.ended
        assert sent.taken < MANY


def test_an_upload_that_is_refused_while_nothing_comes_ends_at_once(method: Any) -> None:
    async def nothing() -> AsyncGenerator[Request, None]:
        yield Request(header=Request.Header(base_dataset="ds_none"))
        await asyncio.Event().wait()

    with pytest.raises(NotFound, match="no such base"):
        asyncio.run(Uploads(1).send(method, nothing()))


def test_what_goes_wrong_with_what_is_sent_is_raised_as_it_is(method: Any) -> None:
    def wrong() -> None:
        raise InvalidArgument("FIELD_TOO_LATE", "It comes too late.", "phrase")

    sent = Sent(then=wrong)
    with pytest.raises(InvalidArgument, match="too late"):
        asyncio.run(Uploads(1).send(method, sent.messages()))
    assert sent.ended


def test_who_goes_away_ends_the_call(method: Any) -> None:
    waiting = asyncio.Event()

    async def wait() -> None:
        waiting.set()
        await asyncio.Event().wait()

    async def leave() -> Sent:
        sent = Sent(then=wait)
        sending = asyncio.create_task(Uploads(1).send(method, sent.messages()))
        await waiting.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        return sent

    assert asyncio.run(leave()).ended


def test_what_is_wrong_with_what_is_sent_is_told_and_not_logged(method: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def wrong() -> None:
        raise InvalidArgument("FIELD_INVALID", "No files.", "files")

    sent = Sent(then=wrong)
    with pytest.raises(InvalidArgument, match="No files"):
        asyncio.run(Uploads(1).send(method, sent.messages()))
    assert sent.ended
    assert caplog.records == []


def test_one_too_many_is_refused_and_told_when_to_come_again(method: Any) -> None:
    async def send() -> int:
        uploads, waiting, told = Uploads(1), asyncio.Event(), asyncio.Event()

        async def wait() -> None:
            waiting.set()
            await told.wait()

        first = asyncio.create_task(uploads.send(method, Sent(then=wait).messages()))
        await waiting.wait()
        with pytest.raises(ResourceExhausted, match="Too many uploads") as refused:
            await uploads.send(method, Sent().messages())
        assert refused.value.retry_seconds > 0
        told.set()
        await first
        answer: ingest_pb2.Dataset = await uploads.send(method, Sent().messages())
        return answer.documents

    assert asyncio.run(send()) == MANY
