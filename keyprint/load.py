"""The threads that answer calls, and how many calls they hold."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent import futures
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
Result = TypeVar("Result")


class Load(futures.ThreadPoolExecutor):
    """Threads that count the calls which they were given and have not answered, those that wait included.

    gRPC gives a call to them from one thread, right after its interceptors: if those see `room`, there is room.
    """

    def __init__(self, threads: int, waiting: int, name: str) -> None:
        """Starts threads when they are needed.

        Args:
            threads: calls answered at once.
            waiting: calls that may wait beside those.
            name: how the threads' names begin.
        """
        super().__init__(threads, thread_name_prefix=name)
        self._most = threads + waiting
        self._held = 0
        self._changed = threading.Condition(threading.Lock())

    @property
    def room(self) -> bool:
        """Whether it can hold one more."""
        return self._held < self._most

    def submit(self, fn: Callable[P, Result], /, *args: P.args, **kwargs: P.kwargs) -> futures.Future[Result]:
        """Takes a call in, whether there is room or not."""
        with self._changed:
            self._held += 1
        return super().submit(self._answer, fn, *args, **kwargs)

    def _answer(self, fn: Callable[P, Result], /, *args: P.args, **kwargs: P.kwargs) -> Result:
        # Calls that ended while they waited come by here too; gRPC does not answer them any more.
        try:
            return fn(*args, **kwargs)
        finally:
            with self._changed:
                self._held -= 1
                if not self._held:
                    self._changed.notify_all()

    def wait(self, seconds: float) -> bool:
        """Waits until it holds none, `seconds` at most; whether it came to that."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._held, seconds)


class AtOnce(futures.ThreadPoolExecutor):
    """Does what it is given in the thread that gives it: for what takes no time, and must not wait for any."""

    def submit(self, fn: Callable[P, Result], /, *args: P.args, **kwargs: P.kwargs) -> futures.Future[Result]:
        """Calls `fn`."""
        done: futures.Future[Result] = futures.Future()
        done.set_result(fn(*args, **kwargs))
        return done
