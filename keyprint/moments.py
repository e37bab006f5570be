"""Moments as Keyprint counts them: microseconds since 1970 UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def microseconds(text: str) -> int | None:
    """An ISO 8601 time in µs since 1970 UTC, UTC where it names no zone; None if it is no time."""
    try:
        moment = datetime.fromisoformat(text)
        # A zone may carry it out of the years that there are.
        moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
    return (moment - _EPOCH) // _MICROSECOND


def moment_at(count: int) -> datetime:
    """The moment so many µs after 1970 UTC.

    Raises:
        OverflowError: it lies outside the years 1 to 9999.
    """
    return _EPOCH + count * _MICROSECOND
