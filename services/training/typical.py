"""The usual timing of the attempts that a model is trained on."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from keyprint.attempts import UNKNOWN_TIME, Aligned
from keyprint.features import LONGEST_MS, TYPICAL_HOLD_MS
from keyprint.package import Typical


def typical(aligned: Aligned, release_times: bool) -> Typical:
    """Medians over m attempts, at least one, at each key; of holds only with `release_times`.

    A key whose release nobody saw in any of them has `TYPICAL_HOLD_MS`.
    """
    latency = np.diff(aligned.pressed_at, axis=1, prepend=aligned.pressed_at[:, :1])
    if not release_times:
        return Typical(_whole(np.median(latency, axis=0)), ())
    holds = np.ma.masked_array(aligned.released_at - aligned.pressed_at, aligned.released_at == UNKNOWN_TIME)
    medians = np.ma.median(holds, axis=0).filled(TYPICAL_HOLD_MS * 1e3)  # type: ignore[no-untyped-call]
    return Typical(_whole(np.median(latency, axis=0)), _whole(medians))


def _whole(microseconds: npt.NDArray[np.float64]) -> tuple[int, ...]:
    # As features clip them.
    return tuple(np.clip(np.rint(microseconds), 0, LONGEST_MS * 1e3).astype(np.int64).tolist())
