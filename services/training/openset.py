"""How well a model tells people whom it knows from people whom it never saw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from keyprint import holdout
from keyprint.errors import FailedPrecondition
from keyprint.package import Thresholds
from services.training.arrays import Flags, Labels, Probabilities
from services.training.dataset import Trainable, select
from services.training.figures import OpenSet
from services.training.fit import Fit, Span
from services.training.probe import calibrate
from services.training.rates import det_curve, equal_error_rate

FEWEST_KNOWN = 2


def check_impostors(users: int, share: float) -> int:
    """How many of `users` are impostors.

    Raises:
        FailedPrecondition: fewer than two users would be left.
    """
    count = holdout.size(users, share)
    if users - count < FEWEST_KNOWN:
        raise FailedPrecondition(
            "NOT_ENOUGH_USERS",
            f"With {count} of {users} users as impostors fewer than two are left to tell apart; make the share of "
            "impostors smaller.",
            "impostors",
        )
    return count


def choose_impostors(labels: Sequence[str], share: float, seed: int) -> Flags:
    """bool[K]: which of the users play impostors.

    Raises:
        FailedPrecondition: as `check_impostors` says.
    """
    chosen = np.zeros(len(labels), np.bool_)
    rng = np.random.default_rng(seed)
    chosen[rng.choice(len(labels), check_impostors(len(labels), share), replace=False)] = True
    return chosen


def evaluate_open(
    genuine: Probabilities, truth: Labels, strange: Probabilities, decision: Thresholds, impostors: Sequence[str]
) -> OpenSet:
    """Compares what a model says of people whom it knows and of impostors.

    Args:
        genuine: [n, K], of attempts of the K users whom it knows; n at least 1.
        truth: int64[n], positions of those who typed them.
        strange: [m, K], of the impostors' attempts; m at least 1.
        decision: scores from which it believes that somebody typed; the default one counts.
        impostors: their labels.
    """
    claims = np.asarray(strange, np.float64)
    own = np.asarray(genuine, np.float64)[np.arange(len(truth)), truth]
    threshold = decision.default
    named = (own >= threshold) & (genuine.argmax(axis=1) == truth)
    rates = [equal_error_rate(own[truth == one], claims[:, one]) for one in np.unique(truth)]
    return OpenSet(
        impostors=tuple(impostors),
        attempts=len(claims),
        stated_false_accept_rate=decision.default_far,
        threshold=threshold,
        false_accept_rate=float((claims >= threshold).mean()),
        false_reject_rate=float((own < threshold).mean()),
        false_positive_identification_rate=float((claims.max(axis=1) >= threshold).mean()),
        false_negative_identification_rate=float(1 - named.mean()),
        equal_error_rate=float(np.mean(rates)),
        det=det_curve(own, claims.ravel()),
    )


def open_set_of(fit: Fit, data: Trainable, held_out: Flags, span: Span) -> OpenSet:
    """Fits once more without the impostors, for this evaluation alone, and has them claim to be the others."""
    labels, owner = np.unique(data.users, return_inverse=True)
    strangers = choose_impostors(labels.tolist(), fit.order.impostors, fit.order.seed)
    strange = strangers[owner]
    # Positions among those who are left.
    truth = (np.cumsum(~strangers) - 1)[owner]
    few = replace(fit, users=int((~strangers).sum()))
    seen, judged, claims = ~held_out & ~strange, held_out & ~strange, held_out & strange
    probe = calibrate(few, data.only(seen), truth[seen], span)
    return evaluate_open(
        few.answers(probe.fitted, select(data.attempts, judged), probe.degrees),
        truth[judged],
        few.answers(probe.fitted, select(data.attempts, claims), probe.degrees),
        probe.decision,
        labels[strangers].tolist(),
    )
