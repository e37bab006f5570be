"""The keystroke table: one record per key press, in dataset order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa

from keyprint import attempts
from keyprint.attempts import UNKNOWN_TIME, Flags
from keyprint.moments import moment_at
from keyprint.table import from_batch
from services.ingest.store import Store
from services.ingest.tables import Dataset


@dataclass(frozen=True)
class Record:
    """One keystroke; times in ms, None where they are not known."""

    attempt: int
    user: str
    typed_at: datetime
    character: str
    character_index: int
    hold_ms: float | None
    press_to_press_ms: float | None
    flight_ms: float | None
    reason: str
    erased: bool
    duplicate: bool


def read_records(store: Store, dataset: Dataset, first: int, count: int) -> Iterator[Record]:
    """Up to `count` keystrokes of a dataset, from keystroke `first` on."""
    begin = 0
    wanted: dict[int, tuple[int, int]] = {}
    for document in dataset.documents:
        low, high = max(first - begin, 0), min(first + count - begin, document.keystrokes)
        begin += document.keystrokes
        if low < high:
            wanted[document.number] = low, high
    parts = {document.part for document in dataset.documents if document.number in wanted}
    near = [document for document in dataset.documents if document.part in parts]
    duplicate = store.read_duplicates(dataset.id)
    for document, table in store.read_documents(dataset.id, near):
        if document.number in wanted:
            yield from _of_document(table, duplicate, dataset.phrase, *wanted[document.number])


def _of_document(table: pa.Table, duplicate: Flags, phrase: str, low: int, high: int) -> Iterator[Record]:
    (batch,) = table.combine_chunks().to_batches()
    keystrokes = from_batch(batch)
    kept = attempts.judge(keystrokes, phrase).kept
    # A page holds at most a thousand rows, so a loop over them is plain enough.
    for at in range(low, high):
        row = int(np.searchsorted(keystrokes.offsets, at, side="right")) - 1
        index = at - int(keystrokes.offsets[row])
        pressed, released = int(keystrokes.pressed_at[at]), int(keystrokes.released_at[at])
        attempt = batch["attempt"][row].as_py()
        before, let_go = int(keystrokes.pressed_at[at - 1]), int(keystrokes.released_at[at - 1])
        yield Record(
            attempt=attempt,
            user=batch["user"][row].as_py() or "",
            typed_at=moment_at(pressed),
            character=batch["character"][row][index].as_py(),
            character_index=index,
            hold_ms=(released - pressed) / 1e3 if released != UNKNOWN_TIME else None,
            press_to_press_ms=(pressed - before) / 1e3 if index else None,
            flight_ms=(pressed - let_go) / 1e3 if index and let_go != UNKNOWN_TIME else None,
            reason=batch["reason"][row].as_py(),
            erased=not kept[at],
            duplicate=bool(duplicate[attempt]),
        )
