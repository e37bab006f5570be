"""False accept and false reject rates of scores."""

from __future__ import annotations

import numpy as np
from sklearn import metrics

from services.training.arrays import Floats
from services.training.figures import DetPoint

DET_POINTS = 200


def error_rates(genuine: Floats, impostor: Floats) -> tuple[Floats, Floats, Floats]:
    """False accept and false reject rate at every threshold that changes one (ISO/IEC 19795-1).

    Args:
        genuine: scores of claims that are true; at least one.
        impostor: scores of claims that are not; at least one.

    Returns:
        FAR falling, FRR rising and the threshold rising, from the last threshold that rejects no true claim to the
        first that accepts no false one: a claim is accepted when its score reaches the threshold.
    """
    scores = np.concatenate([genuine, impostor])
    genuinely = np.arange(len(scores)) < len(genuine)
    accepted, rejected, thresholds = metrics.det_curve(genuinely, scores)
    # Where scikit-learn has infinity, a threshold above every score says the same and JSON can say it.
    return accepted, rejected, np.minimum(thresholds, np.nextafter(scores.max(), np.inf))


def equal_error_rate(genuine: Floats, impostor: Floats) -> float:
    """Where the two error rates are equal, between the two thresholds around it by a straight line."""
    accepted, rejected, _ = error_rates(genuine, impostor)
    gap = rejected - accepted
    after = int(np.argmax(gap >= 0))
    if after == 0:
        return float(rejected[0])
    before = after - 1
    share = -gap[before] / (gap[after] - gap[before])
    return float(accepted[before] + share * (accepted[after] - accepted[before]))


def det_curve(genuine: Floats, impostor: Floats) -> tuple[DetPoint, ...]:
    """The two error rates at up to `DET_POINTS` thresholds, evenly far apart on the logarithmic axes of the plot."""
    if not len(impostor):
        return ()
    accepted, rejected, thresholds = error_rates(genuine, impostor)
    half = DET_POINTS // 2
    by_accepted = len(accepted) - np.searchsorted(accepted[::-1], np.geomspace(1 / len(impostor), 1, half), "right")
    by_rejected = np.searchsorted(rejected, np.geomspace(1 / len(genuine), 1, half))
    rows = np.unique(np.minimum(np.concatenate([by_accepted, by_rejected]), len(thresholds) - 1))
    return tuple(
        DetPoint(*point)
        for point in zip(accepted[rows].tolist(), rejected[rows].tolist(), thresholds[rows].tolist(), strict=True)
    )
