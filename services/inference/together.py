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

_MANY = 4
_PAUSE_SECONDS = 0.0005
"""After a batch of so many, those who were just answered may be about to ask again: what they are given to do so is a
small part of what they wait for anyway."""


class _Place(Generic[Asked, Answered]):
    """Somebody who waits for an answer."""

    __slots__ = ("answered", "asked", "error")

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self.answered: list[Answered] = []
        self.error: Exception | None = None


class Together(Generic[Asked, Answered]):
    """Gathers what threads ask while one of them works, which the next one then does for all; safe to share.

    A thread that asks alone works at once, and for itself.
    """

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._waiting: deque[_Place[Asked, Answered]] = deque()
        self._usual = 0.0

    def __call__(self, asked: Asked, work: Work[Asked, Answered]) -> Answered:
        """The answer to one thing.

        Args:
            asked: the thing.
            work: gives an answer for each of up to `MOST` things, in their order; whose work does not matter.

        Raises:
            Exception: what the work on this very thing raises.
        """
        place: _Place[Asked, Answered] = _Place(asked)
        self._waiting.append(place)
        with self._turn:
            # Somebody may have worked for this one too.  If not it still waits, first to come or among the others, and
            # so it is until its own turn has been.
            while not place.answered and place.error is None:
                _answer(self._gathered(), work)
        if place.error is not None:
            raise place.error
        return place.answered[0]

    @property
    def waiting(self) -> int:
        """How many nobody has begun to work for."""
        return len(self._waiting)

    def _gathered(self) -> list[_Place[Asked, Answered]]:
        if self._usual >= _MANY:
            time.sleep(_PAUSE_SECONDS)
        # Only who has the turn takes away; others may add meanwhile.
        batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), MOST))]
        self._usual = max(len(batch), self._usual / 2)
        return batch


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
