"""Logits to probabilities that mean what they say, and the scores from which to believe them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from scipy.special import softmax as _softmax

from keyprint.package import Thresholds

Logits = npt.NDArray[np.float64]
Truth = npt.NDArray[np.int64]

FAR = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
DEFAULT_FAR = 0.01

COLDEST, HOTTEST = 1e-3, 1e2
"""Votes of an ensemble for many users are nearly uniform as logits, so temperatures far below 1 are usual."""


def softmax(logits: Logits, degrees: float) -> Logits:
    """Probabilities [n, K] of logits [n, K] at a temperature."""
    return np.asarray(_softmax(logits / degrees, axis=1), np.float64)


def temperature(logits: Logits, truth: Truth) -> float:
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


def thresholds(probabilities: Logits, truth: Truth) -> Thresholds:
    """The scores from which claims are accepted, by false accept rate.

    Every probability of a user who did not type is an impostor's score, all users pooled.  A threshold lets at most
    its rate of them through; rates smaller than one in all of them let none through that was seen.

    Args:
        probabilities: float64[n, K], calibrated; n at least 1, K at least 2.
        truth: int64[n], positions of the true users.
    """
    impostor = np.ones(probabilities.shape, np.bool_)
    impostor[np.arange(len(truth)), truth] = False
    scores = np.sort(probabilities[impostor])[::-1]
    found = []
    for far in FAR:
        passing = int(far * len(scores))
        # The first score that may not pass sets the threshold, so that equals of it do not pass either.
        found.append(float(np.nextafter(scores[passing], np.inf)) if passing < len(scores) else 0.0)
    return Thresholds(DEFAULT_FAR, FAR, tuple(found))
