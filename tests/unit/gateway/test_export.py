"""CSV and Parquet from Arrow batches."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncGenerator

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gateway.export import csv_pieces, parquet_pieces, to_csv


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


def test_parquet_pieces_are_one_file_with_a_row_group_for_each_batch() -> None:
    async def batches() -> AsyncGenerator[pa.RecordBatch, None]:
        yield batch("ada", None)
        yield batch("=grace")

    async def read() -> list[bytes]:
        return [piece async for piece in parquet_pieces(batches())]

    pieces = asyncio.run(read())
    assert len(pieces) == 3
    file = pq.ParquetFile(io.BytesIO(b"".join(pieces)))
    assert file.num_row_groups == 2
    assert file.read().to_pydict() == {"attempt": [0, 1, 0], "user": ["ada", None, "=grace"]}
    # Without its end it is no file.
    with pytest.raises(pa.ArrowInvalid):
        pq.ParquetFile(io.BytesIO(b"".join(pieces[:2])))
