"""A model's graph, run by ONNX Runtime: the one way, for evaluating a model and for serving it."""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress
from pathlib import Path

import numpy as np

from keyprint.features import Matrix
from keyprint.package import INPUT, OUTPUT

# Unasked it keeps an id of this machine in the user's home and tells its maker of models; it reads this while imported.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import onnxruntime

_ROWS = 4096
"""Rows a run: what a recurrent net needs for its steps grows with them."""


class Graph:
    """An ONNX graph, features float32[n, F] to probabilities float32[n, K], on the caller's thread alone.

    Attributes:
        users: K.
    """

    def __init__(self, path: Path) -> None:
        """Reads it.

        Raises:
            ValueError: it does not say what K is.
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        # A spinning thread would keep the others from their core.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        shape = self._session.get_outputs()[0].shape
        if len(shape) != 2 or not isinstance(shape[1], int):
            raise ValueError(f"its graph answers with the shape {shape}, which says of no number of users")
        self.users: int = shape[1]
        _give_back_memory()

    def run(self, features: Matrix) -> Matrix:
        """The probabilities of n rows."""
        if not len(features):
            return np.empty((0, self.users), np.float32)
        pieces = [
            self._session.run([OUTPUT], {INPUT: features[begin : begin + _ROWS]})[0]
            for begin in range(0, len(features), _ROWS)
        ]
        return np.concatenate(pieces)


def _give_back_memory() -> None:
    """Lets the system have what reading a graph took: of 400 large trees, 100 MB of 165."""
    # glibc keeps it otherwise; other C libraries have no such call.
    with suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
