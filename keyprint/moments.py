"""Moments as Keyprint counts them: microseconds since 1970 UTC."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

_LINES = re.compile(
    r"(?:\d{4}-\d\d-\d\d[T\ ](?:[01]\d|2[0-3]):\d\d:\d\d (?:[.,]\d{1,30}+)?+ (?:Z | [+-]\d\d (?::?\d\d)?+)?+ \n)*+",
    re.ASCII | re.VERBOSE,
)
"""Moments of typing in ISO 8601, each on a line: a calendar date and a time of day to the second at least.

Python takes more, and another amount in each of its versions: weeks, days alone, any character between date and time.
"""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UTC_EPOCH = _EPOCH.replace(tzinfo=None)
_MICROSECOND = timedelta(microseconds=1)
EARLIEST, LATEST = ((at - _UTC_EPOCH) // _MICROSECOND for at in (datetime.min, datetime.max))
"""The first and the last moment of the years that there are, 1 to 9999."""


def microseconds(text: str) -> int | None:
    """An ISO 8601 time in µs since 1970 UTC, UTC where it names no zone; None if it is no time.

    That is like 2019-06-30T15:05:44.743893+02:00: a T or a space before the time of day; no decimals or up to 30 of
    them, after a point or a comma, of which six count; a Z, a zone like +02:00, +0200 or +02, or none.
    """
    counts = column([text])
    return counts[0] if counts else None


def column(texts: Sequence[str]) -> list[int] | None:
    """Each of them as `microseconds` has it, in a third of the time; None where one is no time."""
    if not _LINES.fullmatch("\n".join((*texts, ""))):
        return None
    try:
        # What is two lines in one text fails here.
        moments = [datetime.fromisoformat(text) for text in texts]
    except ValueError:
        return None
    spans = [moment - (_EPOCH if moment.tzinfo else _UTC_EPOCH) for moment in moments]
    # A division of timedeltas takes half as long as all of the rest.
    counts = [(span.days * 86_400 + span.seconds) * 1_000_000 + span.microseconds for span in spans]
    # A zone may carry them out of the years that there are.
    return counts if not counts or (min(counts) >= EARLIEST and max(counts) <= LATEST) else None


def moment_at(count: int) -> datetime:
    """The moment so many µs after 1970 UTC.

    Raises:
        OverflowError: it lies outside the years 1 to 9999.
    """
    return _EPOCH + count * _MICROSECOND
