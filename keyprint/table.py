"""Attempts as rows of an Arrow table, in which ingest hands them out."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from keyprint.attempts import BACKSPACE_CODE, ID_BYTES, Codes, Keystrokes, encode

SCHEMA = pa.schema(
    [
        pa.field("attempt", pa.uint32(), nullable=False),
        pa.field("attempt_id", pa.binary(ID_BYTES), nullable=False),
        pa.field("user", pa.string()),
        pa.field("typed_at", pa.int64()),
        pa.field("character", pa.list_(pa.string()), nullable=False),
        pa.field("pressed_at", pa.list_(pa.int64()), nullable=False),
        pa.field("released_at", pa.list_(pa.int64()), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("warnings", pa.uint8(), nullable=False),
        pa.field("duplicate", pa.bool_(), nullable=False),
        pa.field("enrolled", pa.bool_(), nullable=False),
    ],
    metadata={"schema_version": "1"},
)
"""One row per attempt, in dataset order.  Times are µs since 1970 UTC, unknown releases -1; `user` is null where the
data does not say, `typed_at`, the first press, where there is none; `reason` is empty for valid attempts."""


def from_batch(batch: pa.RecordBatch) -> Keystrokes:
    """The keystrokes of a batch with the columns of `SCHEMA`."""
    character, reasons = batch.column("character"), batch.column("reason").to_pylist()
    offsets = np.asarray(character.offsets, np.int64)
    return Keystrokes(
        offsets=offsets - offsets[0] if len(offsets) else np.zeros(1, np.int64),
        character=encode_arrow(character.flatten()),
        pressed_at=batch.column("pressed_at").flatten().to_numpy(),
        released_at=batch.column("released_at").flatten().to_numpy(),
        malformed=np.array([reason == "MALFORMED" for reason in reasons], np.bool_),
        too_long=np.array([reason == "TOO_LONG" for reason in reasons], np.bool_),
    )


def encode_arrow(characters: pa.StringArray) -> Codes:
    """`encode` for an Arrow column: most keys are their one byte, the others take one look per distinct name."""
    lengths = pc.binary_length(characters).to_numpy()
    _, offsets, data = characters.buffers()
    if not data or not data.size:
        return encode(characters.to_pylist())
    starts = np.frombuffer(offsets, np.int32)[characters.offset :][: len(characters)]
    content = np.frombuffer(data, np.uint8)
    # Empty names at the end begin behind the last byte.
    codes = content[np.minimum(starts, len(content) - 1)].astype(np.int32)
    rest = np.flatnonzero((lengths != 1) | (codes == BACKSPACE_CODE))
    if len(rest):
        named = characters.take(pa.array(rest)).dictionary_encode()
        codes[rest] = encode(named.dictionary.to_pylist())[named.indices.to_numpy()]
    return codes
