"""Attempts altered as people vary: faster or slower as a whole, uneven from key to key, with a pause here and there."""

from __future__ import annotations

import numpy as np

from keyprint.attempts import UNKNOWN_TIME, Aligned

TEMPO, LATENCY_JITTER, HOLD_JITTER = 0.05, 0.05, 0.05
"""Standard deviations, of logarithms, at a strength of 1."""

PAUSE_CHANCE = 0.03
"""Share of attempts that get a pause at a strength of 1."""

PAUSE_FACTORS = (1.5, 4.0)


def augment(attempts: Aligned, strength: float, random: np.random.Generator) -> Aligned:
    """Alters every attempt once.

    Latencies and holds are multiplied, so that presses stay in order: by one log-normal tempo per attempt, and by one
    log-normal jitter per key.

    Args:
        attempts: m attempts at L keys.
        strength: scales every alteration; 0 alters nothing.
        random: source of every choice.
    """
    shape = count, keys = attempts.pressed_at.shape
    tempo = random.normal(0.0, TEMPO * strength, (count, 1))
    factors = np.exp(tempo + random.normal(0.0, LATENCY_JITTER * strength, shape))
    paused = np.flatnonzero(random.random(count) < PAUSE_CHANCE * strength)
    factors[paused, random.integers(0, keys, len(paused))] *= random.uniform(*PAUSE_FACTORS, len(paused))
    latencies = np.diff(attempts.pressed_at, axis=1, prepend=attempts.pressed_at[:, :1])
    pressed_at = attempts.pressed_at[:, :1] + np.cumsum((latencies * factors).astype(np.int64), axis=1)
    holds = (attempts.released_at - attempts.pressed_at) * np.exp(
        tempo / 2 + random.normal(0.0, HOLD_JITTER * strength, shape)
    )
    known = attempts.released_at != UNKNOWN_TIME
    return Aligned(
        rows=attempts.rows,
        pressed_at=pressed_at,
        released_at=np.where(known, pressed_at + holds.astype(np.int64), UNKNOWN_TIME),
        corrections=attempts.corrections,
        correction_us=(attempts.correction_us * factors).astype(np.int64),
    )
