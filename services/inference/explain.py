"""Which keys' timing spoke for and against a user, by occlusion.

Occlusion after Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", 2014: a part of the input is
replaced by something that says nothing, and what the answer loses is what that part said.  What says nothing about a
user here is what is usual at that key among all that the model was trained on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from keyprint.attempts import UNKNOWN_TIME, Aligned
from services.inference.engine import Answers, Engine

LEAST = 1e-7
"""Probabilities below it are taken for it: graphs answer in float32, whose digits end about there."""


@dataclass(frozen=True)
class Explanation:
    """What each of the L keys said about a user: above 0 for, below 0 against.

    Attributes:
        latency: float64[L], the natural log-odds of the attempt less those with the key's latency, corrections
            included, as usual.
        hold: float64[L], likewise with its hold; 0 where its release is unknown or the model uses none.
    """

    latency: npt.NDArray[np.float64]
    hold: npt.NDArray[np.float64]


def explain(engine: Engine, answers: Answers, attempt: int, user: str) -> Explanation | None:
    """What spoke for and against this user, who is one of the model's, in an attempt; None if it is not valid."""
    row = answers.row(attempt)
    if row is None:
        return None
    keys = len(engine.phrase)
    column = engine.package.labels.index(user)
    # Everything at once: the attempt itself too, so that all are rounded alike.
    asked = engine.probabilities(_occluded(engine, answers.aligned.part(row, row + 1)))
    odds = _log_odds(asked.astype(np.float64), column)
    said = odds[0] - odds[1:]
    hold = said[keys:] if engine.release_times else np.zeros(keys)
    return Explanation(said[:keys], hold)


def _occluded(engine: Engine, aligned: Aligned) -> Aligned:
    """One attempt as it is, then with each key's latency as usual, then, with release times, with each hold so."""
    keys = len(engine.phrase)
    each = np.arange(keys)
    usual = engine.package.training.typical
    count = 1 + keys * (2 if engine.release_times else 1)
    pressed_at = np.repeat(aligned.pressed_at, count, axis=0)
    released_at = np.repeat(aligned.released_at, count, axis=0)
    corrections = np.repeat(aligned.corrections, count, axis=0)
    correction_us = np.repeat(aligned.correction_us, count, axis=0)
    latency = np.diff(aligned.pressed_at[0], prepend=aligned.pressed_at[0, 0])
    # Whatever comes after a key moves with it.
    moved = np.where(each >= each[:, None], (np.array(usual.latency_us) - latency)[:, None], 0)
    pressed_at[1 : keys + 1] += moved
    released_at[1 : keys + 1] += np.where(aligned.released_at == UNKNOWN_TIME, 0, moved)
    corrections[1 + each, each] = 0
    correction_us[1 + each, each] = 0
    if engine.release_times:
        seen = np.flatnonzero(aligned.released_at[0] != UNKNOWN_TIME)
        released_at[1 + keys + seen, seen] = aligned.pressed_at[0, seen] + np.array(usual.hold_us)[seen]
    return Aligned(np.zeros(count, np.int64), pressed_at, released_at, corrections, correction_us)


def _log_odds(probabilities: npt.NDArray[np.float64], column: int) -> npt.NDArray[np.float64]:
    """Of one user.  The others are summed, for in 1 - p the digits of a p near 1 are lost."""
    others = np.delete(probabilities, column, axis=1).sum(axis=1)
    odds: npt.NDArray[np.float64] = np.log(np.maximum(probabilities[:, column], LEAST) / np.maximum(others, LEAST))
    return odds
