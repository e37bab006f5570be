"""Streams that have begun."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from gateway.rpc import Services, begun
from keyprint.rpc import Server
from keyprint.v1 import ingest_pb2, ingest_pb2_grpc
from tests.contract import gateway_fakes


async def numbers(count: int, ended: list[str], fail: bool = False) -> AsyncGenerator[int, None]:
    try:
        for number in range(count):
            yield number
        if fail:
            raise ValueError("broken")
    finally:
        ended.append("ended")


def test_nothing_is_lost_by_waiting_for_the_first() -> None:
    async def read(count: int) -> list[int]:
        return [number async for number in await begun(numbers(count, []))]

    assert asyncio.run(read(3)) == [0, 1, 2]
    assert asyncio.run(read(0)) == []


def test_an_error_before_the_first_is_raised_at_once() -> None:
    with pytest.raises(ValueError, match="broken"):
        asyncio.run(begun(numbers(0, [], fail=True)))


def test_who_stops_early_ends_the_source() -> None:
    ended: list[str] = []

    async def read() -> None:
        stream = await begun(numbers(3, ended))
        await anext(stream)
        await stream.aclose()
        assert ended == ["ended"]

    asyncio.run(read())


class Replica(gateway_fakes.Ingest):
    """Answers with its own name."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def GetDataset(self, request: ingest_pb2.GetDatasetRequest, context: Any) -> ingest_pb2.Dataset:  # noqa: N802
        return ingest_pb2.Dataset(id=self._name)


def test_calls_are_spread_over_the_replicas_behind_a_name() -> None:
    names = ("first", "second")
    servers = [Server("127.0.0.1:0", ingest_pb2.DESCRIPTOR) for _ in names]
    for name, server in zip(names, servers, strict=True):
        ingest_pb2_grpc.add_IngestServiceServicer_to_server(Replica(name), server.grpc_server)
        server.start()

    async def ask() -> None:
        # What a name with two addresses resolves to.
        both = "ipv4:" + ",".join(f"127.0.0.1:{server.port}" for server in servers)
        services = Services(both, "127.0.0.1:1", "127.0.0.1:1", 60.0, 1)
        answered: set[str] = set()
        while answered != set(names):
            answer = await services.call(services.ingest.GetDataset, ingest_pb2.GetDatasetRequest(dataset="ds_1"))
            answered.add(answer.id)
        await services.close()

    try:
        asyncio.run(ask())
    finally:
        for server in servers:
            server.stop(0)
