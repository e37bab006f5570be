"""Fits that did not see everything, and what the rest says about their answers."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from keyprint import package
from keyprint.holdout import choose
from services.training.arrays import Flags, Labels
from services.training.calibrate import identification, left_out, softmax, temperature, verification
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
    decision: package.Decision


def calibrate(fit: Fit, known: Trainable, truth: Labels, span: Span) -> Probe:
    """Fits without the last attempts for temperature and claims, and without some of the users for strangers."""
    parts = left_out(fit.users)
    whole, *rest = span.split(len(parts) + 1)
    fitted, degrees, claims = _probe(fit, known, truth, whole)
    strangers = []
    for missing, part in zip(parts, rest, strict=True):
        strange = missing[truth]
        if not _several(known.only(~strange)).any():
            continue
        few = replace(fit, users=int((~missing).sum()))
        # Positions among those who are left.
        without, own_degrees, _ = _probe(few, known.only(~strange), (np.cumsum(~missing) - 1)[truth[~strange]], part)
        strangers.append(few.answers(without, select(known.attempts, strange), own_degrees))
    return Probe(fitted, degrees, package.Decision(claims, identification(strangers)))


def _probe(fit: Fit, known: Trainable, truth: Labels, span: Span) -> tuple[Fitted, float, package.Thresholds]:
    """A fit without the last attempts of each user, and the temperature and claims that these call for."""
    apart = _apart(known, fit.order.holdout)
    fitted = fit(known.only(~apart), truth[~apart], span)
    logits = fit.logits(fitted, fit.features.compute(select(known.attempts, apart), fit.release_times))
    degrees = temperature(logits, truth[apart])
    return fitted, degrees, verification(softmax(logits, degrees), truth[apart])


def _apart(known: Trainable, share: float) -> Flags:
    """bool[n]: the last tenth of each user's attempts; nothing of users with a single one, which the fit needs."""
    several = _several(known)
    if not several.any():
        # The dataset was resumed since the request was checked.
        raise nothing_to_calibrate_on(share)
    apart = np.zeros(len(several), np.bool_)
    typed_at = known.attempts.pressed_at[several, 0]
    apart[several] = choose(known.users[several].tolist(), typed_at, CALIBRATION_SHARE, "late", CALIBRATION_SEED)
    return apart


def _several(known: Trainable) -> Flags:
    """bool[n]: the attempts of users who have more than one."""
    _, owner, counts = np.unique(known.users, return_inverse=True, return_counts=True)
    return counts[owner] > 1
