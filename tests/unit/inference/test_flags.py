"""What is odd about attempts: replays, and timing that no hands have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from keyprint import attempts, package
from keyprint.attempts import Keystrokes
from keyprint.v1 import inference_pb2
from services.inference.engine import Engine
from services.inference.flags import NAMES, REPLAY, SYNTHETIC, Recent, flag, names
from tests.unit.inference.conftest import PHRASE, joined, keystrokes, write_package

Make = Callable[..., Engine]


def typed(*gaps_ms: float, begins_us: int = 0) -> Keystrokes:
    """One attempt at the phrase with these gaps."""
    pressed = begins_us + np.rint(np.cumsum([0.0, *gaps_ms]) * 1000).astype(np.int64)
    return attempts.single(list(PHRASE), pressed.tolist(), [])


HANDS = (112.0, 305.0, 180.0, 96.0, 210.0)
OTHER = (112.0, 305.0, 180.0, 96.0, 211.0)


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return Engine("ada@1", write_package(tmp_path / "made", seen=[typed(*HANDS)]))


def flags(engine: Engine, keystrokes: Keystrokes, recent: Recent | None = None) -> list[int]:
    found: list[int] = flag(engine, engine.answer(keystrokes), recent or Recent()).tolist()
    return found


def test_flags_are_numbered_as_on_the_wire() -> None:
    on_the_wire = {number: name for name, number in inference_pb2.Flag.items() if number}
    assert on_the_wire == {bit: f"FLAG_{name}" for bit, name in NAMES.items()}
    assert names(REPLAY | SYNTHETIC) == ["REPLAY_SUSPECTED", "SYNTHETIC_SUSPECTED"]
    assert names(0) == []


def test_a_copy_of_what_the_model_was_trained_on_is_a_replay_whenever_it_comes(engine: Engine) -> None:
    assert flags(engine, typed(*HANDS)) == [REPLAY]
    assert flags(engine, typed(*HANDS, begins_us=1_700_000_000_123_456)) == [REPLAY]


def test_a_copy_is_one_to_the_millisecond(engine: Engine) -> None:
    jitter = np.random.default_rng(0).uniform(-0.06, 0.06, len(HANDS))
    assert flags(engine, typed(*(np.array(HANDS) + jitter))) == [REPLAY]
    assert flags(engine, typed(*OTHER)) == [0]


def test_a_copy_without_its_releases_or_with_a_correction_is_one(engine: Engine) -> None:
    copy = typed(*HANDS)
    assert flags(engine, replace(copy, released_at=copy.pressed_at + 50_000)) == [REPLAY]
    at = copy.pressed_at.tolist()
    corrected = attempts.single(
        [PHRASE[0], "x", attempts.BACKSPACE, *PHRASE[1:]], [at[0], at[0] + 1, at[0] + 2, *at[1:]], []
    )
    assert flags(engine, corrected) == [REPLAY]


def test_what_was_asked_before_is_a_replay_for_that_model_alone(engine: Engine, tmp_path: Path) -> None:
    recent = Recent()
    assert [flags(engine, typed(*OTHER), recent) for _ in range(2)] == [[0], [REPLAY]]
    another = Engine("ada@2", write_package(tmp_path / "another"))
    assert flags(another, typed(*OTHER), recent) == [0]


def test_the_second_of_two_in_one_batch_is_a_replay(engine: Engine) -> None:
    several = joined([typed(*OTHER), keystrokes(80, "hi"), typed(*OTHER)])
    assert flags(engine, several) == [0, 0, REPLAY]


def test_the_memory_forgets_what_was_not_asked_for_longest() -> None:
    recent = Recent(most=2)
    assert recent.again("m", [b"a", b"b", b"a"]) == [False, False, True]
    assert recent.again("m", [b"c"]) == [False]
    assert recent.again("m", [b"a"]) == [True]
    assert recent.again("m", [b"b"]) == [False]


def test_even_gaps_are_synthetic(engine: Engine) -> None:
    assert flags(engine, keystrokes(130)) == [SYNTHETIC]
    assert flags(engine, typed(130, 133, 127, 130, 135)) == [SYNTHETIC]
    assert flags(engine, typed(130, 133, 127, 130, 145)) == [0]


def test_faster_than_hands_is_synthetic(engine: Engine) -> None:
    assert flags(engine, typed(10, 60, 20, 50, 55)) == [SYNTHETIC]
    assert flags(engine, typed(10, 60, 20, 50, 65)) == [0]


def test_where_everybody_is_faster_than_hands_the_model_sets_the_limit(engine: Engine) -> None:
    training = replace(engine.package.training, typical=package.Typical((0, *[7_000] * 5), ()))
    engine.package = replace(engine.package, training=training)
    assert flags(engine, typed(2, 12, 4, 10, 11)) == [0]
    assert flags(engine, typed(1, 5, 2, 4, 3)) == [SYNTHETIC]


def test_an_invalid_attempt_has_no_flags_and_is_not_remembered(engine: Engine) -> None:
    recent = Recent()
    wrong = attempts.single(list("hi yuo"), typed(*OTHER).pressed_at.tolist(), [])
    assert flags(engine, joined([wrong, keystrokes(80, "")]), recent) == [0, 0]
    assert flags(engine, typed(*OTHER), recent) == [0]


def test_phrases_of_a_few_keys_are_not_flagged(engine: Engine) -> None:
    engine.package = replace(engine.package, inputs=replace(engine.package.inputs, phrase="hi yo"))
    answers = engine.answer(keystrokes(130))
    short = replace(answers.aligned, pressed_at=answers.aligned.pressed_at[:, :5])
    assert flag(engine, replace(answers, aligned=short), Recent()).tolist() == [0]
