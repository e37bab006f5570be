"""Attempts that repeat another's timing exactly."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from keyprint.attempts import ID_BYTES, Flags

COLUMNS = ["attempt_id", "reason"]
"""What `duplicates` looks at."""


def duplicates(attempts: pa.Table, user: npt.NDArray[np.int64]) -> Flags:
    """bool[n]: which of n attempts are valid and repeat another valid one.

    Args:
        attempts: at least the `COLUMNS`.
        user: int64[n], who typed each, by any number.
    """
    valid = pc.equal(attempts["reason"], "")
    ids = attempts["attempt_id"].filter(valid).to_pylist()
    rows = np.flatnonzero(valid.to_numpy())
    found = np.zeros(len(user), np.bool_)
    found[rows] = find_duplicates(user[rows], ids)
    return found


def find_duplicates(user: npt.NDArray[np.int64], ids: Sequence[bytes]) -> Flags:
    """bool[n]: which attempts repeat another's timing exactly.

    Within one user the first of equal attempts is none; across users, where nobody can say whose it is, all are.

    Args:
        user: int64[n], who typed each attempt, by any number.
        ids: their n attempt ids.
    """
    if not len(ids):
        return np.zeros(0, np.bool_)
    _, same, counts = np.unique(_digests(ids), return_inverse=True, return_counts=True)
    # Equal ones side by side, in their order.
    order = np.argsort(same, kind="stable")
    starts = np.cumsum(counts) - counts
    shared = np.minimum.reduceat(user[order], starts) != np.maximum.reduceat(user[order], starts)
    first = np.zeros(len(ids), np.bool_)
    first[starts] = True
    duplicate = np.zeros(len(ids), np.bool_)
    duplicate[order] = np.repeat(shared, counts) | ~first
    return duplicate


def _digests(ids: Sequence[bytes]) -> npt.NDArray[np.bytes_]:
    """S17[n]: attempt ids, each with a mark after it, as numpy drops trailing zero bytes."""
    marked = np.ones((len(ids), ID_BYTES + 1), np.uint8)
    marked[:, :-1] = np.frombuffer(b"".join(ids), np.uint8).reshape(-1, ID_BYTES)
    found: npt.NDArray[np.bytes_] = marked.view(f"S{ID_BYTES + 1}")[:, 0]
    return found
