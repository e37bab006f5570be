"""Documents on their way into a Parquet part: many small ones share one."""

from __future__ import annotations

import pyarrow as pa

from services.ingest.catalogue import Catalogue
from services.ingest.store import Store
from services.ingest.tables import Dataset, DocumentRow

MOST_KEYSTROKES = 500_000
"""Keystrokes from which a part is not let grow further, which keeps memory small."""


class OpenPart:
    """The documents that were read since the last part was closed; they count once it is."""

    def __init__(self, catalogue: Catalogue, store: Store, dataset: Dataset) -> None:
        self._catalogue = catalogue
        self._store = store
        self._dataset = dataset
        self._rows: list[DocumentRow] = []
        self._batches: list[pa.RecordBatch] = []

    def add(self, row: DocumentRow, batch: pa.RecordBatch) -> None:
        """Adds a document; closes the part when it is large."""
        row.dataset_number = self._dataset.number
        row.part = self._rows[0].part if self._rows else row.number
        self._rows.append(row)
        self._batches.append(batch)
        if sum(one.keystrokes for one in self._rows) >= MOST_KEYSTROKES:
            self.close()

    def close(self) -> None:
        """Writes what there is: first the part, then, in one step, its documents into the catalogue."""
        if self._rows:
            rows, batches = self._rows, self._batches
            self._rows, self._batches = [], []
            self._store.write_part(self._dataset.id, rows[0].part, batches)
            self._catalogue.add_documents(rows)
