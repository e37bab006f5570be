"""Attempts that repeat another's timing exactly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from keyprint.attempts import LEAST_KEYSTROKES, MAX_KEYSTROKES, Flags

Keys = npt.NDArray[np.uint64]

COLUMNS = ["attempt_id", "reason", "pressed_at"]
"""What `names` looks at."""

_FACTORS = np.random.default_rng(0).integers(2**63, 2**64, MAX_KEYSTROKES + 1, np.uint64)
"""Of the presses by their number in an attempt: sums of what they are multiplied by differ where presses do."""


class Named(NamedTuple):
    """What names m attempts: bool[m], which of them are valid, and a key for each that is."""

    valid: Flags
    keys: Keys


def names(attempts: pa.Table) -> Named:
    """What names attempts, of which at least the `COLUMNS` are needed."""
    valid = pc.equal(attempts["reason"], "")
    flags: Flags = valid.to_numpy()
    return Named(flags, press_keys(attempts if flags.all() else attempts.select(COLUMNS).filter(valid)))


def duplicates(parts: Sequence[Named], user: npt.NDArray[np.int64]) -> Flags:
    """bool[n]: which of n attempts are valid and repeat another valid one.

    Args:
        parts: the attempts in order.
        user: int64[n], who typed each, by any number.
    """
    rows = np.flatnonzero(np.concatenate([part.valid for part in parts]))
    found = np.zeros(len(user), np.bool_)
    found[rows] = find_duplicates(user[rows], np.concatenate([part.keys for part in parts]))
    return found


def press_keys(attempts: pa.Table) -> Keys:
    """uint64[n]: what names each attempt by the times of its presses from the first one on, in µs.

    A copy without its releases, or with others, has the same.  An attempt that is short, whose presses another may
    share by chance, is named by its id.
    """
    presses, ids = (attempts[name].combine_chunks() for name in ("pressed_at", "attempt_id"))
    offsets = np.asarray(presses.offsets, np.int64)
    lengths = np.diff(offsets)
    starts = offsets[:-1] - offsets[0]
    pressed_at = presses.flatten().to_numpy()
    since = (pressed_at - np.repeat(pressed_at[starts], lengths)).astype(np.uint64)
    place = np.arange(len(since)) - np.repeat(starts, lengths)
    # Valid attempts have a keystroke at least, so that none of the sums is of nothing.
    keys: Keys = np.add.reduceat(since * _FACTORS[place], starts) if len(starts) else np.zeros(0, np.uint64)
    keys += _FACTORS[0] * lengths.astype(np.uint64)
    beginnings = np.frombuffer(ids.buffers()[1], "<u8")[2 * ids.offset :: 2][: len(ids)]
    return np.where(lengths < LEAST_KEYSTROKES, beginnings, keys)


def find_duplicates(user: npt.NDArray[np.int64], ids: pa.Array | Keys) -> Flags:
    """bool[n]: which attempts repeat another.

    Within one user the first of equal attempts is none; across users, where nobody can say whose it is, all are.

    Args:
        user: int64[n], who typed each attempt, by any number.
        ids: n ids, which equal attempts share.
    """
    same = pa.array(ids).dictionary_encode().indices.to_numpy()
    counts = np.bincount(same)
    # Equal ones side by side, in their order.
    order = np.argsort(same, kind="stable")
    starts = np.cumsum(counts) - counts
    of_each = user[order]
    shared = np.minimum.reduceat(of_each, starts) != np.maximum.reduceat(of_each, starts)
    first = np.zeros(len(same), np.bool_)
    first[starts] = True
    duplicate = np.zeros(len(same), np.bool_)
    duplicate[order] = np.repeat(shared, counts) | ~first
    return duplicate
