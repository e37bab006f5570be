"""Times in every form that documents hold."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from keyprint.moments import column, microseconds
from services.ingest import times as module
from services.ingest.times import parse_times

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ZONES = ["", "Z", "+02:00", "-1130", "+0000", "-23:59", "+24:00", "+01:60", "+02", "+01:02:03"]
UNREADABLE = [
    "",
    "noon",
    "2019-02-29T00:00:00",
    "2019-13-01T00:00:00",
    "2019-01-00T00:00:00",
    "2019-01-01T24:00:01",
    "2019-01-01T00:60:00.000000",
    "2019-01-01T00:00:60Z",
    "0000-01-01T00:00:00",
    "0001-01-01T00:00:00+00:01",
    "9999-12-31T23:59:59.999-00:01",
    "2019-01-01T00:00:00,00000é",
    "2019-01-01T00:00:00.",
    "2019-01-01T00:00:00.12x456789Z",
    "2019-01-01T00:00:00.123456+24:00",
    "2019/01/01T00:00:00",
    "2019-01-01T00:00:00\n",
    "2019-01-01",
    "2019-01-01T00",
    "2019-01-01T00:00",
    "2019-W01-1T00:00:00",
    "2019-001T00:00:00",
    "20190101T000000",
    "2019-01-01T24:00:00",
    "2019-01-01_00:00:00",
    "2019-01-01\U0001f60000:00:00",
    "2019-01-01\ud80000:00:00",
    "2019-01-01t00:00:00",
    "2019-01-01T00:00:00z",
    "2019-01-01T00:00:00 Z",
    "2019-01-01T00:00:00+01:02:03",
    "2019-01-01T00:00:00." + "1" * 31,
    "\u0662\u0660\u0661\u0669-01-01T00:00:00",
]


@st.composite
def written(draw: st.DrawFn) -> str:
    """A time in a common form, or nearly one."""
    moment = draw(st.datetimes()).isoformat(draw(st.sampled_from("T T_")), timespec="seconds")
    fraction = draw(st.text("0123456789", max_size=9))
    text = moment + (draw(st.sampled_from(".,")) + fraction if fraction else "") + draw(st.sampled_from(ZONES))
    if draw(st.integers(0, 4)) == 0:
        place = draw(st.integers(0, len(text) - 1))
        text = text[:place] + draw(st.sampled_from("09+-:.Zz \n\u0663é\U0001f600")) + text[place + 1 :]
    return text


@given(st.lists(st.datetimes(), max_size=8))
def test_every_time_reads_as_python_reads_it(moments: list[datetime]) -> None:
    times, good = parse_times([one.isoformat() for one in moments])
    assert good.all()
    assert times.tolist() == [(one.replace(tzinfo=UTC) - EPOCH) // timedelta(microseconds=1) for one in moments]


@given(st.lists(written() | st.sampled_from(UNREADABLE), max_size=12))
@example(["2019-01-01T00:00:00.Z", "2019-01-01T00:00:00."])
@example(["2019-01-01T00:00:00", "", "\n2019-01-01T00:00:00"])
def test_times_of_any_forms_together_read_as_each_does_alone(texts: list[str]) -> None:
    times, good = parse_times(texts)
    read = [moment if fine else None for moment, fine in zip(times.tolist(), good.tolist(), strict=True)]
    assert read == [microseconds(text) for text in texts]
    assert column(texts) == (None if None in read else read)


@given(st.characters(), st.sampled_from(ZONES[:6]), st.text("0123456789", min_size=1, max_size=30))
@example("\ud800", "", "1")
def test_only_a_t_or_a_space_stands_before_the_time_of_day(mark: str, zone: str, decimals: str) -> None:
    text = f"2019-06-30{mark}15:05:44.{decimals}{zone}"
    _, good = parse_times([text, f"2019-06-30{mark}15:05:44"])
    assert good.tolist() == [mark in ("T", " "), mark in ("T", " ")]


@pytest.mark.parametrize("mark", ["T", " "])
@pytest.mark.parametrize("digits", range(10))
@pytest.mark.parametrize("zone", ["", "Z", "+02:00", "-0730"])
def test_common_forms_are_read_all_at_once(mark: str, digits: int, zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"2024-03-0{day}{mark}10:00:00{'.123456789'[: digits + 1 if digits else 0]}{zone}" for day in range(1, 10)]
    expected = [microseconds(text) for text in texts]
    # One of another length brings in the way for mixed lengths.
    mixed = [*texts, "2024-03-04T10:00:00"] * 2
    # The way one by one is closed.
    monkeypatch.setattr(module, "microseconds", lambda _: None)
    times, good = parse_times(texts)
    assert times.tolist() == expected
    assert good.all()
    assert parse_times(mixed)[1].all()


@pytest.mark.parametrize("text", UNREADABLE)
def test_what_is_no_time_is_told_and_harms_no_neighbour(text: str) -> None:
    times, good = parse_times(["1970-01-01T00:00:01", text])
    assert good.tolist() == [True, False]
    assert times[0] == 1_000_000
