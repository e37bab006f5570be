"""The arrays that training hands around."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.int64]
"""Positions of users among those of a model."""

Floats = npt.NDArray[np.float64]
"""Logits, scores, rates."""

Probabilities = npt.NDArray[np.float32] | Floats
"""A graph's are the former, a source estimator's the latter."""

Flags = npt.NDArray[np.bool_]
"""Which ones are meant."""
