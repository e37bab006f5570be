"""ISO 8601 texts to microseconds, a column at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from keyprint.source import microseconds

Times = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

_SECONDS, _MICROSECONDS = len("2019-06-30T15:05:44"), len("2019-06-30T15:05:44.743893")
_DIGITS = np.array([0, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18, 20, 21, 22, 23, 24, 25])
_MARKS = {4: b"-", 7: b"-", 10: b"T ", 13: b":", 16: b":", 19: b"."}


def parse_times(texts: Sequence[str]) -> tuple[Times, Flags]:
    """Reads times to the microsecond; those without a zone are UTC.

    The two forms that recorders write, with six decimals or none and without a zone, are read by arithmetic on
    their bytes, all at once; any other goes one by one.

    Returns:
        int64[k], µs since 1970 UTC, and bool[k], where the text is a time; the µs mean nothing elsewhere.
    """
    lines = _lines(texts)
    if len(lines) == len(texts) * (_MICROSECONDS + 1):
        times, good = _fixed(lines, _MICROSECONDS)
        # Were one shorter and another longer, a line would not end where the next begins.
        if good.all():
            return times, good
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    times = np.zeros(len(texts), np.int64)
    good = np.zeros(len(texts), np.bool_)
    for length in (_MICROSECONDS, _SECONDS):
        rows = np.flatnonzero(lengths == length)
        if len(rows):
            chosen = texts if len(rows) == len(texts) else [texts[row] for row in rows.tolist()]
            times[rows], good[rows] = _fixed(_lines(chosen), length)
    for row in np.flatnonzero(~good).tolist():
        moment = microseconds(texts[row])
        if moment is not None:
            times[row], good[row] = moment, True
    return times, good


def _lines(texts: Sequence[str]) -> bytes:
    # A character outside ASCII becomes one "?", which no place accepts.
    return "\n".join([*texts, ""]).encode("ascii", "replace")


def _fixed(lines: bytes, length: int) -> tuple[Times, Flags]:
    content = np.frombuffer(lines, np.uint8).reshape(-1, length + 1)
    places = _DIGITS[length > _DIGITS]
    # Bytes below "0" wrap around to values far above 9.
    digits = content[:, places] - np.uint8(ord("0"))
    good = (digits <= 9).all(axis=1) & (content[:, length] == ord("\n"))
    for place, marks in _MARKS.items():
        if place < length:
            good &= np.logical_or.reduce([content[:, place] == mark for mark in marks])
    digits = digits.astype(np.int32)
    year = digits[:, :4] @ np.array([1000, 100, 10, 1], np.int32)
    month, day, hour, minute, second = (digits[:, at] * 10 + digits[:, at + 1] for at in range(4, 14, 2))
    good &= (year >= 1) & (month >= 1) & (month <= 12) & (hour < 24) & (minute < 60) & (second < 60)
    months = (year.astype(np.int64) - 1970) * 12 + np.clip(month, 1, 12) - 1
    first = months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    following = (months + 1).astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    good &= (day >= 1) & (day <= following - first)
    whole = (((first + day - 1) * 24 + hour) * 60 + minute) * 60 + second
    fraction = digits[:, 14:] @ 10 ** np.arange(digits.shape[1] - 15, -1, -1, dtype=np.int32)
    return whole * 1_000_000 + fraction, good
