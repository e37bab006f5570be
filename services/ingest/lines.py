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

    One fetch at a time uses it; the deadlines are kept by a thread of its own, from the first until it is closed.
    """

    def __init__(self) -> None:
        self._deadline = math.inf
        self._used: list[socket.socket] = []
        self._changed = threading.Condition()
        self._watcher = threading.Thread(target=self._watch, name="deadline", daemon=True)
        self._passed = False
        self._closed = False

    def close(self) -> None:
        """It is too late for everything from now on."""
        with self._changed:
            self._closed = True
            for line in self._used:
                _end(line)
            self._changed.notify()

    @property
    def left(self) -> float:
        """Seconds until the deadline; none or less after it."""
        return 0.0 if self._closed else self._deadline - time.monotonic()

    def check(self) -> None:
        """Returns while there is time.

        Raises:
            TimeoutError: the deadline has passed.
        """
        if self.left <= 0:
            raise TimeoutError

    def hurry(self) -> None:
        """Has what arrives acknowledged at once: senders of small pieces may wait for that, 40 ms each time."""
        # Where there is no such option, nobody waits.
        if self._used and hasattr(socket, "TCP_QUICKACK"):
            # A line ends with the last byte of an answer after which its server closes.
            with suppress(OSError):
                self._used[-1].setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    @contextmanager
    def until(self, deadline: float) -> Iterator[None]:
        """While this is open, connections in use end at `deadline`, a time of `time.monotonic`, later than the last."""
        with self._changed:
            self._deadline = deadline
            # Otherwise it looks up at the deadline of before, and sees this one.
            if self._passed:
                self._changed.notify()
        if not self._watcher.ident:
            self._watcher.start()
        try:
            yield
        finally:
            with self._changed:
                self._used.clear()

    def use(self, line: socket.socket) -> None:
        """Something is about to wait for `line`; it is cut off at once if that is too late."""
        with self._changed:
            self._used.append(line)
            if self.left <= 0:
                _end(line)

    def _watch(self) -> None:
        with self._changed:
            while not self._closed:
                self._passed = self.left <= 0
                if self._passed:
                    for line in self._used:
                        _end(line)
                self._changed.wait(None if self._passed else self.left)


def _end(line: socket.socket) -> None:
    # One that was closed has ended; one that is encrypted need not say goodbye.
    with suppress(OSError):
        socket.socket.shutdown(line, socket.SHUT_RDWR)
