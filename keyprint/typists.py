"""Made-up people at a keyboard.

The figures below were fitted to recorded typing (34 people, 16 keys): logs of press-to-press latencies and of holds are
close to normal; they differ between people by a speed of their own, by how much a keyboard's geometry matters to them,
and by a liking or dislike of single digraphs; within one person an attempt has a tempo, tempos of neighbouring attempts
resemble each other, and everything drifts, faster with practice and a little differently from session to session.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from keyprint import keyboard
from keyprint.attempts import BACKSPACE

EPOCH = np.datetime64("2024-03-04T00:00:00.000000", "us")
SESSION_ATTEMPTS = 12
"""Attempts of one sitting; the next one is a day or a few later."""

# Effects on the log of a latency, in the order of keyboard.EFFECTS, and how much people differ in them.
LATENCY_MS = 170.0
LATENCY_EFFECTS = np.array([-0.18, 0.24, -0.06, 0.06, 0.40, -0.12, 0.16])
LATENCY_EFFECTS_SPREAD = np.array([0.08, 0.09, 0.08, 0.03, 0.12, 0.07, 0.09])
SPEED_SPREAD, DIGRAPH_SPREAD, COMMON_DIGRAPH_SPREAD = 0.22, 0.17, 0.12
HOLD_MS = 92.0
HOLD_SPREAD, KEY_HOLD_SPREAD, COMMON_KEY_HOLD_SPREAD = 0.17, 0.10, 0.10

# Within one person: tempo of an attempt, noise of a key, and what drifts.
TEMPO_SPREAD, TEMPO_MEMORY, HOLD_FOLLOWS_TEMPO = 0.14, 0.5, 0.45
LATENCY_NOISE, HOLD_NOISE, NOISE_MEMORY, HOLD_FOLLOWS_KEY = 0.24, 0.19, 0.25, 0.15
PRACTICE, PRACTICE_ATTEMPTS = -0.16, 40.0
SESSION_DRIFT, SESSION_DIGRAPH_DRIFT, SESSION_HOLD_DRIFT = 0.04, 0.035, 0.03
HESITATION_SHARE, HESITATION = 0.02, 0.7

# Slips, as shares of keys; and attempts that go wrong altogether, as shares of attempts.
SLIP_SHARE, SLIP_SHARE_SPREAD = 0.012, 0.6
LEFT_STANDING = 0.12
ABANDONED, OUT_OF_ORDER = 0.012, 0.004

Values = npt.NDArray[np.float64]
Times = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Crowd:
    """What all typists share: the phrase, its geometry and how hard each digraph is.

    Attributes:
        phrase: the L characters.
        effects: [L, 7], see `keyboard.effects`.
        digraph: int[L], equal where the same two characters meet.
        key: int[L], equal where the same character stands.
        latency: [digraphs], what is common to all about each digraph, in logs.
        hold: [keys], likewise.
    """

    phrase: str
    effects: Values
    digraph: npt.NDArray[np.int64]
    key: npt.NDArray[np.int64]
    latency: Values
    hold: Values


@dataclass(frozen=True)
class Typed:
    """One typist's attempts: n of them, e events in all.

    Attributes:
        offsets: int64[n + 1], where each attempt begins.
        character: e characters.
        pressed_at: int64[e], in µs since 1970.
        released_at: int64[e], likewise.
    """

    offsets: Times
    character: list[str]
    pressed_at: Times
    released_at: Times


def crowd(phrase: str, seed: int) -> Crowd:
    """Everything that typists of one phrase and seed have in common."""
    rng = np.random.default_rng(seed)
    digraphs: dict[str, int] = {}
    keys: dict[str, int] = {}
    digraph = [digraphs.setdefault(phrase[max(i - 1, 0) : i + 1], len(digraphs)) for i in range(len(phrase))]
    key = [keys.setdefault(character, len(keys)) for character in phrase]
    return Crowd(
        phrase=phrase,
        effects=keyboard.effects(phrase),
        digraph=np.array(digraph),
        key=np.array(key),
        latency=rng.normal(0, COMMON_DIGRAPH_SPREAD, len(digraphs)),
        hold=rng.normal(0, COMMON_KEY_HOLD_SPREAD, len(keys)),
    )


def typist(crowd: Crowd, rng: np.random.Generator, attempts: int) -> Typed:
    """What one more person types."""
    session = np.arange(attempts) // SESSION_ATTEMPTS
    latency, hold = _rhythm(crowd, rng, session)
    return _play(crowd, rng, session, latency, hold)


def _rhythm(crowd: Crowd, rng: np.random.Generator, session: Times) -> tuple[Values, Values]:
    """Log latencies and log holds in ms of an error-free run, each [n, L]."""
    attempts, keys, sessions = len(session), len(crowd.phrase), int(session[-1]) + 1
    sensitivity = LATENCY_EFFECTS + rng.normal(0, LATENCY_EFFECTS_SPREAD)
    liking = crowd.latency + rng.normal(0, DIGRAPH_SPREAD, len(crowd.latency))
    latency = np.log(LATENCY_MS) + rng.normal(0, SPEED_SPREAD) + crowd.effects @ sensitivity + liking[crowd.digraph]
    touch = crowd.hold + rng.normal(0, KEY_HOLD_SPREAD, len(crowd.hold))
    hold = np.log(HOLD_MS) + rng.normal(0, HOLD_SPREAD) + touch[crowd.key]

    practice = PRACTICE * rng.uniform(0.3, 1.7) * (1 - np.exp(-np.arange(attempts) / PRACTICE_ATTEMPTS))
    walk = _walk(rng, sessions, 1, SESSION_DRIFT) + _walk(rng, sessions, len(liking), SESSION_DIGRAPH_DRIFT)
    hold_walk = _walk(rng, sessions, len(touch), SESSION_HOLD_DRIFT)
    latency = latency + practice[:, None] + walk[session][:, crowd.digraph]
    hold = hold + hold_walk[session][:, crowd.key]

    tempo = _remembering(rng.normal(0, TEMPO_SPREAD, (attempts, 1)), TEMPO_MEMORY)
    steadiness = np.exp(rng.normal(0, 0.18))
    key_noise = _remembering(rng.normal(0, LATENCY_NOISE, (keys, attempts)), NOISE_MEMORY).T * steadiness
    pause = rng.exponential(HESITATION, (attempts, keys)) * (rng.random((attempts, keys)) < HESITATION_SHARE)
    hold_noise = rng.normal(0, HOLD_NOISE, (attempts, keys)) * steadiness
    return (
        latency + tempo + key_noise + pause,
        hold + HOLD_FOLLOWS_TEMPO * tempo + HOLD_FOLLOWS_KEY * key_noise + hold_noise,
    )


def _walk(rng: np.random.Generator, sessions: int, width: int, step: float) -> Values:
    """A random walk from 0 over sessions: [sessions, width]."""
    steps = rng.normal(0, step, (sessions, width))
    steps[0] = 0
    return np.cumsum(steps, axis=0)


def _remembering(noise: Values, memory: float) -> Values:
    """Makes each row resemble the one before it, keeping the spread: x[i] = memory·x[i-1] + √(1-memory²)·noise[i]."""
    fresh = np.sqrt(1 - memory**2)
    for before, row in pairwise(noise):
        row *= fresh
        row += memory * before
    return noise


def _play(crowd: Crowd, rng: np.random.Generator, session: Times, latency: Values, hold: Values) -> Typed:
    """Adds slips and their corrections to error-free runs, and sets everything in time."""
    attempts, keys = latency.shape
    slip_share = SLIP_SHARE * np.exp(rng.normal(0, SLIP_SHARE_SPREAD))
    slips = rng.random((attempts, keys)) < slip_share
    # An uncorrected slip is a wrong key, or none at all.
    standing = slips & (rng.random((attempts, keys)) < LEFT_STANDING)
    omitted = standing & (rng.random((attempts, keys)) < 0.5)
    corrected = slips & ~standing
    # Keys typed until the slip is noticed, the wrong one included.
    astray = np.where(corrected, np.minimum(rng.geometric(0.6, (attempts, keys)), keys - np.arange(keys)), 0)
    ends = np.where(rng.random(attempts) < ABANDONED, rng.integers(1, keys, attempts), keys)
    counts = np.where(omitted | (np.arange(keys) >= ends[:, None]), 0, 1 + 2 * astray)

    # One row per event: which key of which attempt it is about, and its place among that key's events.
    slot = np.repeat(np.arange(counts.size), counts.ravel())
    place = np.arange(len(slot)) - np.repeat(np.cumsum(counts) - counts.ravel(), counts.ravel())
    wrong = astray.ravel()[slot]
    final = place == 2 * wrong
    erasing = ~final & (place >= wrong)
    position = slot % keys

    table = [
        *crowd.phrase,
        *(keyboard.neighbour(character, right=False) for character in crowd.phrase),
        *(keyboard.neighbour(character, right=True) for character in crowd.phrase),
        BACKSPACE,
    ]
    ahead = np.minimum(position + np.where(final | erasing, 0, place), keys - 1)
    side = keys * rng.integers(1, 3, len(slot))
    mistyped = np.where(final, standing.ravel()[slot], place == 0) & ~erasing
    index = np.where(erasing, len(table) - 1, ahead + np.where(mistyped, side, 0))

    pace = float(np.median(latency))
    noise = rng.normal(0, LATENCY_NOISE, len(slot))
    gap = np.where(place == 0, latency.ravel()[slot], pace + noise)
    gap = np.where(erasing, pace - 0.15 + noise, gap)
    noticing = erasing & (place == wrong)
    gap = np.where(noticing | (final & (place > 0)), gap + rng.normal(0.6, 0.3, len(slot)), gap)
    held = hold.ravel()[slot] - 0.2 * erasing

    owner = slot // keys
    lengths = np.bincount(owner, minlength=attempts)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    gap_us = (np.exp(gap) * 1e3).astype(np.int64)
    gap_us[offsets[:-1][lengths > 0]] = 0
    total = np.concatenate([[0], np.cumsum(gap_us)])
    elapsed = total[1:] - np.repeat(total[offsets[:-1]], lengths)
    duration = np.bincount(owner, gap_us, attempts).astype(np.int64)
    pressed_at = np.repeat(_starts(rng, session, duration), lengths) + elapsed
    # A clock set back, or events that overtook each other: a press before the one before it.
    jumps = np.flatnonzero((rng.random(attempts) < OUT_OF_ORDER) & (lengths > 2))
    late = offsets[:-1][jumps] + lengths[jumps] // 2
    pressed_at[late] = pressed_at[late - 1] - 1 - (1e3 * rng.exponential(20, len(late))).astype(np.int64)
    released_at = pressed_at + (np.exp(held) * 1e3).astype(np.int64)
    return Typed(offsets, [table[i] for i in index.tolist()], pressed_at, released_at)


def _starts(rng: np.random.Generator, session: Times, duration: Times) -> Times:
    """When each attempt begins, in µs since 1970: sittings some days apart, breathing space between attempts."""
    sessions = int(session[-1]) + 1
    days = np.cumsum(np.concatenate([[rng.integers(0, 3)], rng.integers(1, 4, sessions - 1)]))
    evening = rng.uniform(8 * 3600, 21 * 3600, sessions)
    opening = (days * 86_400e6 + evening * 1e6).astype(np.int64)
    rest = (rng.lognormal(1.3, 0.6, len(session)) * 1e6).astype(np.int64)
    busy = np.concatenate([[0], np.cumsum(duration + rest)])[:-1]
    first = np.searchsorted(session, np.arange(sessions))
    starts: Times = EPOCH.astype(np.int64) + opening[session] + busy - busy[first][session]
    return starts
