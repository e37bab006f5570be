"""What somebody sends, as long as it keeps coming."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from typing import TypeVar

from keyprint.errors import DeadlineExceeded

Sent = TypeVar("Sent")


def in_time(sent: Iterator[Sent], idle_seconds: float, seconds: float) -> Generator[Sent, None, None]:
    """The same, for at most so many seconds, of which so many may pass without anything.

    A thread of its own waits for what comes next; after the last it must be let go by ending what it waits for, as
    gRPC does with the stream of a call that has been answered.

    Raises:
        DeadlineExceeded: that is over.
    """
    deadline = time.monotonic() + seconds
    waiting = ThreadPoolExecutor(1, thread_name_prefix="sent")
    try:
        while True:
            coming = waiting.submit(next, sent, None)
            try:
                one = coming.result(min(idle_seconds, deadline - time.monotonic()))
            except FutureTimeout:
                raise _late(idle_seconds, seconds, deadline) from None
            if one is None:
                return
            yield one
    finally:
        waiting.shutdown(wait=False)


def _late(idle_seconds: float, seconds: float, deadline: float) -> DeadlineExceeded:
    what = f"takes longer than {seconds:g}" if time.monotonic() > deadline else f"sent nothing for {idle_seconds:g}"
    return DeadlineExceeded("LIMIT_EXCEEDED", f"The upload {what} seconds, which is a limit of this Keyprint.", "files")
