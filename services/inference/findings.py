"""What is found of attempts: who typed them, whether that is believed, and what is odd about them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import compress
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from keyprint.attempts import Keystrokes
from keyprint.v1 import attempts_pb2
from services.inference import requests
from services.inference.decide import Decided, Floats, candidates, decide
from services.inference.engine import Answers, Engine, GoesOn, always, gone
from services.inference.flags import Mask, Recent, flag
from services.inference.together import Together, nobody_knows


class Question(NamedTuple):
    """About one attempt.

    Attributes:
        attempt: checked by `keyprint.attempts.check_lengths`.
        threshold: to decide at.
        candidates: how many to tell.
        goes_on: whether who asks still waits.
    """

    attempt: attempts_pb2.Attempt
    threshold: float
    candidates: int = 0
    goes_on: GoesOn = always


@dataclass(frozen=True)
class Findings:
    """Of n attempts."""

    answers: Answers
    decided: Decided
    flags: Mask


class Finding(NamedTuple):
    """Of one attempt.

    Attributes:
        answers: what the model says of it and of those that were asked about together with it.
        attempt: which of them it is.
        candidates: as many as were asked for, best first, each with its probability; none if it is not valid.
        user: the best candidate; empty if the attempt is not valid.
        decision: one of `decide.DECISIONS`.
        reason: why the attempt is not valid, else empty.
        flags: its mask, as `flags.flag` tells it.
    """

    answers: Answers
    attempt: int
    candidates: Sequence[tuple[str, float]]
    user: str
    decision: str
    reason: str
    flags: int


class Finder:
    """Asks engines; safe to share between threads.

    Single attempts that callers ask one engine about at the same time go through it together, which costs less than one
    after the other.
    """

    def __init__(self, coming: Callable[[], int] = nobody_knows) -> None:
        """Prepares; `coming` is as `Together` wants it."""
        self._coming = coming
        self._recent = Recent()
        self._together: WeakKeyDictionary[Engine, Together[Question, Finding | None]] = WeakKeyDictionary()

    def find(
        self, engine: Engine, keystrokes: Keystrokes, threshold: float | Floats, goes_on: GoesOn = always
    ) -> Findings:
        """What is found of these attempts, decided at one threshold, or each at its own: float64[n].

        Raises:
            Cancelled: it does not go on.
        """
        answers = engine.answer(keystrokes, goes_on)
        return Findings(answers, decide(engine, answers, threshold), flag(engine, answers, self._recent))

    def find_one(self, engine: Engine, question: Question) -> Finding:
        """What is found of one attempt, together with those of other callers.

        Raises:
            Cancelled: it does not go on.
        """
        together = self._together.get(engine) or self._together.setdefault(engine, Together(self._coming))
        found = together(question, partial(self._find_those_who_wait, engine))
        if found is None:
            raise gone()
        return found

    def _find_those_who_wait(self, engine: Engine, questions: Sequence[Question]) -> list[Finding | None]:
        """What is found of each, None for those who are gone, of whom nothing is remembered either."""
        waits = [question.goes_on() for question in questions]
        found = iter(self._find_each(engine, [*compress(questions, waits)]))
        return [next(found) if one else None for one in waits]

    def _find_each(self, engine: Engine, questions: Sequence[Question]) -> list[Finding]:
        if not questions:
            return []
        typed, thresholds, counts, _ = zip(*questions, strict=True)
        findings = self.find(engine, requests.joined(typed), np.array(thresholds))
        answers, decided = findings.answers, findings.decided
        best: list[Sequence[tuple[str, float]]] = [()] * len(questions)
        for attempt, each in zip(answers.rows.tolist(), candidates(engine, answers, decided, max(counts)), strict=True):
            best[attempt] = each[: counts[attempt]]
        columns = (best, decided.user.tolist(), decided.decision.tolist(), decided.reason.tolist())
        rows = zip(*columns, findings.flags.tolist(), strict=True)
        return [Finding(answers, attempt, *row) for attempt, row in enumerate(rows)]
