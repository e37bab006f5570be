"""What callers ask at the same time is answered to each as if they had asked alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from keyprint.attempts import Keystrokes
from keyprint.errors import Cancelled
from services.inference.engine import Answers, Engine, GoesOn, always
from services.inference.findings import Finder, Question
from tests.unit.inference.conftest import LABELS, TEMPO_MS, joined, keystrokes, message, write_package


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return Engine("ada@1", write_package(tmp_path_factory.mktemp("package") / "made"))


def test_each_of_many_attempts_may_have_a_threshold_of_its_own(engine: Engine) -> None:
    several = joined([*map(keystrokes, TEMPO_MS)])
    decided = Finder().find(engine, several, np.array([0.0, 2.0, 0.0])).decided
    assert decided.decision.tolist() == ["IDENTIFIED", "UNKNOWN", "IDENTIFIED"]


def test_callers_at_once_are_each_decided_at_their_own_threshold(engine: Engine) -> None:
    finder, asked = Finder(), [(number % 3, number % 2 * 2.0) for number in range(200)]

    def ask(one: tuple[int, float]) -> tuple[str, str]:
        who, threshold = one
        found = finder.find_one(engine, Question(message(keystrokes(TEMPO_MS[who])), threshold))
        return found.user, found.decision

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(ask, asked))
    assert answers == [(LABELS[who], "UNKNOWN" if threshold else "IDENTIFIED") for who, threshold in asked]


def test_those_who_are_gone_are_left_out_of_what_is_asked_at_once(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []
    answer = engine.answer

    def watched(several: Keystrokes, goes_on: GoesOn) -> Answers:
        sizes.append(len(several))
        return answer(several, goes_on)

    monkeypatch.setattr(engine, "answer", watched)
    # Longer than any wait here lasts, so that all three come in time.
    monkeypatch.setattr("services.inference.together._PATIENCE_SECONDS", 10)
    finder = Finder(lambda: 3)

    def ask(who: int) -> str:
        goes_on = (lambda: False) if who == 1 else always
        return finder.find_one(engine, Question(message(keystrokes(TEMPO_MS[who])), 0.0, goes_on=goes_on)).user

    with ThreadPoolExecutor(3) as pool:
        first, gone, last = (pool.submit(ask, who) for who in range(3))
    assert (first.result(), last.result()) == (LABELS[0], LABELS[2])
    with pytest.raises(Cancelled):
        gone.result()
    assert sizes == [2]
