"""Documents that strangers might send: over two hundred, each wrong or odd in its own way."""

from __future__ import annotations

import gzip
import json
from typing import Any

PHRASE = "hi"
GOOD = [
    {"typed_at": "2024-01-01T00:00:00.000000", "character": "h", "released_at": "2024-01-01T00:00:00.080000"},
    {"typed_at": "2024-01-01T00:00:00.150000", "character": "i", "released_at": "2024-01-01T00:00:00.220000"},
]

TIMES: list[Any] = [
    "", " ", "now", "2024", "2024-01", "2024-01-01", "2024-01-01T", "2024-01-01T00", "2024-01-01T00:00",
    "2024-01-01T00:00:60", "2024-01-01T00:60:00", "2024-01-01T24:00:00", "2024-13-01T00:00:00", "2024-00-01T00:00:00",
    "2024-02-30T00:00:00", "2023-02-29T00:00:00", "2024-01-32T00:00:00", "2024-01-00T00:00:00", "0000-01-01T00:00:00",
    "9999-12-31T23:59:59.999999", "0001-01-01T00:00:00", "2024-01-01T00:00:00.", "2024-01-01T00:00:00.1",
    "2024-01-01T00:00:00.123456789", "2024-01-01T00:00:00Z", "2024-01-01T00:00:00+14:00", "2024-01-01T00:00:00-99:99",
    "2024-01-01T00:00:00.000000+00:00", "2024-01-01t00:00:00", "2024-01-01 00:00:00.000000",
    "\uff12\uff10\uff12\uff14-01-01T00:00:00.000000",
    "2024-01-01T00:00:00.00000é", "-024-01-01T00:00:00", "+2024-01-01T00:00:00",
    "2024-1-1T0:0:0", "2024-W01-1", "20240101T000000", "1704067200", "2024-01-01T00:00:00.000000\u0000",
    "2024-01-01T00:00:00.000000\n", "x" * 10_000, 0, 1704067200, 1704067200.5, -1, True, None, [], {}, ["2024"],
]  # fmt: skip

CHARACTERS: list[Any] = [
    "", " ", "\u0000", "\u0007", "\b", "\x7f", "\n", "\t", "\r\n", "é", "e\u0301", "ß", "İ", "\u200b", "\u202e",
    "\ufeff", "\ufffd", "\uffff", "👍", "👨‍👩‍👧", "中",
    "[shift]", "[backspace]", "[Backspace]", "[backspace", "BACKSPACE",
    "hi", "h" * 1_000, "\ud800", "\udfff\ud800", "=1+1", "<script>", "'; drop table", 0, 1.5, True, None, [], {}, ["h"],
]  # fmt: skip

ATTEMPTS: list[Any] = [
    [], None, 0, "hi", {}, True, [[]], [None], [0], ["h"], [{}], [{"typed_at": "2024-01-01T00:00:00"}],
    [{"character": "h"}], [GOOD], [*GOOD, None], [*GOOD, []], [{**GOOD[0], "extra": 1}, GOOD[1]], GOOD[::-1],
    [GOOD[0]] * 2, [GOOD[0]] * 1_025, [{**GOOD[0], "released_at": "2023-01-01T00:00:00"}, GOOD[1]],
    [GOOD[0], {**GOOD[1], "typed_at": "2024-01-02T00:00:00"}], [{**one, "released_at": None} for one in GOOD],
    [GOOD[0], {"typed_at": GOOD[1]["typed_at"], "character": "i"}], [{**GOOD[0], "character": "[backspace]"}] * 5,
]  # fmt: skip

WHOLE: list[Any] = [
    None, True, 0, 1e308, "", "text", [], [[]], [{}], {}, {"user_label": "ann"}, {"user_data": [GOOD]},
    {"user_label": "", "user_data": [GOOD]}, {"user_label": None, "user_data": [GOOD]},
    {"user_label": 7, "user_data": [GOOD]}, {"user_label": ["ann"], "user_data": [GOOD]},
    {"user_label": "a" * 257, "user_data": [GOOD]}, {"user_label": "a\nb", "user_data": [GOOD]},
    {"user_label": "\u202eann", "user_data": [GOOD]}, {"user_label": "\ud800", "user_data": [GOOD]},
    {"user_label": "ann\u0000", "user_data": [GOOD]}, {"user_label": "ann", "user_data": None},
    {"user_label": "ann", "user_data": {}}, {"user_label": "ann", "user_data": "hi"},
    {"user_label": "ann", "user_data": 3}, {"user_label": "ann", "attempts": [GOOD]},
    {"user_label": "ann", "user_data": [GOOD], "attempts": [GOOD]}, {"user_data": [GOOD], "attempts": [GOOD]},
    {"attempts": None}, {"attempts": {}}, {"attempts": "hi"}, {"attempts": []}, {"attempts": [[]]},
    {"attempts": [GOOD], "next": 7}, {"attempts": [GOOD], "next": []}, {"attempts": [GOOD], "next": {}},
    {"attempts": [GOOD], "next": True}, {"attempts": [GOOD], "next": ""}, {"Attempts": [GOOD]},
    {"user_label": "ann", "user_data": [GOOD], "next": 7}, {"user_label": "ann", "user_data": [], "next": None},
    {"user_label": "ann", "user_data": [[]] * 1_000}, {"user_label": "ann", "user_data": [None] * 1_000},
    {"user_label": "=cmd()", "user_data": [GOOD]}, {"user_label": "<b>ann</b>", "user_data": [GOOD]},
    {"user_label": "../../etc", "user_data": [GOOD]}, {"user_label": "ann, bob", "user_data": [GOOD]},
    {"user_label": 'ann "the" bob', "user_data": [GOOD]}, {"user_label": "安", "user_data": [GOOD]},
]  # fmt: skip

_TEXT = json.dumps({"user_label": "ann", "user_data": [GOOD]})
_BYTES = _TEXT.encode()

RAW: list[bytes] = [
    b"", b" ", b"\x00", b"\xff", b"\xfe\xff", b"{", b"}", b"[", b"]", b'"', b"nul", b"NaN", b"Infinity", b"-", b"1 2",
    b"{}{}", b"{'a': 1}", b'{"a": 1,}', b"[1,]", b"// comment\n{}", b"<html></html>", b"%PDF-1.4", b"PK\x03\x04",
    b"\x1f\x8b", b"\x1f\x8b\x08", gzip.compress(b""), b"\xef\xbb\xbf" + _BYTES, _TEXT.encode("utf-16"),
    _TEXT.encode("utf-32"), _TEXT.replace("ann", "ä").encode("latin-1"), _BYTES[:-1], _BYTES[: len(_BYTES) // 2],
    _BYTES + b"x", _BYTES + b"\n\n", b"\n\t " + _BYTES, _BYTES * 2, b"[" * 5_000 + b"]" * 5_000,
    b'{"attempts":' + b"[" * 5_000, b'{"a":' * 5_000 + b"1" + b"}" * 5_000, b'{"attempts": [1e999]}',
    b'{"attempts": [' + b"9" * 5_000 + b"]}", b'{"attempts": [], "attempts": 1}', b'{"attempts": ["\\ud800"]}',
    b'{"attempts": ["\\u0000"]}', b'{"\\ud800": 1, "attempts": []}', b'{"attempts": [], "next": "\\ud800"}',
    b'{"attempts": [], "next": "http://[::1"}', b'{"attempts": [], "next": "\\u0000"}', b'"' + b"a" * 100_000 + b'"',
    b'{"attempts": "' + b"\\" * 999 + b'"}', b"{" + b'"' * 1_000, b'{"x":NaN,"y":"' + b"\\" * 1_000 + b'"}',
    b'{"y":"' + b"\\ud800" * 200 + b'"}', b'{"x":NaN,"attempts":[],"y":"' + b"\\" * 1_000 + b'"}',
    b'{"attempts":[],"y":"' + b"\\ud800" * 200 + b'"}',
]  # fmt: skip


def _document(*attempts: Any) -> bytes:
    return json.dumps({"user_label": "ann", "user_data": list(attempts)}).encode()


AMONG_GOOD: dict[str, bytes] = {
    **{f"typed_at {one!r:.40}": _document(GOOD, [{**GOOD[0], "typed_at": one}, GOOD[1]], GOOD) for one in TIMES},
    **{f"released_at {one!r:.40}": _document(GOOD, [{**GOOD[0], "released_at": one}, GOOD[1]], GOOD) for one in TIMES},
    **{f"character {one!r:.40}": _document(GOOD, [{**GOOD[0], "character": one}, GOOD[1]], GOOD) for one in CHARACTERS},
    **{f"attempt {number} {one!r:.40}": _document(GOOD, one, GOOD) for number, one in enumerate(ATTEMPTS)},
}
"""Labelled documents of three attempts, the one in the middle odd; the first and the last read as `PHRASE`."""

ANYTHING: dict[str, bytes] = {
    **{f"document {number} {one!r:.40}": json.dumps(one).encode() for number, one in enumerate(WHOLE)},
    **{f"bytes {number} {one[:20]!r}": one for number, one in enumerate(RAW)},
}
"""Documents of which nothing is sure but that they crash nobody."""
