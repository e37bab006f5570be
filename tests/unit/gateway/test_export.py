"""CSV from Arrow batches."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pyarrow as pa
import pytest

from gateway.export import csv_pieces, to_csv


def batch(*users: str | None) -> pa.RecordBatch:
    return pa.record_batch({"attempt": pa.array(range(len(users)), pa.uint32()), "user": pa.array(users, pa.string())})


def test_the_header_stands_once_and_each_batch_is_a_piece() -> None:
    async def batches() -> AsyncGenerator[pa.RecordBatch, None]:
        yield batch("ada")
        yield batch("grace")

    async def read() -> list[bytes]:
        return [piece async for piece in csv_pieces(batches())]

    assert asyncio.run(read()) == [b'attempt,user\n0,"ada"\n', b'0,"grace"\n']


def test_quotes_commas_lines_and_nothing_survive() -> None:
    assert to_csv(batch('a"b', "a,b", "a\nb", None, ""), False) == b'0,"a""b"\n1,"a,b"\n2,"a\nb"\n3,\n4,""\n'


@pytest.mark.parametrize("formula", ["=1+1", "+1", "-1", "@A1", "\tx", "\rx"])
def test_what_a_spreadsheet_would_run_becomes_text(formula: str) -> None:
    assert to_csv(batch(formula, "a" + formula), False).decode() == f'0,"\'{formula}"\n1,"a{formula}"\n'


def test_an_error_of_the_batches_goes_through() -> None:
    async def batches() -> AsyncGenerator[pa.RecordBatch, None]:
        yield batch("ada")
        raise ValueError("broken")

    async def read() -> None:
        async for _ in csv_pieces(batches()):
            pass

    with pytest.raises(ValueError, match="broken"):
        asyncio.run(read())
