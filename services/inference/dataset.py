"""A whole dataset, predicted batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from keyprint import arrow
from keyprint.errors import FailedPrecondition
from keyprint.predictions import ATTEMPTS, KEYSTROKES
from keyprint.table import from_batch
from services.inference.decide import Decided, decide
from services.inference.engine import Engine
from services.inference.flags import Mask, Recent, flag, names

MOST_ATTEMPTS, MOST_KEYSTROKES = 512, 8192
"""Of a dataset worked on at a time, and so of rows that are sent in one message; of keystrokes more, if it is a single
attempt that has them.  A name of 256 characters of four bytes each in every row still leaves half of a message."""

_READABLE = ("READY", "INCOMPLETE")
_FLAGS = np.array([" ".join(names(mask)) for mask in range(4)])


def check(engine: Engine, state: str, phrase: str, release_times: bool) -> None:
    """Nothing, if a dataset can be predicted.

    Args:
        engine: the model.
        state: the dataset's.
        phrase: what was typed.
        release_times: whether it has them.

    Raises:
        FailedPrecondition: it cannot.
    """
    if state not in _READABLE:
        raise FailedPrecondition(
            "DATASET_NOT_READY", f"The dataset is {state}; it must be READY or INCOMPLETE.", "dataset"
        )
    if phrase != engine.phrase:
        raise FailedPrecondition(
            "OTHER_PHRASE",
            f"{engine.reference} reads {engine.phrase!r}, and this dataset has {phrase!r}; import the source with the "
            "model's phrase, or use another model.",
            "dataset",
        )
    if engine.release_times and not release_times:
        raise FailedPrecondition(
            "NO_RELEASE_TIMES",
            f"{engine.reference} was trained with release times, which this dataset lacks; use a model that was "
            "trained without.",
            "dataset",
        )


def predict(
    engine: Engine, batches: Iterable[pa.RecordBatch], keystrokes: bool, first_n: int, threshold: float
) -> Iterator[pa.RecordBatch]:
    """Rows for every attempt of a dataset in its order, at least one batch, and no more rows than asked for.

    Args:
        engine: the model.
        batches: the dataset, as `keyprint.table.SCHEMA`; no more of it is read than is needed.
        keystrokes: whether a row is a keystroke and not an attempt.
        first_n: rows wanted; 0 for all.
        threshold: probability from which a best candidate is `IDENTIFIED`.
    """
    table: Callable[[pa.RecordBatch, Decided, Mask], pa.RecordBatch] = _keystrokes if keystrokes else _attempts
    # Its own: a dataset is predicted as often as anybody likes, which makes it no replay.
    recent = Recent()
    left = first_n or None
    sent = False
    for batch in batches:
        for few in _pieces(batch):
            answers = engine.answer(from_batch(few))
            rows = table(few, decide(engine, answers, threshold), flag(engine, answers, recent)).slice(0, left)
            yield rows
            sent = True
            if left is not None:
                left -= rows.num_rows
                if not left:
                    return
    if not sent:
        yield pa.RecordBatch.from_pylist([], KEYSTROKES if keystrokes else ATTEMPTS)


def _pieces(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """The attempts of a batch in order, few at a time."""
    ends = np.asarray(batch.column("character").offsets, np.int64)
    begin = 0
    while begin < batch.num_rows:
        fits = int(ends.searchsorted(ends[begin] + MOST_KEYSTROKES, "right")) - 1
        end = min(max(begin + 1, fits), begin + MOST_ATTEMPTS)
        yield batch.slice(begin, end - begin)
        begin = end


def predict_sent(
    engine: Engine, sent: Iterable[bytes], keystrokes: bool, first_n: int, threshold: float
) -> Iterator[bytes]:
    """`predict` of batches as they cross gRPC, to batches as they cross it."""
    return map(arrow.to_ipc, predict(engine, map(arrow.from_ipc, sent), keystrokes, first_n, threshold))


def _attempts(batch: pa.RecordBatch, decided: Decided, flags: Mask) -> pa.RecordBatch:
    columns = [
        batch.column("attempt"),
        decided.user,
        decided.probability,
        decided.decision,
        decided.reason,
        decided.second,
        batch.column("typed_at").cast(pa.timestamp("us")),
        _FLAGS[flags],
    ]
    return _batch(columns, ATTEMPTS)


def _keystrokes(batch: pa.RecordBatch, decided: Decided, _: Mask) -> pa.RecordBatch:
    character = batch.column("character")
    owner = pc.list_parent_indices(character).to_numpy()
    moment = batch.column("pressed_at").flatten().cast(pa.timestamp("us"))
    parts = [pc.year(moment), pc.month(moment), pc.day(moment), pc.hour(moment), pc.minute(moment), pc.second(moment)]
    microsecond = moment.cast(pa.int64()).to_numpy() % 1_000_000
    attempt = batch.column("attempt").to_numpy()[owner]
    # Not by numpy, whose names are all as long as the longest.
    user = pa.array(decided.user.tolist(), pa.string()).take(pa.array(owner))
    return _batch([moment, character.flatten(), user, *parts, microsecond, attempt], KEYSTROKES)


def _batch(columns: list[pa.Array | np.ndarray[tuple[int], np.dtype[np.generic]]], schema: pa.Schema) -> pa.RecordBatch:
    arrays = [
        pa.array(column.tolist() if column.dtype.kind == "U" else column) if isinstance(column, np.ndarray) else column
        for column in columns
    ]
    return pa.RecordBatch.from_arrays(
        [a.cast(field.type) for a, field in zip(arrays, schema, strict=True)], schema=schema
    )
