"""How fast something that is sent must come."""

from __future__ import annotations

import time
from dataclasses import dataclass

from keyprint.errors import TooSlow


@dataclass(frozen=True)
class Pace:
    """How fast something must come.

    Attributes:
        seconds: longest time in all.
        idle_seconds: longest wait for it to catch up.
        bytes_second: least bytes for each second of waiting.
    """

    seconds: float
    idle_seconds: float
    bytes_second: float


class Patience:
    """How long to wait for what comes next.

    Only waiting counts, and not what becomes of what came.  What comes earns time by its size, and never more than
    `idle_seconds` ahead, so that who was fast once cannot drip for hours.
    """

    def __init__(self, pace: Pace, what: str, field: str = "") -> None:
        """Begins now; `what` is sent ("upload"), and `field` the request's field that it is."""
        self._pace = pace
        self._what = what
        self._field = field
        self._deadline = time.monotonic() + pace.seconds
        self._left = pace.idle_seconds

    def seconds(self) -> float:
        """Longest wait for what comes next."""
        return min(self._left, self._deadline - time.monotonic())

    def came(self, waited: float, size: int) -> None:
        """So many bytes came after so many seconds of waiting."""
        self._left = min(self._left - waited + size / self._pace.bytes_second, self._pace.idle_seconds)

    def late(self) -> TooSlow:
        """What is said when nothing came in that time."""
        if time.monotonic() > self._deadline:
            sentence = f"The {self._what} takes longer than {self._pace.seconds:g} seconds, which is a limit of this "
            return TooSlow("LIMIT_EXCEEDED", f"{sentence}Keyprint.", self._field)
        return TooSlow(
            "LIMIT_EXCEEDED",
            f"The {self._what} sends less than {self._pace.bytes_second / 1024:g} KiB a second, and this Keyprint "
            f"waits for {self._pace.idle_seconds:g} seconds at most.",
            self._field,
        )
