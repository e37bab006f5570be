"""What each key said about a user."""

from __future__ import annotations

import numpy as np
import pytest

from keyprint import attempts
from keyprint.attempts import BACKSPACE, UNKNOWN_TIME, Keystrokes
from services.inference.engine import Engine
from services.inference.explain import explain
from tests.unit.inference.conftest import PHRASE, keystrokes, write_package

# The package looks at the gap before key 1 alone; 200 ms is usual there, and bob's.


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return Engine("ada@1", write_package(tmp_path_factory.mktemp("package") / "made"))


def odds(engine: Engine, keystrokes: Keystrokes, user: str) -> float:
    probabilities = engine.answer(keystrokes).probabilities[0].astype(np.float64)
    own = probabilities[engine.package.labels.index(user)]
    return float(np.log(own / (1 - own)))


def test_the_key_that_the_model_looks_at_spoke_and_no_other(engine: Engine) -> None:
    said = explain(engine, engine.answer(keystrokes(90)), 0, "ann")
    assert said is not None
    assert said.latency[1] > 5
    assert np.delete(said.latency, 1) == pytest.approx(0.0, abs=1e-5)
    assert said.hold.tolist() == [0.0] * len(PHRASE)


def test_what_speaks_for_one_speaks_against_another(engine: Engine) -> None:
    answers = engine.answer(keystrokes(90))
    against = explain(engine, answers, 0, "bob")
    assert against is not None
    assert against.latency[1] < -5


def test_what_a_key_said_is_the_odds_less_those_of_the_attempt_with_its_timing_as_usual(engine: Engine) -> None:
    said = explain(engine, engine.answer(keystrokes(140)), 0, "ann")
    assert said is not None
    pressed = [0, *(200_000 + 140_000 * number for number in range(len(PHRASE) - 1))]
    usual = attempts.single(list(PHRASE), pressed, [])
    expected = odds(engine, keystrokes(140), "ann") - odds(engine, usual, "ann")
    assert said.latency[1] == pytest.approx(expected, abs=1e-3)


def test_usual_timing_says_nothing(engine: Engine) -> None:
    said = explain(engine, engine.answer(keystrokes(200)), 0, "bob")
    assert said is not None
    assert said.latency == pytest.approx(0.0, abs=1e-6)


def test_corrections_are_part_of_a_keys_latency(engine: Engine) -> None:
    at = [number * 200_000 for number in range(len(PHRASE))]
    typo = attempts.single(
        [PHRASE[0], "x", BACKSPACE, *PHRASE[1:]], [at[0], 60_000, 90_000, *(one + 300_000 for one in at[1:])], []
    )
    said = explain(engine, engine.answer(typo), 0, "cat")
    assert said is not None
    assert said.latency[1] == pytest.approx(odds(engine, typo, "cat") - odds(engine, keystrokes(200), "cat"), abs=1e-3)


def test_an_invalid_attempt_is_not_explained(engine: Engine) -> None:
    assert explain(engine, engine.answer(keystrokes(90, "hi yuo")), 0, "ann") is None


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """A model that looks at how long key 2 is held, and at nothing else; 100 ms is usual."""
    return Engine("held@1", write_package(tmp_path_factory.mktemp("held") / "made", True, looks_at="log_hold_2"))


def test_holds_speak_for_themselves(held: Engine) -> None:
    said = explain(held, held.answer(keystrokes(200, release_times=True)), 0, "ann")
    assert said is not None
    assert said.hold[2] > 5
    assert np.delete(said.hold, 2) == pytest.approx(0.0, abs=1e-5)
    assert said.latency == pytest.approx(0.0, abs=1e-5)


def test_a_release_that_nobody_saw_says_nothing(held: Engine) -> None:
    whole = keystrokes(200, release_times=True)
    released = whole.released_at.copy()
    released[2] = UNKNOWN_TIME
    unseen = attempts.single(list(PHRASE), whole.pressed_at.tolist(), released.tolist())
    said = explain(held, held.answer(unseen), 0, "ann")
    assert said is not None
    assert said.hold[2] == 0.0
