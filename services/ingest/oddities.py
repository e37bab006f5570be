"""What many recorders write although JSON does not have it: NaN, infinities, halves of surrogate pairs.

A document of 64 MiB may be nothing but escapes or quotes, so that nothing here loops over them: each step is one pass
over all bytes, or over a block of them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from keyprint.attempts import Flags

Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int64]

BLOCK = 2**18
"""Bytes that are looked at in one go: as many as keep the notes of them in the processor's cache."""

_NUMBERS = (b"-Infinity", b"Infinity", b"NaN")
_NOTHING = b"\0"
"""Stands for what is looked at no further; JSON has it nowhere."""

_HALF = "\ud800".encode("utf-8", "surrogatepass") * 2
"""As long as its escape."""

_WIDTH = len(_HALF)
_DIGITS = b"0123456789abcdefABCDEF"
_QUOTE, _BACKSLASH = b'"\\'


def without_oddities(content: bytes) -> bytes | bytearray:
    """Puts what a decoder takes in the place of what many recorders write all the same.

    NaN and infinities become the number 0, which is no time, key or label either.  Halves of surrogate pairs become
    bytes that are no text, as they are none.  All stays as long as it is.  What is no JSON stays none.
    """
    # A pair of backslashes is one that was escaped, and begins nothing.
    plain = content.replace(rb"\\", _NOTHING * 2)
    changed: bytes | bytearray = content
    if any(number in plain for number in _NUMBERS):
        changed = _without_numbers(content, plain)
    if rb"\ud" in plain or rb"\uD" in plain:
        changed = _without_halves(bytearray(changed), np.frombuffer(plain, np.uint8))
    return changed


def _without_numbers(content: bytes, plain: bytes) -> bytearray:
    """Puts a 0 in the place of each number that JSON does not have."""
    quotes = np.frombuffer(plain.replace(rb"\"", _NOTHING * 2), np.uint8) == _QUOTE
    # Odd between the quotes of a text; that the count begins anew after 255 changes nothing of it.
    texts = (np.cumsum(quotes, dtype=np.uint8) & 1).view(np.bool_)
    del quotes
    changed = bytearray(plain)
    np.frombuffer(changed, np.uint8)[texts] = 0
    for number in _NUMBERS:
        changed = changed.replace(number, b"0".center(len(number)))
    np.copyto(np.frombuffer(changed, np.uint8), np.frombuffer(content, np.uint8), where=texts)
    return changed


def _without_halves(changed: bytearray, plain: Bytes) -> bytearray:
    """Puts bytes that are no text in the place of escapes that are half of a pair."""
    bytes_of = np.frombuffer(changed, np.uint8)
    for begin in range(0, len(plain), BLOCK):
        # One that begins before may be the other half of the first one here, and the last one's begins behind it.
        before = max(begin - _WIDTH, 0)
        at = before + _halves(plain[before : begin + BLOCK + 2 * _WIDTH - 1])
        at = at[(begin <= at) & (at < begin + BLOCK)]
        for place, byte in enumerate(_HALF):
            bytes_of[at + place] = byte
    return changed


def _halves(plain: Bytes) -> Places:
    """Where the escapes begin that are halves of a surrogate pair without the other half."""
    at = np.flatnonzero(plain[: 1 - _WIDTH] == _BACKSLASH)
    for place, those in enumerate((b"u", b"dD", b"89abcdefABCDEF", _DIGITS, _DIGITS), 1):
        at = at[_among(plain[at + place], those)]
    first = _among(plain[at + 3], b"89abAB")
    paired = np.zeros(len(at), np.bool_)
    both = first[:-1] & ~first[1:] & (np.diff(at) == _WIDTH)
    paired[:-1] |= both
    paired[1:] |= both
    return at[~paired]


def _among(found: Bytes, those: bytes) -> Flags:
    known = np.zeros(256, np.bool_)
    known[list(those)] = True
    flags: Flags = known[found]
    return flags
