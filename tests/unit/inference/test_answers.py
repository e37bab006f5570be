"""Attempts to answers: who, how sure, and what to make of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pytest

from keyprint import arrow, attempts
from keyprint.channel import MESSAGE_BYTES
from keyprint.errors import Cancelled, FailedPrecondition, InvalidArgument, NotFound
from keyprint.predictions import ATTEMPTS, KEYSTROKES
from keyprint.v1 import attempts_pb2, inference_pb2
from services.inference import dataset, decide, requests
from services.inference import engine as engine_module
from services.inference.engine import Engine, always
from services.inference.onemodel import OneModel
from services.inference.servicer import InferenceServicer
from tests.unit.inference.conftest import LABELS, PHRASE, TEMPO_MS, batch, joined, keystrokes, message, write_package

ENOUGH = 0.7
"""The probability from which somebody is believed."""


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return Engine("ada@1", write_package(tmp_path_factory.mktemp("package") / "made"))


def test_each_person_is_named_by_their_tempo(engine: Engine) -> None:
    decided = decide.decide(engine, engine.answer(joined([*map(keystrokes, TEMPO_MS)])), ENOUGH)
    assert decided.user.tolist() == list(LABELS)
    assert (decided.probability > 0.9).all()
    assert set(decided.decision) == {"IDENTIFIED"}


def test_nobody_in_particular_is_unknown_and_the_best_is_told_all_the_same(engine: Engine) -> None:
    between = float(np.sqrt(TEMPO_MS[0] * TEMPO_MS[1]))
    decided = decide.decide(engine, engine.answer(keystrokes(between)), ENOUGH)
    assert decided.decision.tolist() == ["UNKNOWN"]
    assert decided.user[0] in LABELS[:2]
    assert {decided.user[0], decided.second[0]} == set(LABELS[:2])


def test_whoever_reaches_the_threshold_is_identified(engine: Engine) -> None:
    answers = engine.answer(keystrokes(90))
    (probability,) = decide.decide(engine, answers, 0.0).probability
    for threshold, decision in ((probability, "IDENTIFIED"), (np.nextafter(probability, 2.0), "UNKNOWN")):
        assert decide.decide(engine, answers, threshold).decision.tolist() == [decision]


def test_invalid_attempts_are_answers_in_their_place(engine: Engine) -> None:
    several = joined([keystrokes(80), keystrokes(80, "hi yuo"), keystrokes(80, ""), keystrokes(500)])
    decided = decide.decide(engine, engine.answer(several), ENOUGH)
    assert decided.decision.tolist() == ["IDENTIFIED", "INVALID", "INVALID", "IDENTIFIED"]
    assert decided.reason.tolist() == ["", "PHRASE_MISMATCH", "EMPTY", ""]
    assert decided.user.tolist() == ["ann", "", "", "cat"]
    assert decided.probability[1] == 0.0


def test_one_attempt_alone_is_answered_as_among_others(engine: Engine) -> None:
    tempos = np.linspace(60, 600, 50)
    together = engine.answer(joined([*map(keystrokes, tempos)])).probabilities
    alone = np.concatenate([engine.answer(keystrokes(one)).probabilities for one in tempos])
    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_nobody_works_on_for_a_caller_who_is_gone(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    several = joined([*map(keystrokes, np.linspace(60, 600, 7))])
    expected = engine.answer(several).probabilities
    monkeypatch.setattr(engine_module, "MOST_AT_ONCE", 2)
    np.testing.assert_allclose(engine.answer(several).probabilities, expected, atol=1e-6)
    asked: list[bool] = []

    def goes_on() -> bool:
        asked.append(len(asked) < 2)
        return asked[-1]

    with pytest.raises(Cancelled):
        engine.answer(several, goes_on)
    assert asked == [True, True, False]


def test_candidates_come_best_first_and_no_more_than_asked_for(engine: Engine) -> None:
    answers = engine.answer(joined([keystrokes(90), keystrokes(90, ""), keystrokes(600)]))
    decided = decide.decide(engine, answers, ENOUGH)
    quick, slow = decide.candidates(engine, answers, decided, 2)
    assert [user for user, _ in quick] == ["ann", "bob"]
    assert [user for user, _ in slow] == ["cat", "bob"]
    for every in decide.candidates(engine, answers, decided, 99):
        assert sum(probability for _, probability in every) == pytest.approx(1.0)


def test_answers_are_decided_at_the_rate_asked_for_or_the_models_own(engine: Engine) -> None:
    assert [decide.enough(engine, far) for far in (0.0, 0.001, 0.5)] == [(0.01, 0.7), (0.001, 0.9), (0.5, 0.1)]


@pytest.mark.parametrize("far", [-0.1, 1e-6, 0.00099, 0.6, float("nan"), float("inf")])
def test_a_rate_that_the_calibration_cannot_tell_is_refused(engine: Engine, far: float) -> None:
    with pytest.raises(
        InvalidArgument, match=r"from 0\.001, the smallest that ada@1 was calibrated for, to 0\.5"
    ) as told:
        decide.enough(engine, far)
    assert (told.value.reason, told.value.field) == ("FAR_OUT_OF_RANGE", "far")


def test_a_claim_has_the_probability_of_its_user(engine: Engine) -> None:
    answers = engine.answer(keystrokes(80))
    ann, cat = (decide.column(engine, user) for user in ("ann", "cat"))
    assert decide.score(answers, 0, ann) > 0.9 > decide.score(answers, 0, cat)
    assert decide.score(engine.answer(keystrokes(80, "")), 0, ann) == 0.0
    with pytest.raises(NotFound) as caught:
        decide.column(engine, "eve")
    assert (caught.value.reason, caught.value.field) == ("USER_NOT_FOUND", "user")


def test_a_model_that_needs_releases_says_so(engine: Engine, tmp_path: Path) -> None:
    needs = Engine("ada@1", write_package(tmp_path / "made", release_times=True))
    known, unknown = keystrokes(80, release_times=True), keystrokes(80)
    one = attempts_pb2.Attempt(character=["a", "b"], pressed_at=[0, 1], released_at=[-1, 2])
    none = attempts_pb2.Attempt(character=["a"], pressed_at=[0], released_at=[-1])
    for typed in (known, message(known), one, attempts_pb2.Attempt(), keystrokes(80, "")):
        needs.check_releases(typed)
    for typed in (unknown, message(unknown), none):
        with pytest.raises(FailedPrecondition) as caught:
            needs.check_releases(typed)
        assert caught.value.reason == "NO_RELEASE_TIMES"
        engine.check_releases(typed)


# Datasets


def test_every_attempt_of_a_dataset_gets_a_row_in_order(engine: Engine) -> None:
    batches = [
        batch(keystrokes(80), keystrokes(80, "oh")),
        batch(keystrokes(500), keystrokes(200, ""), first=2),
    ]
    rows = pa.Table.from_batches(
        dataset.predict(engine, batches, keystrokes=False, first_n=0, threshold=ENOUGH)
    ).to_pylist()
    assert [row["attempt"] for row in rows] == [0, 1, 2, 3]
    assert [row["predicted_user"] for row in rows] == ["ann", "", "cat", ""]
    assert [row["decision"] for row in rows] == ["IDENTIFIED", "INVALID", "IDENTIFIED", "INVALID"]
    assert [row["reason"] for row in rows] == ["", "PHRASE_MISMATCH", "", "EMPTY"]
    assert [row["typed_at"] is None for row in rows] == [False, False, False, True]
    assert [row["flags"] for row in rows] == ["SYNTHETIC_SUSPECTED", "", "SYNTHETIC_SUSPECTED", ""]


def test_a_copy_within_a_dataset_is_flagged_and_predicting_it_again_flags_nothing_more(engine: Engine) -> None:
    batches = [batch(keystrokes(80)), batch(keystrokes(90), keystrokes(80), first=1)]
    for _ in range(2):
        rows = pa.Table.from_batches(
            dataset.predict(engine, batches, keystrokes=False, first_n=0, threshold=ENOUGH)
        ).to_pylist()
        assert [row["flags"] for row in rows] == [
            "SYNTHETIC_SUSPECTED",
            "SYNTHETIC_SUSPECTED",
            "REPLAY_SUSPECTED SYNTHETIC_SUSPECTED",
        ]


def test_every_keystroke_of_a_dataset_gets_a_row(engine: Engine) -> None:
    several = batch(keystrokes(80), keystrokes(500, "hi"))
    (piece,) = dataset.predict(engine, [several], keystrokes=True, first_n=0, threshold=ENOUGH)
    assert piece.schema == KEYSTROKES
    rows = piece.to_pylist()
    assert "".join(row["character"] for row in rows) == PHRASE + "hi"
    assert [row["predicted_user"] for row in rows] == ["ann"] * 6 + [""] * 2
    assert [row["attempt"] for row in rows] == [0] * 6 + [1] * 2
    second = rows[1]
    assert second["typed_at"].microsecond == second["microsecond"] == 80_000
    assert (second["year"], second["month"], second["day"], second["hour"]) == (1970, 1, 1, 0)


@pytest.mark.parametrize("keys", [False, True])
def test_nothing_at_all_is_one_batch_without_rows(engine: Engine, keys: bool) -> None:
    (piece,) = dataset.predict(engine, [], keystrokes=keys, first_n=0, threshold=ENOUGH)
    assert piece.num_rows == 0
    assert piece.schema == (KEYSTROKES if keys else ATTEMPTS)


@pytest.mark.parametrize("first_n", [1, 2, 3, 4, 9])
def test_no_more_is_read_than_is_wanted(engine: Engine, first_n: int) -> None:
    read = 0

    def batches() -> Iterator[pa.RecordBatch]:
        nonlocal read
        for first in (0, 2, 4):
            read += 1
            yield batch(keystrokes(80), keystrokes(200), first=first)

    pieces = list(dataset.predict(engine, batches(), keystrokes=False, first_n=first_n, threshold=ENOUGH))
    assert sum(piece.num_rows for piece in pieces) == min(first_n, 6)
    assert read == min(-(-first_n // 2), 3)


@pytest.mark.parametrize("keys", [False, True])
@pytest.mark.parametrize("first_n", [0, 3, 10])
def test_a_dataset_is_worked_on_few_attempts_at_a_time(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, keys: bool, first_n: int
) -> None:
    typed = [
        keystrokes(80),
        *[keystrokes(80, "")] * 3,
        keystrokes(200),
        keystrokes(500, "hi"),
        keystrokes(80, "o" * 20),
    ]
    batches = [batch(*typed), batch(*typed, first=len(typed)).slice(1)]

    def tables() -> list[pa.RecordBatch]:
        return list(dataset.predict(engine, batches, keystrokes=keys, first_n=first_n, threshold=ENOUGH))

    whole = tables()
    monkeypatch.setattr(dataset, "MOST_ATTEMPTS", 2)
    monkeypatch.setattr(dataset, "MOST_KEYSTROKES", 7)
    pieces = tables()
    assert pa.Table.from_batches(pieces) == pa.Table.from_batches(whole)
    if not first_n:
        attempts_of_7, others = ([6, 0, 6, 2, 20], [0, 6, 2, 20]) if keys else ([2, 2, 1, 1, 1], [2, 2, 1, 1])
        assert [piece.num_rows for piece in pieces] == attempts_of_7 + others


@pytest.mark.parametrize("keys", [False, True])
def test_rows_of_the_longest_names_fit_into_messages(tmp_path: Path, keys: bool) -> None:
    engine = Engine("ada@1", write_package(tmp_path / "long", labels=[letter * 256 for letter in "🔑🔒🔓"]))
    sent = [arrow.to_ipc(batch(*[keystrokes(80)] * 5000))]
    pieces = list(dataset.predict_sent(engine, sent, keystrokes=keys, first_n=0, threshold=ENOUGH))
    assert max(map(len, pieces)) < MESSAGE_BYTES
    rows = [arrow.from_ipc(piece) for piece in pieces]
    assert sum(piece.num_rows for piece in rows) == (30_000 if keys else 5000)
    assert rows[-1].column("predicted_user")[-1].as_py() == "🔑" * 256


# Requests


def test_a_batch_whose_answer_may_not_fit_into_a_message_is_refused_before_the_work(
    engine: Engine, tmp_path: Path
) -> None:
    long = Engine("ada@1", write_package(tmp_path / "long", labels=[letter * 256 for letter in "🔑🔒🔓"]))
    decide.check_answer(engine, requests.MOST_ATTEMPTS)
    with pytest.raises(InvalidArgument, match=r"1,024 bytes.* 16,384 attempts .* at most 15,887 at once") as caught:
        decide.check_answer(long, requests.MOST_ATTEMPTS)
    assert (caught.value.reason, caught.value.field) == ("BATCH_INVALID", "length")
    decide.check_answer(long, 15_887)
    many = inference_pb2.BatchIdentifyRequest(model="ada", length=[0] * 16_384)
    with pytest.raises(InvalidArgument, match="at most 15,887"):
        InferenceServicer(OneModel(long), cast(Any, None)).batch_identify(many, always)
    largest = inference_pb2.BatchIdentifyResponse(
        user=["🔑" * 256] * 15_887,
        probability=[1.0] * 15_887,
        decision=[inference_pb2.DECISION_INVALID] * 15_887,
        reason=[max(attempts.REASONS, key=len)] * 15_887,
        flags=[3] * 15_887,
        model="m" * 256,
    )
    assert largest.ByteSize() <= MESSAGE_BYTES


def test_columns_become_a_batch() -> None:
    request = inference_pb2.BatchIdentifyRequest(length=[2, 0, 1], character=list("abc"), pressed_at=[0, 5, 9])
    found = requests.batch(request)
    assert found.offsets.tolist() == [0, 2, 2, 3]
    assert (found.released_at == attempts.UNKNOWN_TIME).all()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"character": ["a"]}, "character"),
        ({"pressed_at": [0] * 4}, "pressed_at"),
        ({"released_at": [0] * 2}, "released_at"),
        ({"length": [1] * 16_385}, "length"),
    ],
)
def test_columns_that_do_not_fit_are_refused(changes: dict[str, list[int]], field: str) -> None:
    good: dict[str, Any] = {"length": [3], "character": ["a", "b", "c"], "pressed_at": [0, 1, 2]}
    with pytest.raises(InvalidArgument) as caught:
        requests.batch(inference_pb2.BatchIdentifyRequest(**(good | changes)))
    assert (caught.value.reason, caught.value.field) == ("BATCH_INVALID", field)


def test_other_wrong_fields_are_refused_by_name() -> None:
    with pytest.raises(InvalidArgument) as caught:
        requests.candidates(1001)
    assert (caught.value.reason, caught.value.field) == ("CANDIDATES_INVALID", "candidates")
    assert requests.candidates(0) == 5
    with pytest.raises(InvalidArgument) as caught:
        requests.keystrokes(cast(Any, 7))
    assert (caught.value.reason, caught.value.field) == ("ROWS_INVALID", "rows")
    with pytest.raises(InvalidArgument) as caught:
        attempts.check_lengths(["a"], [0, 1], [])
    assert (caught.value.reason, caught.value.field) == ("ATTEMPT_INVALID", "attempt")
    with pytest.raises(InvalidArgument, match="1 characters, 1 press times and 2 release times"):
        attempts.check_lengths(["a"], [0], [1, 2])


def test_attempts_that_came_apart_are_read_together() -> None:
    typed = [
        keystrokes(80),
        keystrokes(90, "hi yo u", release_times=True),
        keystrokes(0, ""),
        keystrokes(70, "hi", release_times=True),
    ]
    for several in (typed, typed[1::2], typed[::2], typed[2:3]):
        found, expected = requests.joined([message(one) for one in several]), joined(several)
        for column in ("offsets", "character", "pressed_at", "released_at", "malformed"):
            np.testing.assert_array_equal(getattr(found, column), getattr(expected, column))


def test_of_an_attempt_that_is_too_long_as_much_is_read_as_shows_it(engine: Engine) -> None:
    endless = attempts_pb2.Attempt(character=["h"] * 5000, pressed_at=range(5000), released_at=range(5000))
    found = requests.joined([endless, message(keystrokes(80))])
    assert found.offsets.tolist() == [0, attempts.MAX_KEYSTROKES + 1, attempts.MAX_KEYSTROKES + 1 + len(PHRASE)]
    decided = decide.decide(engine, engine.answer(found), ENOUGH)
    assert decided.reason.tolist() == ["TOO_LONG", ""]
    assert decided.user.tolist() == ["", "ann"]


LAST_MOMENT = 253_402_300_799_999_999


@pytest.mark.parametrize(("field", "at"), [("pressed_at", LAST_MOMENT + 1), ("released_at", -(2**63))])
def test_a_time_of_no_year_is_refused_by_name(field: str, at: int) -> None:
    columns: dict[str, Any] = {"character": ["a", "b"], "pressed_at": [0, LAST_MOMENT], "released_at": [1, -1]}
    columns[field][1] = at
    with pytest.raises(InvalidArgument, match=f"^{field} has a time outside the years 1 to 9999") as alone:
        requests.joined([attempts_pb2.Attempt(**columns)])
    with pytest.raises(InvalidArgument) as among_many:
        requests.batch(inference_pb2.BatchIdentifyRequest(length=[2], **columns))
    for caught in (alone, among_many):
        assert (caught.value.reason, caught.value.field) == ("TIME_OUT_OF_RANGE", field)
