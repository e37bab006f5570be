"""The typing profile of people whose typing is known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keyprint import attempts
from services.ingest.parse import parse_document, to_batch
from services.ingest.store import Store
from services.ingest.summary import Summary, summarize
from services.ingest.tables import Dataset, DocumentRow

PHRASE = "abc"


def attempt(day: int, latency_ms: int, hold_ms: int | None = None, keys: str = PHRASE) -> list[dict[str, Any]]:
    """One even attempt at noon."""
    found = []
    for number, key in enumerate(keys):
        at = np.datetime64(f"2024-03-0{day}T12:00:00.000000", "us") + number * latency_ms * 1000
        one = {"typed_at": str(at), "character": attempts.BACKSPACE if key == "<" else key}
        if hold_ms is not None:
            one["released_at"] = str(at + hold_ms * 1000)
        found.append(one)
    return found


def summary(tmp_path: Path, *documents: tuple[str | None, list[Any]]) -> Summary:
    """What `summarize` says of documents, each a user and their attempts."""
    store = Store(tmp_path)
    rows = []
    for number, (user, typed) in enumerate(documents):
        content = {"attempts": typed} if user is None else {"user_label": user, "user_data": typed}
        document = parse_document(json.dumps(content).encode())
        batch = to_batch(document, attempts.judge(document.keystrokes, PHRASE), 0)
        store.write_part("ds_1", number, [batch])
        rows.append(DocumentRow(number=number, part=number, user=user, attempts=batch.num_rows))
    return summarize(store, Dataset(id="ds_1", phrase=PHRASE, documents=rows))


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


def test_each_user_has_their_own_profile_and_days(tmp_path: Path) -> None:
    found = summary(
        tmp_path,
        ("ann", [attempt(1, 100), attempt(1, 100), attempt(3, 100)]),
        ("bob", [attempt(2, 300), attempt(2, 300, keys="xyz")]),
    )
    ann, bob = found.users
    assert (ann.user, ann.days) == ("ann", [("2024-03-01", 2), ("2024-03-03", 1)])
    # Days count every attempt, profiles the valid ones.
    assert (bob.user, bob.days, bob.profile.attempts) == ("bob", [("2024-03-02", 2)], 1)
    assert ann.profile.press_to_press_ms
    assert ann.profile.press_to_press_ms.median.tolist() == [0, 100, 100]
    assert found.everyone.attempts == 4


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
    (nobody,) = found.users
    assert (nobody.user, nobody.days) == ("", [("2024-03-01", 2), ("2024-03-02", 1)])
    assert nobody.profile.attempts == 3
