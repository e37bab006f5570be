"""Files of the ingest service: the download cache, and each dataset's Parquet parts.

    documents/<digest of URL>         a document as downloaded, decompressed, after a line of what its server said of it
    uploads/<anything>/               documents that are just being sent
    datasets/<id>/part-00000.parquet  the attempts of whole documents in order, named by the number of the first one
    datasets/<id>/marks.parquet       of every attempt whether it repeats another and whether its user is enrolled

A file appears whole or not at all.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from itertools import chain, groupby
from operator import attrgetter
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from keyprint.attempts import SCHEMA, Flags
from services.ingest.catalogue import Document
from services.ingest.fetch import Content

BATCH_ROWS = 8192
BATCH_BYTES = 4 * 2**20
_REPEATING = ["user", "character.list.element", "reason"]
"""Columns of few values.  Looking for repetition in times and ids costs more than writing them."""

_TIMES = ["typed_at", "pressed_at.list.element", "released_at.list.element"]
"""Columns whose values differ little from the ones before."""

_MARKS = pa.schema([("duplicate", pa.bool_()), ("enrolled", pa.bool_())])


class Store:
    """The files below one directory."""

    def __init__(self, directory: Path) -> None:
        self._documents = directory / "documents"
        self._datasets = directory / "datasets"
        self._uploads = directory / "uploads"
        # What is in there was being sent when a process died.
        shutil.rmtree(self._uploads, ignore_errors=True)
        for one in (self._documents, self._datasets, self._uploads):
            one.mkdir(parents=True, exist_ok=True)
        # And what was being written.
        for left in chain(self._documents.glob(".*"), self._datasets.glob("*/.*")):
            left.unlink()

    def cached(self, url: str) -> Content | None:
        """The document at `url` as it was downloaded; None if it was not."""
        try:
            about, _, content = self._document(url).read_bytes().partition(b"\n")
        except FileNotFoundError:
            return None
        return Content(content, **json.loads(about))

    def cache(self, url: str, download: Content) -> None:
        """Keeps a download."""
        path = self._document(url)
        about = json.dumps({"etag": download.etag, "last_modified": download.last_modified, "url": download.url})
        fresh = _beside(path)
        with fresh.open("wb") as file:
            file.write(about.encode() + b"\n")
            file.write(download.content)
        fresh.replace(path)

    def forget(self, url: str) -> None:
        """Drops a download."""
        self._document(url).unlink(missing_ok=True)

    @contextmanager
    def receiving(self) -> Iterator[Path]:
        """An empty directory for documents that are being sent, gone when the context ends."""
        with tempfile.TemporaryDirectory(dir=self._uploads) as folder:
            yield Path(folder)

    def copy_parts(self, source: str, target: str, parts: Sequence[int]) -> None:
        """Gives a dataset some parts of another."""
        (self._datasets / target).mkdir(exist_ok=True)
        for part in parts:
            fresh = _beside(self._part(target, part))
            shutil.copyfile(self._part(source, part), fresh)
            fresh.replace(self._part(target, part))

    def write_part(self, dataset: str, part: int, batches: Sequence[pa.RecordBatch]) -> None:
        """Writes a part, over any of that name that an import left that was killed."""
        self._write(self._part(dataset, part), pa.Table.from_batches(batches))

    def write_marks(self, dataset: str, duplicate: Flags, enrolled: Flags) -> None:
        """Writes bool[n] each over all attempts of the dataset."""
        marks = pa.table([pa.array(duplicate), pa.array(enrolled)], schema=_MARKS)
        self._write(self._datasets / dataset / "marks.parquet", marks)

    def read_part(self, dataset: str, part: int, columns: list[str] | None = None) -> pa.Table:
        """The attempts of a part; `duplicate` and `enrolled` are not filled in."""
        return pq.read_table(self._part(dataset, part), columns=columns)

    def read_documents(self, dataset: str, documents: Sequence[Document]) -> Iterator[tuple[Document, pa.Table]]:
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

    def _document(self, url: str) -> Path:
        return self._documents / sha256(url.encode()).hexdigest()

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


def parts_of(documents: Sequence[Document]) -> list[int]:
    """The parts that documents lie in, in order."""
    return sorted({document.part for document in documents})


def find_duplicates(user: npt.NDArray[np.int64], ids: npt.NDArray[np.bytes_]) -> Flags:
    """bool[n]: which attempts repeat another's timing exactly.

    Within one user the first of equal attempts is none; across users, where nobody can say whose it is, all are.

    Args:
        user: int64[n], who typed each attempt, by any number.
        ids: bytes[n], their attempt ids.
    """
    if not len(ids):
        return np.zeros(0, np.bool_)
    _, same, counts = np.unique(ids, return_inverse=True, return_counts=True)
    # Equal ones side by side, in their order.
    order = np.argsort(same, kind="stable")
    starts = np.cumsum(counts) - counts
    shared = np.minimum.reduceat(user[order], starts) != np.maximum.reduceat(user[order], starts)
    first = np.zeros(len(ids), np.bool_)
    first[starts] = True
    duplicate = np.zeros(len(ids), np.bool_)
    duplicate[order] = np.repeat(shared, counts) | ~first
    return duplicate
