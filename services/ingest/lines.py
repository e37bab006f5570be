"""The connections that a fetch uses, which end at its deadline."""

from __future__ import annotations

import math
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Lines:
    """Cuts off what a fetch waits for: a read alone times out only when nothing comes at all.

    One fetch at a time uses it; the deadline is kept by a thread of its own.
    """

    def __init__(self) -> None:
        self._deadline = math.inf
        self._used: list[socket.socket] = []
        self._lock = threading.Lock()

    @property
    def left(self) -> float:
        """Seconds until the deadline; none or less after it."""
        return self._deadline - time.monotonic()

    def check(self) -> None:
        """Returns while there is time.

        Raises:
            TimeoutError: the deadline has passed.
        """
        if self.left <= 0:
            raise TimeoutError

    @contextmanager
    def until(self, deadline: float) -> Iterator[None]:
        """While this is open, connections in use end at `deadline`, a time of `time.monotonic`."""
        self._deadline = deadline
        timer = threading.Timer(max(self.left, 0.0), self._cut_off)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            # One that has begun must not cut off what comes next.
            timer.join()
            self._used.clear()
            self._deadline = math.inf

    def use(self, line: socket.socket) -> None:
        """Something is about to wait for `line`; it is cut off at once if that is too late."""
        with self._lock:
            self._used.append(line)
            if self.left <= 0:
                _end(line)

    def _cut_off(self) -> None:
        with self._lock:
            for line in self._used:
                _end(line)


def _end(line: socket.socket) -> None:
    # One that was closed has ended; one that is encrypted need not say goodbye.
    with suppress(OSError):
        socket.socket.shutdown(line, socket.SHUT_RDWR)
