"""Moments as Keyprint counts them: microseconds since 1970 UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_FORM = re.compile(
    r"\d{4}-\d\d-\d\d [T\ ] (?:[01]\d|2[0-3]):\d\d:\d\d (?:[.,]\d{1,30})? (?:Z | [+-]\d\d (?::?\d\d)?)?",
    re.ASCII | re.VERBOSE,
)
"""What is a moment of typing in ISO 8601: a calendar date and a time of day to the second at least.

Python takes more, and another amount in each of its versions: weeks, days alone, any character between date and time.
"""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UTC_EPOCH = _EPOCH.replace(tzinfo=None)
_MICROSECOND = timedelta(microseconds=1)


def microseconds(text: str) -> int | None:
    """An ISO 8601 time in µs since 1970 UTC, UTC where it names no zone; None if it is no time.

    That is like 2019-06-30T15:05:44.743893+02:00: a T or a space before the time of day; no decimals or up to 30 of
    them, after a point or a comma, of which six count; a Z, a zone like +02:00, +0200 or +02, or none.
    """
    if not _FORM.fullmatch(text):
        return None
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo:
            # A zone may carry it out of the years that there are.
            moment = moment.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return None
    since = moment - _UTC_EPOCH
    # A division of timedeltas takes half as long as all of the rest.
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def moment_at(count: int) -> datetime:
    """The moment so many µs after 1970 UTC.

    Raises:
        OverflowError: it lies outside the years 1 to 9999.
    """
    return _EPOCH + count * _MICROSECOND
