"""Backspaces, validity, ids and alignment, against a plain reading of the rules."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyprint import arrow, attempts, table
from keyprint.attempts import BACKSPACE, REASONS, UNKNOWN_TIME, WARNINGS, Keystrokes
from keyprint.errors import InvalidArgument

KEYS = st.sampled_from(["a", "b", BACKSPACE])


def batch_of(*typed: Sequence[str], step: int = 100_000) -> Keystrokes:
    """Attempts with even presses, `step` µs apart, and holds of half a step."""
    characters = [key for one in typed for key in one]
    pressed = [position * step for one in typed for position in range(len(one))]
    return Keystrokes(
        offsets=np.cumsum([0, *map(len, typed)]).astype(np.int64),
        character=attempts.encode(characters),
        pressed_at=np.array(pressed, np.int64),
        released_at=np.array(pressed, np.int64) + step // 2,
        malformed=np.zeros(len(typed), np.bool_),
    )


def reasons(keystrokes: Keystrokes, phrase: str) -> list[str]:
    return [REASONS[number] for number in attempts.judge(keystrokes, phrase).reason]


def as_read(typed: Sequence[str]) -> list[int]:
    """Positions of the keystrokes that stand, by the obvious loop."""
    standing: list[int] = []
    for position, key in enumerate(typed):
        if key != BACKSPACE:
            standing.append(position)
        elif standing:
            standing.pop()
    return standing


@given(st.lists(st.lists(KEYS, max_size=12), max_size=6))
def test_backspaces_leave_what_a_plain_loop_leaves(typed: list[list[str]]) -> None:
    keystrokes = batch_of(*typed)
    kept = attempts.judge(keystrokes, "ab").kept
    for index, one in enumerate(typed):
        begin, end = keystrokes.offsets[index : index + 2]
        assert np.flatnonzero(kept[begin:end]).tolist() == as_read(one)


@given(st.lists(st.lists(KEYS, min_size=1, max_size=12), min_size=1, max_size=6))
def test_an_attempt_is_valid_exactly_when_it_reads_as_the_phrase(typed: list[list[str]]) -> None:
    expected = ["" if "".join(one[i] for i in as_read(one)) == "ab" else "PHRASE_MISMATCH" for one in typed]
    assert reasons(batch_of(*typed), "ab") == expected


def test_a_backspace_on_an_empty_line_erases_nothing() -> None:
    assert reasons(batch_of([BACKSPACE, BACKSPACE, "h", "i"]), "hi") == [""]


def test_a_raw_backspace_character_or_a_named_key_is_no_backspace() -> None:
    assert reasons(batch_of(["h", "x", "\b", "i"], ["h", "[shift]", "i"]), "hi") == ["PHRASE_MISMATCH"] * 2


def test_presses_that_go_back_in_time_are_out_of_order() -> None:
    typed = attempts.single(["h", "i"], [1000, 999], [])
    assert reasons(typed, "hi") == ["OUT_OF_ORDER"]


@pytest.mark.parametrize("at", [[2**63 - 1, -(2**63)], [2**63 - 1, -1]])
def test_presses_are_in_order_or_not_however_far_apart_they_are(at: list[int]) -> None:
    for pressed, reason in ((at, "OUT_OF_ORDER"), (at[::-1], "")):
        judged = attempts.judge(attempts.single(["h", "i"], pressed, []), "hi")
        assert attempts.REASONS[judged.reason[0]] == reason


def test_time_may_go_back_between_attempts() -> None:
    assert reasons(batch_of("hi", "hi"), "hi") == ["", ""]


def test_empty_malformed_and_endless_attempts_have_reasons_of_their_own() -> None:
    keystrokes = batch_of("", "", "hi", "h" * 9)
    keystrokes.malformed[1] = True
    verdicts = attempts.judge(keystrokes, "hi", max_keystrokes=8)
    assert [REASONS[number] for number in verdicts.reason] == ["EMPTY", "MALFORMED", "", "TOO_LONG"]


def test_no_attempts_at_all_is_no_error() -> None:
    keystrokes = batch_of()
    verdicts = attempts.judge(keystrokes, "hi")
    assert len(verdicts.reason) == 0
    assert len(attempts.align(keystrokes, verdicts, "hi")) == 0
    assert attempts.attempt_ids(keystrokes) == []


def test_negative_holds_and_long_pauses_warn_and_leave_the_attempt_valid() -> None:
    typed = attempts.single(["h", "i"], [0, 3_600_000_000], [-50, 3_600_000_100])
    verdicts = attempts.judge(typed, "hi")
    assert verdicts.reason[0] == 0
    assert verdicts.warnings[0] == 1 << WARNINGS.index("NEGATIVE_HOLD") | 1 << WARNINGS.index("LONG_PAUSE")


def test_an_invalid_attempt_carries_no_warnings() -> None:
    typed = attempts.single(["h", "o"], [0, 3_600_000_000], [-50, 3_600_000_100])
    assert attempts.judge(typed, "hi").warnings[0] == 0


def test_the_id_follows_relative_times_and_not_the_date() -> None:
    first = attempts.single(["h", "i"], [0, 100], [50, 150])
    moved = attempts.single(["h", "i"], [7_000, 7_100], [7_050, 7_150])
    slower = attempts.single(["h", "i"], [0, 101], [50, 150])
    other_key = attempts.single(["h", "o"], [0, 100], [50, 150])
    no_release = attempts.single(["h", "i"], [0, 100], [])
    ids = [attempts.attempt_ids(one)[0] for one in (first, moved, slower, other_key, no_release)]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 4
    assert all(len(one) == attempts.ID_BYTES for one in ids)


def test_the_timing_id_follows_presses_to_the_millisecond_and_nothing_else() -> None:
    def timing_id(characters: list[str], pressed_at: list[int], released_at: list[int] | None = None) -> bytes:
        typed = attempts.single(characters, pressed_at, released_at or [])
        (found,) = attempts.timing_ids(attempts.align(typed, attempts.judge(typed, "hi"), "hi"))
        return found

    first = timing_id(["h", "i"], [0, 100_000])
    assert first == timing_id(["h", "i"], [7_777, 107_300])
    assert first == timing_id(["h", "i"], [0, 100_499], [50, 150_000])
    assert first == timing_id(["h", "x", BACKSPACE, "i"], [0, 10, 20, 99_500])
    assert first != timing_id(["h", "i"], [0, 100_500])
    assert first != timing_id(["h", "i"], [0, 99_499])
    assert len(first) == attempts.ID_BYTES


def test_an_empty_last_attempt_has_an_id() -> None:
    assert len(attempts.attempt_ids(batch_of("hi", ""))) == 2


def test_alignment_follows_the_keys_that_stand_and_counts_what_was_taken_back() -> None:
    typed = attempts.single(["h", "u", BACKSPACE, "i"], [0, 140, 390, 610], [80, 230, UNKNOWN_TIME, 700])
    aligned = attempts.align(typed, attempts.judge(typed, "hi"), "hi")
    assert aligned.pressed_at.tolist() == [[0, 610]]
    assert aligned.released_at.tolist() == [[80, 700]]
    assert aligned.corrections.tolist() == [[0, 2]]
    assert aligned.correction_us.tolist() == [[0, 390]]


def test_corrections_before_the_first_key_count_for_it() -> None:
    typed = attempts.single(["x", BACKSPACE, "h", "i"], [10, 60, 100, 200], [])
    aligned = attempts.align(typed, attempts.judge(typed, "hi"), "hi")
    assert aligned.corrections.tolist() == [[2, 0]]
    assert aligned.correction_us.tolist() == [[50, 0]]


def test_alignment_names_the_rows_that_are_valid() -> None:
    keystrokes = batch_of("hi", "ho", "hi")
    assert attempts.align(keystrokes, attempts.judge(keystrokes, "hi"), "hi").rows.tolist() == [0, 2]


def test_unequal_columns_are_refused_by_name() -> None:
    with pytest.raises(InvalidArgument, match="2 characters, 1 press times") as caught:
        attempts.single(["h", "i"], [0], [])
    assert (caught.value.reason, caught.value.field) == ("ATTEMPT_INVALID", "attempt")


def test_a_slice_of_an_arrow_batch_gives_the_keystrokes_of_that_slice() -> None:
    rows = [
        {
            "attempt": number,
            "attempt_id": bytes(16),
            "user": "ada",
            "typed_at": 0,
            "character": list(text),
            "pressed_at": list(range(len(text))),
            "released_at": [UNKNOWN_TIME] * len(text),
            "reason": reason,
            "warnings": 0,
            "duplicate": False,
            "enrolled": True,
        }
        for number, (text, reason) in enumerate([("xyz", ""), ("hi", ""), ("", "MALFORMED")])
    ]
    batch = pa.RecordBatch.from_pylist(rows, schema=table.SCHEMA)
    read = table.from_batch(arrow.from_ipc(arrow.to_ipc(batch)).slice(1))
    assert read.offsets.tolist() == [0, 2, 2]
    assert read.character.tolist() == [ord("h"), ord("i")]
    assert read.pressed_at.tolist() == [0, 1]
    assert read.malformed.tolist() == [False, True]


@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=2)
        | st.sampled_from([BACKSPACE, "\b", "[shift]", ""])
    ),
    st.integers(0, 3),
)
def test_a_column_of_keys_has_the_numbers_that_its_keys_have(keys: list[str], first: int) -> None:
    column = pa.array(keys, pa.string()).slice(first)
    assert table.encode_arrow(column).tolist() == attempts.encode(keys[first:]).tolist()


def test_release_times_are_complete_where_no_key_of_the_phrase_lacks_its_own() -> None:
    keystrokes = batch_of("hi", "ho", ["h", "x", BACKSPACE, "i"], "hi", "")
    # Of the first attempt's last key, and of the third one's key that was taken back.
    keystrokes.released_at[[1, 5]] = UNKNOWN_TIME
    verdicts = attempts.judge(keystrokes, "hi")
    assert attempts.released(keystrokes, verdicts).tolist() == [False, False, True, True, False]
