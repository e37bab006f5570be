"""Temperatures, thresholds, and the test of pairs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax

from services.training.arrays import Floats
from services.training.calibrate import COLDEST, HOTTEST, false_claims, softmax, temperature, thresholds
from services.training.significance import mcnemar

SURE = np.full(1, 2.0)
"""An attempt that nobody would call unknown."""


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


@given(st.lists(st.integers(0, 10), min_size=1, max_size=300))
def test_a_threshold_lets_no_more_impostors_through_than_its_rate(tenths: list[int]) -> None:
    # Few different values, so that there are ties.
    scores = np.array(tenths) / 10
    found = thresholds(scores, SURE)
    for far, threshold in zip(found.far, found.threshold, strict=True):
        assert (scores.astype(np.float32) >= threshold).mean() <= far
    assert list(found.threshold) == sorted(found.threshold, reverse=True)
    assert list(found.far) == sorted(found.far)
    assert found.default_far in found.far


def test_a_threshold_lets_through_as_many_as_it_may() -> None:
    scores = np.random.default_rng(0).random(1000)
    found = thresholds(scores, SURE)
    # Of 1001 places ten are the highest hundredth, and one of them is for the impostor to come.
    assert (scores >= found.at(0.01)).sum() == 9
    assert (scores >= found.at(0.2)).sum() == 199


def test_an_impostor_to_come_gets_through_at_the_rate_that_is_stated() -> None:
    """Each of 200 in turn is the one to come: exactly the stated share of them reach the threshold of the others."""
    scores = np.random.default_rng(1).random(199 + 1)
    for far in (0.005, 0.01, 0.1):
        reached = [scores[one] >= thresholds(np.delete(scores, one), SURE).at(far) for one in range(len(scores))]
        assert sum(reached) == far * len(scores)


def test_rates_that_so_few_claims_cannot_tell_are_not_stated() -> None:
    """Of the next one, six false claims say one in seven."""
    found = thresholds(np.linspace(0.1, 0.6, 6), SURE)
    assert (found.far, found.default_far) == ((1 / 7, 0.2, 0.5), 1 / 7)


def test_the_default_rate_grows_until_a_tenth_at_most_of_the_users_attempts_is_unknown() -> None:
    claims = np.linspace(0, 1, 1000, endpoint=False)
    for best, expected in (
        (np.full(10, 0.995), 0.01),
        (np.array([0.985] * 9 + [0.1]), 0.02),
        (np.array([0.985] * 8 + [0.1] * 2), 0.5),
        (np.array([0.985] * 8 + [0.85] * 2), 0.2),
    ):
        found = thresholds(claims, best)
        assert found.default_far == expected
        assert found.default == found.at(expected)


def test_a_strangers_claims_are_what_is_left_without_whoever_typed() -> None:
    chances = np.array([[0.7, 0.2, 0.1], [0.1, 0.5, 0.4]])
    claims = false_claims(np.log(chances), np.array([0, 2]), 1.0)
    assert claims == pytest.approx([2 / 3, 1 / 3, 1 / 6, 5 / 6])


def test_however_sure_the_model_is_of_whoever_typed_a_strangers_claims_make_up_one() -> None:
    claims = false_claims(np.array([[5000.0, 0.0, 0.0]]), np.array([0]), 1.0)
    assert claims.tolist() == [0.5, 0.5]


def test_strangers_are_expected_where_real_ones_are() -> None:
    """Ten users, and strangers of the same kind: the rate holds about, where losing probabilities are no guide."""
    rng = np.random.default_rng(0)
    users, each = 10, 200

    def typing(people: np.ndarray) -> np.ndarray:
        return np.repeat(people, each, axis=0) + rng.normal(0, 0.5, (len(people) * each, 4))

    known, strange = rng.normal(0, 1, (users, 4)), rng.normal(0, 1, (200, 4))

    def logits(typed: np.ndarray) -> Floats:
        return np.asarray(-((typed[:, None] - known) ** 2).sum(axis=2) / (2 * 0.5**2), np.float64)

    own, truth = logits(typing(known)), np.repeat(np.arange(users), each)
    believed = softmax(logits(typing(strange)), 1.0) >= thresholds(false_claims(own, truth, 1.0), SURE).at(0.05)
    assert 0.02 < believed.mean() < 0.1
    losing = softmax(own, 1.0)[np.arange(users) != truth[:, None]]
    assert (softmax(logits(typing(strange)), 1.0) >= thresholds(losing, SURE).at(0.05)).mean() > 0.1


def test_two_users_are_each_others_impostors_as_they_are() -> None:
    """Without whoever typed, the other one would have typed everything."""
    claims = false_claims(np.log([[0.7, 0.3], [0.4, 0.6]]), np.array([0, 0]), 1.0)
    assert claims == pytest.approx([0.3, 0.6])


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
