"""ISO 8601 texts to microseconds, a column at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from keyprint.attempts import Flags, Times
from keyprint.moments import microseconds

Bytes = npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.int32]

_SECONDS = len("2019-06-30T15:05:44")
_DIGITS = [0, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18]
_MARKS = {4: "-", 7: "-", 13: ":", 16: ":"}
_POINT_AND_NINE = 10
_LONGEST = _SECONDS + _POINT_AND_NINE + len("+02:00")

_YEARS = 9999
_MONTHS = (
    (np.arange((_YEARS + 1) * 12 + 1) - 1970 * 12).astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
)
"""The first day of every month from year 0 on, in days since 1970."""
_DAY_US = 86_400_000_000
_EARLIEST, _BEYOND = _MONTHS[12] * _DAY_US, _MONTHS[-1] * _DAY_US


def parse_times(texts: Sequence[str]) -> tuple[Times, Flags]:
    """Reads times to the microsecond; those without a zone are UTC.

    What recorders write, to the second or with up to nine decimals, after a T or a space, with a Z, a zone like +02:00
    or +0200 or none, is read by arithmetic on bytes, all of one length at once.  Other forms go one by one; either way
    the result is that of `keyprint.moments.microseconds`.

    Returns:
        int64[k], µs since 1970 UTC, and bool[k], where the text is a time; the µs mean nothing elsewhere.
    """
    # A character outside ASCII becomes one "?", which no place accepts.
    lines = np.frombuffer("\n".join([*texts, ""]).encode("ascii", "replace"), np.uint8)
    length = len(texts[0]) if len(texts) else 0
    if len(lines) == len(texts) * (length + 1) and _SECONDS <= length <= _LONGEST:
        grid = lines.reshape(-1, length + 1)
        times, good = _of_length(grid[:, :length])
        # Were one shorter and another longer, a line would not end where the next begins.
        if good.all() and (grid[:, length] == ord("\n")).all():
            return times, good
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    starts = np.cumsum(lengths + 1) - lengths - 1
    times = np.zeros(len(texts), np.int64)
    good = np.zeros(len(texts), np.bool_)
    for length in range(_SECONDS, _LONGEST + 1):
        rows = np.flatnonzero(lengths == length)
        if len(rows):
            windows = np.lib.stride_tricks.sliding_window_view(lines, length)
            times[rows], good[rows] = _of_length(windows[starts[rows]])
    for row in np.flatnonzero(~good).tolist():
        moment = microseconds(texts[row])
        if moment is not None:
            times[row], good[row] = moment, True
    return times, good


def _of_length(grid: Bytes) -> tuple[Times, Flags]:
    """Reads uint8[k, L], texts of one length; not good is what has another form, too."""
    # Place by place, each in one piece, and as the digits they are: what is below "0" wraps around to far above 9.
    places = grid.T.copy(order="C")
    places -= np.uint8(ord("0"))
    times = np.zeros(places.shape[1], np.int64)
    good = np.zeros(places.shape[1], np.bool_)
    for width, rows in _zones(places):
        local = len(places) - width
        if local != _SECONDS and not _SECONDS + 2 <= local <= _SECONDS + _POINT_AND_NINE:
            continue
        chosen = places if rows.all() else places[:, rows]
        read, fine = _local(chosen[:local])
        if width > 1:
            ahead, known = _ahead(chosen[local:])
            read, fine = read - ahead, fine & known & (read - ahead >= _EARLIEST) & (read - ahead < _BEYOND)
        times[rows], good[rows] = read, fine
    return times, good


def _zones(places: Bytes) -> Iterator[tuple[int, Flags]]:
    """How many characters the zone has, and bool[k], where that is so."""
    with_colon = _is(places[-6], "+-") & _is(places[-3], ":")
    zones = {1: _is(places[-1], "Z"), 6: with_colon, 5: _is(places[-5], "+-") & ~with_colon}
    zones[0] = ~np.logical_or.reduce(list(zones.values()))
    return ((width, rows) for width, rows in zones.items() if rows.any())


def _is(place: Bytes, marks: str) -> Flags:
    found: Flags = np.logical_or.reduce([place == np.uint8((ord(mark) - ord("0")) % 256) for mark in marks])
    return found


def _local(places: Bytes) -> tuple[Times, Flags]:
    """Reads times without a zone."""
    fraction = places[_SECONDS + 1 :]
    good = _is(places[10], "T ") & (places[_DIGITS].max(axis=0) <= 9)
    for place, mark in _MARKS.items():
        good &= _is(places[place], mark)
    if len(fraction):
        good &= _is(places[_SECONDS], ".") & (fraction.max(axis=0) <= 9)
    # What is no digit may leave its range, and is not good any more.
    year = _number(places[:4])
    month, day, hour, minute, second = (_number(places[at : at + 2]) for at in (5, 8, 11, 14, 17))
    good &= (year >= 1) & (month >= 1) & (month <= 12) & (hour < 24) & (minute < 60) & (second < 60)
    months = np.where(good, year * 12 + month - 1, 0)
    first = _MONTHS[months]
    good &= (day >= 1) & (day <= _MONTHS[months + 1] - first)
    times = (first + day - 1) * _DAY_US + ((hour * 60 + minute) * 60 + second) * np.int64(1_000_000)
    kept = fraction[:6]
    if len(kept):
        times += _number(kept) * 10 ** (6 - len(kept))
    return times, good


def _ahead(zone: Bytes) -> tuple[Times, Flags]:
    """Reads zones like +02:00 or +0200 as µs that their clocks are ahead of UTC."""
    digits = zone[[1, 2, -2, -1]]
    hours, minutes = _number(digits[:2]), _number(digits[2:])
    known = (digits.max(axis=0) <= 9) & (hours < 24) & (minutes < 60)
    return np.where(_is(zone[0], "-"), -1, 1) * (hours * 60 + minutes) * np.int64(60_000_000), known


def _number(digits: Bytes) -> Numbers:
    """int32[k], the numbers that digits, place by place, make."""
    found: Numbers = digits[0].astype(np.int32)
    for place in digits[1:]:
        found = found * 10 + place
    return found
