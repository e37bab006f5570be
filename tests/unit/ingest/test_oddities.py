"""What JSON does not have is put aside in few passes, whatever a document is full of."""

from __future__ import annotations

import gc
import json
import re
import sys
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.ingest.oddities import BLOCK, without_oddities

ODDITIES = re.compile(
    rb"""
    \\ (?: u[dD][89abAB][\da-fA-F]{2} \\u[dD][c-fC-F][\da-fA-F]{2}
         | (?P<half> u[dD][89a-fA-F][\da-fA-F]{2} )
         | . )
    | "
    | (?P<number> NaN | -?Infinity )
    """,
    re.DOTALL | re.VERBOSE,
)
PIECES = [
    '"', "\\", "\\\\", '\\"', "\\n", "\\u0041", "\\ud800", "\\uD83D", "\\uDE00", "\\udc00", "\\ud83d\\ude00", "\\ud8",
    "\\ud80g", "NaN", "-NaN", "Infinity", "-Infinity", "0", "a", " ", ",", ":", "[", "]", "{", "}", "é", "\0",
]  # fmt: skip


def one_by_one(content: bytes) -> bytes:
    """The same, by a look at each escape and quote."""
    changed, inside = bytearray(content), False
    for found in ODDITIES.finditer(content):
        if found[0] == b'"':
            inside = not inside
        elif found["half"]:
            changed[slice(*found.span())] = "\ud800".encode("utf-8", "surrogatepass") * 2
        elif found["number"] and not inside:
            changed[slice(*found.span())] = b"0".center(len(found[0]))
    return bytes(changed)


def meaning(content: bytes | bytearray) -> Any:
    """What JSON says; None if it is none."""
    try:
        return json.loads(content.decode("utf-8", "surrogatepass"))
    except ValueError:
        return None


TEXT = st.lists(st.sampled_from(PIECES)).map("".join)


@given(TEXT)
@example('\\"NaN"')
@example("NaNaN")
@example("\\ud")
@example('"\\ud800\\ud800\\udc00\\udc00"')
def test_any_pieces_mean_what_a_look_at_each_of_them_finds(text: str) -> None:
    content = text.encode()
    changed = without_oddities(content)
    assert len(changed) == len(content)
    assert meaning(changed) == meaning(one_by_one(content))


@given(st.lists(st.one_of(st.sampled_from(["NaN", "Infinity", "-Infinity", "7"]), TEXT.map(json.dumps))))
def test_of_json_not_a_byte_differs(values: list[str]) -> None:
    content = f"[{', '.join(values)}]".encode()
    assert without_oddities(content) == one_by_one(content)


@pytest.mark.parametrize("text", ["\\ud800", "\\udc00", "\\ud83d\\ude00", "\\ud83d\\ude00\\ude00"])
def test_where_a_block_ends_changes_nothing(text: str) -> None:
    for before in range(BLOCK - 20, BLOCK + 2):
        content = b'"' + b" " * before + text.encode() + b'"'
        assert without_oddities(content) == one_by_one(content)


def lines_run(call: Callable[[], object]) -> int:
    """How many lines of Python a call runs; the collector of garbage may run lines of others."""
    count = 0

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    gc.disable()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
        gc.enable()
    return count


@pytest.mark.parametrize(
    ("before", "piece", "after"),
    [
        (b"{NaN", b'"', b""),
        (b'{"x":NaN,"y":"', rb"\\", b'"}'),
        (b'{"x":NaN,"y":"', rb"\"", b'"}'),
        (b'{"y":"', rb"\ud800", b'"}'),
        (b'{"y":"', rb"\ud83d\ude00", b'\\ud800"}'),
        (b"[", b"NaN,", b"0]"),
    ],
)
def test_work_does_not_grow_by_the_escape(before: bytes, piece: bytes, after: bytes) -> None:
    few, many = (before + piece * count + after for count in (10, 20_000))
    assert lines_run(partial(without_oddities, few)) == lines_run(partial(without_oddities, many))
