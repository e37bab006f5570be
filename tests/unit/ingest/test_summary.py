"""The typing profile of people whose typing is known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from keyprint import attempts
from keyprint.errors import NotFound
from services.ingest.parse import parse_document, to_batch
from services.ingest.store import Store
from services.ingest.summary import MOST_PERIODS, MOST_TIMELINES, Period, Summary, Timeline, summarize
from services.ingest.tables import Dataset, DocumentRow

PHRASE = "abc"


def attempt(day: int, latency_ms: int, hold_ms: int | None = None, keys: str = PHRASE) -> list[dict[str, Any]]:
    """One even attempt at noon of a day from the first of March on."""
    found = []
    for number, key in enumerate(keys):
        noon = np.datetime64("2024-02-29T12:00:00.000000", "us") + np.timedelta64(day, "D")
        at = noon + number * latency_ms * 1000
        one = {"typed_at": str(at), "character": attempts.BACKSPACE if key == "<" else key}
        if hold_ms is not None:
            one["released_at"] = str(at + hold_ms * 1000)
        found.append(one)
    return found


def summary(tmp_path: Path, *documents: tuple[str | None, list[Any]], user: str = "") -> Summary:
    """What `summarize` says of documents, each a user and their attempts, and of one of the users."""
    store = Store(tmp_path)
    rows = []
    for number, (label, typed) in enumerate(documents):
        content = {"attempts": typed} if label is None else {"user_label": label, "user_data": typed}
        document = parse_document(json.dumps(content).encode())
        batch = to_batch(document, attempts.judge(document.keystrokes, PHRASE), 0)
        store.write_part("ds_1", number, pa.Table.from_batches([batch]))
        rows.append(DocumentRow(number=number, part=number, user=label, attempts=batch.num_rows))
    return summarize(store, Dataset(id="ds_1", phrase=PHRASE, documents=rows), user)


def test_quartiles_lie_along_the_phrase(tmp_path: Path) -> None:
    typed = [attempt(1, latency, hold) for latency, hold in ((100, 50), (200, 60), (300, 70), (400, 80), (500, 90))]
    profile = summary(tmp_path, ("ann", typed)).everyone
    assert profile.press_to_press_ms
    assert profile.hold_ms
    assert profile.press_to_press_ms.lower.tolist() == [0, 200, 200]
    assert profile.press_to_press_ms.median.tolist() == [0, 300, 300]
    assert profile.press_to_press_ms.upper.tolist() == [0, 400, 400]
    assert profile.hold_ms.median.tolist() == [70, 70, 70]
    # Two latencies of 300 ms after the first of three keys.
    assert profile.keys_per_second == pytest.approx(2 / 0.6)
    assert (profile.attempts, profile.correction_rate) == (5, 0.0)


def days(*counts: tuple[str, int]) -> list[Period]:
    """Periods of one day each."""
    return [Period(day, day, count) for day, count in counts]


@pytest.mark.parametrize("user", ["ann", "bob"])
def test_the_user_asked_for_has_their_own_profile_and_days(tmp_path: Path, user: str) -> None:
    found = summary(
        tmp_path,
        ("ann", [attempt(1, 100), attempt(1, 100), attempt(3, 100)]),
        ("bob", [attempt(2, 300), attempt(1, 300, keys="xyz")]),
        user=user,
    )
    # Periods count every attempt, profiles the valid ones.
    periods, count, latency = {
        "ann": (days(("2024-03-01", 2), ("2024-03-03", 1)), 3, 100),
        "bob": (days(("2024-03-01", 1), ("2024-03-02", 1)), 1, 300),
    }[user]
    assert found.user
    assert (found.user.user, found.user.periods, found.user.profile.attempts) == (user, periods, count)
    assert found.user.profile.press_to_press_ms
    assert found.user.profile.press_to_press_ms.median.tolist() == [0, latency, latency]
    assert found.periods == days(("2024-03-01", 3), ("2024-03-02", 1), ("2024-03-03", 1))
    assert found.everyone.attempts == 4


def test_attempts_over_time_are_told_of_each_user(tmp_path: Path) -> None:
    found = summary(
        tmp_path,
        ("ann", [attempt(1, 100), attempt(1, 100), attempt(3, 100)]),
        ("bob", [attempt(2, 300), attempt(1, 300, keys="xyz")]),
        ("cy", []),
        ("ann", [attempt(2, 100)]),
        user="ann",
    )
    assert [one.first_day for one in found.periods] == ["2024-03-01", "2024-03-02", "2024-03-03"]
    assert found.timelines == [Timeline("ann", [2, 1, 1]), Timeline("bob", [1, 1, 0]), Timeline("cy", [0, 0, 0])]
    assert found.user
    assert [one.attempts for one in found.user.periods] == [2, 1, 1]
    assert found.user.profile.attempts == 4


def test_a_user_who_typed_now_and_then_has_the_periods_of_everybody(tmp_path: Path) -> None:
    busy = [attempt(day, 100) for day in range(1, 201)]
    found = summary(tmp_path, ("ann", busy), ("bob", [attempt(4, 100), attempt(200, 100)]), user="bob")
    assert found.user
    assert found.user.periods == [Period("2024-03-03", "2024-03-04", 1), Period("2024-09-15", "2024-09-16", 1)]
    assert [sum(one.attempts) for one in found.timelines] == [200, 2]
    assert len(found.timelines[1].attempts) == len(found.periods) == MOST_PERIODS


def test_of_very_many_users_the_first_are_told_over_time(tmp_path: Path) -> None:
    found = summary(tmp_path, *((f"u{number}", []) for number in range(MOST_TIMELINES + 1)))
    assert [one.user for one in found.timelines] == [f"u{number}" for number in range(MOST_TIMELINES)]


def test_a_user_who_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no user 'bob'") as caught:
        summary(tmp_path, ("ann", [attempt(1, 100)]), user="bob")
    assert (caught.value.reason, caught.value.field) == ("USER_NOT_FOUND", "user")


def test_more_days_than_a_chart_has_room_for_are_periods_of_equal_length(tmp_path: Path) -> None:
    few = summary(tmp_path, ("ann", [attempt(1 + 9 * step, 100) for step in range(MOST_PERIODS)]))
    assert [one.first_day for one in few.periods] == [one.last_day for one in few.periods]
    assert len(few.periods) == MOST_PERIODS
    # 251 days, a gap of a hundred, and three more days.
    many = summary(tmp_path, ("ann", [attempt(day, 100) for day in (*range(1, 252), 352, 353, 354)]))
    # 354 days in a hundred periods are four each.
    assert many.periods[:2] == [Period("2024-03-01", "2024-03-04", 4), Period("2024-03-05", "2024-03-08", 4)]
    assert many.periods[-2:] == [Period("2025-02-12", "2025-02-15", 1), Period("2025-02-16", "2025-02-17", 2)]
    assert sum(one.attempts for one in many.periods) == 254
    assert len(many.periods) < MOST_PERIODS


@pytest.mark.parametrize("last", ["9999-12-31", "2024-03-02"])
def test_a_time_that_is_far_off_makes_no_more_periods(tmp_path: Path, last: str) -> None:
    typed = [attempt(day, 100) for day in range(1, 150)]
    typed[-1][0]["typed_at"] = f"{last}T12:00:00Z"
    periods = summary(tmp_path, ("ann", typed)).periods
    assert len(periods) <= MOST_PERIODS
    assert sum(one.attempts for one in periods) == 149
    assert periods[-1].last_day == max(last, "2024-07-26")


def test_corrections_are_a_share_of_the_keystrokes(tmp_path: Path) -> None:
    profile = summary(tmp_path, ("ann", [attempt(1, 100, keys="ax<bc"), attempt(1, 100)])).everyone
    assert profile.correction_rate == pytest.approx(1 / 8)
    assert profile.press_to_press_ms
    assert profile.press_to_press_ms.upper.tolist() == [0, 250, 100]


def test_without_release_times_there_are_no_holds(tmp_path: Path) -> None:
    assert summary(tmp_path, ("ann", [attempt(1, 100)])).everyone.hold_ms is None


def test_nothing_valid_is_no_profile(tmp_path: Path) -> None:
    profile = summary(tmp_path, ("ann", [attempt(1, 100, keys="xyz")]), ("bob", [])).everyone
    assert (profile.attempts, profile.press_to_press_ms) == (0, None)


def test_presses_all_at_once_have_no_speed(tmp_path: Path) -> None:
    assert summary(tmp_path, ("ann", [attempt(1, 0)])).everyone.keys_per_second == 0.0


def test_unlabelled_attempts_are_one_group(tmp_path: Path) -> None:
    found = summary(tmp_path, (None, [attempt(1, 100)]), (None, [attempt(1, 300), attempt(2, 300)]))
    assert found.periods == days(("2024-03-01", 2), ("2024-03-02", 1))
    assert (found.everyone.attempts, found.user, found.timelines) == (3, None, [])
