"""Temperatures, thresholds, and the test of pairs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax

from services.training.calibrate import COLDEST, HOTTEST, identification, left_out, softmax, temperature, verification
from services.training.significance import mcnemar


def typed(seed: int, count: int = 2000, users: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """Floats whose softmax is the truth: labels are drawn from it."""
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
    claims = np.concatenate([np.delete(row, who) for row, who in zip(probabilities, truth, strict=True)])
    best = probabilities.max(axis=1)
    cases = ((verification(probabilities, truth), claims), (identification([probabilities]), best))
    for found, impostors in cases:
        for far, threshold in zip(found.far, found.threshold, strict=True):
            assert (impostors.astype(np.float32) >= threshold).mean() <= far
        assert list(found.threshold) == sorted(found.threshold, reverse=True)
        assert list(found.far) == sorted(found.far)
        assert found.default_far in found.far


def test_a_threshold_lets_through_as_many_as_it_may() -> None:
    rng = np.random.default_rng(0)
    first = rng.random(1000)
    found = verification(np.column_stack([first, 1 - first]), np.ones(1000, np.int64))
    # Of 1001 places ten are the highest hundredth, and one of them is for the impostor to come.
    assert (first >= found.at(0.01)).sum() == 9
    assert (first >= found.at(0.2)).sum() == 199


def test_an_impostor_to_come_gets_through_at_the_rate_that_is_stated() -> None:
    """Each of 200 in turn is the one to come: exactly the stated share of them reach the threshold of the others."""
    best = np.random.default_rng(1).random(199 + 1)
    for far in (0.005, 0.01, 0.1):
        reached = [best[one] >= identification([np.delete(best, one)[:, None]]).at(far) for one in range(len(best))]
        assert sum(reached) == far * len(best)


def test_rates_that_so_few_impostors_cannot_tell_are_not_stated() -> None:
    """Three attempts make six false claims, and of the next one they say one in seven."""
    found = verification(np.eye(3), np.arange(3))
    assert (found.far, found.default_far) == ((1 / 7, 0.2, 0.5), 1 / 7)
    strangers = identification([np.eye(3)[:2], np.eye(2)[:1]])
    assert (strangers.far, strangers.default_far) == ((1 / 4, 0.5), 1 / 4)


def test_a_strangers_score_is_their_best_candidates_whoever_that_is() -> None:
    """Their claims to be each user are low by chance; what counts is the one that comes out on top."""
    found = identification([np.array([[0.1, 0.6, 0.3], [0.5, 0.25, 0.25], [0.1, 0.1, 0.8]])])
    # One of three may pass at a half: the surest.
    assert 0.6 < found.at(0.5) < 0.61
    assert 0.8 < found.at(0.25) < 0.81


def test_every_user_is_a_stranger_once_and_a_fit_knows_two_or_more() -> None:
    for users in range(3, 40):
        parts = left_out(users)
        assert (parts.sum(axis=0) == 1).all()
        assert ((~parts).sum(axis=1) >= 2).all()


def test_two_users_cannot_be_told_from_strangers_and_the_rate_says_so() -> None:
    assert len(left_out(2)) == 0
    found = identification([])
    assert (found.default_far, found.default) == (1.0, 0.0)


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
