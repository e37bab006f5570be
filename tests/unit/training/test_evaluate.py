"""Evaluations agree with scikit-learn's where it has them, and with hand-made cases where it has not."""

from __future__ import annotations

import json
import warnings
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from keyprint.package import Thresholds
from keyprint.typed import convert, plain
from services.training.evaluate import evaluate
from services.training.figures import Evaluation, ReliabilityBin
from services.training.openset import evaluate_open
from services.training.rates import equal_error_rate, error_rates

LABELS = ["ann", "bob", "cat", "dan", "eve"]
DECISION = Thresholds(0.02, (0.02, 0.1), (0.5, 0.2))


def typed(seed: int, count: int = 300, users: int = 4, skill: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities that are right more often than not; the last of five labels types nothing."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, users, count)
    logits = rng.normal(0, 1, (count, len(LABELS)))
    logits[np.arange(count), truth] += skill
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), truth


@pytest.mark.parametrize("seed", range(3))
def test_it_agrees_with_scikit_learn(seed: int) -> None:
    probabilities, truth = typed(seed)
    found = evaluate(probabilities, truth, LABELS, DECISION)
    best = probabilities.argmax(axis=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        each = metrics.precision_recall_fscore_support(truth, best, labels=range(5), zero_division=0)
    present = each[3] > 0
    assert found.accuracy == pytest.approx(metrics.accuracy_score(truth, best))
    assert found.macro_precision == pytest.approx(each[0][present].mean())
    assert found.macro_recall == pytest.approx(each[1][present].mean())
    assert found.macro_f1 == pytest.approx(each[2][present].mean())
    assert found.log_loss == pytest.approx(metrics.log_loss(truth, probabilities, labels=range(5)))
    assert found.top3_accuracy == pytest.approx(
        metrics.top_k_accuracy_score(truth, probabilities, k=3, labels=range(5))
    )
    confusion = metrics.confusion_matrix(truth, best, labels=range(5))
    cells = np.zeros((5, 5), np.int64)
    cells[list(found.confusion.actual), list(found.confusion.predicted)] = found.confusion.count
    assert cells.tolist() == confusion.tolist()
    assert np.count_nonzero(cells) == len(found.confusion.count)
    assert [user.support for user in found.users] == each[3].tolist()


def test_rates_cross_where_they_do_by_hand() -> None:
    genuine, impostor = np.array([0.9, 0.8, 0.4, 0.7]), np.array([0.1, 0.2, 0.5, 0.3])
    accepted, rejected, thresholds = error_rates(genuine, impostor)
    at = thresholds.tolist().index(0.5)
    assert (accepted[at], rejected[at]) == (0.25, 0.25)
    assert equal_error_rate(genuine, impostor) == pytest.approx(0.25)
    # From the last threshold that lets every true claim through to the first that lets no false one through.
    assert (accepted[0], rejected[0], thresholds[0]) == (0.25, 0.0, 0.4)
    assert (accepted[-1], rejected[-1], thresholds[-1]) == (0.0, 0.25, 0.7)


def test_a_false_claim_that_scores_highest_leaves_a_threshold_above_every_score() -> None:
    accepted, rejected, thresholds = error_rates(np.array([0.2]), np.array([0.9]))
    assert (accepted[-1], rejected[-1]) == (0.0, 1.0)
    assert 0.9 < thresholds[-1] < 0.9001
    assert equal_error_rate(np.array([0.2]), np.array([0.9])) == 1.0


def test_impostors_errors_are_counted_by_hand() -> None:
    known = np.array([[0.9, 0.1], [0.4, 0.6], [0.3, 0.7]])
    strange = np.array([[0.5, 0.5], [0.8, 0.2], [0.95, 0.05]])
    found = evaluate_open(known, np.array([0, 0, 1]), strange, DECISION, ["eve"])
    assert (found.attempts, found.threshold, found.stated_false_accept_rate) == (3, 0.5, 0.02)
    # Eve is both users once, and one of them twice.
    assert (found.false_accept_rate, found.false_positive_identification_rate) == (4 / 6, 1.0)
    # The second attempt is taken for the other user's.
    assert (found.false_reject_rate, found.false_negative_identification_rate) == pytest.approx((1 / 3, 1 / 3))
    stricter = evaluate_open(known, np.array([0, 0, 1]), strange, Thresholds(0.1, (0.1,), (0.8,)), ["eve"])
    assert (stricter.false_accept_rate, stricter.false_positive_identification_rate) == (2 / 6, 2 / 3)
    assert stricter.false_negative_identification_rate == pytest.approx(2 / 3)


def test_perfect_answers_have_no_errors() -> None:
    truth = np.arange(4)
    found = evaluate(np.eye(4), truth, LABELS[:4], DECISION)
    assert (found.accuracy, found.macro_f1, found.top3_accuracy) == (1.0, 1.0, 1.0)
    assert found.log_loss == pytest.approx(0.0, abs=1e-9)
    assert (found.equal_error_rate, found.calibration_error) == (0.0, 0.0)


def test_guesses_have_an_equal_error_rate_of_a_half() -> None:
    probabilities, truth = typed(0, 20_000, skill=0.0)
    found = evaluate(probabilities, truth, LABELS, DECISION)
    assert found.equal_error_rate == pytest.approx(0.5, abs=0.03)
    assert found.accuracy == pytest.approx(0.2, abs=0.02)


def test_scores_that_are_all_equal_separate_nobody() -> None:
    found = evaluate(np.full((4, 2), 0.5), np.array([0, 1, 0, 1]), ["ann", "bob"], DECISION)
    assert found.equal_error_rate == pytest.approx(0.5)
    # The first of equals is the best candidate.
    assert found.accuracy == 0.5
    assert found.users[0].recall == 1.0


def test_sure_of_what_is_wrong_is_badly_calibrated() -> None:
    found = evaluate(np.array([[1.0, 0.0]] * 4), np.array([0, 1, 1, 1]), ["ann", "bob"], DECISION)
    assert found.calibration_error == pytest.approx(0.75)
    assert found.reliability == (ReliabilityBin(1.0, 0.25, 4),)


def test_reliability_tells_bin_by_bin_how_often_the_model_is_right() -> None:
    probabilities = np.array([[0.9, 0.1], [0.92, 0.08], [0.55, 0.45], [0.3, 0.7]])
    found = evaluate(probabilities, np.array([0, 1, 0, 0]), ["ann", "bob"], DECISION)
    assert [(one.accuracy, one.attempts) for one in found.reliability] == [(1.0, 1), (0.0, 1), (0.5, 2)]
    assert [one.confidence for one in found.reliability] == pytest.approx([0.55, 0.7, 0.91])
    assert found.calibration_error == pytest.approx((0.45 + 0.7 + 2 * 0.41) / 4)


@given(st.integers(0, 2**32 - 1), st.integers(1, 60))
def test_every_figure_is_finite_and_within_its_range(seed: int, count: int) -> None:
    found = evaluate(*typed(seed, count), LABELS, DECISION)
    content = asdict(found)
    json.dumps(content, allow_nan=False)
    for name, value in content.items():
        if isinstance(value, float) and name != "log_loss":
            assert 0.0 <= value <= 1.0, name
    assert found.accuracy_low <= found.accuracy <= found.accuracy_high
    assert len(found.det) <= 200
    far = [point.false_accept_rate for point in found.det]
    frr = [point.false_reject_rate for point in found.det]
    assert far == sorted(far, reverse=True)
    assert frr == sorted(frr)


@given(st.integers(0, 2**32 - 1))
def test_the_order_of_the_users_does_not_matter(seed: int) -> None:
    probabilities, truth = typed(seed, 50)
    order = np.random.default_rng(seed).permutation(5)
    turned = evaluate(probabilities[:, order], np.argsort(order)[truth], [LABELS[one] for one in order], DECISION)
    found = evaluate(probabilities, truth, LABELS, DECISION)
    assert turned.macro_f1 == pytest.approx(found.macro_f1)
    assert turned.equal_error_rate == pytest.approx(found.equal_error_rate)
    assert {user.user: user.support for user in turned.users} == {user.user: user.support for user in found.users}


def test_an_evaluation_survives_json() -> None:
    found = evaluate(*typed(1), LABELS, DECISION)
    assert convert(json.loads(json.dumps(plain(found, Evaluation))), Evaluation) == found
    assert convert(json.loads(json.dumps(asdict(found))), Evaluation) == found


def test_the_interval_is_wilsons() -> None:
    truth = np.array([0] * 10)
    found = evaluate(np.array([[0.9, 0.1]] * 8 + [[0.1, 0.9]] * 2), truth, ["ann", "bob"], DECISION)
    # (p + z²/2n ± z √(p(1-p)/n + z²/4n²)) / (1 + z²/n) with p = 0.8, n = 10, z = 1.96
    assert (found.accuracy_low, found.accuracy_high) == pytest.approx((0.4902, 0.9433), abs=1e-4)


def test_errors_at_the_models_threshold_are_counted_by_hand() -> None:
    probabilities = np.array([[0.9, 0.05, 0.05], [0.4, 0.5, 0.1], [0.1, 0.7, 0.2], [0.3, 0.3, 0.4]])
    found = evaluate(probabilities, np.array([0, 0, 1, 2]), LABELS[:3], DECISION)
    assert (found.stated_false_accept_rate, found.threshold) == (0.02, 0.5)
    # Of eight false claims one has 0.5: ann's second attempt, claimed to be bob's.
    assert found.false_accept_rate == 1 / 8
    # Ann's second attempt and cat's only one have less than 0.5 for themselves.
    assert found.false_reject_rate == 2 / 4
    # Only the last is less sure of everybody than 0.5.
    assert found.unknown_rate == 1 / 4
