"""How long the client of a request waits for its answer."""

from __future__ import annotations

import math
import time
from contextvars import ContextVar

from keyprint.errors import InvalidArgument

HEADER = "x-request-timeout"

_ends: ContextVar[float] = ContextVar("deadline", default=math.inf)


def begin(given: str | None) -> None:
    """Takes what the client says: seconds from now, as a decimal number.

    Raises:
        InvalidArgument: it is no number above 0.
    """
    if given is None:
        _ends.set(math.inf)
        return
    try:
        seconds = float(given)
    except ValueError:
        seconds = math.nan
    # Written so that NaN fails too.
    if not 0 < seconds < math.inf:
        raise InvalidArgument(
            "TIMEOUT_INVALID", f"X-Request-Timeout must be a number of seconds above 0, not {given!r}.", HEADER
        )
    _ends.set(time.monotonic() + seconds)


def left(most: float = math.inf) -> float | None:
    """Seconds that a call may take, `most` at most; None where nobody sets an end."""
    seconds = min(most, _ends.get() - time.monotonic())
    return None if seconds == math.inf else max(0.0, seconds)
