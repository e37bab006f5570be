"""Documents on their way into a Parquet part: many small ones share one."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

import pyarrow as pa

from keyprint.arrow import from_ipc
from services.ingest.catalogue import Catalogue
from services.ingest.duplicates import Named, names
from services.ingest.parse import numbered
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
        self._attempts: list[bytes] = []
        self._first = 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="part")
        self._writing: Future[None] | None = None

    def add(self, row: DocumentRow, attempts: bytes, first: int) -> None:
        """Adds a document; begins to write the part when it is large.

        Args:
            row: what the catalogue is to say of it.
            attempts: as `Reading.rows`.
            first: the number of the first of them in the dataset.
        """
        if not self._rows:
            self._first = first
        row.dataset_number = self._dataset.number
        row.part = self._rows[0].part if self._rows else row.number
        self._rows.append(row)
        self._attempts.append(attempts)
        if sum(one.keystrokes for one in self._rows) >= MOST_KEYSTROKES:
            self.write()

    def write(self) -> None:
        """Begins to write what there is, once what was begun before is done."""
        self._settle()
        if self._rows:
            rows, attempts = self._rows, self._attempts
            self._rows, self._attempts = [], []
            self._writing = self._thread.submit(self._write, rows, attempts, self._first)

    def close(self) -> None:
        """Writes what there is, to the end."""
        try:
            self.write()
            self._settle()
        finally:
            self._thread.shutdown()

    def _write(self, rows: list[DocumentRow], attempts: list[bytes], first: int) -> None:
        part, table = rows[0].part, numbered(pa.Table.from_batches(map(from_ipc, attempts)), first)
        self._store.write_part(self._dataset.id, part, table)
        self.named[part] = names(table)
        self._catalogue.add_documents(rows)

    def _settle(self) -> None:
        if self._writing:
            # What failed stays, and fails again: no document may count before those ahead of it.
            self._writing.result()
            self._writing = None
