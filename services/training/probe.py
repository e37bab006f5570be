"""A fit that did not see everything, and what the rest says about its answers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from keyprint import package
from keyprint.holdout import choose
from services.training.arrays import Flags, Labels
from services.training.calibrate import false_claims, softmax, temperature, thresholds
from services.training.dataset import Trainable, nothing_to_calibrate_on, select
from services.training.fit import Fit, Span
from services.training.learners.learner import Fitted

CALIBRATION_SHARE = 0.1
CALIBRATION_SEED = 0


@dataclass(frozen=True)
class Probe:
    """A fit that did not see the last attempts, and what these say about its answers."""

    fitted: Fitted
    degrees: float
    decision: package.Thresholds


def calibrate(fit: Fit, known: Trainable, truth: Labels, span: Span) -> Probe:
    """Fits without the last attempts of each user, which then call for a temperature and thresholds."""
    apart = _apart(known, fit.order.holdout)
    fitted = fit(known.only(~apart), truth[~apart], span)
    logits = fit.logits(fitted, fit.features.compute(select(known.attempts, apart), fit.release_times))
    degrees = temperature(logits, truth[apart])
    best = softmax(logits, degrees).max(axis=1)
    return Probe(fitted, degrees, thresholds(false_claims(logits, truth[apart], degrees), best))


def _apart(known: Trainable, share: float) -> Flags:
    """bool[n]: the last tenth of each user's attempts; nothing of users with a single one, which the fit needs."""
    _, owner, counts = np.unique(known.users, return_inverse=True, return_counts=True)
    several = counts[owner] > 1
    if not several.any():
        # The dataset was resumed since the request was checked.
        raise nothing_to_calibrate_on(share)
    apart = np.zeros(len(several), np.bool_)
    typed_at = known.attempts.pressed_at[several, 0]
    apart[several] = choose(known.users[several].tolist(), typed_at, CALIBRATION_SHARE, "late", CALIBRATION_SEED)
    return apart
