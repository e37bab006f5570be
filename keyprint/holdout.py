"""Which attempts are kept from training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from keyprint.errors import FailedPrecondition, InvalidArgument

Split = Literal["late", "random"]


def check_share(share: float) -> float:
    """Returns `share`.

    Raises:
        InvalidArgument: it is not between 0 and 1, both excluded.
    """
    # Written so that NaN fails too.
    if not 0.0 < share < 1.0:
        raise no_share(f"{share:g}")
    return share


def no_share(shown: str) -> InvalidArgument:
    """What is wrong with a hold-out that is none."""
    return InvalidArgument(
        "HOLDOUT_OUT_OF_RANGE",
        f"The hold-out must be a number above 0 and below 1, like 0.2, and not {shown}.",
        "holdout",
    )


def size(count: int, share: float) -> int:
    """How many of `count` attempts, two or more, are held out: ⌈share · count⌉, and at least one on each side."""
    # The product of a share and a count may land a hair above the whole number that was meant.
    return min(max(math.ceil(round(share * count, 9)), 1), count - 1)


def choose(
    users: Sequence[str], typed_at: npt.NDArray[np.int64], share: float, split: Split = "late", seed: int = 0
) -> npt.NDArray[np.bool_]:
    """Chooses ⌈share · n⌉ of each user's n attempts, and at least one on each side.

    Args:
        users: who typed each of the N attempts, in dataset order.
        typed_at: int64[N], time of each attempt's first press.
        share: share to hold out, between 0 and 1.
        split: `late` takes the last by time, dataset order breaking ties; `random` takes seeded random ones.
        seed: of the random split. Each user's choice depends on their own attempts alone.

    Returns:
        bool[N], True where an attempt is held out.

    Raises:
        InvalidArgument: the share is out of range.
        FailedPrecondition: a user has a single attempt, which cannot be on both sides.
    """
    check_share(share)
    labels, owner = np.unique(np.asarray(users, np.str_), return_inverse=True)
    held_out = np.zeros(len(owner), np.bool_)
    for number, label in enumerate(labels):
        rows = np.flatnonzero(owner == number)
        if len(rows) < 2:
            raise FailedPrecondition(
                "NOT_ENOUGH_ATTEMPTS", f"User {str(label)!r} has a single attempt; a hold-out needs two.", "dataset"
            )
        count = size(len(rows), share)
        if split == "late":
            order = rows[np.argsort(typed_at[rows], kind="stable")]
        else:
            order = np.random.default_rng([seed, len(rows)]).permutation(rows)
        held_out[order[len(rows) - count :]] = True
    return held_out
