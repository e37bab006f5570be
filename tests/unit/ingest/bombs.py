"""Small files that would fill the memory if they were read as anything may be read.

Run with the name of one, it reads that within `MULTIPLE` times its bytes, and says what it found.
"""

from __future__ import annotations

import re
import resource
import sys
from pathlib import Path

from keyprint.errors import InvalidArgument
from services.ingest.listing import listed
from services.ingest.parse import parse_document

SIZE = 16 * 2**20
"""Bytes of each."""

MULTIPLE = 8
"""Bytes that may be taken for each byte of a document."""

GOOD = b'{"attempts":[[{"typed_at":"2024-01-01T00:00:00","character":"h"}]]}'


def _nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


def _of_16(piece: bytes) -> bytes:
    """A value and its comma, long enough not to be too many commas."""
    return piece.ljust(16) + b","


_SHORTEST = b'{"typed_at":"0","character":"0"},'
_LISTS = _of_16(b"[[[[[]]]]]")

BOMBS: dict[str, tuple[bytes, bytes, bytes]] = {
    "an attempt of objects": (b'{"attempts":[[', _of_16(b'{"a":0}'), b"0]]}"),
    "attempts of objects": (b'{"attempts":[', b'[{"a":0}' + b',{"a":0}' * 20 + b" " * 200 + b"],", b"0]}"),
    "attempts of nested lists": (b'{"attempts":[', _nested(200) + b",", b"0]}"),
    "attempts of many nested lists": (b'{"attempts":[', b"[" + _LISTS * 200 + b"0],", b"0]}"),
    "empty attempts": (b'{"attempts":[', _of_16(b"[]"), b"[]]}"),
    "empty attempts and a wrong one": (b'{"attempts":[', _of_16(b"[]"), b"0]}"),
    "an unknown key": (b'{"attempts":[7],"more":[', _LISTS, b"0]}"),
    "a user of lists": (b'{"user_data":[],"user_label":[', _LISTS, b"0]}"),
    "no object": (b"[", _LISTS, b"0]"),
    "no numbers": (b'{"attempts":[[NaN],[', _of_16(b'{"a":NaN}'), b"0]]}"),
    "halves of pairs": (b'{"attempts":[["', rb"\ud800", b'"]]}'),
    "nothing but quotes": (b"{", b'"', b""),
    "numbers that are none": (b'{"attempts":[', b"NaN ", b"]}"),
    "escaped backslashes": (b'{"x":NaN,"attempts":[[]],"y":"', rb"\\", b'"}'),
    "halves of pairs beside attempts": (b'{"attempts":[[]],"y":"', rb"\ud800", b'"}'),
    "escapes": (b'{"attempts":[[NaN, "', rb"\n", b'"]]}'),
    "in UTF-16": (
        '{"attempts":[['.encode("utf-16"),
        _of_16(b'{"a":0}').decode().encode("utf-16-le"),
        "0]]}".encode("utf-16-le"),
    ),
    "the shortest keystrokes": (b'{"attempts":[[', _SHORTEST, GOOD[14:]),
    "the shortest keystrokes and a wrong attempt": (b'{"attempts":[0,[', _SHORTEST, GOOD[14:]),
    "the shortest good keystrokes": (
        b'{"attempts":[[', b'{"typed_at":"2024-01-01T00:00:00","character":"h"},', GOOD[14:]
    ),
    "a long key": (
        b'{"attempts":[[{"typed_at":"2024-01-01T00:00:00","character":"', b"a", '\U0001f600"}]]}'.encode()
    ),
    "a long time": (b'{"attempts":[[{"character":"a","typed_at":"', b"0", '\U0001f600"}]]}'.encode()),
    "a long user": (b'{"user_data":[],"user_label":"', b"a", '\U0001f600"}'.encode()),
    "a list of URLs and of lists": (b'"a"\n[', _LISTS, b"0]"),
    "a list of URLs and of nothing": (b'"a"', b"\n", b'\n"b"'),
}  # fmt: skip
"""What each begins with, what is then repeated until it has its size, and its end."""


def build(name: str) -> bytes:
    """The bomb of that name."""
    before, piece, after = BOMBS[name]
    return before + piece * ((SIZE - len(before) - len(after)) // len(piece)) + after


def main(name: str) -> None:
    """Reads a bomb.

    Raises:
        MemoryError: it takes more than it may.
    """
    bomb = build(name)
    parse_document(GOOD)
    taken = re.search(r"VmData:\s*(\d+) kB", Path("/proc/self/status").read_text())
    assert taken
    most = int(taken[1]) * 1024 + MULTIPLE * len(bomb)
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    try:
        listed(bomb, "http://127.0.0.1/", 100)
        document = parse_document(bomb)
    except InvalidArgument as refused:
        sys.stdout.write(refused.reason)
    else:
        sys.stdout.write(str(len(document.keystrokes)))


if __name__ == "__main__":
    main(sys.argv[1])
