"""What somebody sends, as long as it keeps coming fast enough."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from typing import TypeVar

from keyprint.errors import DeadlineExceeded

Sent = TypeVar("Sent")


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


def in_time(sent: Iterator[Sent], size: Callable[[Sent], int], pace: Pace) -> Generator[Sent, None, None]:
    """The same, as long as it keeps the pace.

    Only waiting counts, and not what becomes of what came.  What comes earns time by its `size` in bytes, and never
    more than `idle_seconds` ahead, so that who was fast once cannot drip for hours.

    A thread of its own waits for what comes next; after the last it must be let go by ending what it waits for, as
    gRPC does with the stream of a call that has been answered.

    Raises:
        DeadlineExceeded: it does not.
    """
    deadline = time.monotonic() + pace.seconds
    left = pace.idle_seconds
    waiting = ThreadPoolExecutor(1, thread_name_prefix="sent")
    try:
        while True:
            began = time.monotonic()
            coming = waiting.submit(next, sent, None)
            try:
                one = coming.result(min(left, deadline - began))
            except FutureTimeout:
                raise _late(pace, time.monotonic() > deadline) from None
            if one is None:
                return
            left = min(left - (time.monotonic() - began) + size(one) / pace.bytes_second, pace.idle_seconds)
            yield one
    finally:
        waiting.shutdown(wait=False)


def _late(pace: Pace, over: bool) -> DeadlineExceeded:
    if over:
        what = f"The upload takes longer than {pace.seconds:g} seconds, which is a limit of this Keyprint."
    else:
        what = (
            f"The upload sends less than {pace.bytes_second / 1024:g} KiB a second, and this Keyprint waits for "
            f"{pace.idle_seconds:g} seconds at most."
        )
    return DeadlineExceeded("LIMIT_EXCEEDED", what, "files")
