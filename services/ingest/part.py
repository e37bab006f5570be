"""Documents on their way into a Parquet part: many small ones share one."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

import pyarrow as pa

from services.ingest.catalogue import Catalogue
from services.ingest.duplicates import Named, names
from services.ingest.store import Store
from services.ingest.tables import Dataset, DocumentRow

MOST_KEYSTROKES = 100_000
"""Keystrokes from which a part is not let grow further, which keeps memory small."""


class OpenPart:
    """The documents that were read since the last part was written; they count once it is.

    A part is written, and its documents are put into the catalogue, by a thread of its own while the next documents are
    read, one part at a time.

    Attributes:
        named: of each part that was written, by its number, what names its attempts.
    """

    def __init__(self, catalogue: Catalogue, store: Store, dataset: Dataset) -> None:
        self.named: dict[int, Named] = {}
        self._catalogue = catalogue
        self._store = store
        self._dataset = dataset
        self._rows: list[DocumentRow] = []
        self._batches: list[pa.RecordBatch] = []
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="part")
        self._writing: Future[None] | None = None

    def add(self, row: DocumentRow, batch: pa.RecordBatch) -> None:
        """Adds a document; begins to write the part when it is large."""
        row.dataset_number = self._dataset.number
        row.part = self._rows[0].part if self._rows else row.number
        self._rows.append(row)
        self._batches.append(batch)
        if sum(one.keystrokes for one in self._rows) >= MOST_KEYSTROKES:
            self.write()

    def write(self) -> None:
        """Begins to write what there is, once what was begun before is done."""
        self._settle()
        if self._rows:
            rows, batches = self._rows, self._batches
            self._rows, self._batches = [], []
            self._writing = self._thread.submit(self._write, rows, batches)

    def close(self) -> None:
        """Writes what there is, to the end."""
        try:
            self.write()
            self._settle()
        finally:
            self._thread.shutdown()

    def _write(self, rows: list[DocumentRow], batches: list[pa.RecordBatch]) -> None:
        part = rows[0].part
        self._store.write_part(self._dataset.id, part, batches)
        self.named[part] = names(pa.Table.from_batches(batches))
        self._catalogue.add_documents(rows)

    def _settle(self) -> None:
        if self._writing:
            # What failed stays, and fails again: no document may count before those ahead of it.
            self._writing.result()
            self._writing = None
