"""Floats to probabilities that mean what they say, and the scores from which to believe them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from scipy.special import softmax as _softmax

from keyprint.package import Thresholds
from services.training.arrays import Flags, Floats, Labels

FAR = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
DEFAULT_FAR = 0.01

FEWEST_USERS, MANY_USERS = 2, 8

ANYBODY = Thresholds(1.0, (1.0,), (0.0,))
"""Nothing is known of strangers, and every one of them may pass."""

COLDEST, HOTTEST = 1e-3, 1e2
"""Votes of an ensemble for many users are nearly uniform as logits, so temperatures far below 1 are usual."""


def softmax(logits: Floats, degrees: float) -> Floats:
    """Probabilities [n, K] of logits [n, K] at a temperature."""
    return np.asarray(_softmax(logits / degrees, axis=1), np.float64)


def temperature(logits: Floats, truth: Labels) -> float:
    """The temperature at which softmax(logits / T) has the smallest log loss (Guo et al. 2017).

    Where every attempt is named rightly the loss falls with T without end; it then ends at `COLDEST`, or where one
    attempt's worth of doubt stops it: the uniform answer is mixed in with a weight of 1 / (n + 1).

    Args:
        logits: float64[n, K].
        truth: int64[n], positions of the true users.

    Returns:
        From `COLDEST` to `HOTTEST`; 1 without attempts.
    """
    count = len(logits)
    if not count:
        return 1.0
    doubt = 1 / (count + 1)

    def loss(log_degrees: float) -> float:
        scores = log_softmax(logits / np.exp(log_degrees), axis=1)
        own, rest = scores[np.arange(count), truth].mean(), scores.mean()
        return float(-(1 - doubt) * own - doubt * rest)

    found = minimize_scalar(loss, bounds=(np.log(COLDEST), np.log(HOTTEST)), method="bounded", options={"xatol": 1e-4})
    return float(np.exp(found.x))


def verification(probabilities: Floats, truth: Labels) -> Thresholds:
    """The scores from which claims are believed.  The impostors are the users themselves: every probability of somebody
    who did not type, all users pooled.

    Args:
        probabilities: float64[n, K], calibrated; n at least 1, K at least 2.
        truth: int64[n], positions of the true users.
    """
    false = np.ones(probabilities.shape, np.bool_)
    false[np.arange(len(truth)), truth] = False
    return _thresholds(probabilities[false])


def identification(strangers: Sequence[Floats]) -> Thresholds:
    """The scores from which best candidates are believed.

    Args:
        strangers: calibrated probabilities float64[n, K] of attempts by people whom a fit does not know, one for each
            fit; none where there were too few users to leave some out.
    """
    if not strangers:
        return ANYBODY
    return _thresholds(np.concatenate([one.max(axis=1) for one in strangers]))


def left_out(users: int) -> Flags:
    """bool[fits, users]: whom each of a few fits leaves out, so that everybody is a stranger once.

    Few users are left out in smaller parts, for a fit of very few is surer of strangers than the model of all will be;
    of two nobody can be, since a fit needs two.
    """
    if users <= FEWEST_USERS:
        return np.zeros((0, users), np.bool_)
    parts = 2 if users >= MANY_USERS else 3
    part = np.random.default_rng(0).permutation(users) % parts
    return np.equal(part, np.arange(parts)[:, None])


def _thresholds(scores: Floats) -> Thresholds:
    """The thresholds that a new impostor reaches by no more than their rates, if these n are of the same kind.

    The new score is as likely to take any of the n + 1 places among them, so a threshold that m of them reach is
    reached by it with a chance of at most (m + 1) / (n + 1) (Vovk et al. 2005); of rates below 1 / (n + 1) they say
    nothing.

    Args:
        scores: float64[n], of impostors; n at least 1.
    """
    # As the graph will answer: scores that float32 cannot tell apart are equals.
    ordered = np.sort(scores.astype(np.float32))[::-1]
    places = len(ordered) + 1
    rates = (1 / places, *(far for far in FAR if far * places > 1))
    # The first score that may not pass sets the threshold, so that equals of it do not pass either.
    passing = [int(round(far * places, 9)) - 1 for far in rates]
    found = np.nextafter(ordered[passing], np.float32(np.inf)).astype(np.float64)
    return Thresholds(max(DEFAULT_FAR, rates[0]), rates, tuple(found.tolist()))
