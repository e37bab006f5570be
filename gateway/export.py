"""Predictions as a file: CSV or Parquet written from Arrow batches as they come, in constant memory."""

from __future__ import annotations

import io
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import csv

# Whoever opens the file in a spreadsheet runs what begins like a formula; a quote before it makes it text.
_FORMULA = r"^([=+\-@\t\r])"


async def csv_pieces(batches: AsyncGenerator[pa.RecordBatch, None]) -> AsyncGenerator[bytes, None]:
    """CSV with a header line, one piece per batch.

    An error of `batches` goes through, so that the server breaks the transfer off instead of ending it well.
    """
    header = True
    async with aclosing(batches):
        async for batch in batches:
            yield to_csv(batch, header)
            header = False


async def parquet_pieces(batches: AsyncGenerator[pa.RecordBatch, None]) -> AsyncGenerator[bytes, None]:
    """A Parquet file, a row group per batch; whoever gets less than all of it has no footer, and so no file."""
    sink = _Sink()
    writer: pq.ParquetWriter | None = None
    async with aclosing(batches):
        async for batch in batches:
            writer = writer or pq.ParquetWriter(sink, batch.schema, compression="zstd")
            writer.write_batch(batch)
            yield sink.drained()
    if writer:
        writer.close()
        yield sink.drained()


class _Sink(io.RawIOBase):
    """Counts what is written as a file does, and keeps what was not taken yet."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._written = 0

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        self._pieces.append(bytes(content))
        self._written += len(self._pieces[-1])
        return len(self._pieces[-1])

    def tell(self) -> int:
        return self._written

    def drained(self) -> bytes:
        content = b"".join(self._pieces)
        self._pieces.clear()
        return content


def to_csv(batch: pa.RecordBatch, header: bool) -> bytes:
    """The rows as CSV: text in quotes, empty where there is no value; no text that a spreadsheet would run."""
    table = pa.Table.from_batches([batch])
    for number, field in enumerate(batch.schema):
        if pa.types.is_string(field.type):
            safe = pc.replace_substring_regex(table.column(number), _FORMULA, r"'\1")
            table = table.set_column(number, field, safe)
    sink = io.BytesIO()
    csv.write_csv(table, sink, csv.WriteOptions(include_header=header, quoting_header="none"))
    return sink.getvalue()
