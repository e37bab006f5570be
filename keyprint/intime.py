"""What somebody sends, as long as it keeps coming fast enough."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from typing import TypeVar

from keyprint.pace import Pace, Patience

Sent = TypeVar("Sent")


def in_time(sent: Iterator[Sent], size: Callable[[Sent], int], pace: Pace, field: str) -> Generator[Sent, None, None]:
    """The same, each of its `size` in bytes, as long as it keeps the pace; `field` is what the request calls it.

    A thread of its own waits for what comes next; after the last it must be let go by ending what it waits for, as
    gRPC does with the stream of a call that has been answered.

    Raises:
        TooSlow: it does not.
    """
    patience = Patience(pace, "upload", field)
    waiting = ThreadPoolExecutor(1, thread_name_prefix="sent")
    try:
        while True:
            began = time.monotonic()
            coming = waiting.submit(next, sent, None)
            try:
                one = coming.result(patience.seconds())
            except FutureTimeout:
                raise patience.late() from None
            if one is None:
                return
            patience.came(time.monotonic() - began, size(one))
            yield one
    finally:
        waiting.shutdown(wait=False)
