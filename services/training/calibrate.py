"""Floats to probabilities that mean what they say, and the scores from which to believe them."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from scipy.special import softmax as _softmax

from keyprint.package import Thresholds
from services.training.arrays import Floats, Labels

FAR = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
DEFAULT_FAR = 0.01

MOST_UNKNOWN = 0.1
"""Share of its users' attempts that a model may call unknown for the sake of the default rate."""

FEWEST_USERS = 2

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


def false_claims(logits: Floats, truth: Labels, degrees: float) -> Floats:
    """What strangers' claims would score, one for each attempt and each user who did not type it.

    Each attempt plays a stranger's: the model does not know whoever typed it, so their logit is struck out, and the
    others' probabilities make up 1 as a stranger's do.  Of two users only one would be left, at 1 for whatever is
    typed: there the users are each other's impostors as they are.

    Args:
        logits: float64[n, K], of attempts that the fit did not see.
        truth: int64[n], positions of the true users.
        degrees: the temperature.

    Returns:
        float64[n · (K - 1)].
    """
    users = logits.shape[1]
    own = np.equal(truth[:, None], np.arange(users))
    known = logits if users <= FEWEST_USERS else np.where(own, -np.inf, logits)
    return softmax(known, degrees)[~own]


def thresholds(scores: Floats, best: Floats) -> Thresholds:
    """The thresholds that a new false claim reaches by no more than their rates, if these n are of the same kind.

    The new score is as likely to take any of the n + 1 places among them, so a threshold that m of them reach is
    reached by it with a chance of at most (m + 1) / (n + 1) (Vovk et al. 2005); of rates below 1 / (n + 1) they say
    nothing.

    The default rate is `DEFAULT_FAR`, or the next one that they can tell, or the next one at which no more than
    `MOST_UNKNOWN` of the users' own attempts are unknown: models of a few people who typed little are of no use else.

    Args:
        scores: float64[n], of false claims; n at least 1.
        best: float64[m], of the best candidates of the users' own attempts; m at least 1.
    """
    # As the graph will answer: scores that float32 cannot tell apart are equals.
    ordered = np.sort(scores.astype(np.float32))[::-1]
    places = len(ordered) + 1
    rates = (1 / places, *(far for far in FAR if far * places > 1))
    # The first score that may not pass sets the threshold, so that equals of it do not pass either.
    passing = [int(round(far * places, 9)) - 1 for far in rates]
    found = np.nextafter(ordered[passing], np.float32(np.inf)).astype(np.float64).tolist()
    unknown = {far: float((best < threshold).mean()) for far, threshold in zip(rates, found, strict=True)}
    bearable = (far for far in rates if far >= DEFAULT_FAR and unknown[far] <= MOST_UNKNOWN)
    return Thresholds(next(bearable, rates[-1]), rates, tuple(found))
