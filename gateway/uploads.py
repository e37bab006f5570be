"""Uploads on their way to a service.

They go by gRPC's synchronous client: grpc.aio tells who is still sending INTERNAL in place of what the service says.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import Generic, TypeVar

import grpc
from google.protobuf.message import Message

from keyprint import requestid
from keyprint.errors import ResourceExhausted, from_rpc_error

Request = TypeVar("Request", bound=Message)
Answer = TypeVar("Answer", bound=Message)

RETRY_SECONDS = 1.0


class Uploads:
    """Up to so many at once, each of which takes a thread of gRPC's."""

    def __init__(self, most: int) -> None:
        self._left = most

    async def send(
        self, method: grpc.StreamUnaryMultiCallable[Request, Answer], requests: AsyncGenerator[Request, None]
    ) -> Answer:
        """Sends `requests` until the service has enough; as slow as the client that uploads, so without a deadline.

        Raises:
            ResourceExhausted: there are too many at once; nothing is asked of `requests`.
            KeyprintError: what the service raised, or `requests` did.
        """
        if not self._left:
            raise ResourceExhausted(
                "TOO_MANY_UPLOADS", "Too many uploads at once; try again in a moment.", retry_seconds=RETRY_SECONDS
            )
        self._left -= 1
        try:
            async with aclosing(requests):
                return await _Upload(requests).answer(method)
        finally:
            self._left += 1


class _Upload(Generic[Request]):
    """One of them."""

    def __init__(self, requests: AsyncGenerator[Request, None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._requests = requests
        self._coming: asyncio.Task[Request | None] | None = None
        self._failure: Exception | None = None
        self._call: grpc.Call | None = None
        self._over = False

    async def answer(self, method: grpc.StreamUnaryMultiCallable[Request, Answer]) -> Answer:
        """What the service says once it has all, or enough."""
        self._call = call = method.future(self._taken(), metadata=requestid.metadata())
        ended = asyncio.Event()

        def end(_: object) -> None:
            self._loop.call_soon_threadsafe(ended.set)

        call.add_done_callback(end)
        try:
            await ended.wait()
            if self._failure:
                raise self._failure
            return call.result()
        except grpc.RpcError as error:
            raise from_rpc_error(error, "ingest") from error
        finally:
            self._over = True
            call.cancel()
            if self._coming:
                self._coming.cancel()
                await asyncio.wait((self._coming,))

    def _taken(self) -> Iterator[Request]:
        """What is sent, as gRPC's thread takes it."""
        while (request := asyncio.run_coroutine_threadsafe(self._next(), self._loop).result()) is not None:
            yield request

    async def _next(self) -> Request | None:
        if self._over:
            return None
        self._coming = asyncio.ensure_future(anext(self._requests, None))
        try:
            return await self._coming
        except asyncio.CancelledError:
            # The call has its answer.
            return None
        except Exception as error:
            self._failure = error
            # gRPC would log with a traceback what is raised in its thread.
            if self._call:
                self._call.cancel()
            return None
