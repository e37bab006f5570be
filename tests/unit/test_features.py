"""What the numbers mean, checked by hand on attempts short enough to do so."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyprint import attempts, features
from keyprint.attempts import UNKNOWN_TIME, Aligned
from keyprint.errors import InvalidArgument

PHRASE = "hey"
TIMES = st.integers(-(2**50), 2**50)


def aligned_of(pressed: list[int], released: list[int]) -> Aligned:
    typed = attempts.single(list(PHRASE), pressed, released)
    return attempts.align(typed, attempts.judge(typed, PHRASE), PHRASE)


def row(aligned: Aligned, name: str = "timing", release_times: bool = True) -> dict[str, float]:
    chosen = features.feature_set(name)
    values = chosen.compute(aligned, release_times)
    return dict(zip(chosen.columns(PHRASE, release_times), values[0].tolist(), strict=True))


def test_latencies_holds_and_flights_are_what_they_are_called() -> None:
    found = row(aligned_of([0, 200_000, 500_000], [90_000, 260_000, 580_000]))
    assert found["log_press_to_press_0"] == 0
    assert found["log_press_to_press_2"] == pytest.approx(math.log(300))
    assert found["press_to_press_change_2"] == pytest.approx(math.log(300) - math.log(200), abs=1e-6)
    assert found["log_digraph_2"] == pytest.approx(math.log(500))
    assert found["share_of_total_1"] == pytest.approx(math.log(200 / 500))
    assert found["log_hold_1"] == pytest.approx(math.log(60))
    assert found["flight_1"] == pytest.approx(math.asinh(110 / 10))
    assert found["release_to_release_2"] == pytest.approx(math.asinh(320 / 10))
    assert found["log_total"] == pytest.approx(math.log(500))


def test_without_release_times_no_column_depends_on_them() -> None:
    one = row(aligned_of([0, 200_000, 500_000], [90_000, 260_000, 580_000]), release_times=False)
    other = row(aligned_of([0, 200_000, 500_000], []), release_times=False)
    assert one == other
    assert not any("hold" in name or "flight" in name for name in one)


def test_a_missing_release_takes_the_median_hold_of_its_attempt() -> None:
    found = row(aligned_of([0, 200_000, 500_000], [90_000, UNKNOWN_TIME, 580_000]))
    assert found["log_hold_1"] == pytest.approx(math.log(85))


@pytest.mark.parametrize("released", [150_000, 200_000, 1_200_001], ids=["before its press", "at once", "too late"])
def test_a_release_that_no_finger_makes_counts_as_missing(released: int) -> None:
    pressed = [0, 200_000, 500_000]
    missing = row(aligned_of(pressed, [90_000, UNKNOWN_TIME, 580_000]))
    assert row(aligned_of(pressed, [90_000, released, 580_000])) == missing
    assert row(aligned_of(pressed, [90_000, 1_200_000, 580_000])) != missing


def test_an_attempt_without_any_release_takes_the_typical_hold() -> None:
    found = row(aligned_of([0, 200_000, 500_000], []))
    assert found["log_hold_1"] == pytest.approx(math.log(features.TYPICAL_HOLD_MS))


def test_timing_does_not_know_the_date() -> None:
    shift = 86_400_000_000 * 365
    pressed, released = [0, 200_000, 500_000], [90_000, 260_000, 580_000]
    moved = aligned_of([time + shift for time in pressed], [time + shift for time in released])
    assert row(aligned_of(pressed, released)) == row(moved)


def test_an_attempt_that_takes_long_has_its_own_total() -> None:
    found = row(aligned_of([0, 7_000_000, 14_000_000], []), release_times=False)
    assert found["log_total"] == pytest.approx(math.log(14_000))
    assert found["share_of_total_1"] == pytest.approx(math.log(0.5))


def test_calendar_reads_the_clock() -> None:
    first = int(np.datetime64("2019-06-30T15:05:44.743893", "us").astype(np.int64))
    found = row(aligned_of([first, first + 1, first + 2], []), "calendar", False)
    parts = ["year", "month", "day", "hour", "minute", "second", "microsecond", "character_index"]
    assert [found[f"{part}_1"] for part in parts] == [2019, 6, 30, 15, 5, 44, 743894, 1]


@pytest.mark.parametrize("release_times", [True, False])
@pytest.mark.parametrize("name", list(features.FEATURE_SETS))
def test_columns_channels_and_totals_agree_with_the_matrix(name: str, release_times: bool) -> None:
    chosen = features.feature_set(name)
    width = chosen.compute(aligned_of([0, 1, 2], [5, 6, 7]), release_times).shape[1]
    per_key, totals = chosen.channels(release_times), chosen.totals(release_times)
    columns = chosen.columns(PHRASE, release_times)
    assert width == len(columns) == len(PHRASE) * len(per_key) + len(totals)
    assert len(set(columns)) == width


@given(st.lists(TIMES, min_size=3, max_size=3).map(sorted), st.lists(TIMES, min_size=3, max_size=3))
def test_features_are_finite_whatever_was_typed(pressed: list[int], released: list[int]) -> None:
    for name in features.FEATURE_SETS:
        values = features.feature_set(name).compute(aligned_of(pressed, released), True)
        assert np.isfinite(values).all()


@given(st.lists(st.lists(st.integers(1, 10**6), min_size=3, max_size=3), min_size=1, max_size=5))
def test_a_batch_gives_what_its_attempts_give_one_by_one(gaps: list[list[int]]) -> None:
    alone = [aligned_of(np.cumsum(one).tolist(), []) for one in gaps]
    together = Aligned(
        rows=np.arange(len(alone)),
        pressed_at=np.concatenate([one.pressed_at for one in alone]),
        released_at=np.concatenate([one.released_at for one in alone]),
        corrections=np.concatenate([one.corrections for one in alone]),
        correction_us=np.concatenate([one.correction_us for one in alone]),
    )
    timing = features.feature_set("timing")
    apart = np.concatenate([timing.compute(one, True) for one in alone])
    np.testing.assert_allclose(timing.compute(together, True), apart, rtol=1e-6)


def test_an_unknown_feature_set_is_refused_with_the_names_that_there_are() -> None:
    with pytest.raises(InvalidArgument, match=r"no feature set 'tempo'; there are: timing, calendar\.") as caught:
        features.feature_set("tempo")
    assert (caught.value.reason, caught.value.field) == ("UNKNOWN_FEATURE_SET", "features")
