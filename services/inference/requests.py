"""Requests, read and checked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from keyprint import attempts
from keyprint.attempts import Keystrokes
from keyprint.errors import InvalidArgument
from keyprint.v1 import attempts_pb2, inference_pb2

MOST_CANDIDATES, USUAL_CANDIDATES = 1000, 5
MOST_ATTEMPTS = 16_384

_ROWS = inference_pb2.PredictDatasetRequest


def joined(messages: Sequence[attempts_pb2.Attempt]) -> Keystrokes:
    """Attempts as a batch, each checked by `attempts.check_lengths` before.

    Raises:
        InvalidArgument: a time is of no year that there is.
    """
    # Protobuf puts columns one behind the other faster than anything else does.
    every = attempts_pb2.Attempt()
    short = [*map(_cut, messages)]
    for message in short:
        every.MergeFrom(message)
    lengths = np.array([len(message.character) for message in short])
    released_at = np.array(every.released_at, np.int64)
    if len(released_at) != len(every.character):
        whose = np.array([len(message.released_at) > 0 for message in short]).repeat(lengths)
        known, released_at = released_at, np.full(len(whose), attempts.UNKNOWN_TIME, np.int64)
        released_at[whose] = known
    pressed_at = np.array(every.pressed_at, np.int64)
    attempts.check_times(pressed_at, released_at)
    return Keystrokes(
        offsets=attempts.offsets(lengths),
        character=attempts.encode(every.character),
        pressed_at=pressed_at,
        released_at=released_at,
        malformed=np.zeros(len(messages), np.bool_),
    )


def _cut(message: attempts_pb2.Attempt) -> attempts_pb2.Attempt:
    """An attempt, or of one that is too long as much as shows it: the rest would only keep others waiting."""
    most = attempts.MAX_KEYSTROKES + 1
    if len(message.character) <= most:
        return message
    return attempts_pb2.Attempt(
        character=message.character[:most], pressed_at=message.pressed_at[:most], released_at=message.released_at[:most]
    )


def batch(request: inference_pb2.BatchIdentifyRequest) -> Keystrokes:
    """Many attempts.

    Raises:
        InvalidArgument: too many, its columns differ in length, or a time is of no year that there is.
    """
    lengths = np.array(request.length, np.int64)
    if len(lengths) > MOST_ATTEMPTS:
        raise InvalidArgument(
            "BATCH_INVALID", f"A batch has at most {MOST_ATTEMPTS:,} attempts, not {len(lengths):,}.", "length"
        )
    total = int(lengths.sum())
    columns: dict[str, Sequence[object]] = {
        "character": request.character,
        "pressed_at": request.pressed_at,
        "released_at": request.released_at,
    }
    for field, column in columns.items():
        if len(column) != total and not (field == "released_at" and not len(column)):
            raise InvalidArgument(
                "BATCH_INVALID", f"The lengths add up to {total:,} and {field} has {len(column):,} entries.", field
            )
    pressed_at, released_at = np.array(request.pressed_at, np.int64), np.array(request.released_at, np.int64)
    attempts.check_times(pressed_at, released_at)
    return Keystrokes(
        offsets=attempts.offsets(lengths),
        character=attempts.encode(request.character),
        pressed_at=pressed_at,
        released_at=released_at if len(released_at) else np.full(total, attempts.UNKNOWN_TIME, np.int64),
        malformed=np.zeros(len(lengths), np.bool_),
    )


def candidates(count: int) -> int:
    """How many candidates to tell; the usual number where none is given.

    Raises:
        InvalidArgument: too many.
    """
    if count > MOST_CANDIDATES:
        raise InvalidArgument(
            "CANDIDATES_INVALID",
            f"candidates must be 1 to {MOST_CANDIDATES:,}, or 0 for {USUAL_CANDIDATES}; not {count:,}.",
            "candidates",
        )
    return count or USUAL_CANDIDATES


def keystrokes(rows: inference_pb2.PredictDatasetRequest.Rows.ValueType) -> bool:
    """Whether a row is a keystroke and not an attempt.

    Raises:
        InvalidArgument: it is neither.
    """
    if rows not in (_ROWS.ROWS_UNSPECIFIED, _ROWS.ROWS_ATTEMPTS, _ROWS.ROWS_KEYSTROKES):
        raise InvalidArgument("ROWS_INVALID", f"rows must be attempts or keystrokes, not {rows}.", "rows")
    return rows == _ROWS.ROWS_KEYSTROKES
