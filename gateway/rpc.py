"""Channels to the three services, and calls whose errors are ours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import PurePath
from typing import Any, TypeVar, cast

import grpc
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gateway import deadline
from gateway.uploads import Uploads
from keyprint import requestid
from keyprint.channel import OPTIONS
from keyprint.errors import from_rpc_error
from keyprint.v1.inference_pb2_grpc import InferenceServiceStub
from keyprint.v1.ingest_pb2 import Dataset, UploadDatasetRequest
from keyprint.v1.ingest_pb2_grpc import IngestServiceStub
from keyprint.v1.training_pb2_grpc import TrainingServiceStub

Request = TypeVar("Request", bound=Message)
Answer = TypeVar("Answer", bound=Message)
Item = TypeVar("Item")

CHANNEL_OPTIONS: list[tuple[str, int | str]] = [
    *OPTIONS,
    # Where a name leads to several replicas, calls are spread over them.
    ("grpc.lb_policy_name", "round_robin"),
    # The services are on this machine or in this cluster; a proxy for the web leads elsewhere.
    ("grpc.enable_http_proxy", 0),
]

HEALTH_SECONDS = 2.0
"""How long a service may take to say that it is well."""


class Services:
    """The stubs of the three services. Make it inside the event loop that uses it."""

    def __init__(self, ingest: str, training: str, inference: str, timeout: float, uploads: int) -> None:
        """Opens lazily connecting channels.

        Args:
            ingest: "host:port" of the ingest service; the others likewise.
            training: see ingest.
            inference: see ingest.
            timeout: seconds that a call which is not a stream may take.
            uploads: how many may be sent at once.
        """
        self.timeout = timeout
        self._channels = {
            name: grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS)
            for name, address in (("ingest", ingest), ("training", training), ("inference", inference))
        }
        self._beside = grpc.insecure_channel(ingest, options=CHANNEL_OPTIONS)
        self._uploading = IngestServiceStub(self._beside)
        self._uploads = Uploads(uploads)
        self.ingest = IngestServiceStub(self._channels["ingest"])
        self.training = TrainingServiceStub(self._channels["training"])
        self.inference = InferenceServiceStub(self._channels["inference"])

    async def call(self, method: grpc.aio.UnaryUnaryMultiCallable[Request, Answer], request: Request) -> Answer:
        """Calls `method`.

        Raises:
            KeyprintError: what the service raised.
        """
        try:
            return await method(request, timeout=deadline.left(self.timeout), metadata=requestid.metadata())
        except grpc.RpcError as error:
            raise from_rpc_error(error, _service(request)) from error

    async def upload(self, requests: AsyncGenerator[UploadDatasetRequest, None]) -> Dataset:
        """Sends an upload to ingest; as `Uploads.send` says."""
        return await self._uploads.send(self._uploading.UploadDataset, requests)

    async def stream(
        self, method: grpc.aio.UnaryStreamMultiCallable[Request, Answer], request: Request
    ) -> AsyncGenerator[Answer, None]:
        """Yields what `method` sends, as fast as the reader takes it; the call ends with the iterator.

        Raises:
            KeyprintError: what the service raised.
        """
        call = method(request, timeout=deadline.left(), metadata=requestid.metadata())
        try:
            async for message in call:
                yield message
        except grpc.RpcError as error:
            raise from_rpc_error(error, _service(request)) from error
        finally:
            call.cancel()

    async def health(self) -> dict[str, str]:
        """Service to SERVING, NOT_SERVING or UNREACHABLE."""

        async def check(channel: grpc.aio.Channel) -> str:
            try:
                # The stubs know no methods of this one.
                answer = await cast(Any, health_pb2_grpc.HealthStub(channel)).Check(
                    health_pb2.HealthCheckRequest(), timeout=HEALTH_SECONDS
                )
            except grpc.RpcError:
                return "UNREACHABLE"
            return health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)

        return dict(zip(self._channels, await asyncio.gather(*map(check, self._channels.values())), strict=True))

    async def close(self) -> None:
        """Ends running calls and closes the channels."""
        self._beside.close()
        for channel in self._channels.values():
            await channel.close()


def _service(request: Message) -> str:
    """Which one takes such a request: each has a proto of its own."""
    return PurePath(request.DESCRIPTOR.file.name).stem


async def begun(items: AsyncGenerator[Item, None]) -> AsyncGenerator[Item, None]:
    """Waits for the first item and gives back a generator of all of them.

    What goes wrong before the first item is raised here, while the answer can still be an error.
    """
    try:
        first = [await anext(items)]
    except StopAsyncIteration:
        first = []

    async def everything() -> AsyncGenerator[Item, None]:
        async with aclosing(items):
            for item in first:
                yield item
            async for item in items:
                yield item

    return everything()
