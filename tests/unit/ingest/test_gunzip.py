"""Documents that may be gzip."""

from __future__ import annotations

import gzip
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyprint.errors import InvalidArgument
from services.ingest.gunzip import PIECE, unzipped

TEXT = b'{"good": true}' * 1000
MOST = 100_000


def test_what_is_no_gzip_stays_as_it_is() -> None:
    assert unzipped(TEXT, MOST) == TEXT
    assert unzipped(b"", MOST) == b""


@pytest.mark.parametrize("padding", [1, PIECE, 3 * PIECE + 1])
def test_zeros_that_pad_a_member_are_nothing(padding: int) -> None:
    member = gzip.compress(TEXT) + bytes(padding)
    assert unzipped(member, MOST) == TEXT
    assert unzipped(member + gzip.compress(b"x") + bytes(padding), MOST) == TEXT + b"x"
    with pytest.raises(InvalidArgument, match="damaged"):
        unzipped(member + b"x", MOST)


@given(st.lists(st.binary(max_size=2 * PIECE), min_size=1, max_size=4), st.integers(0, 9))
def test_members_come_one_after_the_other(members: list[bytes], level: int) -> None:
    assert unzipped(b"".join(gzip.compress(one, level) for one in members), MOST) == b"".join(members)


@pytest.mark.parametrize(
    ("body", "reason", "says"),
    [
        (bytes(MOST + 1), "LIMIT_EXCEEDED", "larger than 100,000 bytes"),
        (gzip.compress(bytes(MOST + 1)), "LIMIT_EXCEEDED", "larger than 100,000 bytes"),
        (gzip.compress(bytes(MOST)) + gzip.compress(b"x"), "LIMIT_EXCEEDED", "larger than 100,000 bytes"),
        (gzip.compress(TEXT)[:-1], "NOT_JSON", "ends too early"),
        (gzip.compress(TEXT) + gzip.compress(TEXT)[:5], "NOT_JSON", "ends too early"),
        (gzip.compress(TEXT) + b"{}", "NOT_JSON", "damaged"),
        (b"\x1f\x8b{}", "NOT_JSON", "damaged"),
    ],
)
def test_what_is_larger_or_damaged_is_refused(body: bytes, reason: str, says: str) -> None:
    with pytest.raises(InvalidArgument, match=says) as caught:
        unzipped(body, MOST)
    assert caught.value.reason == reason


def test_no_member_costs_a_copy_of_all_that_follow_it(monkeypatch: pytest.MonkeyPatch) -> None:
    fed: list[int] = []
    real = zlib.decompressobj

    class Watched:
        def __init__(self, **options: Any) -> None:
            self._reader = real(**options)

        def decompress(self, piece: Any, most: int) -> bytes:
            fed.append(len(piece))
            return self._reader.decompress(piece, most)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._reader, name)

    monkeypatch.setattr(zlib, "decompressobj", Watched)
    assert unzipped(gzip.compress(b"") * 2000, MOST) == b""
    assert len(fed) >= 2000
    assert max(fed) <= PIECE
