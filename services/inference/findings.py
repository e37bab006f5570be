"""What is found of attempts: who typed them, whether that is believed, and what is odd about them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from keyprint import attempts
from keyprint.attempts import Keystrokes
from services.inference.decide import Decided, Floats, decide
from services.inference.engine import Answers, Engine
from services.inference.flags import Mask, Recent, flag
from services.inference.together import Together, nobody_knows

_Ask = tuple[Keystrokes, float]
"""An attempt, and the threshold to decide at."""


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
        user: the best candidate; empty if the attempt is not valid.
        decision: one of `decide.DECISIONS`.
        reason: why the attempt is not valid, else empty.
        flags: its mask, as `flags.flag` tells it.
    """

    answers: Answers
    attempt: int
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
        self._together: WeakKeyDictionary[Engine, Together[_Ask, Finding]] = WeakKeyDictionary()

    def find(self, engine: Engine, keystrokes: Keystrokes, threshold: float | Floats) -> Findings:
        """What is found of these attempts, decided at one threshold, or each at its own: float64[n]."""
        answers = engine.answer(keystrokes)
        return Findings(answers, decide(engine, answers, threshold), flag(engine, answers, self._recent))

    def find_one(self, engine: Engine, keystrokes: Keystrokes, threshold: float) -> Finding:
        """What is found of one attempt, together with those of other callers."""
        together = self._together.get(engine) or self._together.setdefault(engine, Together(self._coming))
        return together((keystrokes, threshold), partial(self._find_each, engine))

    def _find_each(self, engine: Engine, several: Sequence[_Ask]) -> list[Finding]:
        typed, thresholds = zip(*several, strict=True)
        findings = self.find(engine, attempts.joined(typed), np.array(thresholds))
        decided, flags = findings.decided, findings.flags
        columns = (decided.user.tolist(), decided.decision.tolist(), decided.reason.tolist(), flags.tolist())
        return [Finding(findings.answers, number, *row) for number, row in enumerate(zip(*columns, strict=True))]
