"""What callers ask at once, worked on at once."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Asked = TypeVar("Asked")
Answered = TypeVar("Answered")

Work = Callable[[Sequence[Asked]], Sequence[Answered]]

MOST = 64
"""Things worked on at once."""

_PATIENCE_SECONDS = 0.002
_LOOK_SECONDS = 0.0002
"""How long who works waits for others who are said to come, and how often it looks whether they have: no core is idle
meanwhile, for they are at work too."""


def nobody_knows() -> int:
    """How many are coming, where nobody knows."""
    return 0


class _Place(Generic[Asked, Answered]):
    """Somebody who asks, and is called when there is an answer or when it is their turn to work."""

    __slots__ = ("_called", "answered", "asked", "error")

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self.answered: list[Answered] = []
        self.error: Exception | None = None
        self._called = threading.Lock()
        self._called.acquire()

    def wait(self) -> None:
        """Returns once called."""
        self._called.acquire()

    def call(self) -> None:
        """Once."""
        self._called.release()

    @property
    def is_over(self) -> bool:
        """Whether there is an answer, or an error in its place."""
        return bool(self.answered) or self.error is not None


class Together(Generic[Asked, Answered]):
    """Gathers what threads ask while one of them works, which the first of them then does for all; safe to share.

    A thread that asks alone works at once, and for itself.
    """

    def __init__(self, coming: Callable[[], int] = nobody_knows) -> None:
        """Prepares.

        Args:
            coming: how many have asked or may be about to, who asks included; 0 where nobody knows.
        """
        self._coming = coming
        self._lock = threading.Lock()
        self._at_work = False
        self._waiting: deque[_Place[Asked, Answered]] = deque()

    def __call__(self, asked: Asked, work: Work[Asked, Answered]) -> Answered:
        """The answer to one thing.

        Args:
            asked: the thing.
            work: gives an answer for each of up to `MOST` things, in their order; whose work does not matter.

        Raises:
            Exception: what the work on this very thing raises.
        """
        place: _Place[Asked, Answered] = _Place(asked)
        with self._lock:
            waits = self._at_work
            self._at_work = True
            if waits:
                self._waiting.append(place)
        if waits:
            place.wait()
        if not place.is_over:
            self._work(place, work)
        if place.error is not None:
            raise place.error
        return place.answered[0]

    @property
    def waiting(self) -> int:
        """How many nobody has begun to work for."""
        return len(self._waiting)

    def _work(self, first: _Place[Asked, Answered], work: Work[Asked, Answered]) -> None:
        """Works for one and for those who wait, and calls the next one to do so."""
        others: list[_Place[Asked, Answered]] = []
        try:
            until = time.monotonic() + _PATIENCE_SECONDS
            while 1 + self.waiting < min(self._coming(), MOST) and time.monotonic() < until:
                time.sleep(_LOOK_SECONDS)
            with self._lock:
                others += [self._waiting.popleft() for _ in range(min(self.waiting, MOST - 1))]
            _answer([first, *others], work)
        finally:
            with self._lock:
                self._at_work = bool(self._waiting)
                following = self._waiting.popleft() if self._waiting else None
            for one in others:
                one.call()
            if following:
                following.call()


def _answer(batch: Sequence[_Place[Asked, Answered]], work: Work[Asked, Answered]) -> None:
    try:
        answers = work([one.asked for one in batch])
        for one, answer in zip(batch, answers, strict=True):
            one.answered.append(answer)
    except Exception as error:
        if len(batch) == 1:
            batch[0].error = error
            return
        # It is no business of the others.
        for one in batch:
            one.answered.clear()
            _answer([one], work)
