"""One document of the source format to rows of `keyprint.table.SCHEMA`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from keyprint import attempts
from keyprint.attempts import REASONS, UNKNOWN_TIME, Flags, Keystrokes, Times, Verdicts
from keyprint.table import SCHEMA, encode_arrow
from services.ingest.decode import KEY_BYTES, MOST_ATTEMPTS, Decoded, decode
from services.ingest.times import parse_times

_KEPT = attempts.MAX_KEYSTROKES + 1
"""Keystrokes kept of an attempt: enough to see that it is TOO_LONG, and few enough for a message."""


@dataclass(frozen=True)
class Document:
    """A document as read.

    Attributes:
        user: who typed; None in an unlabelled document.
        next: where the chain goes on, relative to this document; None at its end.
        characters: the keys of all attempts, one after the other.
        keystrokes: the attempts; malformed ones are empty.
    """

    user: str | None
    next: str | None
    characters: pa.StringArray
    keystrokes: Keystrokes


def parse_document(content: bytes | memoryview, most: int = MOST_ATTEMPTS) -> Document:
    """Reads one document of at most so many attempts.

    Raises:
        InvalidArgument: the content is not JSON, no document, or has more attempts.
    """
    return to_document(decode(content, most))


def to_document(decoded: Decoded) -> Document:
    """Reads the attempts.

    Their fields leave the structs in a comprehension each, 11 ns a keystroke, which is less than `attrgetter` or
    pyarrow.json take; all else works on columns.
    """
    read = decoded.attempts
    if max(map(len, read), default=0) > _KEPT:
        read = [one[:_KEPT] for one in read]
    flat = list(chain.from_iterable(read))
    lengths = np.fromiter(map(len, read), np.int64, len(read))
    characters = _keys([one.character for one in flat])
    pressed_at, good = parse_times([one.typed_at for one in flat])
    released_at, readable = _releases([one.released_at for one in flat])
    good &= readable & (pc.binary_length(characters).to_numpy() <= KEY_BYTES)
    malformed = np.array(decoded.malformed, np.bool_)
    if not good.all():
        malformed[np.repeat(np.arange(len(malformed)), lengths)[~good]] = True
        keep = np.repeat(~malformed, lengths)
        characters = characters.filter(pa.array(keep))
        pressed_at, released_at = pressed_at[keep], released_at[keep]
        lengths[malformed] = 0
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    codes = encode_arrow(characters)
    keystrokes = Keystrokes(offsets, codes, pressed_at, released_at, malformed)
    return Document(decoded.user, decoded.next, characters, keystrokes)


def _keys(texts: list[str]) -> pa.StringArray:
    """`pa.array`, by way of one text of a line for each: half the time."""
    lines = np.frombuffer("\n".join([*texts, ""]).encode(), np.uint8)
    ending = lines == ord("\n")
    ends = np.flatnonzero(ending)
    if len(ends) != len(texts):
        # A key holds a line's end itself.
        return pa.array(texts, pa.string())
    offsets = np.zeros(len(texts) + 1, np.int32)
    offsets[1:] = ends - np.arange(len(texts))
    return pa.StringArray.from_buffers(len(texts), pa.py_buffer(offsets), pa.py_buffer(lines[~ending]))


def _releases(texts: list[str | None]) -> tuple[Times, Flags]:
    """int64[k], releases in µs, unknown where there is no text; and bool[k], False where a text is no time."""
    unknown = texts.count(None)
    if unknown == 0:
        return parse_times(cast("list[str]", texts))
    released_at, good = np.full(len(texts), UNKNOWN_TIME, np.int64), np.ones(len(texts), np.bool_)
    if unknown < len(texts):
        known = np.array([row for row, text in enumerate(texts) if text is not None], np.int64)
        released_at[known], good[known] = parse_times([text for text in texts if text is not None])
    return released_at, good


def to_batch(document: Document, verdicts: Verdicts, first: int) -> pa.RecordBatch:
    """The document's attempts as rows numbered from `first`; who is enrolled and what repeats is not known yet."""
    keystrokes = document.keystrokes
    count = len(keystrokes)
    offsets = pa.array(keystrokes.offsets.astype(np.int32))
    columns = {
        "attempt": pa.array(np.arange(first, first + count), pa.uint32()),
        "attempt_id": pa.array(attempts.attempt_ids(keystrokes), SCHEMA.field("attempt_id").type),
        "user": pa.array([document.user] * count, pa.string()),
        "typed_at": _first_presses(keystrokes),
        "character": pa.ListArray.from_arrays(offsets, document.characters),
        "pressed_at": pa.ListArray.from_arrays(offsets, pa.array(keystrokes.pressed_at)),
        "released_at": pa.ListArray.from_arrays(offsets, pa.array(keystrokes.released_at)),
        "reason": pa.DictionaryArray.from_arrays(pa.array(verdicts.reason), _texts(REASONS)).cast(pa.string()),
        "warnings": pa.array(verdicts.warnings),
        "duplicate": _all_false(count),
        "enrolled": _all_false(count),
    }
    return pa.RecordBatch.from_arrays([columns[name] for name in SCHEMA.names], schema=SCHEMA)


def numbered(rows: pa.Table, first: int) -> pa.Table:
    """The same rows, numbered from `first` on."""
    numbers = pa.array(np.arange(first, first + rows.num_rows), pa.uint32())
    return rows.set_column(SCHEMA.get_field_index("attempt"), SCHEMA.field("attempt"), numbers)


def _first_presses(keystrokes: Keystrokes) -> pa.Array:
    empty = np.diff(keystrokes.offsets) == 0
    if empty.all():
        return pa.nulls(len(empty), pa.int64())
    # The clamp only moves rows that are null anyway.
    at = np.minimum(keystrokes.offsets[:-1], len(keystrokes.pressed_at) - 1)
    return pa.array(keystrokes.pressed_at[at], mask=empty)


def _texts(values: Sequence[str]) -> pa.Array:
    return pa.array(values, pa.string())


def _all_false(count: int) -> pa.Array:
    nothing: Flags = np.zeros(count, np.bool_)
    return pa.array(nothing)
