"""Estimates of what remains."""

from __future__ import annotations

import pytest

from services.training.estimate import Estimate


def test_nothing_is_known_before_the_second_step() -> None:
    estimate = Estimate()
    assert estimate.remaining(0.0, 100.0) is None
    assert estimate.remaining(0.02, 110.0) is None
    assert estimate.remaining(0.02, 115.0) is None


def test_a_steady_pace_is_known_from_the_second_step_whatever_came_before() -> None:
    estimate = Estimate()
    estimate.remaining(0.0, 0.0)
    estimate.remaining(0.02, 60.0)
    assert estimate.remaining(0.03, 61.0) == pytest.approx(97.0)
    assert estimate.remaining(0.53, 111.0) == pytest.approx(47.0)


def test_time_goes_by_between_steps_too() -> None:
    estimate = Estimate()
    estimate.remaining(0.1, 0.0)
    assert estimate.remaining(0.2, 10.0) == pytest.approx(80.0)
    assert estimate.remaining(0.2, 15.0) == pytest.approx(75.0)
    assert estimate.remaining(0.2, 500.0) == 0.0


def test_one_slow_step_among_many_changes_little_and_a_lasting_change_is_believed() -> None:
    estimate = Estimate()
    for step in range(11):
        estimate.remaining(0.1 + step / 100, float(step))
    # Nine times as long as the others.
    assert 80.0 < (estimate.remaining(0.21, 19.0) or 0.0) < 200.0
    for step in range(40):
        estimate.remaining(0.22 + step / 100, 29.0 + step * 10)
    assert estimate.remaining(0.61, 419.0) == pytest.approx(390.0, rel=0.1)
