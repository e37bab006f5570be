"""Attempts to features: the one implementation, for training and for inference alike.

A feature set gives every attempt one row: first a block of C channels for each of the L keys of the phrase (all of
key 0's, then all of key 1's, ...), then G totals of the whole attempt, L * C + G columns in all.  Trees read the row
as it is; a recurrent net reads the block as L steps.

Left out on purpose: anything that tells the timer from the typist, such as latencies modulo 8 or 16 ms.

To add a set, write its function and its line in `FEATURE_SETS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from keyprint.attempts import UNKNOWN_TIME, Aligned, Codes
from keyprint.errors import InvalidArgument

Matrix = npt.NDArray[np.float32]
Block = npt.NDArray[np.float64]

SHORTEST_MS, LONGEST_MS = 0.1, 10_000.0
"""Latencies are clipped to this range: real recordings hold negative ones and pauses of hours."""

LONGEST_HOLD_MS = 1_000.0
"""No finger takes longer over a key, nor less than no time: such a release belongs to another press, and is unknown."""

TYPICAL_HOLD_MS = 100.0
"""Stands in for the holds of an attempt without a single release."""


@dataclass(frozen=True)
class Channels:
    """What a set computes for m attempts: per key [m, L] each, and in total [m] each, by name."""

    per_key: dict[str, Block]
    totals: dict[str, Block]


@dataclass(frozen=True)
class FeatureSet:
    """A way to turn attempts into numbers.

    Attributes:
        name: what callers ask for.
        version: goes up whenever the numbers change.
        description: what it holds and what to beware of.
    """

    name: str
    version: int
    description: str
    _channels: Callable[[Aligned, bool], Channels]

    def channels(self, release_times: bool) -> tuple[str, ...]:
        """The C channels of each key."""
        return tuple(self._channels(_NOBODY, release_times).per_key)

    def totals(self, release_times: bool) -> tuple[str, ...]:
        """The G columns of the whole attempt."""
        return tuple(self._channels(_NOBODY, release_times).totals)

    def columns(self, phrase: str, release_times: bool) -> list[str]:
        """The names of all L * C + G columns; keys count from 0."""
        channels = self.channels(release_times)
        return [f"{name}_{key}" for key in range(len(phrase)) for name in channels] + list(self.totals(release_times))

    def compute(self, aligned: Aligned, release_times: bool) -> Matrix:
        """The features of m attempts, float32[m, L * C + G], finite whatever was typed.

        Args:
            aligned: the attempts.
            release_times: whether to use hold and flight times; a release that is unknown, before its press or more
                than `LONGEST_HOLD_MS` after it is then taken to be the attempt's median hold after its press.
        """
        found = self._channels(aligned, release_times)
        count, keys = aligned.pressed_at.shape
        width = keys * len(found.per_key)
        out = np.empty((count, width + len(found.totals)), np.float32)
        block = out[:, :width].reshape(count, keys, len(found.per_key))
        for index, values in enumerate(found.per_key.values()):
            block[:, :, index] = values
        for index, values in enumerate(found.totals.values()):
            out[:, width + index] = values
        return out


def feature_set(name: str) -> FeatureSet:
    """The set of that name; the default one for the empty name.

    Raises:
        InvalidArgument: there is none.
    """
    try:
        return FEATURE_SETS[name or DEFAULT]
    except KeyError:
        known = ", ".join(FEATURE_SETS)
        raise InvalidArgument(
            "UNKNOWN_FEATURE_SET", f"There is no feature set {name!r}; there are: {known}.", "features"
        ) from None


def _log(milliseconds: Block) -> Block:
    return np.log(_within(milliseconds, SHORTEST_MS))


def _signed_log(milliseconds: Block) -> Block:
    """Logarithmic in both directions and smooth at zero: flight times are negative when keys overlap."""
    return np.arcsinh(_within(milliseconds, -LONGEST_MS) / 10.0)


def _within(milliseconds: Block, least: float) -> Block:
    # Two calls of two ufuncs; np.clip takes as long as the rest of a column for a single attempt.
    return np.minimum(np.maximum(milliseconds, least), LONGEST_MS)


def _graphs(pressed: Block, most: int) -> Block:
    """Logs of the times over the last 1 to `most` keys, float64[most, m, L]; 0 where there are not as many."""
    times = np.zeros((most, *pressed.shape))
    for keys in range(1, most + 1):
        np.subtract(pressed[:, keys:], pressed[:, :-keys], out=times[keys - 1, :, keys:])
    logs = _log(times)
    for keys in range(1, most + 1):
        logs[keys - 1, :, :keys] = 0.0
    return logs


def _change(values: Block, first: int) -> Block:
    """Each value minus the one before it, from key `first` on; 0 before."""
    out = np.zeros(values.shape)
    np.subtract(values[:, first:], values[:, first - 1 : -1], out=out[:, first:])
    return out


def _sum(values: Block | Codes) -> Block:
    # ndarray.sum goes through Python before it comes here.
    return np.asarray(np.add.reduce(values, axis=1, dtype=np.float64))


def _holds(aligned: Aligned) -> Block:
    holds = (aligned.released_at - aligned.pressed_at) / 1e3
    known = (aligned.released_at != UNKNOWN_TIME) & (holds > 0) & (holds <= LONGEST_HOLD_MS)
    if known.all():
        return holds
    # numpy's masked median takes many times as long for one attempt.
    ordered, count, rows = np.sort(np.where(known, holds, np.inf), axis=1), known.sum(axis=1), np.arange(len(holds))
    usual = (ordered[rows, np.maximum(count - 1, 0) // 2] + ordered[rows, count // 2]) / 2
    return np.where(known, holds, np.where(count > 0, usual, TYPICAL_HOLD_MS)[:, None])


def _timing(aligned: Aligned, release_times: bool) -> Channels:
    pressed = (aligned.pressed_at - aligned.pressed_at[:, :1]) / 1e3
    keys = pressed.shape[1]
    latency, digraph, trigraph = _graphs(pressed, 3)
    total = np.log(np.maximum(np.minimum(pressed[:, -1], keys * LONGEST_MS), SHORTEST_MS))
    share = latency - total[:, None]
    share[:, 0] = 0.0
    cost = np.log1p(_within(aligned.correction_us / 1e3, 0.0))
    per_key = {
        "log_press_to_press": latency,
        "press_to_press_change": _change(latency, 2),
        "log_digraph": digraph,
        "log_trigraph": trigraph,
        "share_of_total": share,
        "corrections": aligned.corrections.astype(np.float64),
        "correction_cost": cost,
    }
    totals = {
        "log_total": total,
        "total_corrections": _sum(aligned.corrections),
        "total_correction_cost": _sum(cost),
    }
    if release_times:
        held = _within(_holds(aligned), SHORTEST_MS)
        released = pressed + held
        hold = np.log(held)
        since = np.zeros((2, *pressed.shape))
        np.subtract(pressed[:, 1:], released[:, :-1], out=since[0, :, 1:])
        np.subtract(released[:, 1:], released[:, :-1], out=since[1, :, 1:])
        flight, release_to_release = _signed_log(since)
        mean = _sum(hold) / keys
        apart = hold - mean[:, None]
        per_key |= {
            "log_hold": hold,
            "hold_change": _change(hold, 1),
            "flight": flight,
            "release_to_release": release_to_release,
        }
        totals |= {"mean_log_hold": mean, "spread_of_log_hold": np.sqrt(_sum(apart * apart) / keys)}
    return Channels(per_key, totals)


def _calendar(aligned: Aligned, release_times: bool) -> Channels:
    moment = aligned.pressed_at.astype("datetime64[us]")
    day, month, year = (moment.astype(f"datetime64[{unit}]") for unit in "DMY")
    parts = {
        "year": year.astype(np.int64) + 1970,
        "month": (month - year).astype(np.int64) + 1,
        "day": (day - month).astype(np.int64) + 1,
        "hour": (moment - day).astype("timedelta64[h]").astype(np.int64),
        "minute": (moment - moment.astype("datetime64[h]")).astype("timedelta64[m]").astype(np.int64),
        "second": (moment - moment.astype("datetime64[m]")).astype("timedelta64[s]").astype(np.int64),
        "microsecond": (moment - moment.astype("datetime64[s]")).astype(np.int64),
        "character_index": np.broadcast_to(np.arange(moment.shape[1]), moment.shape),
    }
    return Channels({name: values.astype(np.float64) for name, values in parts.items()}, {})


_NOBODY = Aligned(
    rows=np.empty(0, np.int64),
    pressed_at=np.empty((0, 4), np.int64),
    released_at=np.empty((0, 4), np.int64),
    corrections=np.empty((0, 4), np.int32),
    correction_us=np.empty((0, 4), np.int64),
)

DEFAULT = "timing"

FEATURE_SETS = {
    one.name: one
    for one in (
        FeatureSet(
            "timing",
            3,
            "Log press-to-press latencies, their changes, sums over two and three keys and shares of the total, "
            "corrections with their places and cost; with release times also holds, flights and release-to-release "
            "times.",
            _timing,
        ),
        FeatureSet(
            "calendar",
            1,
            "Year to microsecond of each press and the character's index. Kept for comparison: it leaks the date on "
            "which somebody typed and says little about how.",
            _calendar,
        ),
    )
}
