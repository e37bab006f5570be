"""How much each attempt counts by its age: typing drifts, and what is to be recognised comes after all of them."""

from __future__ import annotations

import numpy as np

from keyprint.attempts import Aligned
from services.training.arrays import Floats, Labels


def recency(attempts: Aligned, labels: Labels, half_life: float) -> Floats:
    """float64[n], summing to 1: half as much for an attempt whose age is `half_life` more.

    An attempt's age is the share of its user's attempts that came after it, 0 to 1.

    Args:
        attempts: n attempts.
        labels: int64[n], who typed each.
        half_life: above 0.
    """
    age = np.zeros(len(labels))
    for user in np.unique(labels):
        rows = np.flatnonzero(labels == user)
        newest_first = rows[np.argsort(-attempts.pressed_at[rows, 0], kind="stable")]
        age[newest_first] = np.arange(len(rows)) / len(rows)
    weights = 0.5 ** (age / half_life)
    return np.asarray(weights / weights.sum(), np.float64)
