"""Whether a graph answers as the estimator that it was made of."""

from __future__ import annotations

import numpy as np

from keyprint.errors import Internal
from keyprint.features import Matrix
from services.training.arrays import Flags, Floats

CLOSE = 1e-5
"""Two candidates within this are a near tie, whose order a rounding may turn."""

_AGREEMENT = 1e-4


def is_clear(expected: Floats) -> Flags:
    """bool[n]: which of the probabilities float64[n, K] are no near ties."""
    best = np.sort(expected, axis=1)
    found: Flags = best[:, -1] - best[:, -2] > CLOSE
    return found


def check_agreement(found: Matrix, expected: Floats) -> int:
    """How many attempts are near ties.

    Raises:
        Internal: probabilities differ by more than 1e-4, or the label of an attempt that is no near tie differs.
    """
    clear = is_clear(expected)
    apart = float(np.abs(found - expected).max())
    labels = int((found.argmax(axis=1) != expected.argmax(axis=1))[clear].sum())
    # Written so that NaN fails too.
    if not apart <= _AGREEMENT or labels:
        raise Internal(
            "GRAPH_DISAGREES",
            f"The ONNX graph differs from its source by up to {apart:.2g} in probability and in {labels} labels, so "
            "the model was not published.",
        )
    return int((~clear).sum())
