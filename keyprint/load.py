"""The threads that answer calls, and how many calls they hold."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from concurrent import futures
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
Result = TypeVar("Result")


class Count:
    """How many there are of something, no more than there may be, for whoever waits until there are none."""

    def __init__(self, most: float = math.inf) -> None:
        self._lock = threading.Lock()
        self._none = threading.Condition(self._lock)
        self._awaited = 0
        self._value = 0
        self._most = most

    @property
    def value(self) -> int:
        """How many there are, or were a moment ago."""
        return self._value

    def up(self) -> bool:
        """One more, if there may be."""
        with self._lock:
            if self._value >= self._most:
                return False
            self._value += 1
            return True

    def down(self) -> None:
        """One less."""
        with self._lock:
            self._value -= 1
            if self._awaited and not self._value:
                self._none.notify_all()

    def close(self) -> None:
        """From now on there may be no more."""
        with self._lock:
            self._most = 0

    def wait(self, seconds: float) -> bool:
        """Waits until there are none, `seconds` at most; whether it came to that."""
        with self._lock:
            self._awaited += 1
            try:
                return self._none.wait_for(lambda: not self._value, max(0.0, seconds))
            finally:
                self._awaited -= 1


class Load(futures.ThreadPoolExecutor):
    """Threads that answer calls, each of which has been counted before, in an interceptor.

    Attributes:
        held: calls that were let in and are not answered, those that wait included.
    """

    def __init__(self, threads: int, waiting: int, name: str) -> None:
        """Starts threads when they are needed.

        Args:
            threads: calls answered at once.
            waiting: calls that may wait beside those.
            name: how the threads' names begin.
        """
        super().__init__(threads, thread_name_prefix=name)
        self.held = Count(threads + waiting)
        self._most_at_once = threads

    @property
    def at_work(self) -> int:
        """Calls that threads are at, or are about to be at."""
        return min(self.held.value, self._most_at_once)

    def submit(self, fn: Callable[P, Result], /, *args: P.args, **kwargs: P.kwargs) -> futures.Future[Result]:
        """Takes a call that was counted; gRPC does so from its serving thread, right after the interceptors."""
        return super().submit(self._answer, fn, *args, **kwargs)

    def _answer(self, fn: Callable[P, Result], /, *args: P.args, **kwargs: P.kwargs) -> Result:
        # Calls that ended while they waited come by here too; gRPC does not answer them any more.
        try:
            return fn(*args, **kwargs)
        finally:
            self.held.down()


class AtOnce(futures.ThreadPoolExecutor):
    """Does what it is given in the thread that gives it: for what takes no time, and must not wait for any."""

    def submit(self, fn: Callable[P, Result], /, *args: P.args, **kwargs: P.kwargs) -> futures.Future[Result]:
        """Calls `fn`."""
        done: futures.Future[Result] = futures.Future()
        done.set_result(fn(*args, **kwargs))
        return done
