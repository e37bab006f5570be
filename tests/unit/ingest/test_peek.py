"""What a document says before it is read."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.peek import peek_next

TEXTS = st.text(st.sampled_from('next"\\,:{}[] \n/é'))
VALUES = st.recursive(TEXTS | st.none() | st.integers(), lambda one: st.lists(one) | st.dictionaries(TEXTS, one))


@given(st.dictionaries(TEXTS | st.just("next"), VALUES), st.booleans())
def test_what_is_told_of_json_is_what_it_says(document: dict[str, object], readable: bool) -> None:
    content = json.dumps(document, ensure_ascii=readable).encode()
    assert peek_next(content) in (None, document.get("next"))


@given(st.dictionaries(TEXTS, VALUES, min_size=1), TEXTS)
def test_a_next_that_comes_last_is_told(document: dict[str, object], named: str) -> None:
    document.pop("next", None)
    content = json.dumps({"user_label": "ada", **document, "next": named}, indent=1).encode()
    assert peek_next(content) == named


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b'{"user_data": [], "next": null}',
        b'{"next": "bob.json", "user_data": []}',
        b'{"user_data": [{"a": 1, "next": "bob.json"}]}',
        b'{"user_data": [], "next": "bob.json"} and more',
        b'{"user_data": [], "next": "\\u12"}',
        b'{"user_data": [], "next": "' + b"a" * 5000 + b'"}',
    ],
)
def test_what_cannot_be_told_is_left_to_reading(content: bytes) -> None:
    assert peek_next(content) is None
