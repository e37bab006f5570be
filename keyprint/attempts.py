"""Keystrokes to attempts: what they read as, whether they are valid, and when each key of the phrase was pressed.

Everything works on many attempts at once, as columns: `n` attempts with `k` keystrokes in all, the keystrokes of
attempt `i` being `offsets[i]:offsets[i + 1]`.  No function loops over keystrokes.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence, Sized
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from keyprint.errors import InvalidArgument
from keyprint.moments import EARLIEST, LATEST

BACKSPACE = "[backspace]"
DEFAULT_PHRASE = "Be Authentic. Be Yourself. Be Typing."

UNKNOWN_TIME = -1
"""Stands for a release that nobody saw."""

REASONS = ("", "PHRASE_MISMATCH", "OUT_OF_ORDER", "MALFORMED", "EMPTY", "TOO_LONG")
"""Why an attempt is not valid, by the number in `Verdicts.reason`; 0 is valid."""

WARNINGS = ("NEGATIVE_HOLD", "LONG_PAUSE")
"""Oddities of a valid attempt; bit i of `Verdicts.warnings`."""

MAX_KEYSTROKES = 1024
LEAST_KEYSTROKES = 8
"""Keystrokes from which on nobody presses them twice at the same moments by chance, be their clock one of 16 ms."""

LONG_PAUSE_US = 10_000_000
ID_BYTES = 16

Codes = npt.NDArray[np.int32]
Times = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

BACKSPACE_CODE = 8
_MALFORMED, _EMPTY, _TOO_LONG = (REASONS.index(reason) for reason in ("MALFORMED", "EMPTY", "TOO_LONG"))
_MISMATCH, _OUT_OF_ORDER = REASONS.index("PHRASE_MISMATCH"), REASONS.index("OUT_OF_ORDER")


@dataclass(frozen=True)
class Keystrokes:
    """A batch of attempts.

    Attributes:
        offsets: int64[n + 1], where each attempt begins.
        character: int32[k], the keys as `encode` numbers them.
        pressed_at: int64[k], press times in µs.
        released_at: int64[k], release times in µs, `UNKNOWN_TIME` where unknown.
        malformed: bool[n], attempts that could not be read and so have no keystrokes.
        too_long: bool[n], attempts that were found to have too many; None where nobody has looked.
    """

    offsets: Times
    character: Codes
    pressed_at: Times
    released_at: Times
    malformed: Flags
    too_long: Flags | None = None

    def __len__(self) -> int:
        return len(self.offsets) - 1


@dataclass(frozen=True)
class Verdicts:
    """What `judge` found.

    Attributes:
        reason: uint8[n], an index into `REASONS`; 0 where the attempt is valid.
        warnings: uint8[n], a bit mask over `WARNINGS`; 0 where the attempt is not valid.
        kept: bool[k], keystrokes that backspaces left standing.
    """

    reason: npt.NDArray[np.uint8]
    warnings: npt.NDArray[np.uint8]
    kept: Flags


@dataclass(frozen=True)
class Aligned:
    """The valid attempts of a batch, key by key along a phrase of L keys.

    Attributes:
        rows: int64[m], which attempts of the batch these are.
        pressed_at: int64[m, L], in µs.
        released_at: int64[m, L], in µs, `UNKNOWN_TIME` where unknown.
        corrections: int32[m, L], keystrokes taken back, backspaces included, since the key before.
        correction_us: int64[m, L], time from the press of the key before to the last of those, in µs.
    """

    rows: Times
    pressed_at: Times
    released_at: Times
    corrections: Codes
    correction_us: Times

    def __len__(self) -> int:
        return len(self.rows)

    def part(self, begin: int, end: int) -> Aligned:
        """Some of them, from `begin` to before `end`."""
        some = slice(begin, end)
        return Aligned(
            self.rows[some],
            self.pressed_at[some],
            self.released_at[some],
            self.corrections[some],
            self.correction_us[some],
        )


def _code(character: str) -> int:
    if character == BACKSPACE:
        return BACKSPACE_CODE
    if len(character) == 1 and ord(character) != BACKSPACE_CODE:
        return ord(character)
    # Keys that are no single character ("[shift]") are never part of a phrase; they only have to differ.
    return -1 - (zlib.crc32(character.encode("utf-8", "surrogatepass")) & 0x7FFFFFFE)


class _Codes(dict[str, int]):
    def __missing__(self, character: str) -> int:
        return _code(character)


_CODES = _Codes({character: _code(character) for character in (BACKSPACE, *map(chr, range(0x250)))})
"""The numbers of the usual keys, so that not each of them is looked at."""


def encode(characters: Sequence[str]) -> Codes:
    """Numbers keys: the code point of a single character, 8 for `BACKSPACE`, a negative digest for any other name."""
    return np.fromiter(map(_CODES.__getitem__, characters), np.int32, len(characters))


def check_lengths(characters: Sized, pressed_at: Sized, released_at: Sized) -> None:
    """Nothing, if an attempt has as many press times as keys, and as many release times or none.

    Raises:
        InvalidArgument: the lengths differ.
    """
    count, presses, releases = len(characters), len(pressed_at), len(released_at)
    if presses != count or releases not in (0, count):
        raise InvalidArgument(
            "ATTEMPT_INVALID",
            f"The attempt has {count} characters, {presses} press times and {releases} release times; there must be as "
            "many of each, or no release times.",
            "attempt",
        )


def check_times(pressed_at: Times, released_at: Times) -> None:
    """Nothing, if all times are of the years that there are; differences of others do not fit into 64 bits.

    Raises:
        InvalidArgument: one is not.
    """
    for field, times in (("pressed_at", pressed_at), ("released_at", released_at)):
        if len(times) and not (times.min() >= EARLIEST and times.max() <= LATEST):
            raise InvalidArgument(
                "TIME_OUT_OF_RANGE",
                f"{field} has a time outside the years 1 to 9999; times are in µs since 1970-01-01 UTC.",
                field,
            )


def offsets(lengths: Times) -> Times:
    """int64[n + 1]: where each of n attempts of these lengths begins, one behind the other, and where the last ends."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])


def single(characters: Sequence[str], pressed_at: Sequence[int], released_at: Sequence[int]) -> Keystrokes:
    """One attempt as a batch of one.

    Args:
        characters: k keys.
        pressed_at: k press times in µs.
        released_at: k release times in µs, `UNKNOWN_TIME` where unknown, or none at all.

    Raises:
        InvalidArgument: the lengths differ.
    """
    check_lengths(characters, pressed_at, released_at)
    count = len(characters)
    return Keystrokes(
        offsets=np.array([0, count], np.int64),
        character=encode(characters),
        pressed_at=np.array(pressed_at, np.int64),
        released_at=np.array(released_at, np.int64) if len(released_at) else np.full(count, UNKNOWN_TIME, np.int64),
        malformed=np.zeros(1, np.bool_),
    )


def judge(keystrokes: Keystrokes, phrase: str, max_keystrokes: int = MAX_KEYSTROKES) -> Verdicts:
    """Applies backspaces and says of each attempt whether it reads as the phrase.

    The depth after each event is the running sum of +1 for a character and -1 for a backspace, clamped at 0.  A
    character stands if the depth never falls below its own from there to the end of the attempt.
    """
    lengths = _steps(keystrokes.offsets)
    owner = np.arange(len(keystrokes)).repeat(lengths)
    kept = _surviving(keystrokes, owner)
    counts = np.bincount(owner[kept], minlength=len(keystrokes))

    reason = np.zeros(len(keystrokes), np.uint8)
    before, after = keystrokes.pressed_at[:-1], keystrokes.pressed_at[1:]
    # Time may go back from one attempt to the next.
    within = owner[1:] == owner[:-1]
    reason[owner[1:][within & (after < before)]] = _OUT_OF_ORDER
    expected = _expected(phrase)
    fits = counts == len(expected)
    typed = keystrokes.character[kept & fits[owner]].reshape(-1, len(expected))
    fits[fits] = (typed == expected).all(axis=1)
    reason[~fits] = _MISMATCH
    reason[lengths > max_keystrokes if keystrokes.too_long is None else keystrokes.too_long] = _TOO_LONG
    reason[lengths == 0] = _EMPTY
    reason[keystrokes.malformed] = _MALFORMED

    released = keystrokes.released_at
    negative = kept & (released != UNKNOWN_TIME) & (released < keystrokes.pressed_at)
    warnings = np.zeros(len(keystrokes), np.uint8)
    warnings[owner[negative]] |= 1
    warnings[owner[1:][within & (after - before > LONG_PAUSE_US)]] |= 2
    warnings[reason != 0] = 0
    return Verdicts(reason, warnings, kept)


@lru_cache(64)
def _expected(phrase: str) -> Codes:
    return encode(phrase)


def _steps(values: Times) -> Times:
    """What `np.diff` gives, in a fifth of its time for few values."""
    return values[1:] - values[:-1]


def _surviving(keystrokes: Keystrokes, owner: Times) -> Flags:
    erases = keystrokes.character == BACKSPACE_CODE
    if not erases.any():
        return np.ones_like(erases)
    total = np.cumsum(np.where(erases, -1, 1))
    starts = keystrokes.offsets[:-1]
    before = np.where(starts > 0, total[np.maximum(starts, 1) - 1], 0)
    depth = total - before[owner]
    # Each attempt is shifted clear of its neighbours, so that one accumulate serves them all.
    shift = owner * (2 * int(np.diff(keystrokes.offsets).max()) + 2)
    lowest = np.minimum.accumulate(depth - shift) + shift
    depth = depth - np.minimum(lowest, 0)
    future = np.minimum.accumulate((depth + shift)[::-1])[::-1] - shift
    standing: Flags = ~erases & (future >= depth)
    return standing


def attempt_ids(keystrokes: Keystrokes) -> list[bytes]:
    """A 16-byte digest per attempt of its characters and its times relative to the first press."""
    lengths = np.diff(keystrokes.offsets)
    starts = np.minimum(keystrokes.offsets[:-1], max(len(keystrokes.pressed_at) - 1, 0))
    first = np.repeat(keystrokes.pressed_at[starts] if len(keystrokes.pressed_at) else np.zeros_like(starts), lengths)
    known = keystrokes.released_at != UNKNOWN_TIME
    # An unknown release must not look like any relative time.
    released = np.where(known, keystrokes.released_at - first, np.iinfo(np.int64).min)
    rows = np.empty((len(first), 3), "<i8")
    rows[:, 0] = keystrokes.character
    rows[:, 1] = keystrokes.pressed_at - first
    rows[:, 2] = released
    content = memoryview(rows.tobytes())
    bounds = (keystrokes.offsets * rows[:1].nbytes).tolist()
    return [blake2b(content[begin:end], digest_size=ID_BYTES).digest() for begin, end in pairwise(bounds)]


def timing_ids(aligned: Aligned) -> list[bytes]:
    """A 16-byte digest for each of m attempts at one phrase of when its keys were pressed, to the millisecond.

    Times count from the first press and are rounded to the nearest millisecond, so that times that were recorded in
    milliseconds have the same digest after any change of less than half of one.  Releases and corrections are left
    out: a copy keeps its digest without them.
    """
    rounded = ((aligned.pressed_at - aligned.pressed_at[:, :1] + 500) // 1000).astype("<i8")
    content, size = rounded.tobytes(), rounded.itemsize * rounded.shape[1]
    return [
        blake2b(content[begin : begin + size], digest_size=ID_BYTES).digest() for begin in range(0, len(content), size)
    ]


def released(keystrokes: Keystrokes, verdicts: Verdicts) -> Flags:
    """bool[n]: the valid attempts that have the release of every key of the phrase."""
    missing = np.zeros(len(verdicts.kept) + 1, np.int64)
    np.cumsum(verdicts.kept & (keystrokes.released_at == UNKNOWN_TIME), out=missing[1:])
    found: Flags = (verdicts.reason == 0) & (np.diff(missing[keystrokes.offsets]) == 0)
    return found


def align(keystrokes: Keystrokes, verdicts: Verdicts, phrase: str) -> Aligned:
    """Lays the valid attempts out along the phrase."""
    valid = verdicts.reason == 0
    lengths = _steps(keystrokes.offsets)
    (rows,) = valid.nonzero()
    (where,) = (verdicts.kept & valid.repeat(lengths)).nonzero()
    where = where.reshape(-1, len(phrase))
    pressed_at = keystrokes.pressed_at[where]
    starts = keystrokes.offsets[:-1][rows]
    before = np.empty_like(where)
    before[:, 0], before[:, 1:] = starts - 1, where[:, :-1]
    corrections = where - before - 1
    # The first key has no key before it: its corrections count from the attempt's first event.
    since = keystrokes.pressed_at[np.maximum(before, starts[:, None])]
    spent = np.where(corrections > 0, keystrokes.pressed_at[np.maximum(where - 1, 0)] - since, 0)
    return Aligned(rows, pressed_at, keystrokes.released_at[where], corrections.astype(np.int32), spent)
