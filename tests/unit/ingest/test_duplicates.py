"""Copies are found by the moments of their presses, whatever became of their releases."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from keyprint import attempts
from keyprint.attempts import LEAST_KEYSTROKES
from services.ingest.duplicates import duplicates, names
from services.ingest.parse import parse_document, to_batch
from services.ingest.tables import Dataset

PHRASE = "be typing"
STEPS = [0, 90_000, 211_000, 350_001, 470_000, 520_000, 660_000, 790_000, 900_000]


def typed(
    moved: int = 0, late: int = 0, hold: int | None = 60_000, phrase: str = PHRASE, year: int = 2024
) -> list[dict[str, str]]:
    """An attempt whose fourth press comes `moved` µs later, and all of it `late` µs."""
    found = []
    for place, (step, character) in enumerate(zip(STEPS, phrase, strict=False)):
        at = datetime(year, 1, 1) + timedelta(microseconds=step + late + moved * (place == 3))
        one = {"typed_at": at.isoformat(timespec="microseconds"), "character": character}
        if hold is not None:
            one["released_at"] = (at + timedelta(microseconds=hold)).isoformat(timespec="microseconds")
        found.append(one)
    return found


def marks(*documents: Iterable[Any], phrase: str = PHRASE) -> list[bool]:
    """What is marked of the attempts of users, each in a part of their own."""
    parts, users = [], []
    for user, listed in enumerate(documents):
        document = parse_document(json.dumps({"attempts": list(listed)}).encode())
        batch = to_batch(document, attempts.judge(document.keystrokes, phrase), 0)
        # As it comes from a file: of several pieces.
        parts.append(pa.Table.from_batches([batch.slice(0, 1), batch.slice(1)]))
        users += [user] * batch.num_rows
    found: list[bool] = duplicates([names(part) for part in parts], np.array(users)).tolist()
    return found


@pytest.mark.parametrize("hold", [60_000, None, 70_000, -5])
def test_a_copy_is_marked_with_and_without_releases(hold: int | None) -> None:
    assert marks([typed(), typed(late=7, hold=hold, year=2025)]) == [False, True]
    assert marks([typed()], [typed(late=7, hold=hold)]) == [True, True]


def test_a_copy_that_lost_a_single_release_is_marked() -> None:
    copy = typed()
    del copy[5]["released_at"]
    assert marks([typed(), copy]) == [False, True]


def test_presses_a_microsecond_apart_are_others() -> None:
    assert marks([typed(), typed(moved=1), typed(moved=2, hold=None)], [typed(moved=3)]) == [False] * 4


def test_what_is_short_is_a_copy_only_with_the_same_releases() -> None:
    short = PHRASE[: LEAST_KEYSTROKES - 1]
    listed = [
        typed(phrase=short),
        typed(phrase=short, hold=None),
        typed(phrase=short, hold=70_000),
        typed(phrase=short),
    ]
    assert marks(listed, phrase=short) == [False, False, False, True]


def test_what_is_not_valid_is_never_marked() -> None:
    assert marks([typed(phrase="be typinG")] * 2 + [[], [], 7, 7], [typed(), typed()]) == [False] * 7 + [True]
    assert marks([7, []]) == [False, False]


def test_a_copied_file_without_its_release_times_is_marked_in_a_dataset(
    web: tuple[Path, str], run: Callable[..., Dataset]
) -> None:
    folder, url = web
    for user, hold, following in (("ada", 60_000, "bob.json"), ("bob", None, None)):
        listed = [typed(moved=moved, hold=hold) for moved in (10, 20)] + [typed(moved=30 if hold else 40, hold=hold)]
        content = {"user_label": user, "user_data": listed, "next": following}
        (folder / f"{user}.json").write_text(json.dumps(content))
    dataset = run(url + "ada.json", phrase=PHRASE)
    assert [row.duplicate_attempts for row in dataset.documents] == [2, 2]
