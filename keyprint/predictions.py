"""What a predicted dataset looks like, row by row."""

from __future__ import annotations

import pyarrow as pa

ATTEMPTS = pa.schema(
    [
        pa.field("attempt", pa.uint32(), nullable=False),
        pa.field("predicted_user", pa.string(), nullable=False),
        pa.field("probability", pa.float64(), nullable=False),
        pa.field("decision", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("second_choice", pa.string(), nullable=False),
        pa.field("typed_at", pa.timestamp("us")),
        pa.field("flags", pa.string(), nullable=False),
    ]
)
"""One row for every attempt, `attempt` counting from 0.  `predicted_user` is always the best candidate, with its
calibrated probability from 0 to 1; both are empty and 0 where the attempt is not valid, and `reason` says why.
`typed_at` is the first press, UTC, null where there is none.
`flags` says what is odd about a valid attempt, with spaces between: `REPLAY_SUSPECTED`, `SYNTHETIC_SUSPECTED`."""

KEYSTROKES = pa.schema(
    [
        pa.field("typed_at", pa.timestamp("us"), nullable=False),
        pa.field("character", pa.string(), nullable=False),
        pa.field("predicted_user", pa.string(), nullable=False),
        *(
            pa.field(name, pa.uint32(), nullable=False)
            for name in ("year", "month", "day", "hour", "minute", "second", "microsecond")
        ),
        pa.field("attempt", pa.uint32(), nullable=False),
    ]
)
"""One row for every keystroke: when it was pressed, UTC, and whose attempt it is taken to be part of."""
