"""What is odd about an attempt: timing that was there before, timing that no hands have."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from keyprint.attempts import timing_ids
from services.inference.engine import Answers, Engine

REPLAY, SYNTHETIC = 1, 2
"""Bits of a mask, numbered as the protos number flags."""

NAMES = {REPLAY: "REPLAY_SUSPECTED", SYNTHETIC: "SYNTHETIC_SUSPECTED"}

LEAST_KEYS = 6
"""Phrases shorter than this are not judged.

Chance repeats the timing of a few keys: of 10,510 attempts by 34 typists (bksd, recorded in steps of 8 ms) 41 % repeat
an earlier one in their first 3 presses, 0.17 % in 5, 0.01 % in 6 and none in 7.
"""

EVEN = 0.05
"""Gaps that all lie within this share of their mean are all equal; in bksd the least even gap is off by 38 % of the
mean or more, in any attempt, already over 6 keys."""

FASTEST_MS = 40.0
"""Hands do not press keys this close together on average: that is 300 words a minute, where 212 is the fastest ever
told of (Barbara Blackburn), and the fastest attempt of bksd has 195 ms."""

MOST_RECENT = 65_536
"""Attempts remembered, over all models: so much memory, however many models there are."""

Mask = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]


class Recent:
    """The timings that models were asked about last; safe to share between threads."""

    def __init__(self, most: int = MOST_RECENT) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._seen: OrderedDict[tuple[str, bytes], None] = OrderedDict()

    def again(self, model: str, timings: Sequence[bytes]) -> list[bool]:
        """Whether each of these was there before, for this model; from now on all of them were."""
        found = []
        with self._lock:
            for one in timings:
                key = model, one
                found.append(key in self._seen)
                self._seen[key] = None
                self._seen.move_to_end(key)
            while len(self._seen) > self._most:
                self._seen.popitem(last=False)
        return found


def flag(engine: Engine, answers: Answers, recent: Recent) -> Mask:
    """uint8[n]: what is odd about each attempt, as the sum of `REPLAY` and `SYNTHETIC`; 0 where it is not valid.

    Decisions do not look at it.
    """
    flags = np.zeros(len(answers.verdicts.reason), np.uint8)
    if not len(answers.rows) or len(engine.phrase) < LEAST_KEYS:
        return flags
    timings = timing_ids(answers.aligned)
    known = engine.package.trained_timings
    again = recent.again(engine.reference, timings)
    repeated = np.array([before or one in known for before, one in zip(again, timings, strict=True)])
    flags[answers.rows] = REPLAY * repeated + SYNTHETIC * _no_hands(engine, answers)
    return flags


def names(mask: int) -> list[str]:
    """The flags of a mask."""
    return [name for bit, name in NAMES.items() if mask & bit]


def _no_hands(engine: Engine, answers: Answers) -> Flags:
    pressed = answers.aligned.pressed_at
    gaps = pressed[:, 1:] - pressed[:, :-1]
    mean = (pressed[:, -1] - pressed[:, 0]) / gaps.shape[1]
    # Some recordings have clocks of their own: where everybody is faster than hands, it says nothing about this one.
    fast: Flags = mean < min(FASTEST_MS * 1e3, engine.package.training.typical.gap_us / 2)
    # Every gap is near the mean if the shortest and the longest are.
    even: Flags = np.maximum(gaps.max(axis=1) - mean, mean - gaps.min(axis=1)) <= EVEN * mean
    return fast | even
