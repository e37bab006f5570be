"""Files of the ingest service: the download cache, and each dataset's Parquet parts.

    documents/                        documents as they were downloaded: `Cache`
    uploads/                          documents that callers sent: `Inbox`
    datasets/<id>/part-00000.parquet  the attempts of whole documents in order, named by the number of the first one
    datasets/<id>/marks.parquet       of every attempt whether it repeats another and whether its user is enrolled

A file appears whole or not at all.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from keyprint.attempts import Flags
from keyprint.table import SCHEMA
from services.ingest.cache import MOST_BYTES, Cache
from services.ingest.catalogue import InUse
from services.ingest.inbox import Inbox
from services.ingest.tables import DocumentRow

BATCH_ROWS = 8192
BATCH_BYTES = 4 * 2**20
_REPEATING = ["user", "character.list.element", "reason"]
"""Columns of few values.  Looking for repetition in times and ids costs more than writing them."""

_TIMES = ["typed_at", "pressed_at.list.element", "released_at.list.element"]
"""Columns whose values differ little from the ones before."""

_MARKS = pa.schema([("duplicate", pa.bool_()), ("enrolled", pa.bool_())])


class Store:
    """The files below one directory.

    Attributes:
        cache: what was downloaded.
        inbox: what was sent.
    """

    def __init__(self, directory: Path, cache_bytes: int = MOST_BYTES) -> None:
        """Takes up what there is in `directory`, whose cache may hold so many bytes."""
        self.cache = Cache(directory / "documents", cache_bytes)
        self.inbox = Inbox(directory / "uploads")
        self._datasets = directory / "datasets"
        self._datasets.mkdir(parents=True, exist_ok=True)
        # What was being written when a process died.
        for left in self._datasets.glob("*/.*"):
            left.unlink()

    def sweep(self, used: InUse) -> None:
        """Deletes what a crash left: files that nothing in the catalogue stands for."""
        for folder in self._datasets.iterdir():
            if folder.name not in used.datasets:
                shutil.rmtree(folder)
        self.cache.sweep(used.sources)
        self.inbox.sweep(used.importing)

    def copy_parts(self, source: str, target: str, parts: Sequence[int]) -> None:
        """Gives a dataset some parts of another."""
        (self._datasets / target).mkdir(exist_ok=True)
        for part in parts:
            fresh = _beside(self._part(target, part))
            shutil.copyfile(self._part(source, part), fresh)
            fresh.replace(self._part(target, part))

    def write_part(self, dataset: str, part: int, attempts: pa.Table) -> None:
        """Writes a part, over any of that name that an import left that was killed."""
        self._write(self._part(dataset, part), attempts)

    def trim(self, dataset: str, documents: Sequence[DocumentRow]) -> None:
        """Deletes what parts hold beside these documents, the first ones of the dataset."""
        kept = {self._part(dataset, part) for part in parts_of(documents)}
        for path in set((self._datasets / dataset).glob("part-*")) - kept:
            path.unlink()
        if documents:
            part = documents[-1].part
            rows = sum(one.attempts for one in documents if one.part == part)
            if pq.read_metadata(self._part(dataset, part)).num_rows > rows:
                self._write(self._part(dataset, part), self.read_part(dataset, part).slice(0, rows))

    def write_marks(self, dataset: str, duplicate: Flags, enrolled: Flags) -> None:
        """Writes bool[n] each over all attempts of the dataset."""
        marks = pa.table([pa.array(duplicate), pa.array(enrolled)], schema=_MARKS)
        self._write(self._datasets / dataset / "marks.parquet", marks)

    def read_duplicates(self, dataset: str) -> Flags:
        """Of every attempt of the dataset whether it is marked as a duplicate: bool[n]."""
        marks = pq.read_table(self._datasets / dataset / "marks.parquet", schema=_MARKS, columns=["duplicate"])
        duplicates: Flags = marks["duplicate"].to_numpy()
        return duplicates

    def read_part(self, dataset: str, part: int, columns: list[str] | None = None) -> pa.Table:
        """The attempts of a part; `duplicate` and `enrolled` are not filled in."""
        return pq.read_table(self._part(dataset, part), columns=columns)

    def read_documents(self, dataset: str, documents: Sequence[DocumentRow]) -> Iterator[tuple[DocumentRow, pa.Table]]:
        """Each document's attempts, likewise; `documents` must be in order and hold all of a part or nothing."""
        for part, together in groupby(documents, attrgetter("part")):
            table, first = self.read_part(dataset, part), 0
            for document in together:
                yield document, table.slice(first, document.attempts)
                first += document.attempts

    def read(self, dataset: str, parts: Sequence[int], trainable: bool) -> Iterator[pa.RecordBatch]:
        """The attempts of some parts in order, which must be all up to the last one, in batches that a message holds.

        Args:
            trainable: only valid, non-duplicate attempts of enrolled users.
        """
        marks = pq.read_table(self._datasets / dataset / "marks.parquet", schema=_MARKS)
        first = 0
        for number in parts:
            part = self.read_part(dataset, number)
            here = marks.slice(first, part.num_rows)
            first += part.num_rows
            for name in _MARKS.names:
                part = part.set_column(SCHEMA.get_field_index(name), SCHEMA.field(name), here.column(name))
            if trainable:
                usable = pc.and_(pc.equal(part["reason"], ""), pc.invert(part["duplicate"]))
                part = part.filter(pc.and_(usable, part["enrolled"]))
            for batch in part.cast(SCHEMA).combine_chunks().to_batches(max_chunksize=BATCH_ROWS):
                yield from _small(batch)

    def delete(self, dataset: str) -> None:
        """Deletes a dataset's files."""
        shutil.rmtree(self._datasets / dataset, ignore_errors=True)

    def _part(self, dataset: str, part: int) -> Path:
        return self._datasets / dataset / f"part-{part:05d}.parquet"

    @staticmethod
    def _write(path: Path, table: pa.Table) -> None:
        path.parent.mkdir(exist_ok=True)
        fresh = _beside(path)
        pq.write_table(
            table,
            fresh,
            compression="zstd",
            use_dictionary=_REPEATING,
            column_encoding=dict.fromkeys(_TIMES, "DELTA_BINARY_PACKED"),
            # Nobody looks for rows by their values.
            write_statistics=False,
        )
        fresh.replace(path)


def _small(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """The batch in pieces of at most `BATCH_BYTES`, or of one attempt."""
    if batch.nbytes <= BATCH_BYTES or batch.num_rows == 1:
        yield batch
        return
    half = batch.num_rows // 2
    yield from _small(batch.slice(0, half))
    yield from _small(batch.slice(half))


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")


def parts_of(documents: Sequence[DocumentRow]) -> list[int]:
    """The parts that documents lie in, in order."""
    return sorted({document.part for document in documents})
