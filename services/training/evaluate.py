"""How well probabilities name who typed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.sparse import coo_array
from scipy.stats import binomtest
from sklearn import metrics

from keyprint.package import Thresholds
from services.training.arrays import Flags, Floats, Labels, Probabilities
from services.training.figures import Confusion, Evaluation, ReliabilityBin, UserEvaluation
from services.training.rates import det_curve, equal_error_rate

CALIBRATION_BINS = 15
TOP = 3


def evaluate(probabilities: Probabilities, truth: Labels, labels: Sequence[str], decision: Thresholds) -> Evaluation:
    """Compares probabilities with who really typed.

    The best candidate is the first of equals.  Averages over users are over those with attempts in the hold-out:
    the others have no recall, and would only say that nobody was mistaken for them.

    Args:
        probabilities: [n, K], n at least 1.
        truth: int64[n], positions in `labels`.
        labels: K users.
        decision: the model's thresholds, which accuracy ignores; the default one counts.
    """
    scores = np.asarray(probabilities, np.float64)
    # They are float32 mostly, and scikit-learn wants sums of 1 to more places than these have.
    scores = scores / scores.sum(axis=1, keepdims=True)
    best = scores.argmax(axis=1)
    right = best == truth
    everyone = range(len(labels))
    precision, recall, f1, support = metrics.precision_recall_fscore_support(
        truth, best, labels=everyone, zero_division=0.0
    )
    present = support > 0
    claimed = np.eye(len(labels), dtype=np.bool_)[truth]
    rates = np.array([_user_eer(scores[:, one], claimed[:, one]) for one in everyone])
    reliability = _reliability(scores.max(axis=1), right)
    low, high = _interval(int(right.sum()), len(truth))
    return Evaluation(
        attempts=len(truth),
        accuracy=float(right.mean()),
        accuracy_low=low,
        accuracy_high=high,
        macro_precision=float(precision[present].mean()),
        macro_recall=float(recall[present].mean()),
        macro_f1=float(f1[present].mean()),
        log_loss=float(metrics.log_loss(truth, scores, labels=everyone)),
        top3_accuracy=_top(scores, truth),
        calibration_error=_calibration_error(reliability),
        equal_error_rate=float(rates[present].mean()),
        users=tuple(
            UserEvaluation(label, float(precision[one]), float(recall[one]), int(support[one]), float(rates[one]))
            for one, label in enumerate(labels)
        ),
        confusion=_confusion(truth, best),
        det=det_curve(scores[claimed], scores[~claimed]),
        reliability=reliability,
        stated_false_accept_rate=decision.default_far,
        threshold=decision.default,
        false_accept_rate=float((scores[~claimed] >= decision.default).mean()),
        false_reject_rate=float((scores[claimed] < decision.default).mean()),
        unknown_rate=float((scores.max(axis=1) < decision.default).mean()),
    )


def _confusion(truth: Labels, best: Labels) -> Confusion:
    # scikit-learn counts as this does, and then lays every cell out: a gibibyte for ten thousand users.
    cells = coo_array((np.ones_like(truth), (truth, best))).tocsr().tocoo()
    return Confusion(*(tuple(column.tolist()) for column in (cells.row, cells.col, cells.data)))


def _interval(right: int, count: int) -> tuple[float, float]:
    """The 95 % score interval of a share (Wilson 1927), rounding kept from putting an end on its wrong side."""
    share = right / count
    ends = binomtest(right, count).proportion_ci(confidence_level=0.95, method="wilson")
    return min(max(float(ends.low), 0.0), share), max(min(float(ends.high), 1.0), share)


def _user_eer(scores: Floats, own: Flags) -> float:
    if not own.any() or own.all():
        # There is nobody to reject falsely, or nobody to accept falsely.
        return 0.0
    return equal_error_rate(scores[own], scores[~own])


def _top(scores: Floats, truth: Labels) -> float:
    users = scores.shape[1]
    return float(metrics.top_k_accuracy_score(truth, scores, k=TOP, labels=range(users))) if users > TOP else 1.0


def _reliability(confidence: Floats, right: Flags) -> tuple[ReliabilityBin, ...]:
    """Confidence and accuracy over equal bins (Guo et al. 2017), less those without attempts."""
    bins = np.minimum((confidence * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
    _, place, attempts = np.unique(bins, return_inverse=True, return_counts=True)
    # Rounding may put a mean of ones above them.
    sure = np.minimum(np.bincount(place, weights=confidence) / attempts, 1.0)
    accurate = np.bincount(place, weights=right) / attempts
    return tuple(ReliabilityBin(*one) for one in zip(sure.tolist(), accurate.tolist(), attempts.tolist(), strict=True))


def _calibration_error(reliability: Sequence[ReliabilityBin]) -> float:
    """Mean distance of confidence and accuracy, weighted by attempts (Guo et al. 2017)."""
    gaps = [one.attempts * abs(one.confidence - one.accuracy) for one in reliability]
    return float(sum(gaps) / sum(one.attempts for one in reliability))
