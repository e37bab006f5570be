"""Attempts as other programs send them."""

from __future__ import annotations

from typing import Any

import pytest

from keyprint.errors import InvalidArgument
from keyprint.source import attempt_from_source

AT = "1970-01-01T00:00:01.5"


def test_times_are_utc_unless_they_say_otherwise() -> None:
    attempt = attempt_from_source(
        [
            {"typed_at": AT, "character": "h", "released_at": "1970-01-01T00:00:01.600"},
            {"typed_at": "1970-01-01T02:00:02+02:00", "character": "i"},
        ]
    )
    assert list(attempt.character) == ["h", "i"]
    assert list(attempt.pressed_at) == [1_500_000, 2_000_000]
    assert list(attempt.released_at) == [1_600_000, -1]


@pytest.mark.parametrize(
    ("keystroke", "sentence"),
    [
        ("h", "must be an object"),
        ({"typed_at": AT}, "needs a character"),
        ({"typed_at": AT, "character": ""}, "needs a character"),
        ({"typed_at": AT, "character": "\ud800"}, "needs a character"),
        ({"character": "h"}, "needs typed_at"),
        ({"typed_at": 7, "character": "h"}, "needs typed_at"),
        ({"typed_at": "noon", "character": "h"}, "needs typed_at"),
        ({"typed_at": "2019-W26-7", "character": "h"}, "needs typed_at"),
        ({"typed_at": "2019-06-30\ud80015:05:44", "character": "h"}, "needs typed_at"),
        ({"typed_at": AT, "character": "h", "released_at": "soon"}, "needs released_at"),
    ],
)
def test_a_wrong_keystroke_is_named(keystroke: Any, sentence: str) -> None:
    with pytest.raises(InvalidArgument, match=f"Keystroke 1 of the attempt {sentence}") as caught:
        attempt_from_source([{"typed_at": AT, "character": "h"}, keystroke])
    assert (caught.value.reason, caught.value.field) == ("ATTEMPT_INVALID", "attempt")


def test_the_first_time_that_is_none_is_named_whatever_stands_beside_it() -> None:
    keystrokes = [{"typed_at": AT, "character": one, "released_at": None} for one in "abcd"]
    keystrokes[2]["released_at"] = f"{AT}\n{AT}"
    keystrokes[3]["released_at"] = "later"
    with pytest.raises(InvalidArgument, match="Keystroke 2 of the attempt needs released_at"):
        attempt_from_source(keystrokes)
