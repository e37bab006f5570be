"""What is found of attempts: who typed them, whether that is believed, and what is odd about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple
from weakref import WeakKeyDictionary

from keyprint import attempts
from keyprint.attempts import Keystrokes
from services.inference.decide import Decided, decide
from services.inference.engine import Answers, Engine
from services.inference.flags import Mask, Recent, flag
from services.inference.together import Together


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

    def __init__(self) -> None:
        self._recent = Recent()
        self._together: WeakKeyDictionary[Engine, Together[Keystrokes, Finding]] = WeakKeyDictionary()

    def find(self, engine: Engine, keystrokes: Keystrokes) -> Findings:
        """What is found of these attempts."""
        answers = engine.answer(keystrokes)
        return Findings(answers, decide(engine, answers), flag(engine, answers, self._recent))

    def find_one(self, engine: Engine, keystrokes: Keystrokes) -> Finding:
        """What is found of one attempt, together with those of other callers."""
        together = self._together.get(engine) or self._together.setdefault(engine, Together())
        return together(keystrokes, partial(self._find_each, engine))

    def _find_each(self, engine: Engine, several: Sequence[Keystrokes]) -> list[Finding]:
        findings = self.find(engine, attempts.joined(several))
        decided, flags = findings.decided, findings.flags
        columns = (decided.user.tolist(), decided.decision.tolist(), decided.reason.tolist(), flags.tolist())
        return [Finding(findings.answers, number, *row) for number, row in enumerate(zip(*columns, strict=True))]
