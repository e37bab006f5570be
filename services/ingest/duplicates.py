"""Attempts that repeat another's timing exactly."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from keyprint.attempts import Flags

COLUMNS = ["attempt_id", "reason"]
"""What `duplicates` looks at."""


def duplicates(attempts: pa.Table, user: npt.NDArray[np.int64]) -> Flags:
    """bool[n]: which of n attempts are valid and repeat another valid one.

    Args:
        attempts: at least the `COLUMNS`.
        user: int64[n], who typed each, by any number.
    """
    valid = pc.equal(attempts["reason"], "")
    rows = np.flatnonzero(valid.to_numpy())
    found = np.zeros(len(user), np.bool_)
    found[rows] = find_duplicates(user[rows], attempts["attempt_id"].filter(valid).combine_chunks())
    return found


def find_duplicates(user: npt.NDArray[np.int64], ids: pa.Array) -> Flags:
    """bool[n]: which attempts repeat another's timing exactly.

    Within one user the first of equal attempts is none; across users, where nobody can say whose it is, all are.

    Args:
        user: int64[n], who typed each attempt, by any number.
        ids: their n attempt ids.
    """
    same = ids.dictionary_encode().indices.to_numpy()
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
