"""Times in every form that documents hold."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.times import parse_times

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@given(st.lists(st.datetimes(), max_size=8))
def test_every_time_reads_as_python_reads_it(moments: list[datetime]) -> None:
    times, good = parse_times([one.isoformat() for one in moments])
    assert good.all()
    assert times.tolist() == [(one.replace(tzinfo=UTC) - EPOCH) // timedelta(microseconds=1) for one in moments]


@pytest.mark.parametrize("text", ["1970-01-01T01:00:02+01:00", "1970-01-01T00:00:02Z", "1970-01-01 00:00:02.000"])
def test_zones_and_short_fractions_are_read(text: str) -> None:
    times, good = parse_times([text])
    assert (times.tolist(), good.tolist()) == ([2_000_000], [True])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "noon",
        "2019-02-29T00:00:00",
        "2019-13-01T00:00:00",
        "2019-01-00T00:00:00",
        "2019-01-01T24:00:01",
        "2019-01-01T00:60:00.000000",
        "0000-01-01T00:00:00",
        "2019-01-01T00:00:00,00000é",
        "2019/01/01T00:00:00",
    ],
)
def test_what_is_no_time_is_told_and_harms_no_neighbour(text: str) -> None:
    times, good = parse_times(["1970-01-01T00:00:01", text])
    assert good.tolist() == [True, False]
    assert times[0] == 1_000_000
