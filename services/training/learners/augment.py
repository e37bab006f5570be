"""Attempts altered as people vary, faster or slower as a whole, uneven from key to key, with a pause here and there,
and as what records them does: by coarser clocks, and now and then without releases."""

from __future__ import annotations

import numpy as np

from keyprint.attempts import UNKNOWN_TIME, Aligned

TEMPO, HOLD_TEMPO, LATENCY_JITTER, HOLD_JITTER = 0.05, 0.1, 0.05, 0.05
"""Standard deviations, of logarithms, at a strength of 1."""

PAUSE_CHANCE = 0.025
"""Share of keys that get a pause before them at a strength of 1."""

PAUSE_FACTORS = (1.5, 10.0)

LONGEST_TICK_US = 16_000
"""Clocks of keyboards and browsers tick up to this slowly at a strength of 1, and people change theirs."""

UNRELEASED_CHANCE = 0.1
"""Share of attempts that lose their releases at a strength of 1."""


def augment(attempts: Aligned, strength: float, random: np.random.Generator) -> Aligned:
    """Alters every attempt once.

    Latencies and holds are multiplied, so that presses stay in order: by a log-normal tempo of each per attempt, by a
    log-normal jitter per key, and a few latencies by a pause.  Then every time moves by up to half a tick of a clock of
    the attempt's own, though no press before the one ahead of it.

    Args:
        attempts: m attempts at L keys.
        strength: scales every alteration; 0 alters nothing.
        random: source of every choice.
    """
    count, _ = shape = attempts.pressed_at.shape
    tempo = random.normal(0.0, TEMPO * strength, (count, 1))
    factors = np.exp(tempo + random.normal(0.0, LATENCY_JITTER * strength, shape))
    paused = random.random(shape) < PAUSE_CHANCE * strength
    shortest, longest = np.log(PAUSE_FACTORS).tolist()
    factors[paused] *= np.exp(random.uniform(shortest, longest, int(paused.sum())))
    latencies = np.diff(attempts.pressed_at, axis=1, prepend=attempts.pressed_at[:, :1])
    pressed_at = attempts.pressed_at[:, :1] + np.cumsum((latencies * factors).astype(np.int64), axis=1)
    hold_tempo = tempo / 2 + random.normal(0.0, HOLD_TEMPO * strength, (count, 1))
    holds = (attempts.released_at - attempts.pressed_at) * np.exp(
        hold_tempo + random.normal(0.0, HOLD_JITTER * strength, shape)
    )
    released_at = pressed_at + holds.astype(np.int64)
    half_tick = random.uniform(0.0, LONGEST_TICK_US * strength / 2, (count, 1))
    pressed_at, released_at = (
        times + (half_tick * random.uniform(-1.0, 1.0, shape)).astype(np.int64) for times in (pressed_at, released_at)
    )
    known = attempts.released_at != UNKNOWN_TIME
    known &= random.random((count, 1)) >= UNRELEASED_CHANCE * strength
    return Aligned(
        rows=attempts.rows,
        pressed_at=np.maximum.accumulate(pressed_at, axis=1),
        released_at=np.where(known, released_at, UNKNOWN_TIME),
        corrections=attempts.corrections,
        correction_us=(attempts.correction_us * factors).astype(np.int64),
    )
