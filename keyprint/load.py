"""The threads that answer calls, and how many calls they hold."""

from __future__ import annotations

import logging
import math
import queue
import threading
import weakref
from collections.abc import Callable
from concurrent import futures
from functools import partial
from typing import ParamSpec, TypeVar, cast

log = logging.getLogger(__name__)

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

    A ThreadPoolExecutor is what gRPC asks for.  What makes one slow is left out: nobody waits for a call's future.

    Attributes:
        held: calls that were let in and are not answered, those that wait included.
    """

    def __init__(self, threads: int, waiting: int, name: str) -> None:
        """Starts threads when calls come.

        Args:
            threads: calls answered at once.
            waiting: calls that may wait beside those.
            name: how the threads' names begin.
        """
        super().__init__(threads, thread_name_prefix=name)
        self.held = Count(threads + waiting)
        self._most_at_once = threads
        self._name = name
        self._started = 0
        self._waiting: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        # Whoever forgets this has its threads end.
        weakref.finalize(self, _end, self._waiting, threads)

    @property
    def at_work(self) -> int:
        """Calls that threads are at, or are about to be at."""
        return min(self.held.value, self._most_at_once)

    def submit(self, fn: Callable[P, Result], /, *args: P.args, **kwargs: P.kwargs) -> futures.Future[Result]:
        """Takes a call that was counted; gRPC does so from its serving thread, right after the interceptors.

        What it gives back knows nothing of the call: gRPC counts by it, for a limit of its own that is not set here.
        """
        self._waiting.put(partial(fn, *args, **kwargs))
        if self._started < self._most_at_once:
            self._start()
        return cast("futures.Future[Result]", _NOTHING)

    def _start(self) -> None:
        name = f"{self._name}_{self._started}"
        try:
            threading.Thread(target=_answer, args=(self._waiting, self.held), name=name, daemon=True).start()
        except RuntimeError as error:
            # It would end gRPC's serving thread, and so the server.  Those that run answer; the next call tries again.
            log.error("a thread cannot be started: %s; %d of %d answer", error, self._started, self._most_at_once)
        else:
            self._started += 1


_NOTHING: futures.Future[None] = futures.Future()
_NOTHING.set_result(None)


def _answer(waiting: queue.SimpleQueue[Callable[[], object] | None], held: Count) -> None:
    """Answers calls until there is None in the place of one."""
    while call := waiting.get():
        # Calls that ended while they waited come by here too; gRPC does not answer them any more.
        try:
            call()
        except Exception:
            log.exception("a call ended by an error that gRPC should have caught")
        finally:
            held.down()
            del call


def _end(waiting: queue.SimpleQueue[Callable[[], object] | None], threads: int) -> None:
    for _ in range(threads):
        waiting.put(None)


class AtOnce(futures.ThreadPoolExecutor):
    """Does what it is given in the thread that gives it: for what takes no time, and must not wait for any."""

    def submit(self, fn: Callable[P, Result], /, *args: P.args, **kwargs: P.kwargs) -> futures.Future[Result]:
        """Calls `fn`."""
        done: futures.Future[Result] = futures.Future()
        done.set_result(fn(*args, **kwargs))
        return done
