"""Temperatures, thresholds, and the test of pairs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax

from services.training.calibrate import COLDEST, HOTTEST, softmax, temperature, thresholds
from services.training.significance import mcnemar


def typed(seed: int, count: int = 2000, users: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """Logits whose softmax is the truth: labels are drawn from it."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (count, users))
    chances = softmax(logits, 1.0)
    truth = (rng.random((count, 1)) > chances.cumsum(axis=1)).sum(axis=1)
    return logits, np.minimum(truth, users - 1)


@pytest.mark.parametrize("factor", [0.02, 1.0, 20.0])
def test_a_scale_that_was_lost_is_found_again(factor: float) -> None:
    logits, truth = typed(0)
    assert temperature(logits * factor, truth) == pytest.approx(factor, rel=0.1)


def test_no_other_temperature_has_a_smaller_loss() -> None:
    logits, truth = typed(1)
    rows = np.arange(len(truth))

    def loss(degrees: float) -> float:
        return float(-log_softmax(logits * 3 / degrees, axis=1)[rows, truth].mean())

    best = temperature(logits * 3, truth)
    assert loss(best) < min(loss(best * 1.2), loss(best / 1.2), loss(1.0))


def test_answers_without_an_error_do_not_become_certain_without_end() -> None:
    logits = np.eye(4)[np.arange(40) % 4]
    truth = np.arange(40) % 4
    degrees = temperature(logits, truth)
    assert COLDEST < degrees < 1.0
    assert softmax(logits, degrees).max() < 1.0


def test_nothing_to_learn_from_changes_nothing() -> None:
    assert temperature(np.empty((0, 3)), np.empty(0, np.int64)) == 1.0


@given(st.integers(0, 2**32 - 1), st.integers(1, 50), st.integers(2, 6))
def test_a_threshold_lets_no_more_impostors_through_than_its_rate(seed: int, count: int, users: int) -> None:
    logits, truth = typed(seed, count, users)
    # Few different values, so that there are ties.
    probabilities = softmax(logits, 1.0).round(1)
    found = thresholds(probabilities, truth)
    impostors = np.array([[one != who for one in range(users)] for who in truth])
    for far, threshold in zip(found.far, found.threshold, strict=True):
        assert (probabilities[impostors] >= threshold).mean() <= far
    assert list(found.threshold) == sorted(found.threshold, reverse=True)
    assert found.default_far in found.far


def test_a_threshold_lets_through_as_many_as_it_may() -> None:
    rng = np.random.default_rng(0)
    first = rng.random(1000)
    probabilities = np.column_stack([first, 1 - first])
    found = thresholds(probabilities, np.ones(1000, np.int64))
    assert (first >= found.at(0.01)).sum() == 10
    assert (first >= found.at(0.2)).sum() == 200


def test_temperatures_stay_within_their_bounds() -> None:
    logits, truth = typed(2, 300)
    assert temperature(-logits, truth) == pytest.approx(HOTTEST, rel=0.01)


def test_only_attempts_on_which_they_differ_count() -> None:
    first = np.array([True] * 8 + [False] * 2 + [True] * 50)
    second = np.array([False] * 8 + [True] * 2 + [True] * 50)
    # Of ten coin tosses, two or fewer fall on one side with 2 · 56 / 1024.
    assert mcnemar(first, second) == pytest.approx(112 / 1024)
    assert mcnemar(first, second) == mcnemar(second, first)
    assert mcnemar(first[:8], second[:8]) < 0.01


def test_equal_answers_say_nothing() -> None:
    same = np.array([True, False])
    assert mcnemar(same, same) == 1.0
