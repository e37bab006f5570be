"""Documents, right and wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from keyprint import attempts
from keyprint.arrow import to_ipc
from keyprint.channel import MESSAGE_BYTES
from keyprint.errors import InvalidArgument
from keyprint.table import SCHEMA
from services.ingest.parse import Document, parse_document, to_batch

AT = "2019-06-30T15:05:44"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def typed(text: str, **more: str) -> list[dict[str, str]]:
    return [{"typed_at": f"{AT}.{number:06d}", "character": one, **more} for number, one in enumerate(text)]


def document(*listed: Any, **more: Any) -> bytes:
    return json.dumps({"user_label": "ada", "user_data": listed, "next": None, **more}).encode()


def rows(read: Document, phrase: str = "hi", first: int = 0) -> pa.RecordBatch:
    return to_batch(read, attempts.judge(read.keystrokes, phrase), first)


def reasons(content: bytes) -> list[str]:
    found: list[str] = rows(parse_document(content)).column("reason").to_pylist()
    return found


def test_a_labelled_document_becomes_rows_of_the_schema() -> None:
    read = parse_document(document(typed("hi", released_at=f"{AT}.500000"), typed("ho"), next="user_b.json"))
    assert (read.user, read.next) == ("ada", "user_b.json")
    batch = rows(read, first=5)
    assert batch.schema == SCHEMA
    batch.validate(full=True)
    first, second = batch.to_pylist()
    assert (first["attempt"], first["user"], first["reason"]) == (5, "ada", "")
    assert first["character"] == ["h", "i"]
    assert first["pressed_at"] == [first["typed_at"], first["typed_at"] + 1]
    assert first["released_at"] == [first["typed_at"] + 500_000] * 2
    assert (second["attempt"], second["reason"], second["released_at"]) == (6, "PHRASE_MISMATCH", [-1, -1])


def test_an_unlabelled_document_has_no_user() -> None:
    read = parse_document(json.dumps({"attempts": [typed("hi")]}).encode())
    assert (read.user, read.next) == (None, None)
    assert rows(read).column("user").to_pylist() == [None]


@pytest.mark.parametrize(
    "bad",
    [
        7,
        {"typed_at": AT},
        [7],
        [{"typed_at": AT}],
        [{"typed_at": 7, "character": "h"}],
        [{"typed_at": "noon", "character": "h"}],
        [{"typed_at": AT, "character": "h", "released_at": "soon"}],
        [{"typed_at": AT, "character": "h", "released_at": ""}],
        [{"typed_at": AT, "character": "\ud800"}],
    ],
)
def test_a_malformed_attempt_leaves_its_neighbours_alone(bad: Any) -> None:
    content = document(typed("hi"), bad, [], typed("hi"))
    assert reasons(content) == ["", "MALFORMED", "EMPTY", ""]
    rows(parse_document(content)).validate(full=True)


def test_a_document_of_nothing_but_malformed_attempts_is_rows_all_the_same() -> None:
    batch = rows(parse_document(document([7], [8])))
    assert batch.column("typed_at").to_pylist() == [None, None]


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"<html>"])
def test_what_is_not_json_is_told(content: bytes) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse_document(content)
    assert caught.value.reason == "NOT_JSON"


@pytest.mark.parametrize(
    "found",
    [
        [],
        {},
        {"user_data": []},
        {"user_label": "", "user_data": []},
        {"user_label": "a\nb", "user_data": []},
        {"user_label": "a\u200bb", "user_data": []},
        {"user_label": "\u200d", "user_data": []},
        {"user_label": 7, "user_data": []},
        {"user_label": "ada", "user_data": {}},
        {"user_label": "ada", "attempts": []},
        {"user_label": "ada", "user_data": [], "attempts": []},
        {"attempts": [], "next": 7},
    ],
)
def test_json_of_another_shape_is_told(found: Any) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse_document(json.dumps(found).encode())
    assert caught.value.reason == "NOT_A_DOCUMENT"


@pytest.mark.parametrize("label", ["\u0645\u06cc\u200c\u0646\u0627", "\U0001f468\u200d\U0001f467"])
def test_a_label_may_hold_joiners_of_letters_and_of_emoji(label: str) -> None:
    assert parse_document(document(typed("hi"), user_label=label)).user == label


@given(st.lists(JSON, max_size=3))
def test_no_json_in_the_place_of_an_attempt_crashes(listed: list[Any]) -> None:
    batch = rows(parse_document(document(*listed)))
    batch.validate(full=True)
    assert batch.num_rows == len(listed)


@given(st.binary(max_size=40))
def test_no_bytes_crash(content: bytes) -> None:
    with pytest.raises(InvalidArgument):
        parse_document(content)


def test_the_real_document_has_the_counts_that_it_is_known_for() -> None:
    found = list(Path(__file__).parents[4].glob("shared/data/unifyid/user_*.json"))
    if not found:
        pytest.skip("needs ../shared/data/unifyid")
    read = parse_document(found[0].read_bytes())
    batch = rows(read, attempts.DEFAULT_PHRASE)
    assert batch.num_rows == 495
    assert batch.column("reason").to_pylist().count("") == 375
    assert read.next == "user_4a45245cde4e11e9b51bacde48001122.json"


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=3), max_size=12))
@example(["", "\n"])
@example(["a", "\n\n", ""])
def test_keys_of_any_name_stay_what_they_are(keys: list[str]) -> None:
    attempt = [{"typed_at": AT, "character": one} for one in keys]
    (row,) = rows(parse_document(document(attempt))).to_pylist()
    assert row["character"] == keys


def test_a_large_document_holds_as_many_values_as_its_bytes_allow() -> None:
    commas = 1_000_001
    with pytest.raises(InvalidArgument, match="1,000,001 commas") as refused:
        parse_document(document()[:-1] + b', "more": [' + b"0," * (commas - 3) + b"0]}")
    assert refused.value.reason == "LIMIT_EXCEEDED"
    assert not len(parse_document(document()[:-1] + b', "more": [' + b"0,".ljust(16) * commas + b"0]}").keystrokes)


def test_a_message_holds_what_is_kept_of_an_attempt_that_is_far_too_long() -> None:
    wide = [{"typed_at": AT, "character": "k" * 64}] * 220_000
    batch = rows(parse_document(document(wide)))
    assert batch["reason"].to_pylist() == ["TOO_LONG"]
    assert len(to_ipc(batch)) < MESSAGE_BYTES


@pytest.mark.parametrize("odd", ["NaN", "-Infinity", '"\\ud800"', '{"\\udc00": ["\\ud800\\ud800", Infinity]}'])
def test_what_recorders_write_beside_json_costs_at_most_its_attempt(odd: str) -> None:
    beside = {**typed("h")[0], "character": ":NaN,\\ud800\U0001f600", "more": "ODD"}
    text = json.dumps({"attempts": [[beside], "ODD", typed("hi")]}).replace('"ODD"', odd)
    read = parse_document(text.encode())
    assert read.characters.to_pylist() == [beside["character"], "h", "i"]
    assert read.keystrokes.malformed.tolist() == [False, True, False]


@pytest.mark.parametrize("text", ["[1NaN]", "[NaN1]", "[-NaN]", "[NaN NaN]", "[NaN", '["\\ud800]', '["\\ud8zz"]'])
def test_what_only_looks_like_it_is_not_json(text: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse_document(f'{{"attempts": {text}}}'.encode())
    assert caught.value.reason == "NOT_JSON"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be", "utf-32"])
def test_a_document_may_come_in_any_encoding_that_json_has(encoding: str) -> None:
    text = json.dumps({"user_label": "Zoë", "user_data": [typed("hi"), 7]}, ensure_ascii=False)
    read = parse_document(text.encode(encoding))
    assert (read.user, read.characters.to_pylist()) == ("Zoë", ["h", "i"])


def test_bytes_that_are_no_text_are_not_json() -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse_document(document(typed("hi"), 7, typed("X")).replace(b"X", b"\xff"))
    assert caught.value.reason == "NOT_JSON"
