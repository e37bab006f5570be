"""Streams that have begun."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from gateway.rpc import begun


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
